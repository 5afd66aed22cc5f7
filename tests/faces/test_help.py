"""Help: quick, without heavy libraries, and complete."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from stormcell.cli.command import make_command
from stormcell.cli.main import _load
from stormcell.cli.session import SESSION_FIELDS
from stormcell.cli.settings_options import flag
from stormcell.cli.verbs import VERBS
from stormcell.workflows.options import flat_fields

if TYPE_CHECKING:
    from collections.abc import Callable

HEAVY = ("torch", "numba", "pandas", "matplotlib", "scipy", "skimage", "h5py", "tifffile")


def loaded_after(statement: str, *names: str) -> set[str]:
    code = f"import sys\n{statement}\nsys.stderr.write(' '.join(n for n in {names!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_answers_within_a_second() -> None:
    # Processor time, where the system counts it: a busy machine must not fail the test.
    def once() -> float:
        before, start = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-m", "stormcell", "--help"], capture_output=True, check=True)
        after = os.times()
        worked = after.children_user + after.children_system - before.children_user - before.children_system
        return worked or time.perf_counter() - start

    assert min(once() for _ in range(3)) < 1.0


def test_import_and_help_load_nothing_heavy() -> None:
    assert loaded_after("import stormcell", *HEAVY, "numpy", "pydantic") == set()
    assert loaded_after("from stormcell.cli.main import main; main(['--help'])", *HEAVY) == set()


def test_help_of_the_verbs_loads_no_torch() -> None:
    calls = "; ".join(f"assert main([{verb!r}, '--help']) == 0" for verb in VERBS)
    assert loaded_after(f"from stormcell.cli.main import main; {calls}", "torch") == set()


def test_help_lists_every_verb_and_global_option(stormcell: Callable) -> None:
    said = stormcell("--help")
    assert said.code == 0
    for entry in VERBS.values():
        assert entry.name in said.out
    for option in ("--json", "--quiet", "--device", "--seed", "--threads", "--overwrite"):
        assert option in said.out


def test_no_arguments_show_the_help(stormcell: Callable) -> None:
    assert stormcell() == stormcell("--help")


@pytest.mark.parametrize("verb", VERBS)
def test_every_setting_is_an_option_with_its_docstring(verb: str, stormcell: Callable, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    said = stormcell(verb, "--help")
    settings = _load(verb) and __import__(VERBS[verb].module, fromlist=["VERB"]).VERB.settings
    for name, field in flat_fields(settings).items() if settings else ():
        if name in SESSION_FIELDS:
            continue
        assert flag(name) in said.out
        assert " ".join(field.info.description.split())[:40] in " ".join(said.out.split())


def test_every_verb_is_exported_to_python() -> None:
    import stormcell

    assert set(VERBS) <= set(dir(stormcell))
    for verb in VERBS:
        assert callable(getattr(stormcell, verb))


def test_commands_are_made_from_every_verb() -> None:
    for entry in VERBS.values():
        verb = __import__(entry.module, fromlist=["VERB"]).VERB
        assert callable(make_command(entry.name, verb))


def test_version(stormcell: Callable) -> None:
    import stormcell as package

    assert stormcell("--version").out == f"stormcell {package.__version__}\n"


@pytest.mark.skipif(os.name == "nt", reason="no /dev/full on Windows")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m stormcell doctor | head -n 1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""


def test_compiled_code_finds_a_place_where_nothing_can_be_written() -> None:
    code = (
        "import os, sys; os.environ.pop('NUMBA_CACHE_DIR', None); os.access = lambda *a: False\n"
        "import stormcell; folder = os.environ['NUMBA_CACHE_DIR']; assert os.path.isdir(folder)\n"
        "sys.stderr.write(folder)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "stormcell-compiled-" in done.stderr
    assert not os.path.exists(done.stderr)


def test_nothing_is_set_where_the_package_can_be_written() -> None:
    code = (
        "import os; os.environ.pop('NUMBA_CACHE_DIR', None)\n"
        "import stormcell; assert 'NUMBA_CACHE_DIR' not in os.environ"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
