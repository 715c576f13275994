"""Steps that fit into a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import replace

import torch

from ciegan.config import PRESETS, Config
from ciegan.data.crops import Crops, TilePair, crops_of_steps
from ciegan.losses import VGG19
from ciegan.training.memory import Batch, step_within_memory
from ciegan.training.objective import TrainingError
from ciegan.training.schedule import ALONE, BOTH, JUDGE, boundaries, phase
from ciegan.training.step import Networks

_TRIAL = 8  # steps of each phase that are timed
_VALIDATIONS = 10  # at least, of a run that is made to fit into its time
_SPARE = 0.92  # share of the time that steps and validations are planned for


def every_of(config: Config, steps: int) -> int:
    """Steps between validations: a short run has some, too, where nothing else was asked for."""
    own = config.monitor.every
    usual = own == PRESETS[config.preset].monitor.every
    return max(1, min(own, steps // _VALIDATIONS)) if usual else own


def steps_within(
    seconds: float,
    config: Config,
    crops: Crops,
    validation: list[TilePair],
    vgg: VGG19 | None,
    device: torch.device,
) -> int:
    """Steps that fit into a time, by timing a few of each phase and a validation.

    Raises
    ------
    CellqaError
        Not even a few do.
    """
    networks = Networks(config, crops, validation, vgg).to(device)
    costs: dict[str, float] = {}
    first, second = boundaries(config.schedule)
    begins = (0, first, second) if networks.discriminator is not None else (0,)
    for now, begin in zip((ALONE, JUDGE, BOTH), begins, strict=False):
        networks.steps_done = begin
        if networks.phase == now:  # a phase may have no steps
            batches = crops_of_steps(crops, 0, _TRIAL + 1)
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
        fitting = int(_SPARE * seconds / (each + validating / every_of(config, steps)))
        if fitting < 1:
            raise TrainingError(f"not one step ends in {seconds:.0f} s; give --max-time more")
        if fitting == steps:
            break
        steps = fitting
    return steps


def time_steps(networks: Networks, batches: Iterable[Batch], longest: float) -> float:
    """Median seconds of a step like the one to come, but for the first; the weights change.

    No step begins after `longest` seconds.
    """
    optimizers = networks.configure_optimizers()
    if networks.objective.vgg is not None:
        networks.objective.vgg.to(networks.device)
    seconds = []
    for source, target in batches:
        start = time.perf_counter()
        batch = source.to(networks.device), target.to(networks.device)
        step_within_memory(networks, batch, optimizers, lambda loss: loss.backward())
        networks.objective.take()  # waits for the device
        seconds.append(time.perf_counter() - start)
        if sum(seconds) > longest:
            break
    return statistics.median(seconds[1:] or seconds)
