"""`stormcell reconstruct`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Extra, Verb
from stormcell.workflows.outputs import default_output
from stormcell.workflows.reconstruct import ReconstructVerbSettings


def act(call: Call) -> Answer:
    """Draw the picture that a network sums up from all frames.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        How many emitters there are, and the files.
    """
    from stormcell.workflows.reconstruct import reconstruct

    source = call.arguments["movie"]
    output = call.output or default_output(source, "reconstruct", ".ome.tif")
    extras = {name: call.arguments[name] for name in ("localizations", "uncertainty")}
    done = reconstruct(
        source,
        output=output,
        **extras,
        overwrite=call.session.overwrite,
        progress=call.progress,
        **call.network_options(),
    )
    outputs = (output, *(path for path in extras.values() if path is not None))
    total = float(done.image.pixels.sum())
    sentence = f"The picture holds {total:,.0f} expected emitters of {done.table.n_frames or 0:,} frames."
    provenance = done.image.provenance
    return Answer(
        sentences=(sentence, *(f"Wrote {path}" for path in outputs)),
        result={
            "n_expected": total,
            "n_rows": done.table.n_rows,
            "n_frames": done.table.n_frames,
            "sr_pixel_size_nm": done.image.sr_pixel_size_nm,
            "notes": provenance.notes if provenance else (),
            "quantities": provenance.quantities if provenance else (),
        },
        outputs=outputs,
    )


VERB = Verb(
    act,
    uses_device=True,
    settings=ReconstructVerbSettings,
    arguments=(Argument("movie", "A movie: TIFF, OME-TIFF, NDTiff, OME-Zarr, Picasso raw, NumPy or MATLAB array."),),
    extras=(
        Extra("localizations", "Also write the list of localizations, in the format of its ending."),
        Extra("uncertainty", "Also write the standard deviation of every pixel."),
    ),
    output="Where to write the picture (.ome.tif, .tif or .png).",
)
