"""Losses of densify: likelihoods against scipy, similarity against torchmetrics, and who learns from which term."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from stormcell.learning.annapalm_adversarial import Ensemble2018, adversarial_loss
from stormcell.learning.annapalm_data import DensifyData, DensifyDataSettings
from stormcell.learning.annapalm_fields import FieldSettings
from stormcell.learning.annapalm_loss import likelihood_loss, negative_binomial_loss, poisson_loss
from stormcell.learning.annapalm_pairs import PairSettings
from stormcell.learning.annapalm_similarity import blur, image_loss, ms_ssim_map, similarity_parts
from stormcell.networks.annapalm import DensifyOutput
from stormcell.networks.annapalm_published import PublishedArchitecture, PublishedGenerator


def batch(size=64, batch_size=3):
    settings = DensifyDataSettings(batch_size=batch_size, n_fields=3)
    return DensifyData(settings, PairSettings(crop_px=size), FieldSettings(side_nm=4000.0), 1).batch(0)


def test_negative_binomial_is_the_one_of_scipy():
    counts = np.arange(40.0)
    for mean, dispersion in ((0.3, 2.0), (7.0, 0.1), (30.0, 1.0)):
        shape = 1 / dispersion
        expected = -stats.nbinom.logpmf(counts, shape, shape / (shape + mean))
        got = negative_binomial_loss(
            torch.full((40,), mean, dtype=torch.float64),
            torch.full((40,), dispersion, dtype=torch.float64),
            torch.from_numpy(counts),
        )
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-8)


def test_small_dispersion_is_poisson():
    counts = torch.arange(10.0, dtype=torch.float64)
    mean = torch.full((10,), 3.0, dtype=torch.float64)
    got = negative_binomial_loss(mean, torch.full_like(mean, 1e-6), counts) - torch.lgamma(counts + 1)
    torch.testing.assert_close(got, poisson_loss(mean, counts), rtol=1e-4, atol=1e-4)


def test_likelihood_finds_the_rate_and_the_spread_that_made_the_counts():
    # gamma-distributed rates of relative variance 0.5 in every cell, the same in all four of its pixels
    rng = np.random.default_rng(1)
    given = batch(64)
    rate, spread, ratio = 0.02, 0.5, 50.0
    cells = rng.gamma(1 / spread, spread, (3, 1, 32, 32))
    rates = rate * np.repeat(np.repeat(cells, 2, axis=2), 2, axis=3)
    counts = torch.from_numpy(rng.poisson(rates * ratio).astype(np.float32))
    made = given._replace(
        target=counts,
        expected=counts,
        target_ratio=torch.full((3,), ratio),
        inside=torch.ones(3, 1, 64, 64),
    )
    log_rate, log_dispersion = (torch.zeros((), requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([log_rate, log_dispersion], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        output = DensifyOutput(log_rate - 3 + torch.zeros(3, 1, 64, 64), log_dispersion + torch.zeros(3, 1, 32, 32))
        likelihood_loss(output, made)["loss"].backward()
        optimizer.step()
    assert float(torch.exp(log_rate - 3).detach()) == pytest.approx(rate, rel=0.03)
    assert float(torch.exp(log_dispersion).detach()) == pytest.approx(spread, rel=0.1)


def test_pixels_outside_the_field_do_not_count():
    given = batch(32)
    inside = torch.ones(3, 1, 32, 32)
    inside[..., 16:] = 0
    losses = []
    for outside in (-2.0, 3.0):
        log_rate = torch.full((3, 1, 32, 32), -2.0)
        log_rate[..., 16:] = outside
        output = DensifyOutput(log_rate, torch.zeros(3, 1, 16, 16))
        losses.append(likelihood_loss(output, given._replace(inside=inside))["loss"])
    torch.testing.assert_close(losses[0], losses[1])


def images(seed=1, size=64):
    generator = torch.Generator().manual_seed(seed)
    reference = blur(torch.rand(2, 1, size, size, generator=generator), 2.0)
    noise = 0.05 * torch.randn(reference.shape, generator=generator)
    return (reference + noise).clamp(0, 1), reference


def test_similarity_is_the_one_of_torchmetrics():
    from torchmetrics.functional.image import structural_similarity_index_measure

    image, reference = (one.double() for one in images())
    luminance, structure = similarity_parts(image, reference, 1.5, 5)
    _, full = structural_similarity_index_measure(
        image, reference, sigma=1.5, kernel_size=11, data_range=1.0, return_full_image=True
    )
    # the rim is treated differently: theirs is reflected
    inner = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close((luminance * structure)[inner], full[inner], atol=2e-5, rtol=1e-4)


def test_parts_build_the_pyramid_of_torchmetrics():
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    image, reference = images(size=256)
    betas = (0.0448, 0.2856, 0.3001, 0.2363)
    expected = multiscale_structural_similarity_index_measure(
        image, reference, data_range=1.0, betas=betas, kernel_size=11, sigma=1.5, normalize="relu"
    )
    product = torch.ones(2)
    for scale, beta in enumerate(betas):
        luminance, structure = similarity_parts(image, reference, 1.5, 5)
        part = luminance * structure if scale == len(betas) - 1 else structure
        product = product * F.relu(part[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))) ** beta
        image, reference = F.avg_pool2d(image, 2), F.avg_pool2d(reference, 2)
    assert float(product.mean()) == pytest.approx(float(expected), abs=0.01)


def test_image_loss_is_zero_for_equal_images_and_grows_with_blur_and_noise():
    noisy, reference = images()
    losses = [float(image_loss(x, reference)) for x in (reference, blur(reference, 1.0), blur(reference, 4.0))]
    assert losses[0] == pytest.approx(0.0, abs=1e-4)
    assert losses[0] < losses[1] < losses[2]
    assert losses[0] < float(image_loss(noisy, reference))
    assert float(ms_ssim_map(noisy, reference).max()) <= 1.0 + 1e-5


def test_each_term_of_2018_reaches_its_own_network_alone():
    torch.manual_seed(1)
    networks = Ensemble2018(PublishedGenerator(PublishedArchitecture(widths=(4, 8, 8, 8))), 4)
    reached = {
        "image": {"generator"},
        "fooled": {"generator"},
        "critic": {"discriminator"},
        "consistency": {"generator"},
        "low_resolution": {"low_resolution"},
        "dispersion": {"generator"},
    }
    for term, expected in reached.items():
        networks.zero_grad()
        adversarial_loss(networks, batch())[term].backward()
        touched = {
            name.partition(".")[0]
            for name, value in networks.named_parameters()
            if value.grad is not None and value.grad.abs().max() > 0
        }
        assert touched == expected, term


def test_the_objective_of_2018_learns():
    torch.manual_seed(1)
    networks = Ensemble2018(PublishedGenerator(PublishedArchitecture(widths=(4, 8, 8, 8), dropout=0.0)), 4)
    optimizer = torch.optim.Adam(networks.parameters(), lr=2e-3, betas=(0.5, 0.999))
    seen, history = batch(), []
    for _ in range(25):
        optimizer.zero_grad()
        parts = adversarial_loss(networks, seen)
        parts["loss"].backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in parts.items()})
    for name in ("image", "critic", "low_resolution"):
        assert history[-1][name] < history[0][name], name


def test_pairs_without_wide_field_train_too():
    networks = Ensemble2018(PublishedGenerator(PublishedArchitecture(widths=(4, 8, 8, 8))), 4)
    seen = batch()
    parts = adversarial_loss(networks, seen._replace(widefield=torch.full_like(seen.widefield, float("nan"))))
    assert float(parts["consistency"].detach()) == 0
    assert torch.isfinite(parts["loss"])
