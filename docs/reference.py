"""Write the reference pages from the code: verbs and their options, file schemas, table columns, fit flags."""

from __future__ import annotations

import importlib
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from stormcell.calibration.acquisition_settings import AcquisitionSettings
from stormcell.cli.settings_options import flag
from stormcell.cli.verbs import VERBS
from stormcell.data.columns import COLUMNS
from stormcell.localization.flags import FLAGS
from stormcell.physics.camera_presets import PRESETS
from stormcell.physics.cameras import CameraSettings
from stormcell.simulation.settings import SimulationSettings
from stormcell.workflows.options import flat_fields
from stormcell.workflows.run_record import RUN_RECORD_FIELDS

if TYPE_CHECKING:
    from stormcell.settings import Settings


def write_reference(folder: Path) -> None:
    """Write all pages into a folder."""
    folder.mkdir(exist_ok=True)
    pages = {"commands": commands_page(), "files": files_page(), "columns": columns_page()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def commands_page() -> str:
    """Every verb with its arguments and options."""
    parts = [
        "# Commands\n",
        "Python takes the same options with underscores: `--pixel-size-nm` is `pixel_size_nm`.\n",
    ]
    for entry in VERBS.values():
        verb = importlib.import_module(entry.module).VERB
        arguments = " ".join(a.name.upper() if a.is_required else f"[{a.name.upper()}]" for a in verb.arguments)
        extras = "".join(f" {flag(e.name)} FILE" for e in verb.extras if e.is_required)
        parts.append(f"## {entry.name}\n\n{entry.help}\n\n`stormcell {entry.name} {arguments}{extras}`\n")
        rows = [(flag(e.name), "file", "", e.help) for e in verb.extras]
        rows += [("-o, --output", "path", "", verb.output)] if verb.output else []
        rows += settings_rows(verb.settings, in_flags=True) if verb.settings else []
        if rows:
            parts.append(table(("option", "value", "default", "meaning"), rows))
    return "\n".join(parts)


def files_page() -> str:
    """The schema of the YAML and JSON files."""
    presets = [(f"`{name}`", preset.camera_type, preset.detail) for name, preset in PRESETS.items()]
    return "\n".join(
        (
            "# Files\n",
            "## run.json\n\nWritten by `stormcell run`; `stormcell rerun run.json` repeats the run. Times stand here "
            "and nowhere else, so that equal runs write equal files otherwise.\n",
            table(("key", "meaning"), [(f"`{key}`", meaning) for key, meaning in RUN_RECORD_FIELDS.items()]),
            "## camera.yaml\n\nTaken by `--camera FILE.yaml`.\n",
            table(("key", "value", "default", "meaning"), settings_rows(CameraSettings, in_flags=False)),
            "### Presets\n\nTaken by `--camera NAME`.\n",
            table(("name", "type", "detail"), presets),
            "## acquisition.yaml\n\nWritten by `stormcell estimate`, taken by `simulate --like`, `simulate "
            "--config` and `train --like`; see [Conditions of a movie](../estimate.md).\n",
            table(("key", "value", "default", "meaning"), acquisition_rows()),
            "## config.yaml\n\nWritten by `stormcell simulate`, taken by `simulate --config`; keys with a dot are "
            "nested. `kind` chooses structure and PSF, whose own keys stand in the config that a preset writes.\n",
            table(("key", "value", "default", "meaning"), nested_rows(SimulationSettings)),
        )
    )


def acquisition_rows() -> list[tuple[str, ...]]:
    """The schema of acquisition.yaml; the camera has its own."""
    rows = []
    for name, info in AcquisitionSettings.model_fields.items():
        kind = "camera.yaml" if name == "camera" else kind_of(info.annotation)
        rows.append(
            (f"`{name}`", kind, "needed" if info.is_required() else "", " ".join((info.description or "").split()))
        )
    return rows


def nested_rows(settings: type[Settings]) -> list[tuple[str, ...]]:
    """One row for each field under the key it has in a file, with the keys above it."""
    rows = []
    for field in flat_fields(settings).values():
        default = field.default
        plain = default is None or isinstance(default, bool | int | float | str | tuple)
        shown = "" if default is None else str(default) if plain else f"kind: {default.kind}"
        kind = kind_of(field.info.annotation) if plain else "keys by `kind`"
        rows.append((f"`{'.'.join(field.path)}`", kind, shown, " ".join((field.info.description or "").split())))
    return rows


def columns_page() -> str:
    """The columns a table may hold, and the bits of its flags."""
    columns = [(f"`{c.name}`", c.dtype, c.unit or "\u2013", c.meaning) for c in COLUMNS.values()]
    flags = [(str(f.bit), str(f.mask), f"`{f.name}`", f.meaning) for f in FLAGS.values()]
    return "\n".join(
        (
            "# Table columns\n",
            table(("column", "type", "unit", "meaning"), columns),
            "## Bits of `flags`\n",
            table(("bit", "value", "name", "meaning"), flags),
        )
    )


def settings_rows(settings: type[Settings], in_flags: bool) -> list[tuple[str, ...]]:
    """One row for each field: name, kind of value, default, meaning."""
    rows = []
    for name, field in flat_fields(settings).items():
        default = "needed" if field.info.is_required() else "" if field.default is None else str(field.default)
        meaning = " ".join((field.info.description or "").split())
        rows.append((f"`{flag(name) if in_flags else name}`", kind_of(field.info.annotation), default, meaning))
    return rows


def kind_of(annotation: Any) -> str:
    """Say what a value looks like."""
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(kind_of(kind) for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) is not None:
        return ", ".join(kind_of(kind) for kind in get_args(annotation))
    return {int: "integer", float: "number", str: "text", bool: "yes or no", Path: "path"}.get(
        annotation, str(getattr(annotation, "__name__", annotation))
    )


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return (
        "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
    )
