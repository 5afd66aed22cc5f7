"""The published Deep-STORM network and its fast form."""

import pytest
import torch

from stormcell.networks.deepstorm import DeepStormNet, FastDeepStorm


@pytest.fixture
def network() -> DeepStormNet:
    torch.manual_seed(0)
    network = DeepStormNet()
    # running statistics and scales as training would leave them, so that folding is not trivial
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


def test_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in DeepStormNet().parameters() if p.requires_grad) == 1_366_208


def test_fast_form_is_the_same_function(network):
    frames = torch.randn(2, 1, 6, 9)
    enlarged = frames.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    with torch.inference_mode():
        expected = network(enlarged)
        torch.testing.assert_close(
            FastDeepStorm(network)(frames), expected, atol=2e-5 * float(expected.abs().max()), rtol=0
        )


def test_fast_form_leaves_the_network_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    strides = [value.stride() for value in network.parameters()]
    fast = FastDeepStorm(network).double()
    for value in fast.parameters():
        value.data.zero_()
    assert all(value.requires_grad for value in network.parameters())
    assert [value.stride() for value in network.parameters()] == strides
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == before[name].dtype


def test_training_form_is_the_published_function(network):
    """The 2x2 kernels of training mode against the published layers: values and gradients."""
    network.train()
    enlarged = torch.randn(2, 1, 4, 5).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)

    def published(x: torch.Tensor) -> torch.Tensor:
        for index, block in enumerate(network.down):
            x = block(x if index == 0 else torch.nn.functional.max_pool2d(x, 2))
        for convolution, norm, relu in network.up:
            x = relu(norm(convolution(torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest"))))
        return network.paint(x)

    results = []
    for form in (network, published):
        network.zero_grad()
        painted = form(enlarged)
        painted.square().mean().backward()
        results.append((painted.detach(), [p.grad.clone() for p in network.parameters()]))
    (painted, gradients), (expected, expected_gradients) = results
    torch.testing.assert_close(painted, expected, atol=2e-5 * float(expected.abs().max()), rtol=0)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=2e-4 * float(wanted.abs().max()) + 1e-9, rtol=0)
