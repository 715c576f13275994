"""What networks take: crops of a size, and the batch that there is enough memory for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from cellqa.errors import first_line
from ciegan.config import Config
from ciegan.models import Discriminator, Generator
from ciegan.network.device import is_memory_error
from ciegan.training.objective import Objective, TrainingError
from ciegan.training.schedule import Phase

Batch = tuple[Tensor, Tensor]  # inputs and targets


class Stepping(Protocol):
    """What takes steps; see `ciegan.training.step.Networks`."""

    config: Config
    generator: Generator
    discriminator: Discriminator | None
    objective: Objective
    steps_done: int

    @property
    def device(self) -> torch.device:
        """On which it is."""

    @property
    def phase(self) -> Phase:
        """Phase of the step to come."""

    def step(
        self,
        source: Tensor,
        target: Tensor,
        optimizers: Sequence[Any],
        backward: Callable[[Tensor], None],
    ) -> None:
        """Let those learn whose phase it is."""


def check_sizes(networks: Stepping) -> None:
    """Run both networks once.

    Raises
    ------
    TrainingError
        They do not take crops of this size.
    """
    side, stride = networks.config.data.crop, networks.generator.stride
    if side % stride:
        raise TrainingError(
            f"data.crop must be a multiple of {stride} for {networks.config.generator.name}, got "
            f"{side}"
        )
    generator = networks.generator
    images = torch.zeros(2, generator.inputs, side, side)
    judge = networks.discriminator
    try:
        with torch.no_grad():  # and without learning statistics from nothing
            generator.eval()(images)
            generator.train()
            if judge is not None:
                seen = images[:, : generator.channels]
                judge.eval()(seen, seen)
                judge.train()
    except RuntimeError as error:
        raise TrainingError(
            f"the networks do not take crops of {side} pixels ({first_line(error)}); set a "
            "larger --crop"
        ) from None


def step_within_memory(
    networks: Stepping,
    batch: Batch,
    optimizers: Sequence[Any],
    backward: Callable[[Tensor], None],
) -> None:
    """`Networks.step`; where memory runs out, find the batch that it is enough for.

    Raises
    ------
    TrainingError
        There is too little memory; it names the largest batch that fits.
    """
    full = False
    try:
        networks.step(*batch, optimizers, backward)
    except RuntimeError as error:  # OutOfMemoryError is one
        if not is_memory_error(error):
            raise
        full = True
    if full:  # the error is gone, and with it what the step held
        size = len(batch[0])
        fits = largest_batch(networks, batch)
        advice = (
            f"--batch-size {fits} fits" if fits else "not even one image fits: set a smaller --crop"
        )
        raise TrainingError(
            f"out of memory at step {networks.steps_done} with a batch of {size} crops of "
            f"{networks.config.data.crop} pixels; {advice}"
        )


def largest_batch(networks: Stepping, batch: Batch) -> int:
    """The largest power of two of crops, below the batch's, that a step has memory for."""
    size = 1 << (len(batch[0]) - 1).bit_length() >> 1 if len(batch[0]) > 1 else 0
    while size:
        for network in (networks.generator, networks.discriminator):
            if network is not None:
                network.zero_grad(set_to_none=True)
        if networks.device.type == "cuda":
            torch.cuda.empty_cache()
        if _fits(networks, *(part[:size] for part in batch)):
            return size
        size //= 2
    return 0


def _fits(networks: Stepping, source: Tensor, target: Tensor) -> bool:
    judge = networks.discriminator
    try:
        image = networks.generator(source)
        loss = networks.objective.of_generator(
            image, source, target, judge if networks.phase.adversarial else None
        )
        if judge is not None:
            loss = loss + networks.objective.of_discriminator(judge, image, source, target)
        loss.backward()
    except RuntimeError as error:
        if not is_memory_error(error):
            raise
        return False
    return True
