"""The optimizer of the default preset."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ciegan.models import GENERATORS
from ciegan.training.muon import Muon, orthogonal


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.Conv2d(16, 40, 3), nn.Conv2d(40, 24, 1), nn.Conv2d(24, 1, 3)
    )


def learn(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    draw = torch.Generator().manual_seed(len(optimizer.state))
    for _ in range(steps):
        optimizer.zero_grad()
        images = torch.randn((2, 1, 12, 12), generator=draw)
        (net(images) - images[:, :, 3:-3, 3:-3]).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(16, 16), (32, 288), (128, 256), (256, 128), (300, 40)])
def test_singular_values_become_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ orthogonal([matrix])[0] @ v.T
    ours = found.diagonal()
    away = found - torch.diag(ours)
    assert away.abs().max() < 1e-3
    # the polynomial's own range for singular values that are not small
    assert ours[values > 0.01 * values.norm()].min() > 0.65
    assert ours.max() < 1.25


def test_matrices_of_several_shapes_at_once_are_each_as_alone() -> None:
    torch.manual_seed(1)
    matrices = [torch.randn(s) for s in ((32, 288), (64, 32), (32, 32), (64, 600), (32, 288))]
    for one, matrix in zip(orthogonal(matrices), matrices, strict=True):
        torch.testing.assert_close(one, orthogonal([matrix])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [0.0, 1e-30])
def test_a_matrix_of_next_to_nothing_stays_finite(size: float) -> None:
    found = orthogonal([size * torch.ones(16, 20)])[0]
    assert found.abs().max() <= 1e-9


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_the_size_of_a_gradient_does_not_matter(size: float) -> None:
    torch.manual_seed(2)
    matrix = torch.randn(20, 50)
    torch.testing.assert_close(
        orthogonal([size * matrix])[0], orthogonal([matrix])[0], atol=1e-3, rtol=1e-3
    )


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch before 2.9")
def test_steps_of_matrices_are_those_of_pytorch() -> None:
    torch.manual_seed(4)
    weights = [nn.Parameter(torch.randn(24, 60)) for _ in range(2)]
    weights[1].data.copy_(weights[0])
    start = weights[0].detach().clone()
    ours = Muon(weights[:1], 1e-3)
    theirs = torch.optim.Muon(
        weights[1:], 1e-3, weight_decay=0, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(5):
        gradient = torch.randn(24, 60)
        for weight in weights:
            weight.grad = gradient.clone()
        ours.step()
        theirs.step()
    moved = [(w.detach() - start).flatten() for w in weights]
    # theirs computes in bf16, and goes a third as far: 0.2 of the rate, ours 0.6
    torch.testing.assert_close(moved[0], 3 * moved[1], atol=0.1 * float(moved[0].std()), rtol=0.1)


def test_all_other_weights_have_adam() -> None:
    net, other = network(), network()
    ours, adam = Muon(net.parameters(), 1e-3), torch.optim.Adam(other.parameters(), 1e-3)
    learn(net, ours, 1)
    learn(other, adam, 1)
    same = [torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True)]
    # the weights of the second and third layer alone are moved otherwise
    assert same == [True, True, False, True, False, True, True, True]


def test_it_goes_on_from_its_state() -> None:
    net = network()
    optimizer = Muon(net.parameters(), 1e-3)
    learn(net, optimizer, 3)
    again = copy.deepcopy(net)
    resumed = Muon(again.parameters(), 1e-3)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    learn(net, optimizer, 3)
    learn(again, resumed, 3)
    for one, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_rate_on_the_device_is_the_same() -> None:
    nets = [network(), network()]
    for net, rate in zip(nets, (2e-3, torch.tensor(2e-3)), strict=True):
        optimizer = Muon(net.parameters(), 1e-3)
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.param_groups[0]["lr"] = rate  # of the matrices, as captured steps have it
        learn(net, optimizer, 2)
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-6)


def test_weights_without_a_gradient_stay() -> None:
    net = network()
    optimizer = Muon(net.parameters(), 1e-3)
    before = [w.detach().clone() for w in net.parameters()]
    net[3].requires_grad_(False)
    net[1].requires_grad_(False)
    learn(net, optimizer, 1)
    stayed = [torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True)]
    assert stayed == [False, False, True, True, False, False, True, True]


@pytest.mark.parametrize("name", ["resunet", "nafnet", "unet", "paper"])
def test_it_moves_all_weights_of_a_generator(name: str) -> None:
    torch.manual_seed(0)
    generator = GENERATORS[name](1)
    optimizer = Muon(generator.parameters(), 1e-3)
    held: list[Tensor] = [w for group in optimizer.param_groups for w in group["params"]]
    assert {id(w) for w in held} == {id(w) for w in generator.parameters()}
    side = max(32, generator.stride)
    images = torch.rand(2, 1, side, side)
    for _ in range(3):  # some begin as nothing
        optimizer.zero_grad()
        (generator(images) - images.flip(2)).square().mean().backward()
        before = [w.detach().clone() for w in generator.parameters()]
        optimizer.step()
    pairs = zip(before, generator.parameters(), strict=True)
    moved = [not torch.equal(a, b) for a, b in pairs if b.grad is not None and b.grad.any()]
    assert all(moved)
    assert all(bool(torch.isfinite(w).all()) for w in generator.parameters())
