"""Options by name: flat names for nested settings, so that Python, command line and web take the same words."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from stormcell.errors import SettingsError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class FlatField:
    """One field of a settings tree under the flat name that users type."""

    name: str
    path: tuple[str, ...]
    info: FieldInfo
    owner: type[Settings]

    @property
    def default(self) -> Any:
        """Value taken when nothing is given; None where the field is required."""
        return None if self.info.is_required() else self.info.get_default(call_default_factory=True)


def flat_fields(settings_class: type[Settings]) -> dict[str, FlatField]:
    """List the fields of settings and of the settings nested in them, by flat name.

    Parameters
    ----------
    settings_class : type of Settings
        The root of the tree.

    Returns
    -------
    dict of str to FlatField
        In order of declaration. A nested field keeps its own name; where that is taken, the name of the settings that
        hold it comes first (`linking_method`). Fields that the root names in `replaced_fields` are left out: one of
        its own stands in their place.
    """
    replaced: frozenset[str] = getattr(settings_class, "replaced_fields", frozenset())
    found: dict[str, FlatField] = {}
    nested: list[tuple[tuple[str, ...], type[Settings]]] = [((), settings_class)]
    for place, owner in nested:  # grows while it is walked: outer fields claim their names first
        for name, info in owner.model_fields.items():
            path = (*place, name)
            if isinstance(info.annotation, type) and issubclass(info.annotation, Settings):
                nested.append((path, info.annotation))
                continue
            if ".".join(path) in replaced:
                continue
            flat = name if name not in found else "_".join(path)
            found[flat] = FlatField(flat, path, info, _declarer(owner, name))
    return found


def build_settings(
    settings_class: type[SettingsT], settings: SettingsT | None, options: Mapping[str, Any]
) -> SettingsT:
    """Combine settings with options given by flat name; the options win.

    Parameters
    ----------
    settings_class : type of Settings
        What to build.
    settings : Settings or None
        Where to start; None starts from the defaults.
    options : mapping of str to object
        Values by flat name; None means not given.

    Returns
    -------
    Settings
        Validated settings.

    Raises
    ------
    SettingsError
        An option is unknown or its value impossible; the message names it.
    """
    if settings is not None and not isinstance(settings, settings_class):
        msg = f"expected settings of type {settings_class.__name__}, got {type(settings).__name__}"
        raise SettingsError(msg)
    given = {name: value for name, value in options.items() if value is not None}
    if not given and settings is not None:
        return settings
    fields = flat_fields(settings_class)
    for name, field in fields.items():
        if settings is None and field.info.is_required() and len(field.path) == 1 and name not in given:
            msg = f"{name} is needed: {field.info.description}"
            raise SettingsError(msg)
    values: dict[str, Any] = settings.model_dump(exclude_unset=True) if settings is not None else {}
    for name, value in given.items():
        if isinstance(value, Settings) and name in settings_class.model_fields:
            values[name] = value
            continue
        if name not in fields:
            raise SettingsError(_unknown(name, fields))
        place = values
        for part in fields[name].path[:-1]:
            place = place.setdefault(part, {})
        place[fields[name].path[-1]] = value
    return settings_class.create(**values)


def _declarer(owner: type[Settings], name: str) -> type[Settings]:
    """Find the class that declared an inherited field."""
    line = (kind for kind in reversed(owner.__mro__) if issubclass(kind, Settings))
    return next(kind for kind in line if name in kind.model_fields)


def _unknown(name: str, fields: Mapping[str, FlatField]) -> str:
    near = difflib.get_close_matches(name, fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known options: {', '.join(fields)}"
    return f"{name} is not an option here; {hint}"
