"""Networks: their size, what a pixel depends on, what a batch may change."""

import pytest
import torch
from fields import SMALLER
from torch import nn

from ciegan.models import (
    DISCRIMINATORS,
    GENERATORS,
    PaperDiscriminator,
    PaperGenerator,
    PatchGAN,
    ResidualUNet,
)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_papers_sizes() -> None:
    # from the layers of the authors' program (models.py)
    assert parameters(PaperGenerator(3)) == 6_146_211
    assert parameters(PaperDiscriminator(3, 256)) == 44_626_817


def test_the_paper_has_17_convolutions_and_16_norms() -> None:
    network = PaperGenerator()
    kinds = [type(m) for m in network.modules()]
    assert kinds.count(nn.Conv2d) + kinds.count(nn.ConvTranspose2d) == 17
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 16
    with torch.no_grad():
        assert float(network(torch.randn(2, 1, 32, 32) * 9).abs().max()) <= 1  # tanh


def awake(network: nn.Module) -> nn.Module:
    """Where layers begin as zero, as after training."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network.eval().double()


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_is_kept(name: str, channels: int) -> None:
    network = GENERATORS[name](channels, **SMALLER.get(name, {}))
    side = 2 * network.stride
    assert network(torch.zeros(2, channels, side, 3 * side)).shape == (2, channels, side, 3 * side)


@pytest.mark.parametrize("name", ["resunet", "nafnet", "unet"])
def test_training_begins_at_the_input(name: str) -> None:
    images = torch.randn(1, 1, 32, 32)
    assert torch.equal(GENERATORS[name](1)(images), images)


@pytest.mark.parametrize("name", GENERATORS)
def test_the_radius_holds(name: str) -> None:
    network = awake(GENERATORS[name](1, **SMALLER.get(name, {}))).float()
    # in the middle of a stride, and far enough from every border
    middle = network.stride * (network.radius // network.stride + 3)
    images = torch.randn(1, 1, 2 * middle, 2 * middle, requires_grad=True)
    found = network(images)
    for place in (middle, middle + 1, middle + network.stride - 1):
        (gradient,) = torch.autograd.grad(found[0, 0, place, place], images, retain_graph=True)
        reach = int((gradient[0, 0].nonzero() - place).abs().max())
        assert network.radius / 2 < reach <= network.radius


@pytest.mark.parametrize("name", GENERATORS)
def test_a_result_does_not_depend_on_the_batch(name: str) -> None:
    network = awake(GENERATORS[name](1, **SMALLER.get(name, {})))
    images = torch.randn(3, 1, 64, 64, dtype=torch.double)
    with torch.no_grad():
        alone, together = network(images[:1]), network(images)[:1]
    # one and the same arithmetic, in another order
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-12)


def test_batch_statistics_mix_the_batch() -> None:
    network = awake(PaperGenerator(1, batch_statistics=True))
    images = torch.randn(3, 1, 64, 64, dtype=torch.double)
    with torch.no_grad():
        alone, together = network(images[:1]), network(images)[:1]
    assert float((alone - together).abs().max()) > 1e-3
    before = [m.running_mean.clone() for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    network(images)
    after = [m.running_mean for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators(name: str) -> None:
    network = DISCRIMINATORS[name](1, 64)
    logits, features = network(torch.randn(2, 1, 64, 64), torch.randn(2, 1, 64, 64))
    assert logits.shape[0] == 2
    assert len(features) >= 4


def test_a_patch_gan_has_spectral_norm_one() -> None:
    torch.manual_seed(0)
    network = PatchGAN(1).train()
    for _ in range(50):  # the power iteration converges
        network(torch.randn(1, 1, 64, 64), torch.randn(1, 1, 64, 64))
    for layer in [*network.layers, network.last]:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(norm) == pytest.approx(1, abs=0.02)


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        PaperDiscriminator(1, 100)
    with pytest.raises(ValueError, match="`blocks` must be as many"):
        ResidualUNet(1, (4, 8), (1,))
