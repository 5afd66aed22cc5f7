"""The movie of the demo: blinking fluorophores on a few bent microtubules, small enough for a minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erf

from stormcell.data.localizations import Localizations
from stormcell.data.pixel_grid import PixelGrid
from stormcell.data.provenance import Provenance, Quantity
from stormcell.physics.cameras import Camera

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.workflows.demo import DemoVerbSettings
    from stormcell.workflows.progress import Progress

PIXEL_SIZE_NM = 100.0
PSF_SIGMA_NM = 130.0
TUBULE_RADIUS_NM = 12.5
CAMERA = Camera("cmos", offset_adu=100.0, gain_e_per_adu=0.46, read_noise_e=1.6, qe=0.82)

_MEAN_PHOTONS = 1200.0
_PHOTON_SPREAD = 0.5
_BACKGROUND_PHOTONS = 20.0
_MEAN_ON_FRAMES = 2.5


@dataclass(frozen=True)
class DemoMovie:
    """A simulated movie with its truth.

    Parameters
    ----------
    frames : ndarray
        Shape (T, Y, X), grey values.
    truth : Localizations
        One row for each emitter and frame in which it was on.
    metadata : dict of str to Quantity
        What the movie's file will say about the camera.
    """

    frames: NDArray[np.uint16]
    truth: Localizations
    metadata: dict[str, Quantity]


def simulate_demo_movie(settings: DemoVerbSettings, progress: Progress | None = None) -> DemoMovie:
    """Simulate microtubules labelled with blinking fluorophores.

    Parameters
    ----------
    settings : DemoVerbSettings
        Frames, field, density and seed.
    progress : callable, optional
        Called as progress(done, total).

    Returns
    -------
    DemoMovie
        Frames and truth; equal seeds give equal movies.
    """
    rng = np.random.default_rng(settings.seed)
    side_nm = settings.field_px * PIXEL_SIZE_NM
    sites = _microtubules(rng, side_nm, settings.n_microtubules)
    truth = _blink(rng, sites, settings, side_nm)
    frames = np.empty((settings.n_frames, settings.field_px, settings.field_px), np.uint16)
    first = np.searchsorted(truth["frame"], np.arange(settings.n_frames + 1))
    for index in range(settings.n_frames):
        rows = truth.take(slice(first[index], first[index + 1]))
        expected = CAMERA.qe * (_light(rows, settings.field_px) + _BACKGROUND_PHOTONS)
        frames[index] = CAMERA.to_adu(expected, rng)
        if progress is not None and (index % 50 == 49 or index + 1 == settings.n_frames):
            progress(index + 1, settings.n_frames)
    return DemoMovie(frames, truth, _metadata())


def _microtubules(rng: np.random.Generator, side_nm: float, n_microtubules: int) -> NDArray[np.float64]:
    """Draw bent lines across the field, and sites all round each of them, in projection; shape (N, 2) as x, y."""
    step_nm = 8.0
    n_steps = int(1.6 * side_nm / step_nm)
    sites = []
    for _ in range(n_microtubules):
        start = rng.uniform(0.15, 0.85, 2) * side_nm
        # The direction changes slowly: a persistence length far above the field, as in a cell.
        turns = np.cumsum(rng.normal(0, 0.012, n_steps)) + rng.uniform(0, 2 * np.pi)
        middle = n_steps // 2
        steps = step_nm * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        path = np.cumsum(steps, axis=0)
        path += start - path[middle]
        normal = np.stack([-np.sin(turns), np.cos(turns)], axis=1)
        around = TUBULE_RADIUS_NM * np.sin(rng.uniform(0, 2 * np.pi, n_steps))
        sites.append(path + normal * around[:, None])
    found = np.concatenate(sites)
    return found[((found > 0) & (found < side_nm)).all(axis=1)]


def _blink(
    rng: np.random.Generator, sites: NDArray[np.float64], settings: DemoVerbSettings, side_nm: float
) -> Localizations:
    """Switch emitters on for a few frames each, so that the wanted number is on in each frame on average."""
    area_um2 = (side_nm / 1000) ** 2
    n_events = int(settings.density_per_um2 * area_um2 * settings.n_frames / _MEAN_ON_FRAMES)
    emitter = rng.integers(0, len(sites), n_events)
    begin = rng.uniform(-5 * _MEAN_ON_FRAMES, settings.n_frames, n_events)
    end = begin + rng.exponential(_MEAN_ON_FRAMES, n_events)
    brightness = _MEAN_PHOTONS * rng.lognormal(-(_PHOTON_SPREAD**2) / 2, _PHOTON_SPREAD, n_events)
    columns: dict[str, list[NDArray[np.float64]]] = {"frame": [], "event": [], "on_fraction": []}
    frame = np.floor(begin).astype(int)
    while (frame < end).any():
        share = np.minimum(end, frame + 1.0) - np.maximum(begin, frame)
        is_on = (share > 0) & (frame >= 0) & (frame < settings.n_frames)
        columns["frame"].append(frame[is_on].astype(float))
        columns["event"].append(np.flatnonzero(is_on).astype(float))
        columns["on_fraction"].append(share[is_on])
        frame = frame + 1
    when, event, share = (np.concatenate(columns[name]) for name in ("frame", "event", "on_fraction"))
    order = np.lexsort((event, when))
    event = event[order].astype(int)
    position = sites[emitter[event]]
    n_rows = len(event)
    return Localizations(
        {
            "frame": when[order],
            "x_nm": position[:, 0],
            "y_nm": position[:, 1],
            "photons": brightness[event] * share[order],
            "background_photons": np.full(n_rows, _BACKGROUND_PHOTONS),
            "psf_sigma_nm": np.full(n_rows, PSF_SIGMA_NM),
            "emitter_id": emitter[event],
            "on_fraction": share[order],
        },
        grid=PixelGrid(PIXEL_SIZE_NM, (settings.field_px, settings.field_px)),
        n_frames=settings.n_frames,
        provenance=Provenance("demo", "", settings.model_dump(mode="json"), seed=settings.seed),
    )


def _light(rows: Localizations, field_px: int) -> NDArray[np.float64]:
    """Sum the expected photons in each pixel: Gaussian spots, integrated over the pixels."""
    edges = np.arange(field_px + 1) * PIXEL_SIZE_NM
    along = [
        0.5 * np.diff(erf((edges - rows[name][:, None]) / (np.sqrt(2) * PSF_SIGMA_NM)), axis=1)
        for name in ("x_nm", "y_nm")
    ]
    light: NDArray[np.float64] = np.einsum("n,ny,nx->yx", rows["photons"], along[1], along[0], optimize=True)
    return light


def _metadata() -> dict[str, Quantity]:
    def simulated(name: str, value: float | str, unit: str) -> Quantity:
        return Quantity(name, value, unit, "read", "simulated")

    return {
        "camera_type": simulated("camera_type", CAMERA.camera_type, ""),
        "offset_adu": simulated("offset_adu", float(np.mean(CAMERA.offset_adu)), "ADU"),
        "gain_e_per_adu": simulated("gain_e_per_adu", float(np.mean(CAMERA.gain_e_per_adu)), "e/ADU"),
        "read_noise_e": simulated("read_noise_e", float(np.mean(CAMERA.read_noise_e)), "e"),
        "qe": simulated("qe", CAMERA.qe, ""),
    }
