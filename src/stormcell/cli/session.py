"""The global options, accepted before and after the verb."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from stormcell.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

Device = Literal["auto", "cpu", "cuda", "mps"]
_PANEL = "Global options"


@dataclass(frozen=True)
class Session:
    """What the global options say."""

    as_json: bool = False
    quiet: bool = False
    device: str = "auto"
    seed: int | None = None
    threads: int | None = None
    overwrite: bool = False

    def updated(self, given: Mapping[str, Any]) -> Session:
        """Copy with the options that were given.

        Parameters
        ----------
        given : mapping of str to object
            Values by field name; None means not given.

        Returns
        -------
        Session
            The combined options.

        Raises
        ------
        SettingsError
            A value is impossible.
        """
        session = replace(self, **{name: value for name, value in given.items() if value is not None})
        if session.device not in get_args(Device):
            msg = f"expected --device {'|'.join(get_args(Device))}, got {session.device}"
            raise SettingsError(msg)
        if session.threads is not None and session.threads < 1:
            msg = f"expected --threads of at least 1, got {session.threads}"
            raise SettingsError(msg)
        if session.seed is not None and session.seed < 0:
            msg = f"expected --seed of at least 0, got {session.seed}"
            raise SettingsError(msg)
        return session


_OPTIONS: tuple[tuple[str, Any, Any], ...] = (
    (
        "as_json",
        bool,
        typer.Option("--json", help="Print one machine-readable object on stdout.", rich_help_panel=_PANEL),
    ),
    ("quiet", bool, typer.Option("--quiet", help="Print nothing but errors.", rich_help_panel=_PANEL)),
    (
        "device",
        str,
        typer.Option(
            "--device",
            help="Where networks compute (auto takes the fastest).",
            metavar="|".join(get_args(Device)),
            rich_help_panel=_PANEL,
        ),
    ),
    (
        "seed",
        int,
        typer.Option("--seed", help="Seed of everything random; recorded with the result.", rich_help_panel=_PANEL),
    ),
    (
        "threads",
        int,
        typer.Option("--threads", help="Processor threads to use; all without it.", rich_help_panel=_PANEL),
    ),
    (
        "overwrite",
        bool,
        typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=_PANEL),
    ),
)

SESSION_FIELDS = tuple(name for name, _, _ in _OPTIONS)
"""Names of the global options as `Session` calls them."""


def session_parameters() -> list[inspect.Parameter]:
    """Make the parameters that carry the global options.

    Returns
    -------
    list of inspect.Parameter
        Keyword parameters for a command function; None means not given.
    """
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
        )
        for name, kind, option in _OPTIONS
    ]
