"""How far a densified picture is to be believed, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormcell.data.sr_image import SRImage
    from stormcell.workflows.densify_input import DensifyInput
    from stormcell.workflows.densify_judgement import Judgement

Level = Literal["empty", "supported", "mostly inferred", "partly judged", "not judged", "doubtful"]
_MANY_CONTRADICTED = 0.1
_MANY_INFERRED = 0.5
_LITTLE_AGREEMENT = 0.6


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a picture.

    Parameters
    ----------
    level : str
        empty, supported, mostly inferred, doubtful; without classes partly judged, where the wide-field image or
        held-out events agree, or not judged, where there is nothing to compare with.
    sentences : tuple of str
        The same in words.
    numbers : dict of str to float or None
        What it rests on: shares of the intensity that are measured, inferred and contradicted, mean prior share,
        events, their density, how well the picture explains the wide-field image, how strong its fine detail is
        against that of the events, and the share that was dimmed.
    """

    level: Level
    sentences: tuple[str, ...]
    numbers: dict[str, float | None] = field(default_factory=dict)


def verdict(image: SRImage, given: DensifyInput, judged: Judgement, doubts: Sequence[str]) -> Verdict:
    """Say what is to be thought of a picture.

    Parameters
    ----------
    image : SRImage
        The picture.
    given : DensifyInput
        What it was made of.
    judged : Judgement
        Maps.
    doubts : sequence of str
        Where the input lies outside what the network was trained for.

    Returns
    -------
    Verdict
        In words and numbers.
    """
    if not image.pixels.any():
        return Verdict("empty", ("Nothing is drawn: there is nothing to draw it from.",), {"n_events": 0.0})
    shares = _shares(image, judged.classes)
    numbers: dict[str, float | None] = {
        "n_events": given.n_events,
        "events_per_um2": given.events_per_um2,
        "rsp": None if judged.comparison is None else judged.comparison.rsp,
        "rse": None if judged.comparison is None else judged.comparison.rse,
        "prior_share": _weighted(judged.prior_share, image),
    }
    if judged.comparison is not None:
        names = ("rsf_sigma_nm", "alpha", "beta")
        numbers |= {name: float(getattr(judged.comparison, name)) for name in names}
    numbers |= shares
    if judged.held_out is not None:
        known = judged.held_out
        numbers |= {"held_out_gain": known.gain, "held_out_score": known.score, "label_score": known.label_score}
        doubts = [*doubts, *known.doubts]
    numbers["fine_detail_gain"], is_sharpened = _fine_detail(image, given)
    sentences, level = _in_words(numbers, doubts, is_linked=not given.unlinked)
    if is_sharpened:
        sentences += (
            f"Its fine detail is {numbers['fine_detail_gain']:.1f} times as strong as the events hold it: widths of "
            "lines and small gaps are the network's.",
        )
    return Verdict(level, sentences, numbers)


def with_dimmed(said: Verdict, before: SRImage, after: SRImage) -> Verdict:
    """Say that contradicted structure was dimmed, and how much of the picture that took.

    Parameters
    ----------
    said : Verdict
        On the picture as it was drawn.
    before, after : SRImage
        The picture as it was drawn, and as it is written.

    Returns
    -------
    Verdict
        With one more sentence and `dimmed_share`, the share of the intensity that was taken out.
    """
    was, left = (float(image.pixels.sum(dtype=np.float64)) for image in (before, after))
    share = 1 - left / was if was > 0 else 0.0
    return replace(
        said, sentences=(*said.sentences, dimmed_sentence(share)), numbers={**said.numbers, "dimmed_share": share}
    )


def dimmed_sentence(share: float) -> str:
    """Put into words what --suppress did.

    Parameters
    ----------
    share : float
        Share of the intensity that was taken out, 0 to 1.

    Returns
    -------
    str
        One sentence.
    """
    if share <= 0:
        return "Nothing that is drawn is contradicted: --suppress dimmed nothing."
    return (
        f"Structure that is contradicted was dimmed (--suppress): {share:.1%} of the intensity was taken out; all "
        "other maps and numbers are those of the picture before."
    )


def _fine_detail(image: SRImage, given: DensifyInput) -> tuple[float | None, bool]:
    """Strength of fine detail in units of what the events hold, and whether that is too much; None without events."""
    from stormcell.assessment.sharpening import blur_level

    if given.events is None:
        return None, False
    try:
        found = blur_level(image, given.events)
    except InputError:
        return None, False
    return found.gain, found.is_sharpened


def _in_words(
    numbers: dict[str, float | None], doubts: Sequence[str], *, is_linked: bool
) -> tuple[tuple[str, ...], Level]:
    measured, inferred = numbers.get("measured_share"), numbers.get("inferred_share")
    contradicted, rsp = numbers.get("contradicted_share"), numbers["rsp"]
    sentences = []
    # What nobody asked cannot be supported: that word is kept for pictures with classes.
    level = "not judged" if rsp is None and "held_out_gain" not in numbers else "partly judged"
    if measured is not None and inferred is not None and contradicted is not None:
        rows = "three independent events or more" if is_linked else "three rows or more, which may be one molecule's"
        sentences.append(
            f"{measured:.0%} of what is drawn is measured ({rows}, whatever the label), "
            f"{inferred:.0%} is inferred, {contradicted:.0%} is contradicted."
        )
        level = "supported"
        if inferred > _MANY_INFERRED:
            level = "mostly inferred"
        if contradicted > _MANY_CONTRADICTED:
            level = "doubtful"
    if rsp is not None:
        agrees = rsp >= _LITTLE_AGREEMENT
        sentences.append(
            f"The picture {'explains' if agrees else 'does not explain'} the wide-field image (RSP {rsp:.2f}), "
            "which cannot tell what is finer than it resolves."
        )
        level = level if agrees else "doubtful"
    if doubts:
        sentences.append(f"What speaks against it: {'; '.join(doubts)}.")
        level = "doubtful"
    lead = {
        "supported": "Supported by the data.",
        "mostly inferred": "Mostly inferred: a likely picture, not a measured one.",
        "partly judged": "Judged in part: what is measured and what is inferred was not told apart.",
        "not judged": "Not judged: nothing was asked that could speak for or against this picture.",
        "doubtful": "Doubtful: do not rest a conclusion on this picture.",
    }
    return (lead[level], *sentences), level  # type: ignore[return-value] # one of the keys


def _shares(image: SRImage, classes: SRImage | None) -> dict[str, float | None]:
    """Share of the intensity above the threshold that is in each class."""
    from stormcell.assessment.artefacts import ArtefactClass

    if classes is None:
        return {}
    judged = [ArtefactClass.MEASURED, ArtefactClass.INFERRED, ArtefactClass.CONTRADICTED]
    sums = {kind: float(image.pixels[classes.pixels == kind].sum(dtype=np.float64)) for kind in judged}
    total = sum(sums.values())
    if not total:
        return {}
    return {f"{kind.name.lower()}_share": value / total for kind, value in sums.items()}


def _weighted(share: SRImage | None, image: SRImage) -> float | None:
    if share is None:
        return None
    return float((share.pixels * image.pixels).sum(dtype=np.float64) / image.pixels.sum(dtype=np.float64))
