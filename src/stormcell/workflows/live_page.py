"""The page of a run that follows a movie: a picture that refreshes, and the frames still needed."""

from __future__ import annotations

import csv
import html
import io
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from stormcell.assessment.frames_needed import frames_for_agreement, frames_for_resolution, split_halves
from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError
from stormcell.io.writing import write_bytes, write_text
from stormcell.workflows.run_analysis import SR_PIXELS_PER_CAMERA_PIXEL, rows_to_draw
from stormcell.workflows.run_resolution import measure_resolution

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.data.localizations import Localizations
    from stormcell.workflows.camera import MovieContext
    from stormcell.workflows.run_settings import RunVerbSettings

AGREEMENT = 0.9
"""Pictures of two such acquisitions would correlate by so much: then enough is seen."""
RESOLUTION_EXCESS = 0.1
"""A resolution so far above its limit is near enough."""

_AGREEMENT_PIXEL_NM = 20.0
_FEWEST_ROWS = 200
_LOOKS = ("frames", "localizations", "resolution_nm", "frames_for_agreement", "frames_for_resolution")
_ENOUGH = "Enough is seen: the acquisition can be stopped."
_STYLE = (
    "body{font:16px sans-serif;margin:2em;background:#111;color:#eee}img{max-width:90vh;image-rendering:pixelated}"
)


