"""The base class of all settings: frozen, closed, documented field by field.

The docstring under a field is its only description; command-line help, documentation and widgets read it.
"""

from __future__ import annotations

import difflib
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from stormcell.errors import SettingsError


class Settings(BaseModel):
    """Frozen settings that refuse unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def create(cls, **values: Any) -> Self:
        """Build the settings, turning a validation failure into one readable line.

        Parameters
        ----------
        **values : Any
            Field values by name.

        Returns
        -------
        Self
            The validated settings.

        Raises
        ------
        SettingsError
            A field is unknown or its value impossible; the message names the field.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError(cls._explain(error)) from None

    def replace(self, **changes: Any) -> Self:
        """Copy with some fields changed, validated again.

        Parameters
        ----------
        **changes : Any
            New field values by name.

        Returns
        -------
        Self
            The new settings.

        Raises
        ------
        SettingsError
            A changed field is unknown or its value impossible.
        """
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).create(**{**kept, **changes})

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        lines = []
        for item in error.errors():
            place = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                near = difflib.get_close_matches(place, cls.model_fields, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                lines.append(f"{place} is not a setting of {cls.__name__}{hint}")
            elif item["type"] == "value_error":
                # a check of the whole names its fields itself
                lines.append((f"{place}: " if place else "") + item["msg"].removeprefix("Value error, "))
            else:
                lines.append(f"{place}: {item['msg'][0].lower()}{item['msg'][1:]}, got {item['input']!r}")
        return "; ".join(lines)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [
            (name, getattr(self, name))
            for name, field in type(self).model_fields.items()
            if field.is_required() or getattr(self, name) != field.get_default(call_default_factory=True)
        ]
