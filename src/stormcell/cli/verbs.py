"""The verbs: where each lives and what it says about itself in one line, told without importing any of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VerbEntry:
    """One verb: the module in this folder that holds it, its one-line help, and the group it is listed in."""

    name: str
    help: str
    group: str

    @property
    def module(self) -> str:
        """Full name of the module that holds the verb."""
        return f"stormcell.cli.{self.name}"


_MAIN = "From movie to picture"
_TABLES = "Tables"
_LOOK = "Look and check"
_SIMULATE = "Simulate and calibrate"

_ALL = (
    VerbEntry("run", "Make everything from a movie: table, super-resolution image, error map, report.", _MAIN),
    VerbEntry("demo", "Simulate a small dense movie and do everything that run does for it.", _MAIN),
    VerbEntry("localize", "Find and fit the emitters of every frame; write a table.", _MAIN),
    VerbEntry("reconstruct", "Draw the picture that a network sums up from all frames of a dense movie.", _MAIN),
    VerbEntry("render", "Draw a super-resolution image from a table.", _MAIN),
    VerbEntry("densify", "Draw the picture a long acquisition would have given, from a short one.", _MAIN),
    VerbEntry("batch", "Do one verb for many inputs, resumable, on one machine or a cluster.", _MAIN),
    VerbEntry("rerun", "Repeat a run from its run.json and say whether the results are identical.", _MAIN),
    VerbEntry("drift", "Estimate the sample drift from a table and take it out.", _TABLES),
    VerbEntry("link", "Merge the localizations of one burst over consecutive frames.", _TABLES),
    VerbEntry("filter", "Keep the rows for which an expression holds.", _TABLES),
    VerbEntry("convert", "Write a table or a movie in another format.", _TABLES),
    VerbEntry("estimate", "Read PSF, photons, background, density, on-time and gain from a movie.", _SIMULATE),
    VerbEntry("simulate", "Make a movie with its truth: structure, blinking, PSF, background, camera.", _SIMULATE),
    VerbEntry("psf", "Measure the PSF from beads or from sparse spots.", _SIMULATE),
    VerbEntry("train", "Train a network for one's own microscope.", _SIMULATE),
    VerbEntry("models", "List the networks, or show what the card of one says.", _LOOK),
    VerbEntry("info", "Say what is inside a file.", _LOOK),
    VerbEntry("check", "Say how far a super-resolution image can be trusted, by a wide-field image.", _LOOK),
    VerbEntry("resolution", "Measure the resolution of a table or an image.", _LOOK),
    VerbEntry("evaluate", "Compare a table with the truth.", _LOOK),
    VerbEntry("doctor", "Say what this machine and its libraries offer.", _LOOK),
)

VERBS: dict[str, VerbEntry] = {entry.name: entry for entry in _ALL}
"""All verbs by name, in the order in which help lists them."""
