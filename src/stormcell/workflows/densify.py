"""densify: the picture that a long acquisition would have given, from a short one, a wide-field image, or both."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.data.localizations import Localizations
from stormcell.data.sr_image import SRImage
from stormcell.errors import DataQualityWarning, InputError
from stormcell.workflows.densify_even import even_picture, widefield_levels
from stormcell.workflows.densify_held_out import busiest_window, foretell
from stormcell.workflows.densify_input import (
    DensifyInput,
    independent_events,
    input_of_events,
    input_of_image,
    place_widefield,
)
from stormcell.workflows.densify_settings import DensifyOptions, DensifyVerbSettings
from stormcell.workflows.densify_verdict import Judgement, Verdict, judge, verdict, without_contradicted
from stormcell.workflows.opening import PathLike, fingerprint, open_image, open_table
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_image
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stormcell.data.provenance import Provenance
    from stormcell.learning.annapalm_model import DensifyModel
    from stormcell.workflows.progress import Progress

    FloatImage = NDArray[np.float32]

MAPS = ("uncertainty", "error_map", "classes", "support")
"""Pictures besides the dense one that can be written."""


@dataclass(frozen=True)
class Densified:
    """What densify made of a field.

    Parameters
    ----------
    image : SRImage
        Expected events per pixel of 20 nm.
    uncertainty : SRImage
        Standard deviation of the same.
    given : DensifyInput
        Events and wide-field image it was made of, with the shift that was undone.
    judged : Judgement
        Comparison with the wide-field image, classes, share owed to the label, events in support.
    verdict : Verdict
        What is to be thought of it.
    provenance : Provenance or None
        How it was made.
    """

    image: SRImage
    uncertainty: SRImage
    given: DensifyInput
    judged: Judgement
    verdict: Verdict
    provenance: Provenance | None = None

    @property
    def error_map(self) -> SRImage | None:
        """Where the picture does not explain the wide-field image; None without one."""
        return None if self.judged.comparison is None else self.judged.comparison.error

    @property
    def classes(self) -> SRImage | None:
        """0 empty, 1 measured, 2 inferred, 3 contradicted; None where that was not worked out."""
        return self.judged.classes

    @property
    def support(self) -> SRImage | None:
        """Independent events within reach of each pixel."""
        return self.judged.support


@with_remote_places
def densify(
    source: PathLike | Localizations | SRImage,
    settings: DensifyVerbSettings | None = None,
    *,
    widefield: PathLike | SRImage | None = None,
    output: PathLike | None = None,
    maps: dict[str, PathLike | None] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Densified:
    """Draw the picture that a long acquisition would have given.

    Parameters
    ----------
    source : path, Localizations or SRImage
        A table of a short acquisition, drift-corrected where that matters; or an image of counted localizations; or,
        with pixels of 50 nm and more, a wide-field image alone.
    settings : DensifyVerbSettings, optional
        How; or give fields as options, for example `structure="microtubules", share=0.03`.
    widefield : path or SRImage, optional
        Wide-field image of the same field.
    output : path, optional
        Write the picture there too.
    maps : dict of str to path, optional
        Write further pictures: "uncertainty", "error_map", "classes", "support".
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total) with tiles.
    **options : object
        Fields of the settings by name, also of nested ones.

    Returns
    -------
    Densified
        Picture, uncertainty, maps and verdict.

    Raises
    ------
    InputError
        The file is neither table nor image, the wide-field image is of another field, or a map was asked for that
        needs one and none was given.

    Warns
    -----
    DataQualityWarning
        The input lies outside what the network was trained for, or lacks something.
    """
    wanted = build_settings(DensifyVerbSettings, settings, options)
    files = {name: path for name, path in (maps or {}).items() if path is not None}
    _check_files(output, files, wanted, has_widefield=widefield is not None, overwrite=overwrite)
    with collect_warnings() as messages:
        given, parent = open_input(source, widefield, wanted)
        done = densify_input(given, wanted.densify, wanted.device, progress)
    inputs = (*fingerprint(source), *fingerprint(widefield))
    record = make_record("densify", wanted, inputs=inputs, parent=parent, notes=given.notes)
    done = _recorded(done, record.with_warnings(*messages))
    if output is not None:
        write(done.image, output, overwrite=overwrite)
    for name, path in files.items():
        picture = getattr(done, name)
        if picture is None:
            warnings.warn(f"there is no {name} to write to {path}", DataQualityWarning, stacklevel=2)
        else:
            write(picture, path, overwrite=overwrite)
    return done


def open_input(
    source: PathLike | Localizations | SRImage, widefield: PathLike | SRImage | None, settings: DensifyVerbSettings
) -> tuple[DensifyInput, Provenance | None]:
    """Open what a picture is made of.

    Parameters
    ----------
    source : path, Localizations or SRImage
        Table or image.
    widefield : path, SRImage or None
        Wide-field image.
    settings : DensifyVerbSettings
        How.

    Returns
    -------
    tuple
        The input, and the record of the table or image.
    """
    wide = None if widefield is None else open_image(widefield, settings.widefield_pixel_size_nm)
    if not isinstance(source, Localizations | SRImage):
        source = _opened(source, settings)
    if isinstance(source, SRImage):
        given = input_of_image(source)
    else:
        events, note = independent_events(source, link=settings.link, linking=settings.linking)
        given = input_of_events(events, wide, note)
    if wide is not None:
        how = settings.densify
        given = place_widefield(given, wide, how.max_shift_nm, register=how.register_widefield)
    return given, source.provenance


def _opened(path: PathLike, settings: DensifyVerbSettings) -> Localizations | SRImage:
    from stormcell.workflows.read import kind_of

    if settings.columns is not None or kind_of(path) == "table":
        return open_table(path, settings.pixel_size_nm, settings.columns)
    return open_image(path, settings.image_pixel_size_nm)


def densify_input(
    given: DensifyInput, options: DensifyOptions, device: str = "auto", progress: Progress | None = None
) -> Densified:
    """Draw and judge the dense picture of a field that is open already.

    Parameters
    ----------
    given : DensifyInput
        Events, wide-field image, or both.
    options : DensifyOptions
        What the network is told.
    device : str
        Where it computes.
    progress : callable or None
        Told tiles done and tiles in all.

    Returns
    -------
    Densified
        Without a record yet.
    """
    from stormcell.learning.annapalm_model import input_warnings, load_densify_model
    from stormcell.learning.devices import resolve_device

    model = load_densify_model(options.model)
    model.network.to(resolve_device(device))
    doubts = input_warnings(model.card, _density_told(given), options.share, options.structure)
    if given.counts is not None and not given.n_events:
        doubts = [*doubts, "the table is empty" + ("" if given.widefield is None else ": only the wide-field speaks")]
    for sentence in doubts:
        warnings.warn(sentence, DataQualityWarning, stacklevel=2)
    flat = even_picture(given, options.share) if options.flatten else None
    if flat is None:
        drawn, uncertainty = _draw(model, given, options, begin_stage(progress, "Densifying"))
    else:
        drawn, uncertainty, sentence = flat
        warnings.warn(sentence, DataQualityWarning, stacklevel=2)
        doubts = [*doubts, sentence]

    def again(label: str) -> SRImage:
        if flat is not None:
            return drawn
        return _draw(model, given, options.replace(structure=label), begin_stage(progress, "Asking again"))[0]

    judged = judge(drawn, given, options.structure, again if options.classify else None)
    if options.classify and flat is None and given.counts is not None:
        window = busiest_window(given.counts)
        drawer = _half_drawer(model, given, options, window)
        judged = replace(judged, held_out=foretell(given.counts[window], drawer, options.structure))
    said = verdict(drawn, given, judged, doubts)
    if options.suppress:
        drawn = without_contradicted(drawn, judged)
    return Densified(drawn, uncertainty, given, judged, said)


def _half_drawer(
    model: DensifyModel, given: DensifyInput, options: DensifyOptions, window: tuple[slice, slice]
) -> Callable[[FloatImage, str], FloatImage]:
    """Make pictures of half of a window's events, which are half of the frames."""
    from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image

    share = None if options.share is None else options.share / 2
    wide, covered = (None if image is None else image[window] for image in widefield_levels(given))

    def draw(counts: FloatImage, structure: str) -> FloatImage:
        how = DensifyInferenceSettings(structure=structure, share=share, tile_px=options.tile_px)
        return densify_image(model, counts, wide, how, widefield_covered=covered).rate

    return draw


