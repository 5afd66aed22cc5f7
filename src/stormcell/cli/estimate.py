"""`stormcell estimate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.cli.answers import Answer
from stormcell.cli.command import Argument, Call, Verb
from stormcell.workflows.estimate import EstimateVerbSettings
from stormcell.workflows.outputs import default_output

if TYPE_CHECKING:
    from stormcell.data.provenance import Quantity


def act(call: Call) -> Answer:
    """Read PSF, photons, background, density, on-time and gain from a movie.

    Parameters
    ----------
    call : Call
        What was typed.

    Returns
    -------
    Answer
        Every quantity with its 90 % interval, or why the movie does not tell.
    """
    from stormcell.workflows.estimate import estimate

    source = call.arguments["movie"]
    output = call.output or default_output(source, "estimate", ".yaml")
    done = estimate(
        source,
        output=output,
        overwrite=call.session.overwrite,
        progress=call.progress,
        **call.seeded_options(),
    )
    sentences = []
    if done.likeness is not None:
        sentence = done.likeness.distance.sentence()
        sentences.append(sentence[0].upper() + sentence[1:] + ".")
    sentences += [f"Wrote {path}" for path in done.outputs]
    result: dict[str, Any] = {"quantities": {quantity.name: _plain(quantity) for quantity in done.quantities}}
    result["distance"] = None if done.likeness is None else done.likeness.distance.to_document()
    rows = (("", "value with 90 % interval"), *((q.name, _shown(q)) for q in done.quantities))
    return Answer(tuple(sentences), rows=rows, result=result, outputs=done.outputs)


def _plain(quantity: Quantity) -> dict[str, Any]:
    return {
        "value": quantity.value,
        "unit": quantity.unit,
        "interval": quantity.interval,
        "source": quantity.source,
        "detail": quantity.detail,
    }


def _shown(quantity: Quantity) -> str:
    if quantity.value is None:
        return f"- {quantity.detail}"
    value = quantity.value if isinstance(quantity.value, str) else f"{quantity.value:.4g}"
    text = f"{value} {quantity.unit}".rstrip()
    if quantity.interval is not None:
        text += f" ({quantity.interval[0]:.3g} to {quantity.interval[1]:.3g})"
    if quantity.source != "estimated":
        text += f", {quantity.source}"
    return text + (f"; {quantity.detail}" if quantity.detail else "")


VERB = Verb(
    act,
    settings=EstimateVerbSettings,
    arguments=(Argument("movie", "A movie of blinking emitters, raw from the camera."),),
    output="Where to write the conditions (.yaml; a picture of real beside simulated frames goes beside it as .png).",
)
