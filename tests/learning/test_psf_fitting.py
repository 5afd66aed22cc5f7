"""The PSF fitted to a movie: against the PSF the movie was made with."""

import copy

import numpy as np
import pytest
import torch

from stormcell.learning.dense_data import centred_images, fit_descriptor
from stormcell.learning.dense_model import load_dense_model
from stormcell.learning.dense_training import widen_descriptor
from stormcell.learning.psf_fitting import SIDE_PX as WINDOW_PX
from stormcell.learning.psf_fitting import busiest, fit_psf
from stormcell.networks.dense import DenseArchitecture, DenseNet
from stormcell.physics.psf.random_bank import random_psf_bank

N_FRAMES = 14
SIDE_PX = 48
READ_VARIANCE_E2 = 2.0


def frames_of(bank, kernel: int, *, per_frame: int, seed: int = 3):
    rng = np.random.default_rng(seed)
    n = N_FRAMES * per_frame
    x, y = rng.uniform(-4, SIDE_PX + 4, (2, n))
    electrons = 1500 * np.exp(0.5 * rng.standard_normal((n, 1)))
    frames = torch.full((N_FRAMES, 1, SIDE_PX, SIDE_PX), 20.0)
    bank.add_to_frames(
        frames,
        torch.arange(0, n + 1, per_frame),
        torch.full((n,), kernel),
        torch.from_numpy(x),
        torch.from_numpy(y),
        torch.from_numpy(electrons.astype(np.float32)),
    )
    expected = frames[:, 0].numpy()
    noisy = rng.poisson(expected) + rng.normal(0, READ_VARIANCE_E2**0.5, expected.shape)
    return noisy.astype(np.float32), np.full((SIDE_PX, SIDE_PX), READ_VARIANCE_E2, np.float32)


@pytest.fixture(scope="module")
def network():
    return load_dense_model("dense").network


@pytest.fixture(scope="module")
def bank():
    return random_psf_bank(6, 4711)


@pytest.mark.parametrize("psf", [1, 4])
def test_psf_of_the_movie_is_found(network, bank, psf):
    kernel = psf * bank.n_planes + bank.focus_plane
    truth = network.describe_psf(centred_images(bank).reshape(-1, 11, 11))[kernel]
    found = fit_psf(network, *frames_of(bank, kernel, per_frame=45))
    error = (found.descriptor - truth)[:8]
    assert error.square().mean().sqrt() < 0.6
    # the width is the first component, and the one that matters most
    assert error[0].abs() < 0.4
    assert error.norm() < 0.6 * truth[:8].norm()


def test_electrons_under_the_fitted_psf_are_the_true_ones(network, bank):
    kernel = 4 * bank.n_planes + bank.focus_plane
    frames, variance = frames_of(bank, kernel, per_frame=12)
    fitted = fit_psf(network, frames, variance)
    assert fitted is not None
    dimmer = fit_psf(_seeing_fewer_electrons(network, 0.2), frames, variance)
    assert dimmer is not None
    # the fit corrects what the network says, whatever that is
    assert dimmer.electrons_factor == pytest.approx(fitted.electrons_factor * np.exp(0.2), rel=0.03)


def _seeing_fewer_electrons(network, log_factor):
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.head.bias[5] -= log_factor / 2.0
    return changed


def test_few_emitters_tell_no_psf(network, bank):
    assert fit_psf(network, *frames_of(bank, bank.focus_plane, per_frame=2)) is None


def test_small_frames_tell_no_psf(network):
    assert fit_psf(network, np.full((50, 16, 200), 20.0, np.float32), np.ones((16, 200), np.float32)) is None


def test_network_without_its_family_fits_none(bank):
    frames, variance = frames_of(bank, bank.focus_plane, per_frame=45)
    assert fit_psf(DenseNet(DenseArchitecture((8, 8, 8))), frames, variance) is None


def test_family_image_is_a_psf_of_the_family(bank):
    network = DenseNet(DenseArchitecture((8, 8, 8)))
    fit_descriptor(network, bank)
    images = centred_images(bank, 21)
    # a small bank has fewer axes than the network can hold
    square = network.root_axes.square().sum(dim=1).clamp(min=1e-12)
    z = (images.clamp(min=0).sqrt() - network.root_mean) @ network.root_axes.T / square
    torch.testing.assert_close(network.family_image(z[5]).flatten(), images[5], atol=1e-3, rtol=0)


def test_wider_descriptor_answers_alike_until_trained(bank):
    torch.manual_seed(0)
    short, long = DenseNet(DenseArchitecture((8, 8, 8), 4)), DenseNet(DenseArchitecture((8, 8, 8), 7))
    fit_descriptor(short, bank)
    fit_descriptor(long, bank)
    long.load_state_dict(widen_descriptor(short.state_dict(), long))
    frames, variance = torch.rand(2, 1, 16, 16) * 50, torch.ones(2, 1, 16, 16)
    told = torch.randn(2, 7)
    output, said = short(frames, variance, told[:, :4])
    longer, further = long(frames, variance, told)
    for first, second in zip(output, longer, strict=True):
        torch.testing.assert_close(first, second)
    torch.testing.assert_close(said, further[:, [0, 1, 2, 3, 7, 8, 9, 10]])
    assert not further[:, [4, 5, 6, 11, 12, 13]].any()


@pytest.mark.parametrize(("corner", "expected"), [((400, 30), (400, 30)), ((0, 0), (0, 0)), ((600, 644), (600, 644))])
def test_large_frames_are_looked_at_where_light_comes_and_goes(corner, expected):
    rng = np.random.default_rng(2)
    frames = rng.normal(100, 3, (6, 600 + WINDOW_PX, 644 + WINDOW_PX)).astype(np.float32)
    y, x = corner
    frames[:, y : y + WINDOW_PX, x : x + WINDOW_PX] += rng.normal(0, 30, (6, WINDOW_PX, WINDOW_PX))
    frames[:, 500:520, 500:520] += 50_000  # bright but still
    rows, columns = busiest(frames)
    assert abs(rows.start - expected[0]) < 8
    assert abs(columns.start - expected[1]) < 8
    assert (rows.stop - rows.start, columns.stop - columns.start) == (WINDOW_PX, WINDOW_PX)


def test_frames_as_large_as_the_window_are_looked_at_whole():
    frames = np.zeros((3, 40, 300), np.float32)
    frames[1, :, 200:] = 5.0
    rows, columns = busiest(frames)
    assert rows.start == 0
    assert columns.start == 44
