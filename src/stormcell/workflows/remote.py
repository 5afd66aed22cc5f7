"""Places that are URLs: inputs are fetched before a verb works on them, outputs sent when it is done."""

from __future__ import annotations

import functools
import inspect
import re
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from stormcell.errors import FormatError, MissingDependencyError, OutputError
from stormcell.io.zarr_stores import is_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
R = TypeVar("R")

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_NO_PLACES = ("tcp://", "tls://", "ucx://")
"""Addresses of schedulers."""


def is_url(place: object) -> bool:
    """Tell whether a place is a URL.

    Parameters
    ----------
    place : object
        A path, text or anything else.

    Returns
    -------
    bool
        True for text like s3://bucket/movie.tif.
    """
    return isinstance(place, str) and bool(_URL.match(place)) and not place.startswith(_NO_PLACES)


@contextmanager
def fetched(url: str) -> Iterator[str | Path]:
    """Have an input here for a while.

    Parameters
    ----------
    url : str
        Any place that fsspec knows.

    Yields
    ------
    str or Path
        A copy that is deleted at the end; a Zarr store is not copied but read where it is.

    Raises
    ------
    FormatError
        There is no such file, or it cannot be read.
    """
    if is_store(url):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="stormcell-") as folder:
        with _worded(url, FormatError, "read"):
            system, root = _filesystem(url)
            target = Path(folder) / (root.rstrip("/").rpartition("/")[2] or "input")
            system.get(root, str(target), recursive=system.isdir(root))
        yield target


@contextmanager
def staged(url: str, overwrite: bool) -> Iterator[Path]:
    """Write an output here first, and send it when the block ends without an error.

    Parameters
    ----------
    url : str
        Where it goes.
    overwrite : bool
        Whether what is there may be replaced.

    Yields
    ------
    Path
        Where to write; nothing is there.

    Raises
    ------
    OutputError
        Something is there already, or it cannot be sent.
    """
    with _worded(url, OutputError, "write"):
        system, root = _filesystem(url)
        is_taken = system.exists(root) and not (system.isdir(root) and not system.ls(root))
    if is_taken and not overwrite:
        msg = f"{url} exists; pass --overwrite to replace it, or name another place"
        raise OutputError(msg)
    with tempfile.TemporaryDirectory(prefix="stormcell-") as folder:
        local = Path(folder) / (root.rstrip("/").rpartition("/")[2] or "output")
        yield local
        send(local.parent, url.rstrip("/").rpartition("/")[0])


def send(folder: Path, url: str, last: str | None = None) -> None:
    """Send all files of a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    url : str
        The place that takes its content.
    last : str, optional
        Name of the file that is sent after all others: where it is, all is.

    Raises
    ------
    OutputError
        The files cannot be sent.
    """
    with _worded(url, OutputError, "write"):
        system, root = _filesystem(url)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path.name == last):
            target = f"{root.rstrip('/')}/{path.relative_to(folder).as_posix()}"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), target)


def list_url(url: str) -> list[str]:
    """List the files of a folder, or those that a pattern fits.

    Parameters
    ----------
    url : str
        A folder, or a pattern with * in it.

    Returns
    -------
    list of str
        URLs in order; Zarr stores count as files.

    Raises
    ------
    FormatError
        The place cannot be read.
    """
    with _worded(url, FormatError, "read"):
        system, root = _filesystem(url)
        found = system.glob(root) if "*" in root else system.ls(root, detail=False)
        names = [str(name).rstrip("/") for name in found]
        kept = [name for name in names if is_store(f"x://{name}") or system.isfile(name)]
        return sorted(system.unstrip_protocol(name) for name in kept if not name.rpartition("/")[2].startswith("."))


def with_remote_places(verb: Callable[P, R]) -> Callable[P, R]:
    """Let a verb take URLs for its inputs and its output.

    Parameters
    ----------
    verb : callable
        It takes paths, and the keywords output and overwrite where it writes.

    Returns
    -------
    callable
        The same with URLs.
    """
    parameters = list(inspect.signature(verb).parameters)

    @functools.wraps(verb)
    def act(*args: P.args, **kwargs: P.kwargs) -> R:
        if not any(is_url(value) for value in (*args, *kwargs.values())):
            return verb(*args, **kwargs)
        with ExitStack() as stack:
            named: dict[str, Any] = {**dict(zip(parameters, args, strict=False)), **kwargs}
            moved: dict[Any, str] = {}
            for name, value in named.items():
                if not is_url(value):
                    continue
                if name == "output":
                    named[name] = stack.enter_context(staged(value, bool(kwargs.get("overwrite", False))))
                    moved[named[name]] = value
                else:
                    named[name] = stack.enter_context(fetched(value))
            return _with_urls(verb(**named), moved)  # type: ignore[call-arg]

    return act


def _with_urls(result: R, moved: dict[Any, str]) -> R:
    """Name outputs by where they are in the end."""
    if not (moved and is_dataclass(result) and not isinstance(result, type)):
        return result
    outputs = getattr(result, "outputs", None)
    if outputs is None or "outputs" not in {one.name for one in fields(result)}:
        return result
    return replace(result, outputs=tuple(final_place(path, moved) for path in outputs))


def final_place(path: Path, moved: dict[Any, str]) -> Path | str:
    """Name a file by the URL it was sent to.

    Parameters
    ----------
    path : Path
        Where it was written.
    moved : dict
        URL by the place where the output was written.

    Returns
    -------
    Path or str
        The same path where it was not sent.
    """
    for local, url in moved.items():
        if path == local:
            return url
        if path.is_relative_to(local):
            return f"{url.rstrip('/')}/{path.relative_to(local).as_posix()}"
    return path


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        msg = 'places like s3://... need the package fsspec; install it with: pip install "stormcell[formats]"'
        raise MissingDependencyError(msg) from None
    system, root = fsspec.core.url_to_fs(url)
    return system, str(root)


@contextmanager
def _worded(url: str, error_class: type[FormatError | OutputError], what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        msg = f"{url} does not exist; check the name"
        raise error_class(msg) from None
    except ImportError as error:
        msg = f"{url.partition('://')[0]}:// needs another package ({error}); install it"
        raise MissingDependencyError(msg) from None
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"cannot {what} {url} ({reason:.120}); check the place and the permissions"
        raise error_class(msg) from None
