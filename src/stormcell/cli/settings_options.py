"""Command-line options made from Settings: each is told once, by the docstring of its field."""

from __future__ import annotations

import inspect
import re
import types
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from rich.markup import escape

from stormcell.cli.session import SESSION_FIELDS
from stormcell.workflows.options import FlatField, flat_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormcell.settings import Settings

_METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def settings_parameters(settings_class: type[Settings]) -> list[inspect.Parameter]:
    """Turn the fields of settings into parameters of a command function.

    Values stay text here: the settings themselves check and convert them, so that every face refuses with the same
    words.

    Parameters
    ----------
    settings_class : type of Settings
        Fields of nested settings are included under their flat names; what is a global option already, such as the
        seed, is left to that.

    Returns
    -------
    list of inspect.Parameter
        Keyword parameters; None means not given.
    """
    fields = flat_fields(settings_class).values()
    return [_parameter(field, settings_class) for field in fields if field.name not in SESSION_FIELDS]


def given_options(settings_class: type[Settings], values: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the settings among parsed values, splitting lists.

    Parameters
    ----------
    settings_class : type of Settings
        Which fields to pick.
    values : mapping of str to object
        Everything that was parsed.

    Returns
    -------
    dict of str to object
        Options by flat name, only those that were given.
    """
    picked: dict[str, Any] = {}
    for name, field in flat_fields(settings_class).items():
        value = values.get(name)
        if value is None or name in SESSION_FIELDS:
            continue
        is_list = isinstance(value, str) and _is_sequence(_bare(field.info.annotation))
        picked[name] = [part.strip() for part in value.split(",")] if is_list else value
    return picked


def flag(name: str) -> str:
    """Spell a settings name as a command-line flag.

    Parameters
    ----------
    name : str
        For example "pixel_size_nm".

    Returns
    -------
    str
        For example "--pixel-size-nm".
    """
    return "--" + name.replace("_", "-")


def in_flags(message: str, settings_class: type[Settings]) -> str:
    """Put flags in place of settings names at the head of each complaint.

    Parameters
    ----------
    message : str
        What the settings said, complaints separated by "; ".
    settings_class : type of Settings
        Whose names to look for.

    Returns
    -------
    str
        The message in the words of the command line.
    """
    by_path = {".".join(field.path): name for name, field in flat_fields(settings_class).items()}
    by_path |= {name: name for name in flat_fields(settings_class)}

    def spell(match: re.Match[str]) -> str:
        name = by_path.get(match[2])
        return match[1] + (flag(name) + match[3] if name else match[2] + match[3])

    return re.sub(r"(^|; )([\w.]+)(: | is )", spell, message)


def _parameter(field: FlatField, settings_class: type[Settings]) -> inspect.Parameter:
    kind = _bare(field.info.annotation)
    help_text = " ".join((field.info.description or "").split())
    panel = "Options" if field.owner is settings_class else _panel(field.owner)
    shown = _shown(field.default)
    if shown:
        help_text += f" [default: {shown}]"
    elif field.info.is_required():
        help_text += " [required]"
    common: dict[str, Any] = {"help": escape(help_text), "show_default": False, "rich_help_panel": panel}
    if kind is bool:
        option = typer.Option(f"{flag(field.name)}/{flag('no_' + field.name)}", **common)
        annotation: Any = bool | None
    else:
        option = typer.Option(flag(field.name), metavar=_metavar(kind), **common)
        annotation = str | None
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation, option]
    )


def _panel(owner: type[Settings]) -> str:
    words = re.findall(r"[A-Z][a-z]*", owner.__name__.removesuffix("Settings"))
    return " ".join(words).capitalize() + " options"


def _shown(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple | list):
        return ",".join(str(part) for part in default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _bare(annotation: Any) -> Any:
    """Strip None and the constraints from an annotation."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _bare(kinds[0])
    return annotation


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list, frozenset, set)


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(str(choice) for choice in get_args(kind))
    if _is_sequence(kind):
        parts = [part for part in get_args(kind) if part is not Ellipsis]
        return ",".join(_metavar(_bare(part)) for part in parts)
    if kind in _METAVARS:
        return _METAVARS[kind]
    return "PATH" if isinstance(kind, type) and issubclass(kind, PurePath) else "VALUE"
