from __future__ import annotations

import io
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stormcell.cli.progress import ProgressBar, progress_bar


def test_nothing_is_shown_where_nobody_looks(capsys) -> None:
    with progress_bar(quiet=False) as bar:
        assert bar is None
    assert capsys.readouterr().err == ""


def test_quiet_shows_nothing_even_on_a_terminal(monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bar(quiet=True) as bar:
        assert bar is None


def test_stages_replace_each_other() -> None:
    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(file=io.StringIO(), force_terminal=True),
    )
    bar = ProgressBar(display)
    bar.stage("Localizing")
    bar(5, 10)
    assert [(task.description, task.completed, task.total) for task in display.tasks] == [("Localizing", 5, 10)]
    bar.stage("Drawing")
    assert [(task.description, task.total) for task in display.tasks] == [("Drawing", None)]


def test_a_count_without_a_stage_is_shown_too() -> None:
    display = Progress(console=Console(file=io.StringIO()))
    ProgressBar(display)(1, 2)
    assert display.tasks[0].completed == 1
