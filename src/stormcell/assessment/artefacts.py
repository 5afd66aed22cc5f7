"""What of an image is measured, what is inferred, and what the data contradict.

measured      at least three independent events within two standard deviations, and little of it owed to a prior.
contradicted  the wide-field image (as a residual in units of its noise) and the number of events deny it: most likely
              less than half of its brightness is there. A share of 5 % of these verdicts may be wrong.
inferred      everything else that is drawn: nothing speaks against it, too little speaks for it.

Two halves of the data that agree never make anything measured: what draws both halves alike errs in both alike.
What lies below the resolution of the wide-field image and holds few events can be neither measured nor contradicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from stormcell.assessment.camera_noise import noise_of_residual
from stormcell.assessment.event_support import check_events, count_on_pieces, count_support
from stormcell.assessment.piece_evidence import PieceEvidence, weigh_pieces
from stormcell.assessment.segments import Pieces, cut_structure
from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.assessment.camera_noise import CameraNoise
    from stormcell.assessment.squirrel import ErrorMap
    from stormcell.data.localizations import Localizations


_RIM = 2.0


class ArtefactClass(IntEnum):
    """Classes of the pixels of an image."""

    EMPTY = 0
    MEASURED = 1
    INFERRED = 2
    CONTRADICTED = 3


class ArtefactSettings(Settings):
    """Where the lines between the classes run."""

    min_events: int = Field(default=3, ge=1)
    """Independent events that make a place measured."""
    n_sigma: float = Field(default=2.0, gt=0)
    """How far an event supports, in its own standard deviations."""
    max_prior_share: float = Field(default=0.5, ge=0, le=1)
    """Largest share of a place's brightness that may be owed to the prior for it to count as measured."""
    false_discovery_rate: float = Field(default=0.05, gt=0, lt=1)
    """Share of the contradicted pieces that may be right after all."""
    structure_threshold: float = Field(default=0.1, gt=0, lt=1)
    """Pixels above this share of the bright structure (99th percentile of the lit pixels) are judged."""
    piece_nm: float | None = Field(default=None, gt=0)
    """Length of the pieces that are judged one by one, in nm; twice the RSF, or 250 nm without a wide-field image."""


@dataclass(frozen=True)
class Artefacts:
    """The classes of an image.

    Parameters
    ----------
    classes : SRImage
        `ArtefactClass` numbers.
    shares : dict
        Share of the whole intensity in each class, by name; "empty" is what lies below the threshold.
    pieces : Pieces
        The pieces that were judged.
    evidence : PieceEvidence or None
        What is known about each; None where nothing is drawn.
    contradicted : ndarray
        Shape (n,): the pieces that are contradicted.
    """

    classes: SRImage
    shares: dict[str, float]
    pieces: Pieces
    evidence: PieceEvidence | None
    contradicted: NDArray[np.bool_]


@dataclass(frozen=True)
class Support:
    """What is known besides the image.

    Parameters
    ----------
    comparison : ErrorMap or None
        Of this very image with a wide-field image, from `error_map`.
    noise : CameraNoise or None
        Of the wide-field image; estimated from the residual where not given.
    events : Localizations or None
        Linked events, all that the image rests on.
    held_out : Localizations or None
        Linked events that the image has never seen: they decide instead of `events` whether the brightness is right.
    prior_share : SRImage or None
        Share of each pixel's brightness that changes with the prior, 0 to 1, on the grid of the image.
    """

    comparison: ErrorMap | None = None
    noise: CameraNoise | None = None
    events: Localizations | None = None
    held_out: Localizations | None = None
    prior_share: SRImage | None = None


def find_artefacts(image: SRImage, support: Support, settings: ArtefactSettings | None = None) -> Artefacts:
    """Tell measured, inferred and contradicted structure apart.

    Parameters
    ----------
    image : SRImage
        Super-resolution image, linear.
    support : Support
        A wide-field comparison, events, or both.
    settings : ArtefactSettings, optional
        Where the lines run.

    Returns
    -------
    Artefacts
        Classes on the grid of the image.

    Raises
    ------
    InputError
        Neither a wide-field comparison nor events are given, they belong to another grid, or events are not linked.
    """
    settings = settings or ArtefactSettings()
    _check(image, support)
    pixels = np.maximum(image.pixels.astype(np.float32), 0)
    piece_nm = settings.piece_nm or (250.0 if support.comparison is None else 2 * support.comparison.rsf_sigma_nm)
    bright = float(np.percentile(pixels[pixels > 0], 99)) if (pixels > 0).any() else 0.0
    threshold = settings.structure_threshold * bright
    pieces = cut_structure(pixels, threshold, piece_nm / image.sr_pixel_size_nm)
    classes = np.where(pieces.labels > 0, ArtefactClass.INFERRED, ArtefactClass.EMPTY).astype(np.float32)
    evidence, contradicted = None, np.zeros(pieces.n, dtype=bool)
    if pieces.n:
        if support.events is not None:
            classes[_is_measured(image, support, settings) & (pieces.labels > 0)] = ArtefactClass.MEASURED
        evidence = _weigh(pixels, image, pieces, support)
        contradicted = _discoveries(evidence, settings.false_discovery_rate)
        classes[np.concatenate([[False], contradicted])[pieces.labels]] = ArtefactClass.CONTRADICTED
    return Artefacts(SRImage(classes, image.grid, "class"), _shares(pixels, classes), pieces, evidence, contradicted)


