"""The house itself: sizes, names, floors, registries."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "stormcell").rglob("*.py"))
FORBIDDEN_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|misc|base2|impl)(_|$)")
MAX_LINES = 400
MAX_BODY = 50
MAX_PARAMETERS = 7


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    too_long = {
        function.name: body_lines(function) for function in functions(path) if body_lines(function) > MAX_BODY
    }
    assert not too_long


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_functions_take_few_parameters(path: Path) -> None:
    # Compiled kernels cannot take an object in place of their arrays; verbs and methods take theirs by keyword.
    def count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        return len([a for a in function.args.posonlyargs + function.args.args if a.arg not in ("self", "cls")])

    def is_compiled(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        return any(re.search("jit|vectorize", ast.unparse(decorator)) for decorator in function.decorator_list)

    crowded = {f.name: count(f) for f in functions(path) if count(f) > MAX_PARAMETERS and not is_compiled(f)}
    assert not crowded


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_names_say_what_is_inside(path: Path) -> None:
    assert not [part for part in path.with_suffix("").parts if FORBIDDEN_NAMES.search(part)]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_stubs_and_no_notes_to_self(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError", text)


def test_floors_hold() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_registry_is_in_the_list_that_tests_iterate_over() -> None:
    found = set()
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                target = node.target.id
                if (
                    target.isupper()
                    and not target.startswith("_")
                    and ast.unparse(node.annotation).startswith("dict[")
                ):
                    found.add((module, target))
    assert found == set(REGISTRIES)


REGISTRIES = [
    ("stormcell.cli.verbs", "VERBS"),
    ("stormcell.data.columns", "COLUMNS"),
    ("stormcell.io.tables.registry", "FORMATS"),
    ("stormcell.localization.fits", "N_FREE"),
    ("stormcell.localization.flags", "FLAGS"),
    ("stormcell.metrics.images", "IMAGE_METRICS"),
    ("stormcell.physics.camera_presets", "PRESETS"),
    ("stormcell.physics.psf.settings", "PSFS"),
    ("stormcell.physics.psf.zernike", "ABERRATIONS"),
    ("stormcell.rendering.modes", "RENDERERS"),
    ("stormcell.simulation.blinking_settings", "BLINKING_PRESETS"),
    ("stormcell.simulation.presets", "SIMULATION_PRESETS"),
    ("stormcell.simulation.structures.registry", "STRUCTURES"),
    ("stormcell.workflows.batch_verbs", "BATCH_VERBS"),
    ("stormcell.workflows.train", "TASKS"),
]


@pytest.mark.parametrize(("module", "registry"), REGISTRIES, ids=lambda part: part.rpartition(".")[2])
def test_registries_are_keyed_by_the_names_of_their_entries(module: str, registry: str) -> None:
    entries = getattr(importlib.import_module(module), registry)
    assert entries
    for key, entry in entries.items():
        assert key == getattr(entry, "name", key)
        assert key == key.strip()


def test_settings_are_documented_field_by_field() -> None:
    from stormcell.settings import Settings

    for path in SOURCES:
        if re.search(r"^class \w+\((\w*Settings)\)", path.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    kinds = [Settings]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    ours = [kind for kind in kinds if kind.__module__.startswith("stormcell")]
    assert len(ours) > 5
    silent = [
        f"{kind.__name__}.{field}"
        for kind in ours
        for field, info in kind.model_fields.items()
        if not info.description
    ]
    assert not silent
