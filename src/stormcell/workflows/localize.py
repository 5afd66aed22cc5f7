"""localize: find and fit the emitters of every frame."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stormcell.errors import DataQualityWarning, NoLocalizationsWarning
from stormcell.localization.flags import FLAGS
from stormcell.localization.pipeline import LocalizationSettings
from stormcell.workflows.camera import MovieContext, resolve_movie
from stormcell.workflows.dense_settings import NetworkOptions
from stormcell.workflows.localize_methods import Found, Method, Ways
from stormcell.workflows.movie_settings import MovieSettings
from stormcell.workflows.opening import PathLike, fingerprint, open_stack
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_table
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.survey import Survey
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.data.localizations import Localizations
    from stormcell.physics.psf.model import PSF
    from stormcell.workflows.progress import Progress

_MANY_POOR_FITS = 0.2
_ENOUGH_ROWS = 30


class LocalizeVerbSettings(MovieSettings):
    """How emitters are found and fitted."""

    replaced_fields: ClassVar[frozenset[str]] = frozenset({"localization.method"})

    method: Method = "auto"
    """How to localize: mle (fit of single emitters at the theoretical limit), lsq (the same by least squares, faster
    and less precise), multi (joint fits of overlapping emitters), dense (the network for overlapping emitters) or
    auto (measures how dense each part of the movie is and chooses, saying why)."""

    localization: LocalizationSettings = LocalizationSettings()
    """Background, detection and fit."""

    psf_file: str | None = None
    """Measured PSF (.npz of `stormcell psf`) for joint fits; fits of single emitters take its width. Without it joint
    fits use a Gaussian whose width they find in the movie."""

    network: NetworkOptions = NetworkOptions()
    """The network for overlapping emitters."""

    cluster: str | None = None
    """Share the fits of this one movie out among workers: local (processes on this machine), local:N, tcp://HOST:PORT
    of a Dask scheduler, or slurm:CONFIG.yaml; the table is the same."""

    @property
    def wanted_method(self) -> Method:
        """The method; one that stands in the settings of the fits counts where none was chosen here."""
        if "method" not in self.model_fields_set and "method" in self.localization.model_fields_set:
            return self.localization.method
        return self.method


@with_remote_places
def localize(
    movie: PathLike | FrameStack | np.ndarray[Any, Any],
    settings: LocalizeVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Localizations:
    """Find and fit the emitters of every frame.

    Parameters
    ----------
    movie : path, FrameStack or ndarray
        An array has shape (T, Y, X) in camera units.
    settings : LocalizeVerbSettings, optional
        Camera, part of the movie, method; or give fields as options, for example `pixel_size_nm=100`.
    output : path, optional
        Write the table there too, in the format of its ending.
    overwrite : bool
        Whether an existing file may be replaced.
    progress : callable, optional
        Called as progress(done, total) with frames.
    **options : object
        Fields of the settings by name, also of nested ones.

    Returns
    -------
    Localizations
        With uncertainties, bounds and flags; its record tells where every physical value came from.

    Raises
    ------
    InputError
        The file is no movie, its pixel size is not known, or a setting is impossible.

    Warns
    -----
    NoLocalizationsWarning
        Nothing was found; the table is empty.
    DataQualityWarning
        Pixels were saturated, negative or NaN, or the movie has one frame.
    """
    wanted = build_settings(LocalizeVerbSettings, settings, options)
    prepare_table(output, overwrite)
    stack = open_stack(movie, wanted)
    context = resolve_movie(stack, wanted)
    survey = Survey(stack)
    with collect_warnings() as messages:
        found = localize_surveyed(survey, context, wanted, progress)
    quantities = (*context.quantities, *found.quantities)
    record = make_record("localize", wanted, inputs=fingerprint(stack), quantities=quantities, notes=found.notes)
    table = found.table.with_context(provenance=record.with_warnings(*messages))
    if output is not None:
        write(table, output, overwrite=overwrite)
    return table


def localize_surveyed(
    survey: Survey, context: MovieContext, settings: LocalizeVerbSettings, progress: Progress | None
) -> Found:
    """Localize a movie while its pixels are surveyed, and warn of what was unusual.

    Parameters
    ----------
    survey : Survey
        Of the movie; complete afterwards.
    context : MovieContext
        Camera and pixel size.
    settings : LocalizeVerbSettings
        How.
    progress : callable or None
        Called as progress(done, total) with frames.

    Returns
    -------
    Found
        The table without a record yet, and what was measured and done.
    """
    told = begin_stage(progress, "Localizing")
    ways = Ways(context, settings.localization, settings.network, _measured_psf(context, settings))
    if settings.cluster is None:
        found = ways.find(survey.watched(), settings.wanted_method, told)
    else:
        from stormcell.workflows.spread import open_spread

        with open_spread(settings.cluster, survey) as spread:
            found = replace(ways, spread=spread).find(survey.stack, settings.wanted_method, told)
    survey.finish()
    limit = context.camera.saturation_adu if context.camera.bit_depth is not None else None
    for sentence in (*context.warnings, *survey.sentences(limit), *found.warnings):
        warnings.warn(sentence, DataQualityWarning, stacklevel=3)
    if not found.table.n_rows:
        sentence = "nothing was found: no spot stands clearly above the background; the table is empty"
        warnings.warn(sentence, NoLocalizationsWarning, stacklevel=3)
    share = poor_fit_share(found.table)
    if share > _MANY_POOR_FITS and found.table.n_rows >= _ENOUGH_ROWS:
        sentence = (
            f"{share:.0%} of the fits do not look like one emitter on a flat background: spots overlap, or the PSF "
            "is no Gaussian; positions there are pulled together and their uncertainties are too small"
        )
        warnings.warn(sentence, DataQualityWarning, stacklevel=3)
    return found


def _measured_psf(context: MovieContext, settings: LocalizeVerbSettings) -> PSF | None:
    if settings.psf_file is None:
        return None
    from stormcell.physics.psf.model import make_psf
    from stormcell.physics.psf.settings import MeasuredPSFSettings
    from stormcell.workflows.psf import read_psf

    file = MeasuredPSFSettings(path=settings.psf_file)
    return make_psf(file, context.camera_pixel_size_nm, read_psf=read_psf)


def poor_fit_share(table: Localizations) -> float:
    """Count the fits whose residual is out of the range of a single emitter.

    Parameters
    ----------
    table : Localizations
        With `flags`.

    Returns
    -------
    float
        Share of the rows, 0 to 1.
    """
    if not table.n_rows or "flags" not in table:
        return 0.0
    return float(np.mean((table["flags"] & FLAGS["poor_fit"].mask) != 0))