class LivePage:
    """Draws and weighs what was localized so far.

    Parameters
    ----------
    folder : Path or None
        Where live.html, live.png and live.csv go; None writes nothing.
    context : MovieContext
        Camera and pixel size.
    settings : RunVerbSettings
        How to draw; with `densify` agreement is measured on densified pictures.
    method : str
        How frames are localized.
    """

    def __init__(self, folder: Path | None, context: MovieContext, settings: RunVerbSettings, method: str) -> None:
        self._folder, self._context, self._settings, self.method = folder, context, settings, method
        self._image: SRImage | None = None
        self._n_rows = 0
        self.looks: list[dict[str, float]] = []

    def draw(self, table: Localizations) -> None:
        """Add rows to the picture.

        Parameters
        ----------
        table : Localizations
            Rows of the frames that arrived.
        """
        from stormcell.rendering import render

        settings, size = self._settings, self._context.camera_pixel_size_nm
        plain = settings.replace(merge_bursts=False)
        rows = rows_to_draw(table, plain)
        side = settings.sr_pixel_size_nm or size / SR_PIXELS_PER_CAMERA_PIXEL
        piece = render(rows, side, settings.mode, grid=table.grid, settings=settings.rendering)
        before = np.zeros_like(piece.pixels) if self._image is None else self._image.pixels
        self._image = SRImage(before + piece.pixels, piece.grid, piece.unit)
        self._n_rows += rows.n_rows

    def weigh(self, table: Localizations, n_frames: int) -> None:
        """Estimate how many frames are needed in all.

        Parameters
        ----------
        table : Localizations
            All rows so far.
        n_frames : int
            Frames they come from.
        """
        rows = rows_to_draw(table, self._settings.replace(merge_bursts=False))
        if rows.n_rows < _FEWEST_ROWS or rows.grid is None:
            return
        found = measure_resolution(rows, rows.grid, self._settings.linking)
        resolution = math.nan if found is None or found.frc_resolution_nm is None else found.frc_resolution_nm
        first, second = split_halves(rows)
        pictures = [self._picture(half) for half in (first, second)] if first.n_rows and second.n_rows else []
        needed = frames_for_agreement(pictures[0], pictures[1], n_frames, AGREEMENT) if pictures else math.nan
        look = {"frames": n_frames, "localizations": rows.n_rows, "resolution_nm": resolution}
        n = [*(int(past["frames"]) for past in self.looks), n_frames]
        measured = [*(past["resolution_nm"] for past in self.looks), resolution]
        look["frames_for_agreement"] = needed
        look["frames_for_resolution"] = frames_for_resolution(n, measured, RESOLUTION_EXCESS)
        self.looks.append(look)

    def _picture(self, rows: Localizations) -> np.ndarray:
        if self._settings.densify:
            dense = self._densified(rows)
            if dense is not None:
                return dense
        from scipy.ndimage import gaussian_filter

        grid = rows.grid
        if grid is None:
            return np.zeros((1, 1))
        (y0, x0), (height, width) = grid.origin_nm, grid.extent_nm
        shape = [max(1, math.ceil(side / _AGREEMENT_PIXEL_NM)) for side in (height, width)]
        ends = [[y0, y0 + shape[0] * _AGREEMENT_PIXEL_NM], [x0, x0 + shape[1] * _AGREEMENT_PIXEL_NM]]
        counts = np.histogram2d(rows["y_nm"], rows["x_nm"], bins=shape, range=ends)[0]
        smoothed: np.ndarray = gaussian_filter(counts, 1.0)
        return smoothed

    def _densified(self, rows: Localizations) -> np.ndarray | None:
        from stormcell.workflows.densify import densify_input
        from stormcell.workflows.densify_input import independent_events, input_of_events

        options = self._settings.densification.replace(classify=False, flatten=False)
        try:
            events, note = independent_events(rows, link=True, linking=self._settings.linking)
            done = densify_input(input_of_events(events, None, note), options, self._settings.network.device, None)
        except InputError:
            return None
        pixels: np.ndarray = done.image.pixels
        return pixels

    def needed(self) -> tuple[float, str]:
        """Say how many frames are needed in all.

        Returns
        -------
        tuple of float and str
            NaN while it is not known, and a sentence.
        """
        last = self.looks[-1] if self.looks else {}
        reached = {
            "the picture": last.get("frames_for_agreement", math.nan),
            "the resolution": last.get("frames_for_resolution", math.nan),
        }
        known = {name: value for name, value in reached.items() if not math.isnan(value)}
        if not known:
            return math.nan, "Frames needed: not known yet."
        most = max(known.values())
        if math.isinf(most):
            return most, "Frames needed: no end in sight yet."
        parts = ", ".join(f"{name} by about {value:,.0f}" for name, value in known.items())
        return most, f"Frames needed: about {most:,.0f} in all ({parts})."

    def write(self, n_done: int, n_there: int, n_left_out: int) -> None:
        """Write picture, page and table of looks, each in one step.

        Parameters
        ----------
        n_done, n_there, n_left_out : int
            Frames up to the last one localized, there, and left out of the picture.
        """
        if self._folder is None or self._image is None:
            return
        from stormcell.workflows.pictures import picture_with_scale_bar

        write_bytes(self._folder / "live.png", picture_with_scale_bar(self._image), overwrite=True)
        needed, sentence = self.needed()
        seen = n_done - n_left_out
        state = f"{n_there:,} frames arrived, {seen:,} in the picture ({self.method}), {self._n_rows:,} rows."
        if n_left_out:
            state += (
                f" That is {seen / max(n_there, 1):.1%}: {n_left_out:,} frames, evenly chosen, were left out to keep "
                "pace; they follow when the acquisition pauses, and the run at the end takes all."
            )
        if math.isfinite(needed):
            still = max(0.0, needed - n_there)
            verdict = f"About {still:,.0f} frames still needed." if still else _ENOUGH
        else:
            verdict = ""
        resolution = self.looks[-1]["resolution_nm"] if self.looks else math.nan
        measured = f"Resolution now {resolution:.0f} nm." if math.isfinite(resolution) else ""
        # the number behind the name makes the browser fetch the new picture
        page = (
            "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=1>"
            f"<title>Live</title><style>{_STYLE}</style><h1>{verdict or html.escape(sentence)}</h1>"
            f"<p>{html.escape(state)} {measured} {html.escape(sentence)}</p>"
            f'<img alt="picture so far" src="live.png?{time.time_ns()}">'
        )
        write_text(self._folder / "live.html", page, overwrite=True)
        text = io.StringIO()
        table = csv.DictWriter(text, _LOOKS, lineterminator="\n")
        table.writeheader()
        table.writerows(self.looks)
        write_text(self._folder / "live.csv", text.getvalue(), overwrite=True)