def suppress(image: SRImage, artefacts: Artefacts) -> SRImage:
    """Take contradicted structure out.

    Parameters
    ----------
    image : SRImage
        The image that was judged.
    artefacts : Artefacts
        From `find_artefacts`.

    Returns
    -------
    SRImage
        Contradicted pieces are dimmed to the share of their brightness that is likely there, all else is untouched.
    """
    if artefacts.evidence is None:
        return image
    share = np.where(artefacts.contradicted, np.clip(artefacts.evidence.mean, 0, 1), 1.0)
    # Below one quarter nothing speaks for the piece any more.
    share[share < 0.25] = 0.0
    factor = np.concatenate([[1.0], share]).astype(np.float32)[artefacts.pieces.labels]
    return SRImage(image.pixels * factor, image.grid, image.unit, image.provenance)


def _check(image: SRImage, support: Support) -> None:
    if support.comparison is None and support.events is None and support.held_out is None:
        msg = "expected a wide-field comparison or linked events to judge an image by, got neither"
        raise InputError(msg)
    if not np.isfinite(image.pixels).all():
        msg = f"expected finite pixels, got {int((~np.isfinite(image.pixels)).sum())} that are not"
        raise InputError(msg)
    others = {
        "wide-field comparison": None if support.comparison is None else support.comparison.error,
        "prior share": support.prior_share,
    }
    for name, other in others.items():
        if other is not None and other.grid != image.grid:
            msg = f"expected the {name} on the grid of the image {image.grid}, got {other.grid}"
            raise InputError(msg)
    for events in (support.events, support.held_out):
        if events is not None:
            check_events(events)


def _is_measured(image: SRImage, support: Support, settings: ArtefactSettings) -> NDArray[np.bool_]:
    if support.events is None:
        return np.zeros(image.pixels.shape, dtype=bool)
    enough = count_support(support.events, image.grid, settings.n_sigma) >= settings.min_events
    if support.prior_share is not None:
        enough &= support.prior_share.pixels <= settings.max_prior_share
    return enough


def _weigh(pixels: NDArray[np.float32], image: SRImage, pieces: Pieces, support: Support) -> PieceEvidence:
    noise = counts = None
    if support.comparison is not None:
        compared = support.comparison
        noise = noise_of_residual(compared.residual.pixels, compared.widefield.pixels, support.noise)
        # Light from outside reaches the rim and what is there cannot be told apart from it.
        rim = int(np.ceil(_RIM * support.comparison.rsf_sigma_nm / support.comparison.residual.sr_pixel_size_nm))
        inner = np.zeros(noise.shape, dtype=bool)
        inner[rim : noise.shape[0] - rim, rim : noise.shape[1] - rim] = True
        noise = np.where(inner, noise, np.inf)
    judges = support.events if support.held_out is None else support.held_out
    if judges is not None:
        reach = 2 * float(np.nanmedian(judges["uncertainty_x_nm"])) if len(judges) else 0.0
        counts = count_on_pieces(judges, pieces, image.grid, reach)
    return weigh_pieces(pieces, pixels, support.comparison, noise, counts)


def _discoveries(evidence: PieceEvidence, rate: float) -> NDArray[np.bool_]:
    """Largest set of pieces whose mean probability of being right stays below the rate."""
    right = 1 - evidence.wrong
    order = np.argsort(right)
    mean = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    found = np.zeros(len(order), dtype=bool)
    found[order[: int(np.searchsorted(mean, rate, side="right"))]] = True
    # A piece that is more likely right than wrong is never contradicted, however clear the others are.
    return found & (evidence.wrong > 0.8)


def _shares(pixels: NDArray[np.float32], classes: NDArray[np.float32]) -> dict[str, float]:
    total = max(float(pixels.sum(dtype=np.float64)), 1e-30)
    return {kind.name.lower(): float(pixels[classes == kind].sum(dtype=np.float64)) / total for kind in ArtefactClass}
