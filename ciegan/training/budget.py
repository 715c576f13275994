"""Steps that fit into a time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import torch

from ciegan.config import PRESETS, Config
from ciegan.data.crops import Crops, TilePair, crops_of_steps
from ciegan.losses import VGG19
from ciegan.training.memory import Batch, step_within_memory
from ciegan.training.objective import TrainingError
from ciegan.training.schedule import ALONE, BOTH, JUDGE, boundaries, phase
from ciegan.training.step import Networks

_TRIAL = 8  # steps of each phase that are timed
_BEFORE = 5  # steps of a CUDA device before those: some to warm up, one that is captured
_VALIDATIONS = 10  # at least, of a run that is made to fit into its time
_VALIDATING = 0.1  # share of the time that validations take at most
_SPARE = 0.92  # share of the time that steps and validations are planned for


def every_of(config: Config, steps: int, step: float = 1.0, validation: float = 0.0) -> int:
    """Steps between validations.

    Where nothing else was asked for, a short run has some, too, and where steps are fast,
    validations take a tenth of the time at most.

    Parameters
    ----------
    config : Config
    steps : int
        In all.
    step, validation : float
        Seconds of each.

    Examples
    --------
    >>> from ciegan.config import DEFAULT
    >>> [every_of(DEFAULT, steps) for steps in (1000, 100_000)]
    [100, 500]
    >>> every_of(DEFAULT, 100_000, step=0.002, validation=2.0)
    9000
    """
    own = config.monitor.every
    if own != PRESETS[config.preset].monitor.every:
        return own
    spared = math.ceil(validation * (1 - _VALIDATING) / (_VALIDATING * step))
    return max(1, min(max(own, spared), steps // _VALIDATIONS))


def steps_within(
    seconds: float,
    config: Config,
    crops: Crops,
    validation: list[TilePair],
    vgg: VGG19 | None,
    device: torch.device,
) -> tuple[int, int]:
    """Steps that fit into a time, and those between validations, by timing a few of each.

    Raises
    ------
    CellqaError
        Not even a few do.
    """
    networks = Networks(config, crops, validation, vgg).to(device)
    networks.prepare()
    costs: dict[str, float] = {}
    first, second = boundaries(config.schedule)
    begins = (0, first, second) if networks.discriminator is not None else (0,)
    for now, begin in zip((ALONE, JUDGE, BOTH), begins, strict=False):
        networks.steps_done = begin
        if networks.phase == now:  # a phase may have no steps
            batches = crops_of_steps(crops, 0, _BEFORE + _TRIAL + 1)
            costs[now.name] = time_steps(networks, batches, 0.05 * seconds)
    start = time.perf_counter()
    sample = validation[:2]
    for place, tile in enumerate(sample):
        image, source, target, size = networks.enhanced(tile)
        networks.judge.values(place, image, source, target, size)
    images = min(len(validation), config.monitor.images) + config.monitor.samples
    validating = (time.perf_counter() - start) / len(sample) * images
    steps = 1000
    for _ in range(20):  # shares of the phases may depend on the number of steps
        schedule = replace(config.schedule, steps=steps)
        names = [
            phase(k, schedule, networks.discriminator is not None).name
            for k in range(0, steps, max(1, steps // 1000))
        ]
        each = sum(costs.get(name, 0.0) for name in names) / len(names)
        every = every_of(config, steps, each, validating)
        fitting = int(_SPARE * seconds / (each + validating / every))
        if fitting < 1:
            raise TrainingError(f"not one step ends in {seconds:.0f} s; give --max-time more")
        if fitting == steps:
            break
        steps = fitting
    return steps, every


def time_steps(networks: Networks, batches: Iterable[Batch], longest: float) -> float:
    """Median seconds of a step like the one to come, but for the first; the weights change.

    No step begins after `longest` seconds; but on a CUDA device, whose first steps choose kernels
    and are captured, those are neither timed nor counted.
    """
    optimizers = networks.configure_optimizers()
    seconds: list[float] = []
    begin = _BEFORE if networks.device.type == "cuda" else 0
    for number, (source, target) in enumerate(islice(batches, begin + _TRIAL + 1), -begin):
        start = time.perf_counter()
        batch = source.to(networks.device), target.to(networks.device)
        step_within_memory(networks, batch, optimizers, lambda loss: loss.backward())
        networks.objective.take()  # waits for the device
        if number >= 0:
            seconds.append(time.perf_counter() - start)
        if sum(seconds) > longest:
            break
    return statistics.median(seconds[1:] or seconds)
