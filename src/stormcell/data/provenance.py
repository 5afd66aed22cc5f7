"""How a result was made: version, settings, inputs, and where each physical quantity came from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Source = Literal["given", "read", "estimated", "assumed"]


@dataclass(frozen=True)
class Quantity:
    """A physical quantity and where its value came from.

    `value` is None where it could not be identified; `interval` holds a 90 % interval where one is known.
    """

    name: str
    value: float | str | None
    unit: str
    source: Source
    detail: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class InputFile:
    """A file that went into a result; the name carries no folder so that results do not depend on where it lay."""

    name: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True)
class Provenance:
    """The record every result carries; two equal runs have equal records, so it holds no dates."""

    verb: str
    version: str
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[InputFile, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    seed: int | None = None
    model_sha256: str | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parents: tuple[Provenance, ...] = ()

    def with_warnings(self, *messages: str) -> Provenance:
        """Copy with further warnings, each kept once.

        Parameters
        ----------
        *messages : str
            Plain sentences for the user.

        Returns
        -------
        Provenance
            The extended record.
        """
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *messages))))

    def to_json(self) -> str:
        """Serialize to one line of JSON with sorted keys.

        Returns
        -------
        str
            The text that `from_json` reads.
        """
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON text.

        Returns
        -------
        Provenance
            The record.
        """
        return cls._from_dict(json.loads(text))

    @classmethod
    def _from_dict(cls, raw: dict[str, Any]) -> Provenance:
        quantities = (
            Quantity(**{**item, "interval": tuple(item["interval"]) if item["interval"] else None})
            for item in raw.get("quantities", ())
        )
        return cls(
            verb=raw["verb"],
            version=raw["version"],
            settings=raw.get("settings", {}),
            inputs=tuple(InputFile(**item) for item in raw.get("inputs", ())),
            quantities=tuple(quantities),
            seed=raw.get("seed"),
            model_sha256=raw.get("model_sha256"),
            warnings=tuple(raw.get("warnings", ())),
            notes=tuple(raw.get("notes", ())),
            parents=tuple(cls._from_dict(item) for item in raw.get("parents", ())),
        )
