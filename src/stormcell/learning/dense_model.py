"""Dense networks as model folders, and whether a movie lies within what one was trained for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import ModelError
from stormcell.learning.model_folder import ModelCard, find_model, load_weights
from stormcell.networks.dense import DESCRIPTOR_WINDOW_PX, DenseArchitecture, DenseNet
from stormcell.physics.psf.gaussian_fit import WINDOW_PX, fit_gaussians

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from stormcell.data import Localizations


@dataclass(frozen=True)
class DenseModel:
    """A dense network with its card.

    Parameters
    ----------
    card : ModelCard
        What it was trained on and how well it does.
    network : DenseNet
        With its weights.
    """

    card: ModelCard
    network: DenseNet


def load_dense_model(name: str) -> DenseModel:
    """Load a dense network.

    Parameters
    ----------
    name : str
        Name of a shipped model, or a model folder.

    Returns
    -------
    DenseModel
        Checked and ready.

    Raises
    ------
    ModelError
        There is no such model, it is damaged, or it is for another task.
    """
    card, weights = load_weights(find_model(name))
    if (card.architecture, card.architecture_version) != (DenseNet.name, DenseNet.version):
        msg = (
            f"expected a model of architecture {DenseNet.name} version {DenseNet.version}, got "
            f"{card.architecture} version {card.architecture_version} in {name}; choose another model"
        )
        raise ModelError(msg)
    try:
        network = network_from_weights(weights)
    except (RuntimeError, KeyError) as error:
        msg = f"the weights of the model {name} are not those of a {DenseNet.name} network; copy the folder again"
        raise ModelError(msg) from error
    return DenseModel(card, network)


def network_from_weights(weights: Mapping[str, Tensor]) -> DenseNet:
    """Build the network that weights belong to; their shapes tell its sizes.

    Parameters
    ----------
    weights : mapping of str to Tensor
        As `DenseNet.state_dict` gives them.

    Returns
    -------
    DenseNet
        Ready to run.
    """
    full, half, quarter = (
        int(weights[f"{stage}.conv.bias"].shape[0]) for stage in ("stem", "encode1.0", "encode2.0")
    )
    n_condition = int(weights["psf_basis"].shape[0])
    network = DenseNet(DenseArchitecture(widths=(full, half, quarter), n_condition=n_condition))
    # weights of before the family was kept: the PSF is then not fitted
    family = {name: getattr(network, name) for name in ("root_mean", "root_axes")}
    network.load_state_dict({**family, **weights})
    return network.eval()


def psf_sigma_of(network: DenseNet, descriptor: Tensor) -> float:
    """Turn a PSF descriptor into the width of the best-fit Gaussian.

    Parameters
    ----------
    network : DenseNet
        Whose descriptor it is.
    descriptor : Tensor
        Shape (n_condition,).

    Returns
    -------
    float
        Camera pixels.
    """
    basis = network.psf_basis.double()
    spread = 1.0 / basis.square().sum(dim=1)
    root = network.psf_mean.double() + (descriptor.double() * spread) @ basis
    image = root.clamp(min=0.0).square().reshape(DESCRIPTOR_WINDOW_PX, DESCRIPTOR_WINDOW_PX)
    rim = (DESCRIPTOR_WINDOW_PX - WINDOW_PX) // 2
    return float(fit_gaussians(image[None, rim:-rim, rim:-rim]).sigma_px[0])


def range_warnings(
    card: ModelCard, table: Localizations, psf_sigma_px: float | None = None, qe: float = 1.0
) -> list[str]:
    """Say in words where a movie lies outside what the model was trained for.

    Parameters
    ----------
    card : ModelCard
        Of the model used.
    table : Localizations
        What it found; photons, background, frame, and the grid and number of frames for the density.
    psf_sigma_px : float, optional
        PSF width of the movie, camera pixels.
    qe : float
        Electrons per photon: the model's range is in electrons.

    Returns
    -------
    list of str
        One sentence for each quantity that is off; empty where all is well.
    """
    valid = card.valid_range
    found: list[tuple[str, float, str, tuple[float, float] | None]] = []
    if table.n_rows:
        light = qe * float(np.median(table["photons"]))
        found.append(("light of a localization", light, " electrons", valid.electrons))
        background = qe * float(np.median(table["background_photons"]))
        found.append(("background per pixel", background, " electrons", valid.background_e))
        if table.grid is not None and table.n_frames:
            area_um2 = math.prod(table.grid.extent_nm) / 1e6
            density = table.n_rows / table.n_frames / area_um2 * (table.grid.pixel_size_nm / 100.0) ** 2
            found.append(("density", density, " per 10 x 10 camera pixels", valid.density_per_um2))
    if psf_sigma_px is not None:
        found.append(("PSF width", psf_sigma_px, " px", valid.psf_sigma_px))
    return [
        f"the movie's {name} of {value:.3g}{unit} lies outside the model's range ({limits[0]:g} to {limits[1]:g}): "
        "results are less reliable; use --method mle or multi, or train a model with stormcell train dense --like"
        for name, value, unit, limits in found
        if limits is not None and not limits[0] <= value <= limits[1]
    ]
