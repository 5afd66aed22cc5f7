"""Settings of the evaluation against truth; without compiled code, so that a command line can show them quickly."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stormcell.settings import Settings

_Positive = Annotated[float, Field(gt=0)]


class EvaluationSettings(Settings):
    """How a table is scored against the truth; the defaults are those of the 2016 localization challenge."""

    tolerance_nm: _Positive = 250.0
    """Largest lateral distance between a localization and the emitter it is paired with."""

    axial_tolerance_nm: _Positive = 500.0
    """Largest axial distance of a pair; used where both tables have z_nm."""

    further_tolerances_nm: tuple[_Positive, ...] = (100.0, 50.0)
    """Lateral tolerances at which the scores are given as well."""

    unmatched_cost: Annotated[float, Field(ge=1)] = 1.0
    """What leaving a possible pair apart costs, in units of the most expensive pair allowed. 1 pairs what is close;
    larger values give more but worse pairs (a published coding of the challenge amounts to 10 in 3-D, 50 in 2-D)."""

    rim_nm: Annotated[float, Field(ge=0)] = 0.0
    """Width of the rim of the field that does not count; pairs are formed first, then those whose emitter lies in the
    rim are dropped, and with them what is unpaired there."""

    insignificant_share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Emitters that were on for less than this share of a frame may take up a localization, but neither they nor it
    count (the challenge uses 0.25). Needs on_fraction in the truth, or emitter_id and photons."""

    quality_tolerance_nm: _Positive = 100.0
    """Photon errors and stated uncertainties are judged on pairs formed within this distance."""

    isolation_nm: _Positive = 400.0
    """An emitter with no other within this distance in its frame is isolated, else crowded."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the random points whose score is given for comparison."""
