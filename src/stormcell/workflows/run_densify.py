"""The dense picture as a part of run: localizations of few frames, linked, and the wide field, densified."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from stormcell.errors import InputError, StormcellWarning
from stormcell.rendering.pictures import contrast_limits, draw_image, to_png_bytes
from stormcell.rendering.report import Picture
from stormcell.workflows.check_pictures import class_picture
from stormcell.workflows.pictures import ERROR_COLOURS, SR_COLOURS
from stormcell.workflows.progress import begin_stage

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations
    from stormcell.data.provenance import Provenance
    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.densify import Densified
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.run_settings import RunVerbSettings

_SIDE_PX = 640


def densify_run(
    drawn: Localizations, widefield: SRImage, settings: RunVerbSettings, progress: Progress | None
) -> Densified | None:
    """Densify what a run has localized.

    Parameters
    ----------
    drawn : Localizations
        The rows in its picture, drift taken out.
    widefield : SRImage
        The image that was given, or the mean of the movie's frames.
    settings : RunVerbSettings
        Whether and how.
    progress : callable or None
        Told of stages.

    Returns
    -------
    Densified or None
        None where it was not asked for, or the wide-field image that was given is of another field.
    """
    if not settings.densify:
        return None
    from stormcell.workflows.densify import densify_input
    from stormcell.workflows.densify_input import independent_events, input_of_events, place_widefield

    options = settings.densification
    events, note = independent_events(drawn, link=True, linking=settings.linking)
    given = input_of_events(events, widefield, note)
    # The mean of the movie's own frames cannot be misaligned; another image can.
    register = options.register_widefield and settings.widefield is not None
    try:
        given = place_widefield(given, widefield, options.max_shift_nm, register=register)
    except InputError as error:
        warnings.warn(f"the picture was not densified: {error}", StormcellWarning, stacklevel=2)
        return None
    return densify_input(given, options, settings.network.device, begin_stage(progress, "Densifying"))


def densified_numbers(done: Densified | None) -> dict[str, float]:
    """Numbers of the dense picture for the record of a run.

    Parameters
    ----------
    done : Densified or None
        From `densify_run`.

    Returns
    -------
    dict of str to float
        Empty without one.
    """
    if done is None:
        return {}
    names = ("n_events", "prior_share", "measured_share", "inferred_share", "contradicted_share", "rsp")
    found = {name: done.verdict.numbers.get(name) for name in names}
    return {f"densified_{name}": float(value) for name, value in found.items() if value is not None}


def densified_images(done: Densified | None, record: Provenance | None) -> dict[str, SRImage]:
    """Pictures that are written, by the stem of their file.

    Parameters
    ----------
    done : Densified or None
        From `densify_run`.
    record : Provenance or None
        Of the run.

    Returns
    -------
    dict of str to SRImage
        Empty without one.
    """
    if done is None:
        return {}
    return {
        "densified": replace(done.image, provenance=record),
        "uncertainty": replace(done.uncertainty, provenance=record),
    }


def densified_pictures(done: Densified | None, image: SRImage) -> tuple[Picture, ...]:
    """Draw input, dense picture, uncertainty and classes for the report.

    Parameters
    ----------
    done : Densified or None
        From `densify_run`.
    image : SRImage
        The super-resolution picture of the same rows.

    Returns
    -------
    tuple of Picture
        Side by side; none without a dense picture.
    """
    if done is None:
        return ()
    limits = contrast_limits(done.image.pixels)
    drawn = [
        (draw_image(image, SR_COLOURS, side_px=_SIDE_PX), "Input", "What was localized, as it is."),
        (
            draw_image(done.image, SR_COLOURS, limits=limits, side_px=_SIDE_PX),
            "Densified",
            "What a network expects of a long acquisition: a likely picture, not a measured one.",
        ),
        (
            draw_image(done.uncertainty, ERROR_COLOURS, limits=limits, side_px=_SIDE_PX),
            "Uncertainty",
            "Standard deviation of the dense picture, on the same scale.",
        ),
    ]
    if done.classes is not None:
        words = "Green: measured. Blue: inferred. Orange: contradicted. Grey: too faint to be judged."
        drawn.append((class_picture(done.image, done.classes), "Measured, inferred, contradicted", words))
    return tuple(Picture(to_png_bytes(rgb), title, words, f"{title}. {words}") for rgb, title, words in drawn)
