"""Safe writing: to a temporary name in the target folder, then renamed.

A killed run leaves either the old file or the new one, never half of one; what stands in the way of writing is said
in plain words, and `check_writable` says it before any long work starts.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stormcell.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_SPACE_WORDS = ("no space left", "disk quota exceeded", "file too large", "not enough space")
_LONGEST_KEPT_NAME = 60


def check_writable(path: str | Path, overwrite: bool = False) -> None:
    """Refuse an output path that cannot be written, before any long work.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file exists and `overwrite` is False; the path is a folder or a device; its folder is missing or cannot
        be written; there is no space left.
    """
    target = _checked_target(Path(path), overwrite)
    probe = _temporary_name(target)
    try:
        probe.touch(exist_ok=False)
    except OSError as error:
        raise OutputError(_refusal(error, target)) from None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Write a file in one step: under a temporary name first, renamed when complete.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    overwrite : bool
        Whether an existing file may be replaced.

    Yields
    ------
    Path
        A temporary name in the same folder with the same ending, for the caller to write to. It becomes `path` when
        the block ends, and is removed when the block fails or is interrupted.

    Raises
    ------
    OutputError
        As in `check_writable`, or the space ran out while writing.
    """
    target = _checked_target(Path(path), overwrite)
    temporary = _temporary_name(target)
    try:
        yield temporary
        _checked_target(target, overwrite)  # another run may have written it meanwhile
        os.replace(temporary, target)
    except (OSError, RuntimeError) as error:  # HDF5 says RuntimeError when it cannot flush a full disc
        if _is_about_writing(error, temporary):
            raise OutputError(_refusal(error, target)) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes, overwrite: bool = False) -> None:
    """Write bytes in one step.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    data : bytes
        Its content.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file cannot be written; see `check_writable`.
    """
    with atomic_path(path, overwrite) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str, overwrite: bool = False) -> None:
    """Write text in one step, as UTF-8 with the same line ends on every system.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    text : str
        Its content.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file cannot be written; see `check_writable`.
    """
    write_bytes(path, text.encode("utf-8"), overwrite)


def make_folder(path: str | Path) -> Path:
    """Make a folder, with those above it; one that is there already is kept as it is.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    OutputError
        A file of that name is in the way, or the folder cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        msg = f"expected a folder to write to, but {folder} is or lies under a file; name another folder"
        raise OutputError(msg) from None
    except OSError as error:
        raise OutputError(_refusal(error, folder)) from None
    return folder


def _checked_target(path: Path, overwrite: bool) -> Path:
    """Find the file that will really be replaced (behind a link), or refuse."""
    try:
        target = path.resolve() if path.is_symlink() else path
        if target.is_dir():
            msg = f"{path} is a folder; name a file in it"
            raise OutputError(msg)
        if target.exists():
            if not target.is_file():
                msg = f"{path} is not an ordinary file and cannot be replaced; name another file"
                raise OutputError(msg)
            if not overwrite:
                msg = f"{path} exists; pass --overwrite to replace it, or name another file"
                raise OutputError(msg)
        if not target.parent.is_dir():
            msg = f"the folder {target.parent} does not exist; make it first, or name another place for {path.name}"
            raise OutputError(msg)
    except OSError as error:
        raise OutputError(_refusal(error, path)) from None
    return target


def _temporary_name(target: Path) -> Path:
    # The ending stays last because writers choose by it; the start is cut so that the name cannot get too long.
    return target.with_name(f".part-{secrets.token_hex(4)}-{target.name[-_LONGEST_KEPT_NAME:]}")


def _is_about_writing(error: OSError | RuntimeError, temporary: Path) -> bool:
    if any(words in str(error).lower() for words in _NO_SPACE_WORDS):
        return True
    if not isinstance(error, OSError):
        return False
    names = {str(name) for name in (error.filename, error.filename2) if name is not None}
    # pyarrow names the file in its words only
    is_named = str(temporary) in names or (not names and temporary.name in str(error))
    return error.errno in _NO_SPACE or (is_named and temporary.name != "")


def _refusal(error: OSError | RuntimeError, target: Path) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code in _NO_SPACE or any(words in str(error).lower() for words in _NO_SPACE_WORDS):
        return f"no space left to write {target}; free some space, or name a place on another disc"
    if code in _NO_PERMISSION:
        return f"no permission to write {target} (or another program holds it open); name another place or close it"
    if code == errno.ENAMETOOLONG:
        return f"the name {target.name[:40]}... is too long for this disc; name a shorter one"
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"cannot write {target}: {reason[:1].lower()}{reason[1:]}; name another place"
