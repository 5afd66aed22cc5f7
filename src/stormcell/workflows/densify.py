"""densify: the picture that a long acquisition would have given, from a short one, a wide-field image, or both."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stormcell.data.localizations import Localizations
from stormcell.data.pixel_grid import PixelGrid
from stormcell.data.sr_image import SRImage
from stormcell.errors import DataQualityWarning, InputError
from stormcell.workflows.check_input import open_one
from stormcell.workflows.densify_drawing import doubts_of, draw, half_drawer, pictures_of
from stormcell.workflows.densify_even import even_picture
from stormcell.workflows.densify_held_out import busiest_window, foretell
from stormcell.workflows.densify_input import (
    DensifyInput,
    independent_events,
    input_of_events,
    input_of_image,
    place_widefield,
    unlinked_because,
)
from stormcell.workflows.densify_judgement import Judgement, judge, without_contradicted
from stormcell.workflows.densify_settings import DensifyOptions, DensifyVerbSettings
from stormcell.workflows.densify_verdict import Verdict, dimmed_sentence, verdict, with_dimmed
from stormcell.workflows.opening import PathLike, fingerprint, open_table
from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_image
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.write import write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stormcell.data.provenance import Provenance
    from stormcell.learning.annapalm_inference import DensifyResult
    from stormcell.learning.model_folder import ModelCard
    from stormcell.workflows.progress import Progress

MAPS = ("uncertainty", "error_map", "consistency", "classes", "support", "lower", "upper")
"""Pictures besides the dense one that can be written."""
LEVEL = 0.9
"""Probability with which the counts of another acquisition lie between the pictures lower and upper."""


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
    predicted : DensifyResult or None
        What is expected of another acquisition as long as the input.
    ratio : float
        Length of the acquisition that is drawn over that of the input.
    card : ModelCard or None
        Of the network.
    """

    image: SRImage
    uncertainty: SRImage
    given: DensifyInput
    judged: Judgement
    verdict: Verdict
    provenance: Provenance | None = None
    predicted: DensifyResult | None = None
    ratio: float = 1.0
    card: ModelCard | None = None

    @property
    def error_map(self) -> SRImage | None:
        """Where the picture does not explain the wide-field image; None without one."""
        return self._with_record(None if self.judged.comparison is None else self.judged.comparison.error)

    @property
    def consistency(self) -> SRImage | None:
        """Dissimilarity of wide-field image and what the picture predicts of it, times their brightness: 0 to 2."""
        return self._with_record(self.judged.consistency)

    @property
    def classes(self) -> SRImage | None:
        """0 empty, 1 measured, 2 inferred, 3 contradicted; None where that was not worked out."""
        return self._with_record(self.judged.classes)

    @property
    def support(self) -> SRImage | None:
        """Independent events within reach of each pixel."""
        return self._with_record(self.judged.support)

    @property
    def lower(self) -> SRImage | None:
        """Fewest events that an independent acquisition shows in each cell of 40 nm, with `upper` at 90 %."""
        return None if self._bounds is None else self._with_record(self._bounds[0])

    @property
    def upper(self) -> SRImage | None:
        """Most events that an independent acquisition shows in each cell of 40 nm; None where nothing was counted."""
        return None if self._bounds is None else self._with_record(self._bounds[1])

    @cached_property
    def _bounds(self) -> tuple[SRImage, SRImage] | None:
        if self.predicted is None or not self.given.n_events:
            return None
        from stormcell.learning.annapalm_inference import CELL_PX

        low, high = self.predicted.interval(self.ratio, LEVEL)
        shape = (low.shape[0], low.shape[1])
        grid = PixelGrid(self.image.sr_pixel_size_nm * CELL_PX, shape, self.image.grid.origin_nm)
        return SRImage(low.astype("float32"), grid, "events"), SRImage(high.astype("float32"), grid, "events")

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done, for the record: input, network, and what was dimmed."""
        notes = self.given.notes
        if self.card is not None:
            notes = (*notes, f"network {self.card.name} (weights {self.card.weights_sha256[:12]})")
        dimmed = self.verdict.numbers.get("dimmed_share")
        return notes if dimmed is None else (*notes, dimmed_sentence(dimmed))

    def _with_record(self, picture: SRImage | None) -> SRImage | None:
        return picture if picture is None else replace(picture, provenance=self.provenance)


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
        Write further pictures: "uncertainty", "error_map", "consistency", "classes", "support",
        "lower", "upper".
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
    weights = None if done.card is None else done.card.weights_sha256
    record = make_record("densify", wanted, inputs=inputs, parent=parent, notes=done.notes, model_sha256=weights)
    done = _recorded(done, record.with_warnings(*messages))
    if output is not None:
        write(done.image, output, overwrite=overwrite)
    for name, path in files.items():
        picture = getattr(done, name)
        if picture is None:
            why = ": without events there is no count to bound" if name in ("lower", "upper") else ""
            warnings.warn(f"there is no {name} to write to {path}{why}", DataQualityWarning, stacklevel=2)
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
    wide = None
    if widefield is not None:
        wide = open_one(widefield, settings.widefield_pixel_size_nm, "--widefield-pixel-size-nm")
    if not isinstance(source, Localizations | SRImage):
        source = _opened(source, settings)
    if isinstance(source, SRImage):
        given = input_of_image(source)
    else:
        events, note = independent_events(source, link=settings.link, linking=settings.linking)
        why = unlinked_because(source, link=settings.link)
        given = replace(input_of_events(events, wide, note), unlinked=why)
    if wide is not None:
        how = settings.densify
        given = place_widefield(given, wide, how.max_shift_nm, register=how.register_widefield)
    return given, source.provenance


def _opened(path: PathLike, settings: DensifyVerbSettings) -> Localizations | SRImage:
    from stormcell.io.zarr_stores import is_store
    from stormcell.workflows.read import kind_of

    if Path(path).is_dir() and not is_store(path):
        msg = f"expected a table or an image, got the folder {path}; densify_folder takes a folder of tables"
        raise InputError(msg)
    if settings.columns is not None or kind_of(path) == "table":
        return open_table(path, settings.pixel_size_nm, settings.columns)
    return open_one(path, settings.image_pixel_size_nm, "--image-pixel-size-nm")


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
    from stormcell.learning.annapalm_model import load_densify_model
    from stormcell.learning.devices import resolve_device

    model = load_densify_model(options.model)
    model.network.to(resolve_device(device))
    doubts = doubts_of(model.card, given, options)
    flat = even_picture(given) if options.flatten else None
    if flat is not None:
        doubts.append(flat[1])
    for sentence in doubts:
        warnings.warn(sentence, DataQualityWarning, stacklevel=2)
    ratio = 1.0 if options.share is None else 1 / options.share
    predicted = flat[0] if flat is not None else draw(model, given, options, begin_stage(progress, "Densifying"))
    drawn, uncertainty = pictures_of(predicted, given, ratio)

    def again(label: str) -> SRImage:
        if flat is not None:
            return drawn
        other = draw(model, given, options.replace(structure=label), begin_stage(progress, "Asking again"))
        return pictures_of(other, given, ratio)[0]

    judged = judge(drawn, given, options.structure, again if options.classify else None)
    # Halves of rows that are one molecule's foretell each other, whatever the network knows.
    if options.classify and flat is None and given.counts is not None and not given.unlinked:
        window = busiest_window(given.counts)
        drawer = half_drawer(model, given, options, window)
        judged = replace(judged, held_out=foretell(given.counts[window], drawer, options.structure))
    said = verdict(drawn, given, judged, doubts)
    if options.suppress and judged.artefacts is not None:
        before, drawn = drawn, without_contradicted(drawn, judged)
        said = with_dimmed(said, before, drawn)
    elif options.suppress:
        warnings.warn("nothing is known that could contradict the picture: not suppressed", DataQualityWarning, 2)
    return Densified(drawn, uncertainty, given, judged, said, None, predicted, ratio, model.card)


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
    check_maps(files, settings, has_widefield=has_widefield)
    for path in (output, *files.values()):
        prepare_image(None if path is None else Path(path), overwrite)


def check_maps(names: Iterable[str], settings: DensifyVerbSettings, *, has_widefield: bool) -> None:
    """Refuse maps that cannot be made.

    Parameters
    ----------
    names : iterable of str
        Of the maps wanted.
    settings : DensifyVerbSettings
        How.
    has_widefield : bool
        Whether a wide-field image is given.

    Raises
    ------
    InputError
        There is no such map, or what it needs is not given.
    """
    wanted = set(names)
    for name in sorted(wanted - set(MAPS)):
        msg = f"expected one of {', '.join(MAPS)} as a map to write, got {name}"
        raise InputError(msg)
    if {"error_map", "consistency"} & wanted and not has_widefield:
        msg = (
            "--error-map and --consistency compare the picture with a wide-field image; pass --widefield, or leave "
            "them out"
        )
        raise InputError(msg)
    if {"classes", "support"} & wanted and not settings.densify.classify:
        msg = "expected --classify with --classes or --support; leave --no-classify out"
        raise InputError(msg)
