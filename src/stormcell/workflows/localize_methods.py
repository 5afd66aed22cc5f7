"""The ways to localize: fits of single or joint emitters, the dense network, and the choice among them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from stormcell.data.localizations import Localizations
from stormcell.data.provenance import Quantity
from stormcell.errors import ModelError
from stormcell.localization.image_noise import AGREEMENT
from stormcell.localization.pipeline import LocalizationSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.calibration.local_density import LocalDensity, Part
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.provenance import Source
    from stormcell.learning.dense_model import DenseModel
    from stormcell.localization.pipeline import LocalizationResult
    from stormcell.physics.psf.model import PSF
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.dense_settings import NetworkOptions
    from stormcell.workflows.progress import Progress
    from stormcell.workflows.spread import Spread

Method = Literal["auto", "mle", "lsq", "multi", "dense"]

SPARSE_PER_PSF_AREA = 0.02
"""Emitters per 4 pi sigma^2 below which spots hardly ever overlap, and a single fit is as good as anything."""

_MARGIN_PX = 16
_DETAILS = {
    "given": "option --psf-sigma-px",
    "estimated": "from the brightest isolated spots",
    "assumed": "too few spots to estimate it: a usual value; pass --psf-sigma-px",
}


@dataclass(frozen=True)
class Found:
    """What a method made of a movie.

    Parameters
    ----------
    table : Localizations
        Its rows.
    quantities : tuple of Quantity
        What it measured on the way.
    warnings, notes : tuple of str
        What to doubt, and what was done.
    """

    table: Localizations
    quantities: tuple[Quantity, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ways:
    """What is needed to localize with any method.

    Parameters
    ----------
    context : MovieContext
        Camera and pixel size.
    fits : LocalizationSettings
        How fits are done.
    dense : NetworkOptions
        How the network is used.
    psf : PSF or None
        A measured PSF for joint fits.
    spread : Spread or None
        Workers that share fits and network; None does the work here.
    """

    context: MovieContext
    fits: LocalizationSettings
    dense: NetworkOptions
    psf: PSF | None = None
    spread: Spread | None = None

    def find(self, stack: FrameStack, method: Method, progress: Progress | None) -> Found:
        """Localize.

        Parameters
        ----------
        stack : FrameStack
            The movie or a part of it.
        method : str
            Which way.
        progress : callable or None
            Called as progress(done, total) with frames.

        Returns
        -------
        Found
            The table and what is to be said about it.
        """
        if method == "auto":
            return self._choose(stack, progress)
        if method == "dense":
            from stormcell.workflows.dense import KnowingNetwork

            network = KnowingNetwork.of(stack, self.context, self.dense)
            return network.localize(stack, self.context, self.dense, progress, self.spread)
        from stormcell.localization.pipeline import localize_stack
        from stormcell.localization.recipe import FitRecipe

        settings = self.fits.replace(method=method)
        size = self.context.camera_pixel_size_nm
        if self.spread is None:
            found = localize_stack(stack, self.context.camera, size, settings, progress, self.psf)
        else:
            recipe = FitRecipe.of(stack, self.context.camera, size, settings, self.psf)
            found = self.spread.fit(recipe, stack, progress)
        quantities = (_psf_sigma(found, size),)
        return Found(found.table, quantities, _contradicted_noise(found, self.context))

    def _choose(self, stack: FrameStack, progress: Progress | None) -> Found:
        from stormcell.calibration.local_density import measure_local_density

        size = self.context.camera_pixel_size_nm
        density = measure_local_density(stack, self.context.camera, size)
        if density is None:
            found = self.find(stack, "mle", progress)
            why = "the density could not be measured (too few frames, or nothing that blinks): single-emitter fits"
            return replace(found, notes=(f"method auto: {why}", *found.notes))
        # the network is loaded only where a part needs it: that takes longer than fitting a short sparse movie
        is_needed = any(_choice(part, density, "dense", size) == "dense" for part in density.parts)
        dense, why_not = self._for_dense_parts(density) if is_needed else ("dense", "")
        choices = [_choice(part, density, dense, size) for part in density.parts]
        quantities, notes = _reasons(density, choices, dense, why_not, size)
        found = self._mixed(stack, density.parts, choices, progress)
        return replace(found, quantities=(*quantities, *found.quantities), notes=(*notes, *found.notes))

    def _for_dense_parts(self, density: LocalDensity) -> tuple[Method, str]:
        """Choose what takes the parts in which emitters overlap, and why not the network."""
        fallback: Method = "multi" if "multi" in fit_methods() else "mle"
        try:
            model = self._model()
        except ModelError as error:
            return fallback, f"there is no network: {error}"
        reason = out_of_range(model, density)
        return (fallback, reason) if reason else ("dense", "")

    def _model(self) -> DenseModel:
        from stormcell.learning.dense_model import load_dense_model

        return load_dense_model(self.dense.model)

    def _mixed(
        self, stack: FrameStack, parts: Sequence[Part], choices: Sequence[Method], progress: Progress | None
    ) -> Found:
        """Localize each part its own way; neighbouring parts with the same choice are one piece of work."""
        if len(set(choices)) == 1:
            return self.find(stack, choices[0], progress)
        pieces = _pieces(stack, parts, choices)
        network = None
        if "dense" in choices:
            from stormcell.workflows.dense import KnowingNetwork

            # noise and PSF are those of the whole movie: a piece may hold too few emitters to tell
            network = KnowingNetwork.of(stack, self.context, self.dense)
        done = 0
        found: list[Found] = []
        for piece in pieces:
            part = piece.cut(stack)
            if piece.method == "dense" and network is not None:
                made = network.localize(part, self.context, self.dense, None, self.spread)
            else:
                made = self.find(part, piece.method, None)
            found.append(_owned(made, piece, stack))
            done += piece.n_frames
            if progress is not None:
                progress(done, sum(p.n_frames for p in pieces))
        table = joined_tables([item.table for item in found], stack, self.context.camera_pixel_size_nm)
        quantities = {q.name: q for item in found for q in item.quantities}
        return Found(
            table,
            tuple(quantities.values()),
            tuple(dict.fromkeys(w for item in found for w in item.warnings)),
            tuple(dict.fromkeys(n for item in found for n in item.notes)),
        )


@dataclass(frozen=True)
class _Piece:
    """A run of frames in a rectangle, localized one way."""

    frames: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    method: Method

    @property
    def n_frames(self) -> int:
        return self.frames[1] - self.frames[0]

    def cut(self, stack: FrameStack) -> FrameStack:
        """Show the piece with a margin, so that emitters at its border are seen whole."""
        height, width = stack.frame_shape
        rows = (max(0, self.rows[0] - _MARGIN_PX), min(height, self.rows[1] + _MARGIN_PX))
        columns = (max(0, self.columns[0] - _MARGIN_PX), min(width, self.columns[1] + _MARGIN_PX))
        return stack.frames(*self.frames).crop(rows, columns)


def _pieces(stack: FrameStack, parts: Sequence[Part], choices: Sequence[Method]) -> list[_Piece]:
    pieces: list[_Piece] = []
    by_frames = itertools.groupby(zip(parts, choices, strict=True), key=lambda pair: pair[0].frames)
    for frames, group in by_frames:
        members = list(group)
        if len({method for _, method in members}) == 1:
            height, width = stack.frame_shape
            pieces.append(_Piece(frames, (0, height), (0, width), members[0][1]))
        else:
            pieces += [_Piece(frames, part.rows, part.columns, method) for part, method in members]
    joined: list[_Piece] = []
    for piece in sorted(pieces, key=lambda p: (p.rows, p.columns, p.frames)):
        last = joined[-1] if joined else None
        place = (piece.rows, piece.columns, piece.method)
        if last is not None and (last.rows, last.columns, last.method) == place and last.frames[1] == piece.frames[0]:
            joined[-1] = replace(last, frames=(last.frames[0], piece.frames[1]))
        else:
            joined.append(piece)
    return joined


def joined_tables(tables: Sequence[Localizations], stack: FrameStack, camera_pixel_size_nm: float) -> Localizations:
    """Put the rows of several methods into one table.

    Parameters
    ----------
    tables : sequence of Localizations
        One for each piece of a movie.
    stack : FrameStack
        The movie.
    camera_pixel_size_nm : float
        Its pixel.

    Returns
    -------
    Localizations
        Sorted by frame, with every column that one of them has: NaN where a method does not say it, and 0 in columns
        of whole numbers (flags, iterations).
    """
    kinds = {name: table[name].dtype for table in tables for name in table.names}

    def column(table: Localizations, name: str) -> NDArray[Any]:
        if name in table.names:
            return table[name]
        return np.full(table.n_rows, np.nan if kinds[name].kind == "f" else 0, kinds[name])

    columns = {name: np.concatenate([column(table, name) for table in tables]) for name in kinds}
    order = np.lexsort((columns["x_nm"], columns["y_nm"], columns["frame"]))
    return Localizations(
        {name: values[order] for name, values in columns.items()},
        grid=stack.grid(camera_pixel_size_nm),
        n_frames=stack.n_frames,
    )


def _owned(found: Found, piece: _Piece, stack: FrameStack) -> Found:
    """Keep the rows inside the piece; at the rim of the movie also those beyond it."""
    grid = stack.grid(1.0 if found.table.grid is None else found.table.grid.pixel_size_nm)
    keep = np.ones(found.table.n_rows, np.bool_)
    axes = ((grid.y_px(found.table["y_nm"]), piece.rows, 0), (grid.x_px(found.table["x_nm"]), piece.columns, 1))
    for position, (low, high), axis in axes:
        keep &= (position >= low) | (low == 0)
        keep &= (position < high) | (high == stack.frame_shape[axis])
    return replace(found, table=found.table.take(keep))


def fit_methods() -> tuple[str, ...]:
    """List the fits that this version has.

    Returns
    -------
    tuple of str
        For example ("mle", "lsq").
    """
    return get_args(LocalizationSettings.model_fields["method"].annotation)


def out_of_range(model: DenseModel, density: LocalDensity) -> str:
    """Say why a network does not fit a movie.

    Parameters
    ----------
    model : DenseModel
        With its card.
    density : LocalDensity
        What was measured.

    Returns
    -------
    str
        Empty where it fits.
    """
    valid = model.card.valid_range
    checks = (
        ("PSF width", density.psf_sigma_px, "px", valid.psf_sigma_px),
        ("light of an emitter", density.electrons, "electrons", valid.electrons),
    )
    for name, value, unit, limits in checks:
        if limits is not None and np.isfinite(value) and not limits[0] * 0.9 <= value <= limits[1] * 1.1:
            return f"the {name} of {value:.3g} {unit} is outside the network's range ({limits[0]:g} to {limits[1]:g})"
    return ""


def _per_psf_area(density_per_um2: float, sigma_px: float, size_nm: float) -> float:
    return density_per_um2 * 4 * np.pi * (sigma_px * size_nm / 1000) ** 2


def _choice(part: Part, density: LocalDensity, dense: Method, size_nm: float) -> Method:
    crowding = _per_psf_area(part.density_per_um2, density.psf_sigma_px, size_nm)
    return "mle" if crowding < SPARSE_PER_PSF_AREA else dense


def _reasons(
    density: LocalDensity, choices: Sequence[Method], dense: Method, why_not: str, size_nm: float
) -> tuple[tuple[Quantity, ...], tuple[str, ...]]:
    values = np.array([part.density_per_um2 for part in density.parts])
    crowding = _per_psf_area(density.density_per_um2, density.psf_sigma_px, size_nm)
    counts = {method: choices.count(method) for method in dict.fromkeys(choices)}
    chosen = ", ".join(f"{method} for {count} of {len(choices)} parts" for method, count in counts.items())
    note = (
        f"method auto: {density.density_per_um2:.2g} emitters per um^2 and frame ({values.min():.2g} to "
        f"{values.max():.2g} in {len(values)} parts of the movie), that is {crowding:.2g} per PSF area; {chosen}: "
        f"below {SPARSE_PER_PSF_AREA:g} per PSF area single fits are best, above it {dense}"
    )
    quantity = Quantity(
        "density_per_um2",
        density.density_per_um2,
        "1/um^2",
        "estimated",
        "emitters in a frame, from the distribution of pixel values",
        (float(values.min()), float(values.max())),
    )
    return (quantity,), (note, *((f"method auto took no network: {why_not}",) if why_not else ()))


def _contradicted_noise(found: LocalizationResult, context: MovieContext) -> tuple[str, ...]:
    assumed = any(q.name == "gain_e_per_adu" and q.source == "assumed" for q in context.quantities)
    if assumed or AGREEMENT[0] <= found.noise_ratio <= AGREEMENT[1]:
        return ()
    return (
        f"the noise of the frames is {found.noise_ratio:.2g} times what the camera's values say: detection went by "
        "the frames, but photons and uncertainties rest on those values; check gain and offset",
    )


def _psf_sigma(found: LocalizationResult, pixel_size_nm: float) -> Quantity:
    source: Source = found.psf_sigma_source  # type: ignore[assignment] # one of the keys above
    return Quantity("psf_sigma_nm", found.psf_sigma_px * pixel_size_nm, "nm", source, _DETAILS[source])
