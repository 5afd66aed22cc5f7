"""`stormcell check`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Extra, Verb
from stormcell.workflows.check_settings import CheckVerbSettings
from stormcell.workflows.outputs import default_output


def act(call: Call) -> Answer:
    """Check a super-resolution image against a wide-field image.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Numbers, the share of the intensity in each class, and the report's place.
    """
    from stormcell.workflows.check import check
    from stormcell.workflows.check_outputs import check_numbers

    source, widefield = call.arguments["image"], call.arguments["widefield"]
    folder = call.output or default_output(source, "check")
    done = check(
        source,
        widefield,
        output=folder,
        overwrite=call.session.overwrite,
        known={name: call.arguments[name] for name in ("table", "prior_share", "uncertainty", "rsf")},
        progress=call.progress,
        **call.seeded_options(),
    )
    rows: list[tuple[str, str]] = []
    several = len(done.checked) > 1
    named = [(f"image {number}: " if several else "", one) for number, one in enumerate(done.checked, start=1)]
    if done.fused_check is not None:
        named.append(("fused: ", done.fused_check))
    for name, one in named:
        rows += [(name + number.label, f"{number.value} {number.unit}".strip()) for number in check_numbers(one)]
    return Answer(
        sentences=(
            *(f"{note[:1].upper()}{note[1:]}." for note in done.provenance.notes),
            f"Open {folder / 'report.html'}",
        ),
        rows=tuple(rows),
        result={**done.numbers, "notes": done.provenance.notes, "report": folder / "report.html"},
        outputs=done.outputs,
    )


VERB = Verb(
    act,
    settings=CheckVerbSettings,
    arguments=(Argument("image", "A super-resolution image, a stack of them, or a localization table."),),
    extras=(
        Extra("widefield", "The conventional image of the same field (needed)."),
        Extra("table", "The localizations that the image rests on: only they can make structure measured."),
        Extra("prior_share", "Image with the share of each pixel that is owed to a prior, 0 to 1."),
        Extra("uncertainty", "Image with the standard deviation of each pixel."),
        Extra("rsf", "Image of a measured resolution scaling function (RSF), in place of a Gaussian."),
    ),
    output="Folder for the results; without it <image>_check beside the image.",
)
