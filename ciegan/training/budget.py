"""Steps that fit into a time: tried before, and planned again while a run goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from cellqa.terminal import Tell
from ciegan.config import PRESETS, Config, Schedule
from ciegan.data.crops import Crops, crops_of_steps
from ciegan.data.tile_pairs import TilePair
from ciegan.losses import VGG19
from ciegan.losses.base import VERDICTS
from ciegan.network.precision import cpu_has_bf16
from ciegan.training.memory import Batch, check_sizes, step_within_memory
from ciegan.training.objective import TrainingError
from ciegan.training.schedule import ALONE, BOTH, JUDGE, boundaries, phase
from ciegan.training.step import Networks

_TRIAL = 8  # steps of each phase that are timed
_BEFORE = 5  # steps of a CUDA device before those: some to warm up, one that is captured
_VALIDATIONS = 10  # at least, of a run that is made to fit into its time
_FEWEST = 3  # where they would take more of the time than they may
_VALIDATING = 0.1  # share of the time that validations take at most
SPARE = 0.985  # share of the time that steps and validations are planned for
_TRYING = 3.0  # seconds of steps in each precision
_SHORT, _PAYS = 0.1, 1.3  # seconds of a step that is not tried; how much faster bf16 must be
_MOST = 10**9  # steps
_MORE = 0.1  # share of the steps that must still fit, where all are done, to go on


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
    often = max(steps // _VALIDATIONS, min(spared, steps // _FEWEST))
    return max(1, min(max(own, spared), often))


@dataclass(frozen=True)
class Costs:
    """Seconds of a step in each phase, by its name, and of a validation."""

    steps: Mapping[str, float]
    validation: float

    def total(self, first: int, last: int, schedule: Schedule, *, judged: bool) -> float:
        """Seconds of the steps from `first` to below `last`, of a schedule of `last` steps."""
        schedule = replace(schedule, steps=last)
        second, third = (min(max(b, first), last) for b in boundaries(schedule))
        if not judged:
            second = third = last
        parts = ((ALONE, second - first), (JUDGE, third - second), (BOTH, last - third))
        known = max(self.steps.values())
        return sum(number * self.steps.get(each.name, known) for each, number in parts)

    def fitting(
        self, seconds: float, done: int, config: Config, *, judged: bool
    ) -> tuple[int, int]:
        """Steps in all of which those that are left fit into a time, and those between validations.

        Examples
        --------
        >>> from ciegan.config import DEFAULT
        >>> Costs({"generator": 0.1}, 2.0).fitting(100, 0, DEFAULT, judged=False)
        (900, 180)
        """

        def needed(last: int) -> float:
            left = last - done
            training = self.total(done, last, config.schedule, judged=judged)
            every = every_of(config, last, training / left, self.validation)
            return training + math.ceil(left / every) * self.validation

        low, high = done, done + 1
        while needed(high) <= seconds and high < _MOST:
            low, high = high, done + 2 * (high - done)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if needed(middle) <= seconds else (low, middle)
        if low == done:
            return done, every_of(config, max(done, 1))
        each = self.total(done, low, config.schedule, judged=judged) / (low - done)
        return low, every_of(config, low, each, self.validation)


def trial(
    seconds: float,
    config: Config,
    crops: Crops,
    validation: list[TilePair],
    vgg: VGG19 | None,
    device: torch.device,
) -> tuple[Costs, bool]:
    """What a step of each phase and a validation cost, by trying; and whether there is a judge."""
    networks = Networks(config, crops, validation, vgg).to(device)
    networks.prepare()
    judged = networks.discriminator is not None
    costs: dict[str, float] = {}
    first, second = boundaries(config.schedule)
    begins = (0, first, second) if judged else (0,)
    for now, begin in zip((ALONE, JUDGE, BOTH), begins, strict=False):
        networks.steps_done = begin
        if networks.phase == now:  # a phase may have no steps
            batches = crops_of_steps(crops, 0, _BEFORE + _TRIAL + 1)
            costs[now.name] = time_steps(networks, batches, 0.02 * seconds)
    each = []
    for place, tile in enumerate(validation[:3]):
        start = time.perf_counter()
        image, source, target, size = networks.enhanced(tile)
        networks.judge.values(place, image, source, target, size)
        each.append(time.perf_counter() - start)
    images = min(len(validation), config.monitor.images) + config.monitor.samples
    return Costs(costs, min(each) * images), judged  # the first loads what all need


def with_precision(
    config: Config,
    crops: Crops,
    validation: list[TilePair],
    vgg: VGG19 | None,
    device: torch.device,
    tell: Tell,
) -> Config:
    """A configuration of `auto` precision with the bits that some steps on this processor chose.

    Parameters, what is added to the input, and losses stay in 32 bits. Steps that are short anyway
    are not tried, so that small runs of one seed are equal.
    """
    if config.precision != "auto" or device.type != "cpu" or not cpu_has_bf16():
        return config
    seconds: dict[str, float] = {}
    for bits in ("32", "bf16"):
        networks = Networks(replace(config, precision=bits), crops, validation, vgg)
        networks.prepare()
        seconds[bits] = time_steps(networks, crops_of_steps(crops, 0, _TRIAL + 2), _TRYING)
        if bits == "32" and seconds[bits] < _SHORT:
            return config
    gain = seconds["32"] / seconds["bf16"]
    if gain < _PAYS:
        return replace(config, precision="32")
    tell(f"computing in bf16, {gain:.1f} times as fast on this processor (precision = bf16)")
    return replace(config, precision="bf16")


def time_steps(networks: Networks, batches: Iterable[Batch], longest: float) -> float:
    """Shortest seconds of a step like the one to come, but for the first; the weights change.

    The first chooses kernels and takes memory; on a CUDA device some more do, and one is captured.
    What else the machine does makes a step longer, never shorter. No step begins after `longest`
    seconds, of which those first ones are no part.
    """
    check_sizes(networks)
    optimizers = networks.configure_optimizers()
    seconds: list[float] = []
    begin = _BEFORE if networks.device.type == "cuda" else 1
    for number, (source, target) in enumerate(islice(batches, begin + _TRIAL), -begin):
        start = time.perf_counter()
        batch = source.to(networks.device), target.to(networks.device)
        step_within_memory(networks, batch, optimizers, lambda loss: loss.backward())
        networks.objective.take()  # waits for the device
        if number >= 0:
            seconds.append(time.perf_counter() - start)
        if sum(seconds) > longest:
            break
    return min(seconds)


class Replanning(Callback):
    """Fits the steps that are left into the time that is left, after each validation.

    Parameters
    ----------
    costs : Costs
        As they were tried.
    judged : bool
        Whether there is a discriminator.
    seconds : float
        Of training, validations among them.
    config : Config
        What was asked for: its `monitor.every` may change.

    Attributes
    ----------
    plans : list of (int, int)
        A step, and the steps in all that were planned from it on.
    """

    def __init__(self, costs: Costs, judged: bool, seconds: float, config: Config) -> None:
        self.costs, self.judged, self.seconds, self.config = costs, judged, seconds, config
        self.plans: list[tuple[int, int]] = []
        self._before = 0.0  # seconds before a resume
        self._began = self._last = time.perf_counter()
        self._validating = 0.0
        self._step = 0
        self._phase = ""
        self._seen: set[str] = set()  # phases of which steps were timed in the run itself

    def state_dict(self) -> dict[str, Any]:
        """What `--resume` needs."""
        return {
            "every": self.config.monitor.every,
            "plans": list(self.plans),
            "seconds": self.elapsed,
            "costs": dict(self.costs.steps),
            "validation": self.costs.validation,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the checkpoint was written."""
        self.plans = [(int(a), int(b)) for a, b in state_dict["plans"]]
        self._before = float(state_dict["seconds"])
        monitor = replace(self.config.monitor, every=int(state_dict["every"]))
        self.config = replace(self.config, monitor=monitor)
        self.costs = Costs(dict(state_dict["costs"]), float(state_dict["validation"]))

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resume among them."""
        return self._before + time.perf_counter() - self._began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        assert isinstance(pl_module, Networks)
        self._began = self._last = time.perf_counter()
        self._step, self._phase = pl_module.steps_done, pl_module.phase.name
        if not self.plans:
            self.plans.append((0, pl_module.config.schedule.steps))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Time the steps since the last validation."""
        assert isinstance(pl_module, Networks)
        self._validating = time.perf_counter()
        steps, name = pl_module.steps_done - self._step, self._phase
        last = phase(pl_module.steps_done - 1, pl_module.config.schedule, self.judged)
        if steps > 0 and name == last.name:  # all were of one phase
            each = (self._validating - self._last) / steps
            # what else the machine does slows phases alike that were not seen yet
            factor = each / self.costs.steps.get(name, each)
            self._seen.add(name)
            costs = {n: c if n in self._seen else c * factor for n, c in self.costs.steps.items()}
            self.costs = replace(self.costs, steps={**costs, name: each})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Plan again; all processes as the first does."""
        assert isinstance(pl_module, Networks)
        self._last = time.perf_counter()
        self._step, self._phase = pl_module.steps_done, pl_module.phase.name
        self.costs = replace(self.costs, validation=self._last - self._validating)
        before = pl_module.config.schedule.steps
        left = SPARE * self.seconds - self.elapsed
        planned = self.costs.fitting(left, self._step, self.config, judged=self.judged)
        steps, every = trainer.strategy.broadcast(planned)
        if self._step >= before:
            if steps < (1 + _MORE) * before:
                return
            trainer.should_stop = False  # the plan was wrong from the first to the last
        if steps <= self._step:
            trainer.should_stop = True
        pl_module.plan(steps, every)
        if steps != before:
            self.plans.append((self._step, steps))


def planned(
    seconds: float,
    config: Config,
    crops: Crops,
    validation: list[TilePair],
    vgg: VGG19 | None,
    device: torch.device,
    tell: Tell,
    child: bool,
) -> tuple[Config, Replanning]:
    """A configuration whose steps end in a time, and what plans again as they go.

    Raises
    ------
    TrainingError
        Not one step ends in it.
    """
    if child:  # the first process plans for all
        return config, Replanning(
            Costs({}, 0.0), bool(config.losses.seen(VERDICTS)), seconds, config
        )
    tell("timing some steps")
    start = time.perf_counter()
    costs, judged = trial(seconds, config, crops, validation, vgg, device)
    left = seconds - (time.perf_counter() - start)
    steps, every = costs.fitting(SPARE * left, 0, config, judged=judged)
    if steps < 1:
        raise TrainingError(f"not one step ends in {seconds:.0f} s; give --max-time more")
    tell(f"some {steps} steps fit into {seconds:.0f} s")
    fitted = replace(
        config,
        schedule=replace(config.schedule, steps=steps),
        monitor=replace(config.monitor, every=every),
    )
    return fitted, Replanning(costs, judged, left, config)


def planned_before(last: Path, seconds: float, config: Config) -> Replanning | None:
    """What plans again in a run that was planned by its time; a checkpoint holds what it knows."""
    try:
        content = torch.load(last, map_location="cpu", weights_only=True, mmap=True)
        known = Replanning.__qualname__ in content["callbacks"]
    except Exception:  # whatever is wrong with it is told when it is looked at closely
        return None
    return _unknown(seconds, config) if known else None


def _unknown(seconds: float, config: Config) -> Replanning:
    return Replanning(Costs({}, 0.0), bool(config.losses.seen(VERDICTS)), seconds, config)
