"""The entry point: builds the command line, loading only the verb that was asked for."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

import stormcell
from stormcell.cli.answers import show_error
from stormcell.cli.boundary import DONE, INTERRUPTED, explain
from stormcell.cli.session import SESSION_FIELDS, Session, session_parameters
from stormcell.cli.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HELP = """Super-resolution pictures from blinking-fluorophore movies, and how far to trust them.

Start with: stormcell demo, or: stormcell run MOVIE --pixel-size-nm 100
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; None takes those of this process.

    Returns
    -------
    int
        The exit code: 0 done, 2 refused, 130 interrupted, 1 our own fault.
    """
    # Threads that spin while they wait cost others their cores, and on a shared machine ourselves most of the time;
    # read when the thread library is loaded, which is later than here.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        command = typer.main.get_command(build_app(arguments))
        # Without standalone mode the library raises in place of printing and exiting; it returns the code of an Exit.
        returned = command.main(args=arguments, prog_name="stormcell", standalone_mode=False)
        if returned == INTERRUPTED:  # newer versions of the library turn Ctrl-C into this code themselves
            raise KeyboardInterrupt
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one boundary: nothing may reach the screen as a traceback
        message, exit_code = explain(error, arguments)
        show_error(message, exit_code, as_json="--json" in arguments)
        return exit_code
    return returned if isinstance(returned, int) else DONE


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """Build the command line for these arguments.

    Parameters
    ----------
    arguments : sequence of str
        What was typed; verbs that do not occur in it are listed but not loaded.

    Returns
    -------
    typer.Typer
        The command line.
    """
    app = typer.Typer(
        name="stormcell", help=_HELP, rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False
    )
    app.callback()(_group())
    words = {*arguments, *os.environ.get("COMP_WORDS", "").split()}
    for entry in VERBS.values():
        function = _load(entry.name) if entry.name in words else _unloaded
        app.command(entry.name, help=entry.help, rich_help_panel=entry.group)(function)
    return app


def _load(name: str) -> Callable[..., None]:
    from stormcell.cli.command import make_command

    return make_command(name, importlib.import_module(VERBS[name].module).VERB)


def _unloaded() -> None:
    """Stand in for a verb that was not asked for."""


def _show_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"stormcell {stormcell.__version__}\n")
        raise typer.Exit


def _group() -> Callable[..., None]:
    import inspect

    def group(ctx: typer.Context, **values: Any) -> None:
        ctx.obj = Session().updated({key: values[key] for key in SESSION_FIELDS})

    show_version = Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter("ctx", kind, annotation=typer.Context),
        inspect.Parameter("version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=show_version),
        *session_parameters(),
    ]
    group.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    group.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return group
