"""Blinking: a four-state Markov chain per fluorophore, in continuous time, recorded frame by frame.

States: *off* (long-lived, not yet activated or shelved), *on*, *dark* (short-lived gap within a burst), *bleached*.
All dwell times are exponential and begin and end at any time, so the first and last frame of an event are partial.
Every fluorophore has a random stream of its own: events do not depend on the block length or the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from stormcell.errors import SettingsError
from stormcell.simulation.noise import normal, stream, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.blinking_settings import BlinkingSettings

_OFF, _ON, _DARK, _BLEACHED = 0, 1, 2, 3


@dataclass(frozen=True)
class Rates:
    """The chain in numbers; times in frames."""

    mean_on: float
    mean_off: float
    mean_dark: float
    dark_probability: float
    bleach_probability: float

    @property
    def on_share(self) -> float:
        """Share of the time a fluorophore is on, counting bleaching as a return to the off-state."""
        return self.burst_on / (self.mean_off + self.burst_on + self.burst_dark)

    @property
    def dark_share(self) -> float:
        """Share of the time it is in a dark gap within a burst."""
        return self.burst_dark / (self.mean_off + self.burst_on + self.burst_dark)

    @property
    def burst_on(self) -> float:
        """Mean time on in a burst: the number of its on-events is geometric."""
        return self.mean_on / (1 - self.dark_probability)

    @property
    def burst_dark(self) -> float:
        """Mean time in the dark gaps of a burst."""
        return self.mean_dark * self.dark_probability / (1 - self.dark_probability)


def chain_rates(settings: BlinkingSettings, n_fluorophores: int, area_um2: float) -> Rates:
    """Turn settings into the rates of the chain.

    Parameters
    ----------
    settings : BlinkingSettings
        With mean_off_frames, or with the wanted density.
    n_fluorophores : int
        Labelled fluorophores in the field.
    area_um2 : float
        Area of the field.

    Returns
    -------
    Rates
        All dwell times and probabilities.

    Raises
    ------
    SettingsError
        There are too few fluorophores for the wanted density.
    """
    s = settings
    rates = Rates(
        s.mean_on_frames, s.mean_off_frames or 0.0, s.mean_dark_frames, s.dark_probability, s.bleach_probability
    )
    if s.frame_locked:
        rates = replace(rates, mean_on=1.0, dark_probability=0.0)
    if s.density_per_um2 is None or n_fluorophores == 0:
        return rates
    wanted = s.density_per_um2 * area_um2
    mean_off = rates.burst_on * (n_fluorophores / wanted - 1) - rates.burst_dark
    if mean_off <= 0:
        msg = (
            f"density_per_um2: {s.density_per_um2:g} needs {wanted:.0f} emitters on at once, too many for the "
            f"{n_fluorophores} fluorophores in the field; lower it, or raise the labelling efficiency"
        )
        raise SettingsError(msg)
    return replace(rates, mean_off=mean_off)


@dataclass(frozen=True)
class LitRows:
    """Emitters lit in frames; arrays of shape (N,), sorted by frame, then fluorophore."""

    frame: NDArray[np.int64]
    fluorophore: NDArray[np.int64]
    photons: NDArray[np.float64]
    on_fraction: NDArray[np.float64]


class BlinkingEnsemble:
    """Fluorophores that blink; `advance` plays them forward block by block.

    Parameters
    ----------
    n_fluorophores : int
        How many.
    settings : BlinkingSettings
        Start state and brightness.
    rates : Rates
        From `chain_rates`.
    seed : int
        Seed, >= 0.
    """

    def __init__(self, n_fluorophores: int, settings: BlinkingSettings, rates: Rates, seed: int) -> None:
        self.settings = settings
        self.rates = rates
        self._chain = np.array(
            [rates.mean_on, rates.mean_off, rates.mean_dark, rates.dark_probability, rates.bleach_probability]
        )
        self._light = np.array([settings.photons, settings.photon_spread])
        self.state = np.zeros(n_fluorophores, np.int8)
        self._until = np.zeros(n_fluorophores)
        self._brightness = np.zeros(n_fluorophores)
        self._streams = np.zeros(n_fluorophores, np.uint64)
        self._time = 0
        self._seed = seed
        shares = {"steady": (rates.on_share, rates.dark_share), "off": (0.0, 0.0), "on": (1.0, 0.0)}[settings.start]
        _start(self.state, self._until, self._brightness, self._streams, (self._chain, self._light), shares, seed)

    def advance(self, n_frames: int) -> LitRows:
        """Play the next frames.

        Parameters
        ----------
        n_frames : int
            How many, >= 1.

        Returns
        -------
        LitRows
            Everything that was lit in them, at expected photons.
        """
        first, last = self._time, self._time + n_frames
        if self.settings.frame_locked:
            self._time = last
            return self._flash(range(first, last))
        memory = (self.state, self._until, self._brightness, self._streams)
        copies = tuple(array.copy() for array in memory)
        # played twice: once on copies to learn how many rows there will be
        n_rows = _play(copies, (self._chain, self._light), (first, last), _empty_rows(0))
        rows = _empty_rows(n_rows)
        _play(memory, (self._chain, self._light), (first, last), rows)
        self._time = last
        frame, fluorophore, photons, on_fraction = _merge_same_frame(*rows)
        return LitRows(frame, fluorophore, photons, on_fraction)

    def _flash(self, frames: range) -> LitRows:
        """Light emitters for whole frames; a frame depends on its number and on who has bleached alone."""
        rates, photons, spread = self.rates, self.settings.photons, self.settings.photon_spread
        found = []
        for frame in frames:
            rng = np.random.Generator(np.random.Philox(key=[self._seed, frame + 2**40]))
            n = len(self.state)
            lit = rng.choice(n, rng.binomial(n, min(1.0, rates.on_share)), replace=False, shuffle=False)
            who = np.sort(lit[self.state[lit] != _BLEACHED])
            brightness = photons * np.exp(spread * rng.standard_normal(len(who)) - spread**2 / 2)
            self.state[who[rng.random(len(who)) < rates.bleach_probability]] = _BLEACHED
            found.append((np.full(len(who), frame), who, brightness, np.ones(len(who))))
        return LitRows(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _empty_rows(n: int) -> tuple[NDArray[Any], ...]:
    return np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n), np.empty(n)


def _merge_same_frame(
    frame: NDArray[np.int64],
    fluorophore: NDArray[np.int64],
    photons: NDArray[np.float64],
    on_fraction: NDArray[np.float64],
) -> tuple[NDArray[Any], ...]:
    """Sort by frame and add up events of one fluorophore within one frame."""
    order = np.lexsort((fluorophore, frame))
    frame, fluorophore = frame[order], fluorophore[order]
    is_new = np.ones(len(frame), np.bool_)
    is_new[1:] = (frame[1:] != frame[:-1]) | (fluorophore[1:] != fluorophore[:-1])
    start = np.flatnonzero(is_new)
    if not len(start):
        return frame, fluorophore, photons, on_fraction
    sums = (np.add.reduceat(values[order], start) for values in (photons, on_fraction))
    return frame[start], fluorophore[start], *sums


@numba.njit(cache=True, nogil=True, inline="always")
def _exponential(state: NDArray[np.uint64], mean: float) -> Any:
    return -mean * math.log(uniform(state))


@numba.njit(cache=True, nogil=True, inline="always")
def _draw_brightness(state: NDArray[np.uint64], light: NDArray[np.float64]) -> Any:
    return light[0] * math.exp(light[1] * normal(state) - light[1] * light[1] / 2)


@numba.njit(cache=True, nogil=True)
def _start(
    state: NDArray[np.int8],
    until: NDArray[np.float64],
    brightness: NDArray[np.float64],
    streams: NDArray[np.uint64],
    model: tuple[NDArray[np.float64], NDArray[np.float64]],
    shares: tuple[float, float],
    seed: int,
) -> None:
    """Put every fluorophore in its first state; `shares` are the chances to be on and dark."""
    chain, light = model
    for i in range(len(state)):
        random = stream(seed, 1, i)
        u = uniform(random)
        if u <= shares[0]:
            state[i] = _ON
        elif u <= shares[0] + shares[1]:
            state[i] = _DARK
        else:
            state[i] = _OFF
        mean = chain[0] if state[i] == _ON else (chain[2] if state[i] == _DARK else chain[1])
        until[i] = _exponential(random, mean)
        brightness[i] = _draw_brightness(random, light)
        streams[i] = random[0]


@numba.njit(cache=True, nogil=True)
def _play(
    memory: tuple[NDArray[Any], ...],
    model: tuple[NDArray[np.float64], NDArray[np.float64]],
    window: tuple[int, int],
    rows: tuple[NDArray[Any], ...],
) -> int:
    """Play the chains through frames window[0] to window[1]; return the number of rows, filled if there is room."""
    state, until, brightness, streams = memory
    chain, light = model
    n_rows = 0
    random = np.empty(1, np.uint64)
    for i in range(len(state)):
        now = float(window[0])
        random[0] = streams[i]
        while now < window[1] and state[i] != _BLEACHED:
            stop = min(until[i], float(window[1]))
            if state[i] == _ON:
                frame = math.floor(now)
                while frame < stop:
                    share = min(stop, frame + 1.0) - max(now, float(frame))
                    if share > 0:
                        if n_rows < len(rows[0]):
                            rows[0][n_rows] = frame
                            rows[1][n_rows] = i
                            rows[2][n_rows] = share * brightness[i]
                            rows[3][n_rows] = share
                        n_rows += 1
                    frame += 1
            now = stop
            if until[i] > window[1]:
                break
            if state[i] == _ON:
                u = uniform(random)
                if u <= chain[4]:
                    state[i] = _BLEACHED
                elif u <= chain[4] + chain[3]:
                    state[i] = _DARK
                    until[i] += _exponential(random, chain[2])
                else:
                    state[i] = _OFF
                    until[i] += _exponential(random, chain[1])
            else:
                state[i] = _ON
                until[i] += _exponential(random, chain[0])
                brightness[i] = _draw_brightness(random, light)
        streams[i] = random[0]
    return n_rows
