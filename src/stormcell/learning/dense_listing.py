"""Listing the emitters of frames whose movie is known: the network, and joint fits of what it lists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormcell.learning.dense_inference import DenseRunner
from stormcell.learning.psf_fitting import busiest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from stormcell.learning.dense_inference import ComponentList
    from stormcell.learning.dense_localizing import DenseLocalizationSettings, MovieFacts
    from stormcell.learning.dense_rows import NetworkUnits
    from stormcell.learning.joint_refinement import JointRefinement
    from stormcell.learning.psf_fitting import FittedPSF
    from stormcell.networks.dense import DenseNet

_EMITTERS_TO_JUDGE = 300


class Lister:
    """Lists the emitters of blocks: by the network, then, where the PSF is known, by joint fits.

    Parameters
    ----------
    network : DenseNet
        Trained network.
    known : MovieFacts
        What is known of the movie.
    units : NetworkUnits
        The movie's units.
    settings : DenseLocalizationSettings
        How.
    """

    def __init__(
        self, network: DenseNet, known: MovieFacts, units: NetworkUnits, settings: DenseLocalizationSettings
    ) -> None:
        condition = None if known.fitted is None else known.fitted.descriptor
        self._runner = make_runner(network, condition, settings)
        self._read_variance = units.read_variance
        self._log_factor = np.float32(0.0 if known.fitted is None else math.log(known.fitted.electrons_factor))
        self._joint: JointRefinement | None = None
        if settings.refines and known.fitted is not None and known.shares_psf:
            # its compiled fits are loaded only where they are asked for
            from stormcell.learning.joint_refinement import JointRefinement

            self._joint = JointRefinement(known.fitted, units.read_variance)

    def misfit(self, fitted: FittedPSF, frames: NDArray[np.float32]) -> float:
        """Say how badly one PSF explains the emitters, of as many frames as hold enough to tell.

        Parameters
        ----------
        fitted : FittedPSF
            The PSF.
        frames : ndarray
            Shape (T, Y, X), network electrons, in any order.

        Returns
        -------
        float
            As `JointRefinement.misfit` gives it.
        """
        from stormcell.learning.joint_refinement import JointRefinement

        window = busiest(frames)
        variance = np.ascontiguousarray(self._read_variance[window])
        joint, n_frames = JointRefinement(fitted, variance), min(len(frames), 2)
        while True:
            part = np.ascontiguousarray(frames[:n_frames, *window])
            listed = self._runner.list_emitters(part, variance, joint.seed_probability)
            listed.rows[:, 5] += self._log_factor
            if len(listed.frame) >= _EMITTERS_TO_JUDGE or n_frames == len(frames):
                return joint.misfit(listed, part)
            n_frames = min(len(frames), 2 * n_frames)

    def list_emitters(self, frames: NDArray[np.float32], least: float) -> ComponentList:
        """List the emitters of consecutive frames.

        Parameters
        ----------
        frames : ndarray
            Shape (T, Y, X), network electrons.
        least : float
            Least probability of a row.

        Returns
        -------
        ComponentList
            In network electrons, the PSF's factor applied.
        """
        wanted = least if self._joint is None else min(least, self._joint.seed_probability)
        listed = self._runner.list_emitters(frames, self._read_variance, wanted)
        listed.rows[:, 5] += self._log_factor
        return listed if self._joint is None else self._joint.refine(listed, frames)


def make_runner(network: DenseNet, condition: Tensor | None, settings: DenseLocalizationSettings) -> DenseRunner:
    """Make the network ready for a movie.

    Parameters
    ----------
    network : DenseNet
        Trained network.
    condition : Tensor or None
        The PSF as it is told; None where it is not known.
    settings : DenseLocalizationSettings
        How.

    Returns
    -------
    DenseRunner
        Ready.
    """
    return DenseRunner(
        network,
        condition=condition,
        uses_neighbours=settings.uses_neighbours,
        device=settings.device,
        precision=settings.precision,
        engine=settings.engine,
    )
