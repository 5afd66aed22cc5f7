"""From a verb's description to a command: arguments, options made from its Settings, the global options."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stormcell.cli.answers import Answer, show_answer
from stormcell.cli.places import local_places, place, renamed
from stormcell.cli.progress import ProgressBar, progress_bar
from stormcell.cli.session import SESSION_FIELDS, Session, session_parameters
from stormcell.cli.settings_options import flag, given_options, in_flags, settings_parameters
from stormcell.errors import SettingsError, StormcellWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from stormcell.settings import Settings


@dataclass(frozen=True)
class Call:
    """One call of a verb: what was typed, sorted."""

    arguments: dict[str, Any]
    options: dict[str, Any]
    output: Path | None
    session: Session
    progress: ProgressBar | None

    def seeded_options(self) -> dict[str, Any]:
        """Add the global seed to the options.

        Returns
        -------
        dict of str to object
            Options of a verb whose settings have a seed.
        """
        return self.options if self.session.seed is None else {**self.options, "seed": self.session.seed}

    def network_options(self) -> dict[str, Any]:
        """Add the global device to the options.

        Returns
        -------
        dict of str to object
            Options of a verb whose settings say where a network computes.
        """
        return self.options if self.session.device == "auto" else {**self.options, "device": self.session.device}


@dataclass(frozen=True)
class Argument:
    """One positional argument of a verb."""

    name: str
    help: str
    is_required: bool = True


@dataclass(frozen=True)
class Extra:
    """One option that is not a setting, because it names a file beside the input."""

    name: str
    help: str
    is_required: bool = False
    flag: str | None = None
    """How it is typed, where its name would be a word of Python."""


@dataclass(frozen=True)
class Verb:
    """What a verb takes and does."""

    act: Callable[[Call], Answer]
    settings: type[Settings] | None = None
    arguments: tuple[Argument, ...] = ()
    extras: tuple[Extra, ...] = field(default_factory=tuple)
    output: str | None = None
    """Help of the -o option; None for verbs that write nothing."""
    uses_device: bool = False
    """Whether --device makes a difference."""
    fetches: bool = True
    """Whether inputs at URLs are fetched and an output is sent; a verb without does it itself."""


def make_command(name: str, verb: Verb) -> Callable[..., None]:
    """Make the function that the command-line library calls.

    Parameters
    ----------
    name : str
        The verb's name.
    verb : Verb
        What it takes and does.

    Returns
    -------
    callable
        A function whose signature carries all options.
    """

    def command(ctx: typer.Context, **values: Any) -> None:
        session: Session = (ctx.obj or Session()).updated({key: values[key] for key in SESSION_FIELDS})
        prepare_threads(session.threads)
        try:
            answer, notes = _act(verb, values, session)
        except SettingsError as error:
            if verb.settings is None:
                raise
            raise SettingsError(in_flags(str(error), verb.settings)) from None
        if session.device not in ("auto", "cpu") and not verb.uses_device:
            notes.append(f"--device {session.device} makes no difference to {name}, which computes on the processor")
        show_answer(name, answer, notes, session)

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *_own_parameters(verb), *session_parameters()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def prepare_threads(threads: int | None) -> None:
    """Limit the processor threads of everything that computes.

    Parameters
    ----------
    threads : int or None
        None leaves the choice to the libraries.
    """
    if threads is None:
        return
    from stormcell.workflows.threads import limit_threads

    limit_threads(threads)


def _act(verb: Verb, values: dict[str, Any], session: Session) -> tuple[Answer, list[str]]:
    options = given_options(verb.settings, values) if verb.settings else {}
    names = [argument.name for argument in verb.arguments] + [extra.name for extra in verb.extras]
    arguments = {name: values[name] for name in names}
    with (
        warnings.catch_warnings(record=True) as caught,
        progress_bar(session.quiet or session.as_json) as bar,
        local_places(verb, arguments, values.get("output"), session.overwrite) as (places, output, moved),
    ):
        warnings.simplefilter("always")
        answer = renamed(verb.act(Call(places, options, output, session, bar)), moved)
    return answer, list(dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, StormcellWarning)))


def _own_parameters(verb: Verb) -> list[inspect.Parameter]:
    parameters = []
    for argument in verb.arguments:
        shown = typer.Argument(metavar=argument.name.upper(), help=argument.help)
        parameters.append(_path_parameter(argument.name, shown, argument.is_required))
    for extra in verb.extras:
        option = typer.Option(extra.flag or flag(extra.name), metavar="FILE", help=extra.help)
        parameters.append(_path_parameter(extra.name, option, extra.is_required))
    if verb.output:
        option = typer.Option("-o", "--output", metavar="PATH", help=verb.output)
        parameters.append(_path_parameter("output", option, is_required=False))
    return parameters + (settings_parameters(verb.settings) if verb.settings else [])


def _path_parameter(name: str, shown: Any, is_required: bool) -> inspect.Parameter:
    shown.parser = place  # a path would lose a slash of a URL
    annotation = Annotated[Path, shown] if is_required else Annotated[Path | None, shown]
    default = inspect.Parameter.empty if is_required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
