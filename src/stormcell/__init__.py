"""stormcell: super-resolution pictures from blinking-fluorophore movies, and how far to trust them."""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, _lazy = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_lazy, "__version__"]


def _ensure_compile_cache() -> None:
    """Give compiled code a place where neither this package's folder nor the user's cache can be written.

    Without one, importing a compiled function would fail. The place is private and lasts as long as the process,
    because loading code from a folder that others can write to would be unsafe.
    """
    import os
    from pathlib import Path

    places = (Path(__file__).parent, Path(os.environ.get("XDG_CACHE_HOME") or Path("~").expanduser()))
    if "NUMBA_CACHE_DIR" in os.environ or any(os.access(place, os.W_OK) for place in places):
        return
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="stormcell-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder


_ensure_compile_cache()
