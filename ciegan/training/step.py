"""The networks in training, as a Lightning module: what one step does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cellqa.enhance.filters import as_type
from ciegan.config import Config
from ciegan.data.crops import Crops, TimedLoader, crops_of_steps
from ciegan.data.device_crops import DeviceCrops, DeviceLoader
from ciegan.data.tile_pairs import TilePair, spread
from ciegan.losses import VGG19
from ciegan.losses.base import VERDICTS
from ciegan.models import DISCRIMINATORS, Discriminator, Generator
from ciegan.network.checkpoint import make, make_generator
from ciegan.network.normalisation import Normalisation
from ciegan.network.precision import float32
from ciegan.network.trained_on import TrainedOn
from ciegan.network.windows import enhance_plane
from ciegan.training.average import MovingAverage, averaging
from ciegan.training.capture import CapturedSteps, Knobs
from ciegan.training.memory import step_within_memory
from ciegan.training.monitor import Judge, Scores
from ciegan.training.muon import Muon, by_muon
from ciegan.training.objective import Objective, TrainingError
from ciegan.training.schedule import Phase, generator_steps, phase, rate

_CHECK_EVERY = 50  # steps between looks at the losses, which make the device wait


class Networks(pl.LightningModule):
    """Generator, discriminator, and what a step does with them.

    Parameters
    ----------
    config : Config
    crops : Crops
        To train on.
    validation : sequence of TilePair
        To validate on.
    vgg : VGG19, optional
        For `perceptual` and `style`.
    """

    def __init__(
        self,
        config: Config,
        crops: Crops,
        validation: Sequence[TilePair] = (),
        vgg: VGG19 | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config, self.crops = config, crops
        self.validation = spread(validation, config.monitor.images)
        torch.manual_seed(config.seed)
        self.generator = make_generator(config, crops.channels)
        self.discriminator: Discriminator | None = None
        if config.losses.seen(VERDICTS):
            size = {"size": config.data.crop}
            self.discriminator = make(
                config.discriminator, DISCRIMINATORS, "discriminator", crops.channels, **size
            )
        if config.channels_last:
            self.to(memory_format=torch.channels_last)
        self.average = MovingAverage(self.generator) if config.optimizer.average else None
        # no submodule: the weights of VGG-19 never change and are not kept in checkpoints
        self.objective = Objective(config.losses, vgg)
        self.judge = Judge(config.monitor, added=config.data.target == "self")
        self.steps_done = 0
        self.replanned = False
        self.known_before = TrainedOn()  # what weights that it began from were trained on
        self.scores: Scores | None = None
        self.rows: dict[int, dict[str, float]] = {}
        self.loader: TimedLoader | DeviceLoader | None = None
        self._on_device: DeviceCrops | None = None
        self._compiled: list[Callable[[Tensor], Tensor]] = []  # no submodule: it is one already
        self._captured: CapturedSteps | None = None
        self.replayed = False  # whether the last step was one that a graph holds
        self._noted: dict[str, list[str]] = {}  # phase to the losses that its steps note
        self._knobs = Knobs()

    # what Lightning asks for

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Of the generator and, if there is one, of the discriminator."""
        settings = self.config.optimizer
        betas = (settings.beta1, settings.beta2)
        kind = Muon if by_muon(self.config) else torch.optim.Adam
        own = self.generator.parameters()
        optimizers: list[torch.optim.Optimizer] = [
            kind(own, settings.rate, betas=betas, **self._adam)
        ]
        if self.discriminator is not None:
            own, rate = self.discriminator.parameters(), settings.discriminator_rate
            optimizers.append(torch.optim.Adam(own, rate, betas=betas, **self._adam))
        return optimizers

    @property
    def _adam(self) -> dict[str, bool]:
        """One kernel for all weights on CUDA, which a graph may hold."""
        cuda = self.device.type == "cuda"
        return {"fused": cuda, "capturable": cuda}

    def on_fit_start(self) -> None:
        """The networks are where they will be."""
        self.prepare(alone=self.trainer.world_size == 1)

    def prepare(self, *, alone: bool = True) -> None:
        """Bring the features to the device; there, compile where asked for, or capture steps.

        Parameters
        ----------
        alone : bool
            Whether this process trains alone; several wait for each other within a step.
        """
        if self.objective.vgg is not None:
            self.objective.vgg.to(self.device)
        if self.device.type != "cuda":
            return
        if self.config.compile:
            self._compiled = [torch.compile(self.generator)]
        if alone:
            self._captured = CapturedSteps(self.device)
            self._knobs = Knobs(self.device)

    def train_dataloader(self) -> TimedLoader | DeviceLoader:
        """Batches up to the next validation."""
        every, total = self.config.monitor.every, self.config.schedule.steps
        last = min((self.steps_done // every + 1) * every, total)
        waited = self.loader.waited if self.loader else 0.0
        alone = self.trainer.world_size == 1
        if alone and self._on_device is None and DeviceCrops.fits(self.crops, self.device):
            self._on_device = DeviceCrops(self.crops, self.device)
        if self._on_device is not None:
            self.loader = self._on_device.steps(self.steps_done, last)
            self.loader.waited = waited
            return self.loader
        self.loader = crops_of_steps(
            self.crops,
            self.steps_done,
            last,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )
        self.loader.waited = waited
        return self.loader

    def val_dataloader(self) -> DataLoader[int]:
        """Places of this process's share of the validation images."""
        every = range(len(self.validation))
        mine = list(every[self.trainer.global_rank :: self.trainer.world_size])
        return DataLoader(mine, batch_size=None)  # type: ignore[arg-type]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the step, and what the next one depends on beside the weights."""
        checkpoint["steps_done"] = self.steps_done
        if self.replanned:
            checkpoint["plan"] = [self.config.schedule.steps, self.config.monitor.every]
        checkpoint["drawn_from"] = self.drawn_from

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the step up again.

        Raises
        ------
        TrainingError
            The tiles or the number of processes are others than before.
        """
        if checkpoint["drawn_from"] != self.drawn_from:
            raise TrainingError(
                "--resume: the training or validation tiles, or --devices, are not those that the "
                "run began with"
            )
        self.steps_done = int(checkpoint["steps_done"])
        if "plan" in checkpoint:
            self.plan(*map(int, checkpoint["plan"]))
        checkpoint["state_dict"].pop("average.n_averaged", None)  # of versions up to 0.1
        for optimizer in checkpoint["optimizer_states"]:  # of another device, perhaps
            for group in optimizer["param_groups"]:
                group.update(self._adam, lr=float(group["lr"]))

    @cached_property
    def drawn_from(self) -> str:
        """What decides which crops are drawn, and on what they are validated."""
        return f"{self.crops.with_held(self.validation)} in {self.trainer.world_size} processes"

    # a step

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        """Train who is to learn at this step."""
        optimizers: Any = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        now = self.phase
        step_within_memory(self, batch, optimizers, self.manual_backward)
        if self.replayed:
            self._count_steps(now)
        self.steps_done += 1
        if self.steps_done % _CHECK_EVERY == 0:
            self.objective.check(self.steps_done)
        if self.steps_done >= self.config.schedule.steps:
            self.trainer.should_stop = True

    def step(
        self,
        source: Tensor,
        target: Tensor,
        optimizers: Sequence[Any],
        backward: Callable[[Tensor], None],
    ) -> None:
        """Let those learn whose phase it is.

        Parameters
        ----------
        source, target : Tensor, shape (B, C, Y, X)
            -1 to 1.
        optimizers : sequence of Optimizer
            Of the generator, and of the discriminator if there is one.
        backward : callable
            Computes the gradients of a loss.
        """
        now = self.phase
        if self.config.channels_last:
            source = source.contiguous(memory_format=torch.channels_last)
            target = target.contiguous(memory_format=torch.channels_last)
        kept = self._turn_knobs(optimizers)

        def take(source: Tensor, target: Tensor) -> None:
            self._take(now, source, target, optimizers, backward, kept)

        with float32(exact=self.config.precision == "32"):
            if self._captured is None:
                take(source, target)
                return
            before = self.objective.counts
            self.replayed = not self._captured.run(now.name, source, target, take)
        if self.replayed:
            self.objective.count_again(self._noted[now.name])
        else:
            after = self.objective.counts
            self._noted[now.name] = [n for n in after if after[n] > before.get(n, 0)]

    def _turn_knobs(self, optimizers: Sequence[Any]) -> float | Tensor:
        """Set the rates of this step; return what the average of weights keeps of itself.

        On CUDA both are tensors there, which a captured step reads.
        """
        settings, schedule = self.config.optimizer, self.config.schedule
        factor = rate(self.steps_done, settings, schedule.steps)
        values = [settings.rate * factor, settings.discriminator_rate * factor]
        updates = generator_steps(self.steps_done, schedule, self.discriminator is not None)
        kept = averaging(updates, settings.average)
        for place, (optimizer, value) in enumerate(zip(optimizers, values, strict=False)):
            for group in optimizer.param_groups:
                group["lr"] = self._knobs.turn(f"rate {place}", value)
        return self._knobs.turn("kept", kept)

    def _count_steps(self, now: Phase) -> None:
        """Tell Lightning of steps of optimizers that it did not see, since a graph took them."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for _ in range(now.generator + now.discriminator):
            progress.increment_ready()
            progress.increment_completed()

    def _take(
        self,
        now: Phase,
        source: Tensor,
        target: Tensor,
        optimizers: Sequence[Any],
        backward: Callable[[Tensor], None],
        kept: float | Tensor,
    ) -> None:
        """What a step does on the device."""
        image: Tensor | None = None
        own = source[:, : self.generator.channels]  # without neighbours
        if now.generator:
            with self._narrow():
                image = (self._compiled or [self.generator])[0](source)
        if now.discriminator:
            if image is None:
                with torch.no_grad(), self._narrow():
                    image = self.generator(source)
            assert self.discriminator is not None
            with self._narrow():
                loss = self.objective.of_discriminator(
                    self.discriminator, image.detach(), own, target
                )
            self._learn(optimizers[1], self.discriminator, loss, backward)
        if now.generator:
            assert image is not None
            judge = self.discriminator if now.adversarial else None
            with self._narrow():
                loss = self.objective.of_generator(image, own, target, judge)
            self._learn(optimizers[0], self.generator, loss, backward)
            if self.average is not None:
                self.average.update(self.generator, kept)

    def _narrow(self) -> AbstractContextManager[None]:
        """Networks in 16 bits, where the configuration says so."""
        if self.config.precision != "bf16":
            return nullcontext()
        # weights change between the passes of a step: none is kept in 16 bits
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    @property
    def phase(self) -> Phase:
        """Phase of the step to come."""
        return phase(self.steps_done, self.config.schedule, self.discriminator is not None)

    def _learn(
        self,
        optimizer: Any,
        network: nn.Module,
        loss: Tensor,
        backward: Callable[[Tensor], None],
    ) -> None:
        optimizer.zero_grad()
        backward(loss)
        if self.config.optimizer.clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.config.optimizer.clip)
        optimizer.step()

    def plan(self, steps: int, every: int) -> None:
        """Take so many steps in all, and so many between validations, from here on."""
        schedule = replace(self.config.schedule, steps=steps)
        monitor = replace(self.config.monitor, every=every)
        self.config = replace(self.config, schedule=schedule, monitor=monitor)
        self.replanned = True

    def take_losses(self) -> dict[str, float]:
        """Mean of each term since it was last asked.

        Raises
        ------
        TrainingError
            One is NaN or infinite.
        """
        self.objective.check(self.steps_done)
        return self.objective.take()

    # validation

    @property
    def kept(self) -> Generator:
        """The generator whose weights are validated and kept: the average, if there is one."""
        if self.average is None:
            return self.generator
        return cast(Generator, self.average.module)

    @property
    def normalisation(self) -> Normalisation:
        """Of the training images."""
        return self.crops.normalisation

    def enhanced(self, tile: TilePair) -> tuple[Any, Any, Any, float | None]:
        """Enhanced image, input, target and pixel size of a tile."""
        source, target, size = self.crops.loaded(tile)
        seen = self.crops.seen(tile, source)
        image = enhance_plane(self.kept.eval(), seen, self.normalisation, whole=tile.limits)
        return as_type(image, target.dtype), source, target, size

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation; weights that are not finite are not worth one."""
        self.objective.check(self.steps_done)
        self.rows.clear()

    def validation_step(self, place: int, number: int) -> None:
        """Score one tile."""
        image, source, target, size = self.enhanced(self.validation[place])
        self.rows[place] = self.judge.values(place, image, source, target, size)

    def on_validation_epoch_end(self) -> None:
        """Gather the scores of all processes."""
        rows = [self.rows]
        if torch.distributed.is_initialized():
            parts: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(parts, self.rows)
            rows = parts
        joined = {place: row for part in rows for place, row in part.items()}
        self.scores = self.judge.summarise([joined[place] for place in sorted(joined)])
        self.judge.check_defined(self.scores)
        # what is vetoed is no gain either
        score = -math.inf if self.judge.vetoes(self.scores) else self.scores.score
        self.log("score", torch.tensor(score, dtype=torch.float64), rank_zero_only=False)