def _density_told(given: DensifyInput) -> float | None:
    """Density where there is structure: the mean over a field that is mostly empty says little."""
    from stormcell.learning.annapalm_density import typical_density

    if given.counts is None:
        return None
    return typical_density(given.counts, given.grid.pixel_size_nm) or None


def _draw(
    model: DensifyModel, given: DensifyInput, options: DensifyOptions, progress: Callable[[int, int], None] | None
) -> tuple[SRImage, SRImage]:
    from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image

    wide, covered = widefield_levels(given)
    how = DensifyInferenceSettings(structure=options.structure, share=options.share, tile_px=options.tile_px)
    done = densify_image(model, given.counts, wide, how, widefield_covered=covered, progress=progress)
    scale = np.float32(1.0 if options.share is None else 1 / options.share)
    unit = "expected events" if given.counts is not None else "relative density"
    return tuple(SRImage(pixels * scale, given.grid, unit) for pixels in (done.rate, done.standard_deviation))  # type: ignore[return-value] # two of them


def _recorded(done: Densified, record: Provenance) -> Densified:
    image, uncertainty = (replace(part, provenance=record) for part in (done.image, done.uncertainty))
    return replace(done, image=image, uncertainty=uncertainty, provenance=record)


def _check_files(
    output: PathLike | None,
    files: dict[str, PathLike],
    settings: DensifyVerbSettings,
    *,
    has_widefield: bool,
    overwrite: bool,
) -> None:
    """Refuse what cannot be written or made before any work is done."""
    for name in files:
        if name not in MAPS:
            msg = f"expected one of {', '.join(MAPS)} as a map to write, got {name}"
            raise InputError(msg)
    if "error_map" in files and not has_widefield:
        msg = "an error map compares the picture with a wide-field image; pass --widefield, or leave --error-map out"
        raise InputError(msg)
    if {"classes", "support"} & set(files) and not settings.densify.classify:
        msg = "expected --classify with --classes or --support; leave --no-classify out"
        raise InputError(msg)
    for path in (output, *files.values()):
        prepare_image(None if path is None else Path(path), overwrite)
