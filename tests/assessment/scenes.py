"""Scenes with exact truth: image pairs for SQUIRREL, and images with planted inventions.

Loaded by the conftest of this folder and by benchmarks.planted_inventions.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.special import erf

from stormcell.assessment.artefacts import ArtefactClass
from stormcell.data import Localizations, PixelGrid, SRImage


def filaments(n=10, field_nm=4000.0, seed=0, step_nm=20.0):
    """Points along gently curved lines, in nm, also beyond the field."""
    rng = np.random.default_rng(seed)
    t = np.arange(-1.5 * field_nm, 1.5 * field_nm, step_nm)
    points = []
    for _ in range(n):
        angle, start = rng.uniform(0, np.pi), rng.uniform(0, field_nm, 2)
        bend = rng.normal(0, 0.15) * field_nm * np.sin(t / field_nm * 2 + rng.uniform(0, 6))
        direction, normal = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        points.append(start + t[:, None] * direction + bend[:, None] * normal)
    return np.concatenate(points)


def integrate(points_nm, pixel_nm, shape, sigma_nm, weights=None):
    """Mean over each pixel of a sum of Gaussians, exact: points (N, 2) as x, y; sigma as one number or (y, x)."""
    sigma_y, sigma_x = np.broadcast_to(sigma_nm, 2)
    weights = np.ones(len(points_nm)) if weights is None else weights
    near = ((points_nm > -800) & (points_nm < np.array(shape)[::-1] * pixel_nm + 800)).all(axis=1)

    def profile(side, centre, sigma):
        edge = (np.arange(side + 1) * pixel_nm).astype(np.float32)
        return np.diff(0.5 * erf((edge[:, None] - centre.astype(np.float32)) / (sigma * np.sqrt(2))), axis=0)

    rows = profile(shape[0], points_nm[near, 1], sigma_y) * weights[near]
    columns = profile(shape[1], points_nm[near, 0], sigma_x)
    return rows @ columns.T / pixel_nm**2


def pair(
    *,
    sr_pixel_nm=20.0,
    wide_pixel_nm=100.0,
    wide_shape=(40, 40),
    rsf_nm=130.0,
    shift_nm=(0.0, 0.0),
    peak_photons=None,
    seed=0,
):
    """SR image and wide-field image tied by alpha = 5 and beta = 30.

    The SR image is the structure blurred by 20 nm; the wide-field is alpha * (SR blurred by rsf_nm) + beta, mean over
    its pixels. shift_nm (y, x) displaces the SR image.
    """
    extent = np.array(wide_shape) * wide_pixel_nm
    points = filaments(field_nm=extent.max(), seed=seed)
    sr_shape = tuple(round(side / sr_pixel_nm) for side in extent)
    sr = integrate(points + np.array(shift_nm)[::-1], sr_pixel_nm, sr_shape, 20.0) * 4000
    total = np.sqrt(np.broadcast_to(rsf_nm, 2) ** 2 + 20.0**2)
    wide = 5.0 * integrate(points, wide_pixel_nm, wide_shape, total) * 4000 + 30.0
    if peak_photons is not None:
        scale = peak_photons / wide.max()
        wide = np.random.default_rng(seed + 1).poisson(wide * scale) / scale
    return (
        SRImage(sr.astype(np.float32), PixelGrid(sr_pixel_nm, sr_shape)),
        SRImage(wide.astype(np.float32), PixelGrid(wide_pixel_nm, wide_shape), "photons"),
    )


FIELD_NM, SIZE_NM, WIDE_NM, PRECISION_NM = 6400.0, 20.0, 100.0, 12.0


@dataclass(frozen=True)
class Scene:
    """An image with inventions in it, and the evidence."""

    image: SRImage
    widefield: SRImage
    events: Localizations
    true_points: np.ndarray
    true_pixels: np.ndarray
    invented_pixels: np.ndarray
    inventions: list
    kinds: list


def make_scene(seed, *, peak_photons=300.0, events_per_um=40.0, unevenness=0.25, n_lines=9, background=20.0):
    """Filaments of uneven labelling with two real gaps; invented filaments, bridges over the gaps, and specks."""
    rng = np.random.default_rng(seed)
    lines = [filaments(n=1, field_nm=FIELD_NM, seed=1000 * seed + i, step_nm=10.0) for i in range(n_lines)]
    gaps = []
    for i in range(2):
        inner = np.flatnonzero(((lines[i] > 800) & (lines[i] < FIELD_NM - 800)).all(axis=1))
        if len(inner) > 100:
            centre = lines[i][inner[len(inner) // 2]]
            gap = np.hypot(*(lines[i] - centre).T) < 250
            gaps.append(lines[i][gap])
            lines[i] = lines[i][~gap]
    true = np.concatenate(lines)
    # Labelling varies along a line over about 100 nm.
    noise = [ndimage.gaussian_filter1d(rng.normal(0, 1, len(line)), 10) * 5.95 for line in lines]
    weight = np.exp(unevenness * np.concatenate(noise))
    inventions, kinds = _invent(rng, gaps)
    shape, wide_shape = (int(FIELD_NM / SIZE_NM),) * 2, (int(FIELD_NM / WIDE_NM),) * 2
    true_pixels = integrate(true, SIZE_NM, shape, 20.0, weight)
    invented_pixels = integrate(np.concatenate(inventions), SIZE_NM, shape, 20.0)
    wide = integrate(true, WIDE_NM, wide_shape, np.hypot(130.0, 20.0), weight)
    wide = rng.poisson(wide / wide.max() * peak_photons + background).astype(np.float32)
    scale = 1000 / (true_pixels + invented_pixels).max()
    return Scene(
        SRImage(((true_pixels + invented_pixels) * scale).astype(np.float32), PixelGrid(SIZE_NM, shape)),
        SRImage(wide, PixelGrid(WIDE_NM, wide_shape), "photons"),
        _events(rng, true, events_per_um * 0.01 * weight),
        true,
        true_pixels * scale,
        invented_pixels * scale,
        inventions,
        kinds,
    )


def _invent(rng, gaps):
    inventions, kinds = [], []
    for _ in range(3):
        angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(800, FIELD_NM - 800, 2)
        along = np.arange(0, rng.uniform(700, 2000), 10.0)
        direction = np.array([np.cos(angle), np.sin(angle)])
        inventions.append(centre + (along - along.mean())[:, None] * direction)
        kinds.append("filament")
    inventions += gaps
    kinds += ["bridge"] * len(gaps)
    for _ in range(6):
        inventions.append(rng.uniform(300, FIELD_NM - 300, 2) + rng.normal(0, 25, (8, 2)))
        kinds.append("speck")
    return inventions, kinds


def _events(rng, points, rate):
    places = np.repeat(points, rng.poisson(rate), axis=0)
    places = places + rng.normal(0, PRECISION_NM, places.shape)
    places = places[((places > 0) & (places < FIELD_NM)).all(axis=1)]
    places = np.concatenate([places, rng.uniform(0, FIELD_NM, (round(0.03 * len(places)), 2))])
    n = len(places)
    return Localizations(
        {
            "frame": np.arange(n),
            "x_nm": places[:, 0],
            "y_nm": places[:, 1],
            "uncertainty_x_nm": np.full(n, PRECISION_NM),
            "uncertainty_y_nm": np.full(n, PRECISION_NM),
            "n_detections": np.ones(n, int),
        }
    )


def judged_share(scene, artefacts, suppressed):
    """The figures by which classes and suppression are judged."""
    classes, pixels, grid = artefacts.classes.pixels, scene.image.pixels, scene.image.grid
    measured, contradicted = classes == ArtefactClass.MEASURED, classes == ArtefactClass.CONTRADICTED
    yy, xx = np.nonzero(measured)
    near = np.zeros(0, bool)
    if len(yy):
        places = np.stack([grid.x_nm(xx + 0.5), grid.y_nm(yy + 0.5)], axis=1)
        near = KDTree(scene.true_points).query(places)[0] <= 40
    free, denied = [], {"filament": [], "bridge": [], "speck": []}
    for points, kind in zip(scene.inventions, scene.kinds, strict=True):
        own = integrate(points, SIZE_NM, pixels.shape, 20.0)
        core = own > 0.1 * own.max()
        denied[kind].append(own[core & contradicted].sum() / own[core].sum())
        if kind != "speck":  # filaments of 700 nm and more, bridges of 500 nm
            free.append(pixels[core & measured].sum() < 0.5 * pixels[core].sum())
    left = suppressed.pixels / np.maximum(pixels, 1e-9)
    return {
        "measured_within_40_nm": pixels[measured][near].sum() / pixels[measured].sum() if len(yy) else np.nan,
        "measured_share": artefacts.shares["measured"],
        "long_inventions_not_measured": np.mean(free),
        "invented_filaments_contradicted": np.mean(denied["filament"]),
        "bridges_contradicted": np.mean(denied["bridge"]) if denied["bridge"] else np.nan,
        "specks_contradicted": np.mean(denied["speck"]),
        "contradicted_intensity_removed": 1
        - suppressed.pixels[contradicted].sum() / max(pixels[contradicted].sum(), 1e-9),
        "invented_intensity_removed": 1 - (left * scene.invented_pixels).sum() / scene.invented_pixels.sum(),
        "true_intensity_lost": 1 - (left * scene.true_pixels).sum() / scene.true_pixels.sum(),
    }
