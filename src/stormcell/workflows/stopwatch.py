"""Times of the stages of a run, for run.json alone."""

from __future__ import annotations

import time

from stormcell.workflows.run_record import now


class Stopwatch:
    """Counts from its making."""

    def __init__(self) -> None:
        self.started = now()
        self.seconds: dict[str, float] = {}
        self._begin = self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage.

        Parameters
        ----------
        stage : str
            Its name; a stage that ends twice has its times added.
        """
        current = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + current - self._last
        self._last = current

    def readings(self) -> dict[str, float]:
        """Read the times.

        Returns
        -------
        dict of str to float
            Seconds by stage, and `total`.
        """
        rounded = {stage: round(seconds, 3) for stage, seconds in self.seconds.items()}
        return {**rounded, "total": round(time.perf_counter() - self._begin, 3)}
