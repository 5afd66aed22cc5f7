"""How far a run's picture is to be trusted: its comparison with a wide-field image, or with the movie's own light."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stormcell.assessment.camera_noise import CameraNoise
from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError, StormcellWarning

if TYPE_CHECKING:
    from stormcell.assessment.frc import FrcResult
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.checking import Checked
    from stormcell.workflows.run_settings import RunVerbSettings

OWN_LIGHT = (
    "the picture was compared with the mean of the movie's own frames: this shows what was drawn wrongly or left "
    "out, but it cannot reveal what the frames never held, such as structure that was not labelled or never blinked"
)


def check_run(
    image: SRImage, drawn: Localizations, widefield: SRImage, movie: tuple[FrameStack, MovieContext, RunVerbSettings]
) -> tuple[Checked | None, tuple[str, ...]]:
    """Compare a run's picture with its wide-field image.

    Parameters
    ----------
    image : SRImage
        The picture.
    drawn : Localizations
        The rows in it.
    widefield : SRImage
        The image that was given, or the mean of the movie's frames.
    movie : tuple of FrameStack, MovieContext, RunVerbSettings
        Where the rows come from, and how the picture was drawn.

    Returns
    -------
    tuple of (Checked or None, tuple of str)
        None where nothing was drawn or the two cannot be compared, which a warning says; and notes on what was done.
    """
    from stormcell.assessment.squirrel import SquirrelSettings
    from stormcell.workflows.checking import CheckingSettings, Evidence, check_image

    stack, context, settings = movie
    if not image.pixels.any():
        return None, ()
    notes: tuple[str, ...] = ()
    comparison = SquirrelSettings()
    if settings.widefield is None:
        image = _by_photons(image, drawn, settings)
        widefield, level_e = _without_background(widefield, stack, context)
        # The mean of the movie's own frames cannot be misaligned; another image can.
        comparison = SquirrelSettings(max_shift_px=0.0, noise=_noise_of_mean(stack, context, level_e))
        notes = (OWN_LIGHT,)
        if level_e is None:
            notes += (
                "the background of the mean frame was taken as even: too few or too dense frames show its shape",
            )
    how = CheckingSettings(comparison=comparison, linking=settings.linking)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", StormcellWarning)
            checked = check_image(image, widefield, how, Evidence(events=drawn, is_drawing=True))
    except InputError as error:
        warnings.warn(f"no error map was made: {error}", StormcellWarning, stacklevel=3)
        return None, ()
    for item in caught:
        warnings.warn(str(item.message), StormcellWarning, stacklevel=3)
    return checked, (*notes, *checked.notes)


def check_numbers(checked: Checked | None, resolution: FrcResult | None) -> dict[str, float]:
    """Collect the numbers that say how far to trust a picture; `low` and `high` are the ends of 90 % intervals.

    Parameters
    ----------
    checked : Checked or None
        The comparison.
    resolution : FrcResult or None
        The ring correlation of two halves.

    Returns
    -------
    dict of str to float
        By name, unit last.
    """
    numbers: dict[str, float] = {}
    if resolution is not None and resolution.frc_resolution_nm is not None:
        numbers["frc_resolution_nm"] = resolution.frc_resolution_nm
        if resolution.interval_nm is not None:
            numbers["frc_resolution_low_nm"], numbers["frc_resolution_high_nm"] = resolution.interval_nm
    if checked is None:
        return numbers
    found = checked.comparison
    for name in ("rsp", "rse", "rsf_sigma_nm", "alpha", "beta", "shift_x_nm", "shift_y_nm"):
        numbers[name] = float(getattr(found, name))
        if name in found.intervals:
            stem, unit = (name[:-3], "_nm") if name.endswith("_nm") else (name, "")
            numbers[f"{stem}_low{unit}"], numbers[f"{stem}_high{unit}"] = map(float, found.intervals[name])
    shares = checked.artefacts.shares
    return numbers | {f"share_{name}": shares[name] for name in ("measured", "inferred", "contradicted")}


def _by_photons(image: SRImage, drawn: Localizations, settings: RunVerbSettings) -> SRImage:
    """Draw again, each row as bright as its light: the frames hold photons, not localizations."""
    from stormcell.rendering import render

    if "photons" not in drawn or not np.isfinite(drawn["photons"]).all():
        return image
    weighted = settings.rendering.replace(weight_column="photons")
    return replace(render(drawn, image.sr_pixel_size_nm, settings.mode, grid=image.grid, settings=weighted))


def _without_background(mean: SRImage, stack: FrameStack, context: MovieContext) -> tuple[SRImage, float | None]:
    """Mean frame in electrons without what every pixel shows when dark, and the middle of that level.

    None where the frames are too few or too dense to tell it; the comparison's own offset takes an even one.
    """
    from stormcell.localization.background import FEWEST_FRAMES, MOST_SAMPLES, is_dense, temporal_background

    origin = (stack.rows[0], stack.columns[0])
    camera = context.camera
    electrons = camera.electrons(mean.pixels[None], origin)[0]
    plain = SRImage(electrons, mean.grid, "electrons per frame")
    if stack.n_frames < FEWEST_FRAMES:
        return plain, None
    picked = np.unique(np.linspace(0, stack.n_frames - 1, MOST_SAMPLES).round().astype(int))
    frames = np.concatenate([stack.read(int(frame), int(frame) + 1) for frame in picked])
    frames_e = camera.electrons(frames, origin)
    if not np.isfinite(frames_e).all():
        return plain, None
    variance = camera.read_variance_e2(mean.grid.shape, origin)
    level, lit = temporal_background(frames_e, variance, camera.excess_noise_factor)
    if is_dense(lit):
        return plain, None
    return SRImage((electrons - level).astype(np.float32), mean.grid, plain.unit), float(np.median(level))


def _noise_of_mean(stack: FrameStack, context: MovieContext, level_e: float | None) -> CameraNoise:
    """Noise of the mean frame in electrons: the light that was subtracted still adds its shot noise."""
    camera = context.camera
    read = float(np.sqrt(np.mean(camera.read_variance_e2(stack.frame_shape, (stack.rows[0], stack.columns[0])))))
    return CameraNoise(
        gain_e_per_adu=1.0,
        offset_adu=-(level_e or 0.0),
        read_noise_e=read,
        excess_noise_factor=camera.excess_noise_factor,
        n_frames=stack.n_frames,
    )
