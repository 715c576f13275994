"""What happens at a step, as pure functions of it: phase and learning rate."""

from __future__ import annotations

import math
from typing import NamedTuple

from ciegan.config import Optimizer, Schedule


class Phase(NamedTuple):
    """Who learns at a step.

    Attributes
    ----------
    name : str
    generator, discriminator : bool
        Who is trained.
    adversarial : bool
        Whether the generator hears the discriminator.
    """

    name: str
    generator: bool
    discriminator: bool
    adversarial: bool


ALONE = Phase("generator", True, False, False)
JUDGE = Phase("discriminator", False, True, False)
BOTH = Phase("both", True, True, True)


def boundaries(schedule: Schedule) -> tuple[int, int]:
    """First step of the discriminator alone, and first step of both.

    Examples
    --------
    >>> boundaries(Schedule(steps=800_000, generator=6000, discriminator=1500))
    (6000, 7500)
    >>> boundaries(Schedule(steps=1000, generator=0.5, discriminator=0.1))
    (500, 600)
    """

    def steps(value: float) -> int:
        return round(value * schedule.steps) if value < 1 else int(value)

    first = steps(schedule.generator)
    return first, first + steps(schedule.discriminator)


def phase(step: int, schedule: Schedule, discriminator: bool = True) -> Phase:
    """Phase of a step, from 0; without a discriminator the generator is always alone.

    Examples
    --------
    >>> schedule = Schedule(steps=10, generator=4, discriminator=2)
    >>> [phase(step, schedule).name for step in (3, 4, 6)]
    ['generator', 'discriminator', 'both']
    """
    first, second = boundaries(schedule)
    if not discriminator or step < first:
        return ALONE
    return JUDGE if step < second else BOTH


def rate(step: int, optimizer: Optimizer, steps: int) -> float:
    """Factor of the learning rate at a step: linear warm-up, then cosine to 0 at the last.

    The warm-up takes a tenth of all steps at most.

    Examples
    --------
    >>> optimizer = Optimizer(warmup=10, decay="cosine")
    >>> [round(rate(step, optimizer, 110), 3) for step in (0, 4, 9, 60)]
    [0.1, 0.5, 1.0, 0.5]
    """
    warmup = min(optimizer.warmup, steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    if optimizer.decay == "none":
        return 1.0
    share = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def adversarial_steps(step: int, schedule: Schedule) -> int:
    """Steps before this one in which both networks learned."""
    return max(0, step - boundaries(schedule)[1])


def generator_steps(step: int, schedule: Schedule, discriminator: bool = True) -> int:
    """Steps before this one in which the generator learned.

    Examples
    --------
    >>> schedule = Schedule(steps=10, generator=4, discriminator=2)
    >>> [generator_steps(step, schedule) for step in (3, 5, 6, 9)]
    [3, 4, 4, 7]
    """
    first, second = boundaries(schedule)
    if not discriminator or step < first:
        return step
    return first + max(0, step - second)


def unheard(schedule: Schedule, discriminator: object) -> list[str]:
    """A warning where there is a discriminator, and it is never heard."""
    begin = boundaries(schedule)[1]
    if discriminator is None or begin < schedule.steps:
        return []
    return [
        f"{schedule.steps} steps end before both networks are trained together (from step "
        f"{begin}): the adversarial terms do nothing"
    ]
