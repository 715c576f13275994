"""What a step asks of the device, counted without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ciegan.config import PRESETS, Config
from ciegan.losses import load_vgg
from ciegan.training.average import MovingAverage, averaging
from ciegan.training.capture import Knobs
from ciegan.training.step import Networks


class Counting(TorchDispatchMode):
    """Counts the operations that reach the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.seen[str(function)] += 1
        return function(*args, **(kwargs or {}))


class Noise:
    """Crops of which there are none."""

    channels = 1
    normalisation = None


def networks_of(config: Config) -> tuple[Networks, list[torch.optim.Optimizer]]:
    vgg = load_vgg("random", config.losses.layers, imagenet=False, seed=0)[0]
    networks = Networks(config, Noise(), (), vgg)  # type: ignore[arg-type]
    return networks, networks.configure_optimizers()


def short(name: str) -> Config:
    config = PRESETS[name]
    schedule = replace(config.schedule, steps=1000, generator=500, discriminator=100)
    crop = 256 if name == "pix2pix" else 128
    return replace(config, schedule=schedule, data=replace(config.data, crop=crop))


def batch_of(config: Config) -> list[Tensor]:
    shape = (1, 1, config.data.crop, config.data.crop)
    return [torch.rand(shape) * 2 - 1 for _ in range(2)]


def backward(loss: Tensor) -> None:
    loss.backward()


# operations that wait for the device, and those that copy to it what was made on the host
WAITS = ("aten._local_scalar_dense.default", "aten.nonzero.default", "aten.equal.default")
MADE = ("aten.lift_fresh.default", "aten._to_copy.default")


@pytest.mark.parametrize(
    # the most operations: alone, the discriminator alone, both
    ("name", "most"),
    [("default", (560, 640, 1320)), ("paper", (800, 330, 1120)), ("pix2pix", (620, 250, 620))],
)
def test_a_step_never_waits_and_makes_nothing_on_the_host(
    name: str, most: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = short(name)
    # as on CUDA, where Adam is one kernel
    monkeypatch.setattr(Networks, "_adam", {"fused": True, "capturable": False})
    networks, optimizers = networks_of(config)
    batch = batch_of(config)
    for begin, limit in zip((0, 500, 600), most, strict=True):
        networks.steps_done = begin
        networks.step(*batch, optimizers, backward)  # constants are made
        with Counting() as counting:
            networks.step(*batch, optimizers, backward)
        assert not {op: counting.seen[op] for op in WAITS + MADE if counting.seen[op]}
        assert sum(counting.seen.values()) <= limit, counting.seen.most_common(20)


class Replaying:
    """What stands for graphs: after some steps nobody sees what a step does."""

    def __init__(self, networks: Networks) -> None:
        self.networks, self.taken = networks, Counter[str]()

    def run(
        self, name: str, source: Tensor, target: Tensor, take: Callable[[Tensor, Tensor], None]
    ) -> bool:
        self.taken[name] += 1
        before = self.networks.objective.counts
        take(source, target)
        if self.taken[name] > 2:
            self.networks.objective._counts = dict(before)
            return False
        return True


@pytest.mark.parametrize("begin", [497, 597])
def test_losses_of_captured_steps_are_counted(begin: int) -> None:
    config = short("default")
    told = []
    for captured in (False, True):
        networks, optimizers = networks_of(config)
        networks.steps_done = begin
        if captured:
            networks._captured = Replaying(networks)  # type: ignore[assignment]
        torch.manual_seed(1)
        for _ in range(8):
            networks.step(*batch_of(config), optimizers, backward)
            networks.steps_done += 1
        told.append(networks.take_losses())
        assert networks.take_losses() == {}
    assert told[0].keys() == told[1].keys()
    for name, value in told[0].items():
        assert told[1][name] == pytest.approx(value, rel=1e-6), name


def test_a_knob_is_turned_where_it_is() -> None:
    assert Knobs().turn("rate", 0.5) == 0.5
    knobs = Knobs(torch.device("cpu"))
    first = knobs.turn("rate", 0.5)
    assert isinstance(first, Tensor)
    assert knobs.turn("rate", 0.25) is first
    assert float(first) == 0.25


def test_the_average_is_the_same_with_a_share_on_the_device() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3))
    averages = [MovingAverage(network) for _ in range(2)]
    for number in range(20):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        network(torch.randn(4, 5))  # moves the running mean
        kept = averaging(number, 0.9)
        averages[0].update(network, kept)
        averages[1].update(network, torch.tensor(kept))
    for one, other in zip(
        averages[0].state_dict().values(), averages[1].state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert torch.equal(averages[0].module[1].running_mean, network[1].running_mean)


def test_the_first_average_is_the_network() -> None:
    network, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    average = MovingAverage(other)
    average.update(network, averaging(0, 0.999))
    assert torch.equal(average.module.weight, network.weight)
