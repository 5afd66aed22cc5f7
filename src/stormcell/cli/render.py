"""`stormcell render`."""

from __future__ import annotations

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb
from stormcell.workflows.outputs import default_output
from stormcell.workflows.render import RenderVerbSettings


def act(call: Call) -> Answer:
    """Draw a super-resolution image from a table.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Size of the picture.
    """
    from stormcell.workflows.render import render

    source = call.arguments["table"]
    output = call.output or default_output(source, "render", ".ome.tif")
    image = render(source, output=output, overwrite=call.session.overwrite, **call.options)
    height, width = image.pixels.shape
    sentence = f"Drew {height} x {width} pixels of {image.sr_pixel_size_nm:g} nm."
    result = {
        "shape": image.pixels.shape,
        "sr_pixel_size_nm": image.sr_pixel_size_nm,
        "origin_nm": image.grid.origin_nm,
        "unit": image.unit,
        "sum": float(image.pixels.sum(dtype=float)),
    }
    return Answer(sentences=(sentence, f"Wrote {output}"), result=result, outputs=(output,))


VERB = Verb(
    act,
    settings=RenderVerbSettings,
    arguments=(Argument("table", "A localization table."),),
    output="Where to write: .ome.tif keeps the numbers, .png is a picture with a scale bar.",
)
