"""`stormcell densify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Extra, Verb
from stormcell.workflows.densify_settings import DensifyVerbSettings
from stormcell.workflows.outputs import default_output

if TYPE_CHECKING:
    from pathlib import Path

_MAPS = ("uncertainty", "error_map", "consistency", "classes", "support", "lower", "upper")


def act(call: Call) -> Answer:
    """Draw the picture that a long acquisition would have given.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        The verdict, and the files.
    """
    from stormcell.io.zarr_stores import is_store
    from stormcell.workflows.densify import densify

    source = call.arguments["source"]
    if not is_store(source) and source.is_dir():
        return _folder(call, source)
    output = call.output or default_output(source, "densify", ".ome.tif")
    maps = {name: call.arguments[name] for name in _MAPS}
    done = densify(
        source,
        widefield=call.arguments["widefield"],
        output=output,
        maps=maps,
        overwrite=call.session.overwrite,
        progress=call.progress,
        **call.network_options(),
    )
    outputs = (output, *(path for name, path in maps.items() if path is not None and getattr(done, name) is not None))
    shift = done.given.shift_nm
    result = {
        "verdict": done.verdict.level,
        "sentences": done.verdict.sentences,
        **done.verdict.numbers,
        "shift_x_nm": None if shift is None else shift[1],
        "shift_y_nm": None if shift is None else shift[0],
        "shape": done.image.pixels.shape,
        "sr_pixel_size_nm": done.image.sr_pixel_size_nm,
        "origin_nm": done.image.grid.origin_nm,
        "unit": done.image.unit,
        "sum": float(done.image.pixels.sum(dtype=float)),
        "notes": done.notes,
    }
    sentences = (*done.verdict.sentences, *(f"Wrote {path}" for path in outputs))
    return Answer(sentences=sentences, result=result, outputs=outputs)


def _folder(call: Call, source: Path) -> Answer:
    from stormcell.errors import InputError
    from stormcell.workflows.densify_folder import VERDICTS_FILE, densify_folder

    output = call.output or default_output(source, "densify")
    found = densify_folder(
        source,
        output,
        widefield=call.arguments["widefield"],
        endings={name: str(call.arguments[name]) for name in _MAPS if call.arguments[name] is not None},
        overwrite=call.session.overwrite,
        progress=call.progress,
        **call.network_options(),
    )
    refused = sum(one.verdict is None for one in found)
    if refused == len(found):
        msg = (
            f"none of the {refused} tables in {source} could be densified; {found[0].name}: {found[0].refusal} "
            f"({output / VERDICTS_FILE} tells of all)"
        )
        raise InputError(msg)
    outputs = (*(path for one in found for path in one.outputs), output / VERDICTS_FILE)
    rows = tuple((one.name, one.verdict.level if one.verdict else f"refused: {one.refusal}") for one in found)
    sentence = f"Densified {len(found) - refused} of {len(found)} tables into {output}."
    return Answer((sentence,), rows, {"fields": found}, outputs)


VERB = Verb(
    act,
    uses_device=True,
    settings=DensifyVerbSettings,
    arguments=(
        Argument("source", "A localization table, an image of counted localizations, or a folder of tables."),
    ),
    extras=(
        Extra("widefield", "Wide-field image of the same field; for a folder of tables a folder of images."),
        Extra("uncertainty", "Also write the standard deviation of every pixel."),
        Extra("error_map", "Also write where the picture does not explain the wide-field image."),
        Extra("consistency", "Also write how unlike the wide-field image and the picture's prediction of it are."),
        Extra("classes", "Also write what is measured (1), inferred (2) and contradicted (3)."),
        Extra("support", "Also write how many independent events support each pixel."),
        Extra(
            "lower",
            "Also write the fewest events another acquisition shows in each 40 nm cell, at 90 % with --upper.",
        ),
        Extra("upper", "Also write the most events in each cell."),
    ),
    output="Where to write the picture (.ome.tif, .tif or .png); a folder for a folder of tables: the options for "
    "further pictures then take endings such as _upper.ome.tif.",
)
