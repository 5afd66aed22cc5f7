"""The first look at an input file: what stands in the way of reading it, and what kind of file it is."""

from __future__ import annotations

from pathlib import Path

from stormcell.errors import FormatError

_MAGIC = (
    (b"II*\x00", "a TIFF file"),
    (b"MM\x00*", "a TIFF file"),
    (b"II+\x00", "a TIFF file"),
    (b"MM\x00+", "a TIFF file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (b"MATLAB 7.3 MAT-file", "a MATLAB file"),
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<html", "a web page"),
)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_TEXT_CONTROLS = {0x09, 0x0A, 0x0C, 0x0D}


def first_bytes(path: str | Path, expected: str, n_bytes: int = 65536) -> bytes:
    """Read the start of an input file, or refuse the file in plain words.

    Parameters
    ----------
    path : str or Path
        The file.
    expected : str
        What the file should be, for the message, for example "a localization table".
    n_bytes : int
        How much to read, in bytes.

    Returns
    -------
    bytes
        The first bytes, at least one.

    Raises
    ------
    FormatError
        The file is missing, a folder, empty, or may not be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            msg = f"expected {expected}, but {path} is a folder; name a file in it"
            raise FormatError(msg)
        with path.open("rb") as file:
            head = file.read(n_bytes)
    except FileNotFoundError:
        msg = f"expected {expected}, but {path} does not exist; check the name"
        raise FormatError(msg) from None
    except PermissionError:
        msg = f"expected {expected}, but there is no permission to read {path}; change its permissions or copy it"
        raise FormatError(msg) from None
    except OSError as error:
        msg = (
            f"expected {expected}, but {path} cannot be read: {error.strerror or error}; check the name and the disc"
        )
        raise FormatError(msg) from None
    if not head:
        msg = f"expected {expected}, but {path} is empty; write or copy it again"
        raise FormatError(msg)
    return head


def content_name(head: bytes) -> str:
    """Say what a file is from its first bytes.

    Parameters
    ----------
    head : bytes
        The start of the file.

    Returns
    -------
    str
        For example "a TIFF file", "text" or "binary data of an unknown kind".
    """
    for magic, name in _MAGIC:
        if head.lower().startswith(magic.lower()) if magic.startswith(b"<") else head.startswith(magic):
            return name
    return "text" if is_text(head) else "binary data of an unknown kind"


def is_text(head: bytes) -> bool:
    """Tell whether the first line of a file is text.

    Parameters
    ----------
    head : bytes
        The start of the file. Only its first line counts, as some programs end a text with binary data.

    Returns
    -------
    bool
        True when it holds no control characters and no known magic number.
    """
    if head.startswith(_UTF16_MARKS):
        return True
    if any(head.startswith(magic) for magic, _ in _MAGIC):
        return False
    line = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0][:4096]
    return bool(line.strip()) and all(byte >= 0x20 or byte in _TEXT_CONTROLS for byte in line)
