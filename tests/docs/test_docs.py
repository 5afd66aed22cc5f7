"""README and the pages are executed: Python blocks as they stand, shell blocks line by line."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest

from stormcell.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in FENCE.finditer(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def example_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages talk about: movie.tif with its pixel size and camera, truth.parquet."""
    from stormcell.workflows.demo import DemoVerbSettings, simulate_demo, write_demo

    folder = tmp_path_factory.mktemp("examples")
    simulated = simulate_demo(DemoVerbSettings(n_frames=40, field_px=32, density_per_um2=0.3))
    movie, _, _ = write_demo(simulated, folder, overwrite=False)
    movie.rename(folder / "movie.tif")
    return folder


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_page_runs(page: Path, example_files: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    shutil.copytree(example_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__page__"}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, str(page), "exec"), namespace)
        elif language == "sh":
            for line in filter(None, text.splitlines()):
                run_line(line)


def run_line(line: str) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        assert words[0] == "stormcell", line
        assert main(words[1:]) == 0, line


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.filterwarnings("ignore::stormcell.errors.StormcellWarning")
def test_examples_run(example_files: Path, tmp_path: Path, capsys) -> None:
    import stormcell as sc

    folder = tmp_path / "cells"
    sc.run(example_files / "movie.tif", output=folder)
    arguments = {
        "contact_sheet": (folder, tmp_path / "sheet.png"),
        "how_far_to_trust": (example_files / "movie.tif",),
    }
    scripts = sorted((ROOT / "examples").glob("*.py"))
    assert {script.stem for script in scripts} == set(arguments)
    for script in scripts:
        runpy.run_path(str(script))["main"](*arguments[script.stem])
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert "agreement" in capsys.readouterr().out


def test_benchmarks_are_listed(capsys) -> None:
    listing = runpy.run_path(str(ROOT / "benchmarks" / "__main__.py"))
    assert listing["main"]([]) == 0
    listed = capsys.readouterr().out
    assert listing["benchmarks"]()
    for name in listing["benchmarks"]():
        assert name in listed
    assert listing["main"](["no such"]) == 2
