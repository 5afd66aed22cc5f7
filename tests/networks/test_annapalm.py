"""Densify networks: sizes, conditioning that no norm can take back, the critic's patch."""

import math

import pytest
import torch
from torch import nn

from stormcell.networks.annapalm import (
    SMOOTHINGS,
    STRUCTURE_LABELS,
    UNKNOWN,
    DensifyArchitecture,
    DensifyInput,
    DensifyNet,
    Film,
    condition_vector,
    pixel_norm,
    smoothed,
)
from stormcell.networks.annapalm_published import (
    HALF_RATE,
    LowResolutionNet,
    PatchDiscriminator,
    PublishedArchitecture,
    PublishedGenerator,
    as_image,
    receptive_field,
    visible,
)


def given(label=UNKNOWN, share=0.03, shape=(1, 1, 32, 48), density=20.0):
    generator = torch.Generator().manual_seed(1)
    n = shape[0]
    return DensifyInput(
        counts=torch.poisson(torch.rand(shape, generator=generator), generator=generator),
        widefield=torch.rand(shape, generator=generator),
        mask=torch.ones(n, 2, *shape[2:]),
        present=torch.ones(n, 2),
        structure=torch.full((n,), label),
        log_share=torch.full((n,), math.log(share) if share else float("nan")),
        log_events_per_um2=torch.full((n,), math.log(density)),
    )


NETWORKS = {
    "lean": lambda: DensifyNet(DensifyArchitecture(widths=(8, 8, 8, 8), fine=4)),
    "published": lambda: PublishedGenerator(PublishedArchitecture(widths=(8, 8, 8, 8))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_label_and_the_exposure_reach_the_output(name):
    torch.manual_seed(1)
    network = NETWORKS[name]().eval()
    plain = network(given()).log_rate
    assert plain.shape == (1, 1, 32, 48)
    assert network(given()).log_dispersion.shape == (1, 1, 16, 24)
    for label in range(len(STRUCTURE_LABELS) - 1):
        assert (network(given(label)).log_rate - plain).abs().max() > 1e-6
    assert (network(given(share=None)).log_rate - plain).abs().max() > 1e-6


def test_a_shift_behind_the_norm_stays_and_one_before_an_instance_norm_is_lost():
    torch.manual_seed(1)
    film, norm = Film(3, 2), nn.InstanceNorm2d(3)
    x, codes = torch.randn(1, 3, 8, 8), torch.eye(2)
    behind = [film(norm(x), code[None]).mean(dim=(2, 3)) for code in codes]
    expected = film.linear(codes)[:, 3:]
    for got, shift in zip(behind, expected, strict=True):
        torch.testing.assert_close(got[0], shift, atol=1e-5, rtol=0)
    before = [norm(x + film.linear(code)[3:, None, None]) for code in codes]
    torch.testing.assert_close(before[0], before[1], atol=1e-5, rtol=0)


def test_pixel_norm_shares_nothing_between_pixels():
    torch.manual_seed(1)
    x = torch.randn(1, 5, 6, 7)
    torch.testing.assert_close(pixel_norm(x)[:, :, 2:4, 3:5], pixel_norm(x[:, :, 2:4, 3:5]))
    assert pixel_norm(x).square().mean(dim=1).sub(1).abs().max() < 1e-2


def test_condition_tells_an_unknown_share_from_any_known_one():
    vectors = [condition_vector(given(share=share))[0] for share in (None, math.exp(-3.5))]
    assert not torch.isnan(vectors[0]).any()
    assert (vectors[0] != vectors[1]).sum() == 1


def test_plain_smoothings_keep_the_number_of_events_and_do_not_know_where_the_image_ends():
    counts = torch.zeros(1, 1, 160, 160)
    counts[0, 0, 80, 81] = 5
    plain = smoothed(counts, torch.ones_like(counts))
    assert plain.shape == (1, len(SMOOTHINGS), 160, 160)
    # the widest one reaches beyond the image, and its cut tails are what is missing
    torch.testing.assert_close(
        plain[:, :-1].sum(dim=(2, 3)), torch.full((1, len(SMOOTHINGS) - 1), 5.0), rtol=0.02, atol=0
    )
    y = torch.arange(160) + 0.5 - 80.5
    widths = (plain[0].sum(dim=2) * y**2).sum(dim=1).div(plain[0].sum(dim=(1, 2))).sqrt() * 20
    for got, expected in zip(widths, (20, 40, 80, 160, 320), strict=True):
        assert float(got) == pytest.approx(expected, rel=0.12)
    even = smoothed(torch.ones(1, 1, 32, 48), torch.ones(1, 1, 32, 48))
    torch.testing.assert_close(even, torch.ones_like(even))


def test_an_untrained_network_draws_a_smoothing_of_its_input():
    torch.manual_seed(1)
    seen = given(shape=(1, 1, 64, 64), density=2500.0)
    with torch.no_grad():
        rate = torch.exp(DensifyNet()(seen).log_rate)
    plain = smoothed(seen.counts, seen.mask[:, :1]).mean(dim=1, keepdim=True)
    assert float(torch.corrcoef(torch.stack([rate.flatten(), plain.flatten()]))[0, 1]) > 0.95


def test_sizes_are_what_was_promised():
    network = DensifyNet()
    assert 0.5e6 < sum(p.numel() for p in network.parameters()) < 1.5e6
    assert network.macs_per_pixel() < 100e3
    assert sum(p.numel() for p in LowResolutionNet().parameters()) == pytest.approx(17_000, rel=0.1)


def test_macs_are_those_that_hooks_count():
    network, counted = DensifyNet(), 0

    def count(module, _, output):
        nonlocal counted
        counted += module.weight.numel() * output.shape[-1] * output.shape[-2]

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(given(shape=(1, 1, 64, 64)))
    assert counted / 64**2 == pytest.approx(network.macs_per_pixel(), rel=1e-6)


def test_the_critic_sees_patches_of_70_pixels():
    assert receptive_field() == 70
    critic = PatchDiscriminator(4)
    for index, layer in enumerate(critic.layers):
        if isinstance(layer, nn.InstanceNorm2d):
            critic.layers[index] = nn.Identity()
    image = torch.zeros(1, 1, 160, 160, requires_grad=True)
    judged = critic(image, visible(given(shape=(1, 1, 160, 160))))
    judged[0, 0, judged.shape[2] // 2, judged.shape[3] // 2].backward()
    touched = image.grad[0, 0].abs() > 0
    for axis in (0, 1):
        places = torch.nonzero(touched.any(dim=axis))
        assert int(places.max() - places.min()) + 1 == 70


def test_images_stand_for_rates_and_back():
    rate = torch.tensor([0.0, 0.008, 0.08, 8.0])[None, None, None]
    image = as_image(rate, torch.log(torch.tensor([20.0])))
    assert image[0, 0, 0, 2] == pytest.approx(0.5)
    back = HALF_RATE * image / (1 - image) * 0.008
    torch.testing.assert_close(back, rate, rtol=1e-3, atol=1e-6)
