"""A small PSF bank for all simulation tests."""

import numpy as np
import pytest
import torch

from stormcell.physics.psf.bank import BankRow, PSFBank, bank_from_densities
from stormcell.physics.psf.densities import gaussian_density


@pytest.fixture(scope="session")
def gaussian_bank() -> PSFBank:
    """Two Gaussian PSFs of 1.0 and 1.4 px at 110 nm, three heights each."""
    planes = np.array([-200.0, 0.0, 200.0])
    densities = torch.stack(
        [torch.stack([gaussian_density(s * g, s * g) for g in (1.1, 1.0, 1.1)]) for s in (1.0, 1.4)]
    )
    return bank_from_densities(densities, [BankRow("gaussian", 110.0)] * 2, planes)
