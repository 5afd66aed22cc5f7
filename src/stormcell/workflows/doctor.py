"""doctor: what this machine and its libraries offer."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import stormcell
from stormcell.workflows.threads import count_threads

_LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
    "tifffile",
    "pandas",
    "pyarrow",
    "h5py",
    "pydantic",
    "typer",
    "matplotlib",
)
_CPU_FLAGS = {"avx2": "AVX2", "avx512f": "AVX-512", "amx_tile": "AMX", "amx_bf16": "AMX bf16", "avx512_bf16": "bf16"}


@dataclass(frozen=True)
class Diagnosis:
    """What was found."""

    version: str
    python: str
    platform: str
    n_cpus: int
    n_threads: int
    memory_gb: float | None
    cpu_features: tuple[str, ...]
    device: str
    device_name: str
    libraries: dict[str, str | None]
    compile_cache: str
    compile_cache_works: bool
    problems: tuple[str, ...]


def doctor(device: str = "auto") -> Diagnosis:
    """Look at Python, libraries, processor, graphics device and compile cache.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        Which device to look for.

    Returns
    -------
    Diagnosis
        What was found, and in `problems` what should be mended.
    """
    libraries = {name: _version(name) for name in _LIBRARIES}
    found, device_name, device_problem = _device(device)
    cache, cache_works = _compile_cache()
    problems = [f"{name} is not installed" for name, version in libraries.items() if version is None]
    if device_problem:
        problems.append(device_problem)
    if not cache_works:
        problems.append(f"compiled code cannot be kept in {cache}: every start compiles anew; set NUMBA_CACHE_DIR")
    return Diagnosis(
        version=stormcell.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        n_cpus=_n_cpus(),
        n_threads=count_threads(),
        memory_gb=_memory_gb(),
        cpu_features=_cpu_features(),
        device=found,
        device_name=device_name,
        libraries=libraries,
        compile_cache=str(cache),
        compile_cache_works=cache_works,
        problems=tuple(problems),
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device(wanted: str) -> tuple[str, str, str]:
    try:
        import torch
    except ImportError as error:
        return "none", "", f"torch cannot be imported ({error}): networks do not run"
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted != "auto" and not has[wanted]:
        return "cpu", _cpu_name(), f"device {wanted} was asked for and is not there"
    found = wanted if wanted != "auto" else next(name for name in ("cuda", "mps", "cpu") if has[name])
    names = {"cuda": lambda: torch.cuda.get_device_name(0), "mps": lambda: "Apple GPU", "cpu": _cpu_name}
    return found, names[found](), ""


def _cpu_name() -> str:
    info = _cpuinfo()
    return info.get("model name") or platform.processor() or platform.machine()


def _cpu_features() -> tuple[str, ...]:
    flags = set(_cpuinfo().get("flags", "").split())
    return tuple(name for flag, name in _CPU_FLAGS.items() if flag in flags)


def _cpuinfo() -> dict[str, str]:
    """Read the first processor's entry where the system has one (Linux)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _n_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf") or sys.platform == "win32":
        return None
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError):
        return None


def _compile_cache() -> tuple[Path, bool]:
    """Find where numba keeps compiled code, and whether it can be written."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    beside = Path(stormcell.__file__).parent / "localization" / "__pycache__"
    folder = Path(given) if given else beside
    if not given and not os.access(beside if beside.exists() else beside.parent, os.W_OK):
        from numba.misc.appdirs import AppDirs

        folder = Path(AppDirs("numba", False).user_cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder, True
    except OSError:
        return folder, False
