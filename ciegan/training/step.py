"""The networks in training, as a Lightning module: what one step does."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from cellqa.enhance.filters import as_type
from cellqa.errors import CellqaError, first_line
from ciegan.config import Config
from ciegan.data.crops import Crops, Tile, TimedLoader, crops_of_steps, spread
from ciegan.losses import (
    TERMS,
    VGG19,
    discriminator_loss,
    feature_matching,
    generator_loss,
    perceptual,
    style,
)
from ciegan.models import DISCRIMINATORS, Discriminator, Generator
from ciegan.network.checkpoint import make, make_generator
from ciegan.network.normalisation import Normalisation
from ciegan.network.windows import enhance_plane
from ciegan.training.limits import _move_average, _out_of_memory
from ciegan.training.monitor import Judge, Scores
from ciegan.training.schedule import Phase, phase, rate

_CHECK_EVERY = 50  # steps between looks at the losses, which make the device wait


class TrainingError(CellqaError):
    """Training that cannot go on: one line that says why and what to change."""


class Networks(pl.LightningModule):
    """Generator, discriminator, and what a step does with them.

    Parameters
    ----------
    config : Config
    crops : Crops
        To train on.
    validation : sequence of Tile
        To validate on.
    vgg : VGG19, optional
        For `perceptual` and `style`.
    """

    def __init__(
        self,
        config: Config,
        crops: Crops,
        validation: Sequence[Tile] = (),
        vgg: VGG19 | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config, self.crops = config, crops
        self.validation = spread(validation, config.monitor.images)
        torch.manual_seed(config.seed)
        self.generator = make_generator(config, crops.channels)
        self.discriminator: Discriminator | None = None
        if config.losses.uses_discriminator:
            size = {"size": config.data.crop}
            self.discriminator = make(
                config.discriminator, DISCRIMINATORS, "discriminator", crops.channels, **size
            )
        if config.channels_last:
            self.to(memory_format=torch.channels_last)
        self.average: AveragedModel | None = None
        if config.optimizer.average:
            moving = partial(_move_average, config.optimizer.average)
            self.average = AveragedModel(self.generator, multi_avg_fn=moving)
            self.average.requires_grad_(False)
        # not a submodule: its weights never change and are not kept in checkpoints
        self._vgg = [vgg] if vgg is not None else []
        self.judge = Judge(config.monitor)
        self.steps_done = 0
        self.scores: Scores | None = None
        self.rows: dict[int, dict[str, float]] = {}
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.loader: TimedLoader | None = None
        self._compiled: list[Callable[[Tensor], Tensor]] = []  # no submodule: it is one already

    def check_sizes(self) -> None:
        """Run both networks once.

        Raises
        ------
        TrainingError
            They do not take crops of this size.
        """
        side, stride = self.config.data.crop, self.generator.stride
        if side % stride:
            raise TrainingError(
                f"data.crop must be a multiple of {stride} for {self.config.generator.name}, got "
                f"{side}"
            )
        images = torch.zeros(2, self.crops.channels, side, side)
        try:
            with torch.no_grad():  # and without learning statistics from nothing
                self.generator.eval()(images)
                self.generator.train()
                if self.discriminator is not None:
                    self.discriminator.eval()(images, images)
                    self.discriminator.train()
        except RuntimeError as error:
            raise TrainingError(
                f"the networks do not take crops of {side} pixels ({first_line(error)}); set a "
                "larger --crop"
            ) from None

    # what Lightning asks for

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for the generator and, if there is one, for the discriminator."""
        settings = self.config.optimizer
        betas = settings.beta1, settings.beta2
        found: list[torch.optim.Optimizer] = [
            torch.optim.Adam(self.generator.parameters(), settings.rate, betas=betas)
        ]
        if self.discriminator is not None:
            parameters = self.discriminator.parameters()
            found.append(torch.optim.Adam(parameters, settings.discriminator_rate, betas=betas))
        return found

    def on_fit_start(self) -> None:
        """Bring the features to the device, and compile where asked for."""
        for vgg in self._vgg:
            vgg.to(self.device)
        if self.config.compile and self.device.type == "cuda":
            self._compiled = [torch.compile(self.generator)]

    def train_dataloader(self) -> TimedLoader:
        """Batches up to the next validation."""
        every, total = self.config.monitor.every, self.config.schedule.steps
        last = min((self.steps_done // every + 1) * every, total)
        waited = self.loader.waited if self.loader else 0.0
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
        checkpoint["drawn_from"] = self.drawn_from

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the step up again.

        Raises
        ------
        TrainingError
            The training tiles or the number of processes are others than before.
        """
        if checkpoint["drawn_from"] != self.drawn_from:
            raise TrainingError(
                "--resume: the training tiles or --devices are not those that the run began with"
            )
        self.steps_done = int(checkpoint["steps_done"])

    @property
    def drawn_from(self) -> str:
        """What decides which crops are drawn, beside seed and step."""
        return f"{self.crops.fingerprint} in {self.trainer.world_size} processes"

    # a step

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        """Train who is to learn at this step."""
        optimizers: Any = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        self.step_within_memory(batch, optimizers, self.manual_backward)
        self.steps_done += 1
        if self.steps_done % _CHECK_EVERY == 0:
            self.check_losses()
        if self.steps_done >= self.config.schedule.steps:
            self.trainer.should_stop = True

    def step_within_memory(
        self,
        batch: tuple[Tensor, Tensor],
        optimizers: Sequence[Any],
        backward: Callable[[Tensor], None],
    ) -> None:
        """`step`; where memory runs out, find the batch that it is enough for.

        Raises
        ------
        TrainingError
            There is too little memory; it names the largest batch that fits.
        """
        full = False
        try:
            self.step(*batch, optimizers, backward)
        except RuntimeError as error:  # OutOfMemoryError is one
            if not _out_of_memory(error):
                raise
            full = True
        if full:  # the error is gone, and with it what the step held
            size = len(batch[0])
            fits = self.largest_batch(batch)
            advice = (
                f"--batch-size {fits} fits"
                if fits
                else "not even one image fits: set a smaller --crop"
            )
            raise TrainingError(
                f"out of memory at step {self.steps_done} with a batch of {size} crops of "
                f"{self.config.data.crop} pixels; {advice}"
            )

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
        factor = rate(self.steps_done, self.config.optimizer, self.config.schedule.steps)
        bases = self.config.optimizer.rate, self.config.optimizer.discriminator_rate
        for optimizer, base in zip(optimizers, bases, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = base * factor
        image: Tensor | None = None
        if now.generator:
            image = (self._compiled or [self.generator])[0](source)
        if now.discriminator:
            if image is None:
                with torch.no_grad():
                    image = self.generator(source)
            loss = self._discriminator_loss(image.detach(), source, target)
            self._learn(optimizers[1], self.discriminator, loss, backward)
        if now.generator:
            assert image is not None
            loss = self._generator_loss(image, source, target)
            self._learn(optimizers[0], self.generator, loss, backward)
            if self.average is not None:
                self.average.update_parameters(self.generator)

    @property
    def phase(self) -> Phase:
        """Phase of the step to come."""
        return phase(self.steps_done, self.config.schedule, self.discriminator is not None)

    def _learn(
        self,
        optimizer: Any,
        network: nn.Module | None,
        loss: Tensor,
        backward: Callable[[Tensor], None],
    ) -> None:
        assert network is not None
        optimizer.zero_grad()
        backward(loss)
        if self.config.optimizer.clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.config.optimizer.clip)
        optimizer.step()

    def _discriminator_loss(self, image: Tensor, source: Tensor, target: Tensor) -> Tensor:
        assert self.discriminator is not None
        real, _ = self.discriminator(target, source)
        fake, _ = self.discriminator(image, source)
        loss = discriminator_loss(real.float(), fake.float(), self.config.losses.gan)
        self._note("discriminator", loss)
        return loss

    def _generator_loss(self, image: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Sum of the weighted terms, each noted without its weight."""
        weights = self.config.losses.weights()
        terms: dict[str, Tensor] = {}
        with torch.autocast(self.device.type, enabled=False):
            full = image.float()
            for name, term in TERMS.items():
                if weights[name]:
                    terms[name] = term(full, target)
        if weights["perceptual"] or weights["style"]:
            ours, theirs = self._vgg[0](image), self._vgg[0](target)
            terms["perceptual"] = perceptual(ours, theirs)
            terms["style"] = style(ours, theirs)
        if self.phase.adversarial:
            terms |= self._adversarial_terms(image, source, target)
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        for name, value in (*terms.items(), ("total", total)):
            self._note(name, value)
        return total

    def _adversarial_terms(
        self, image: Tensor, source: Tensor, target: Tensor
    ) -> dict[str, Tensor]:
        assert self.discriminator is not None
        losses = self.config.losses
        judges = list(self.discriminator.parameters())
        for parameter in judges:  # it only judges here
            parameter.requires_grad_(False)
        fake, features = self.discriminator(image, source)
        real, wanted = None, None
        if losses.gan == "relativistic" or losses.feature_matching:
            with torch.no_grad():
                real, wanted = self.discriminator(target, source)
            real = real.float()
        for parameter in judges:
            parameter.requires_grad_(True)
        terms = {"adversarial": generator_loss(fake.float(), losses.gan, real)}
        if losses.feature_matching and wanted is not None:
            terms["feature_matching"] = feature_matching(features, wanted)
        return terms

    # what is told

    def _note(self, name: str, value: Tensor) -> None:
        value = value.detach().float()
        self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.counts[name] = self.counts.get(name, 0) + 1

    def check_losses(self) -> None:
        """Refuse to go on with a loss that is NaN or infinite.

        Raises
        ------
        TrainingError
            Which term it was, and what to change.
        """
        for name, total in self.sums.items():
            if not math.isfinite(float(total)):
                raise TrainingError(
                    f"the loss {name} became {float(total)} by step {self.steps_done}: take a "
                    "lower learning rate (--rate), clip gradients (--set optimizer.clip=1) or give "
                    f"{name} a lower weight; the best weights so far are kept"
                )

    def take_losses(self) -> dict[str, float]:
        """Mean of each term since it was last asked."""
        self.check_losses()
        found = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums.clear()
        self.counts.clear()
        return found

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

    def enhanced(self, tile: Tile) -> tuple[Any, Any, Any, float | None]:
        """Enhanced image, input, target and pixel size of a tile."""
        source, target, size = tile.load()
        with torch.autocast(self.device.type, enabled=False):  # as the weights will be used
            image = enhance_plane(self.kept.eval(), source, self.normalisation, whole=tile.limits)
        return as_type(image, target.dtype), source, target, size

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation; weights that are not finite are not worth one."""
        self.check_losses()
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
        self.check_defined(self.scores)
        # what is vetoed is no gain either
        score = -math.inf if self.vetoed else self.scores.score
        self.log("score", torch.tensor(score, dtype=torch.float64), rank_zero_only=False)

    def check_defined(self, scores: Scores) -> None:
        """Refuse to go on where what is watched has no value.

        Raises
        ------
        TrainingError
            A metric of the monitor, or overclaim where it is limited, is undefined on every image.
        """
        monitor = self.config.monitor
        needed = [*monitor.metrics, *(["overclaim"] if monitor.max_overclaim < 1 else [])]
        for name in needed:
            if name in scores.undefined:
                raise TrainingError(
                    f"--monitor: {name} is undefined on every validation image "
                    f"({scores.undefined[name]})"
                )

    @property
    def vetoed(self) -> bool:
        """Whether the last validation found more overclaim than is allowed."""
        assert self.scores is not None
        limit = self.config.monitor.max_overclaim
        return limit < 1 and not self.scores.values["overclaim"] <= limit

    # time and memory

    def time_steps(self, batches: Iterable[tuple[Tensor, Tensor]], longest: float) -> float:
        """Median seconds of a step like the one to come, but for the first; the weights change.

        No step begins after `longest` seconds.
        """
        optimizers = self.configure_optimizers()
        for vgg in self._vgg:
            vgg.to(self.device)
        seconds = []
        for source, target in batches:
            start = time.perf_counter()
            batch = source.to(self.device), target.to(self.device)
            self.step_within_memory(batch, optimizers, lambda loss: loss.backward())
            float(next(iter(self.sums.values())))  # waits for the device
            seconds.append(time.perf_counter() - start)
            if sum(seconds) > longest:
                break
        self.sums.clear()
        self.counts.clear()
        return statistics.median(seconds[1:] or seconds)

    def largest_batch(self, batch: tuple[Tensor, Tensor]) -> int:
        """The largest power of two of crops, below the batch's, that a step has memory for."""
        size = 1 << (len(batch[0]) - 1).bit_length() >> 1 if len(batch[0]) > 1 else 0
        while size:
            for network in (self.generator, self.discriminator):
                if network is not None:
                    network.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if self._fits(*(part[:size] for part in batch)):
                return size
            size //= 2
        return 0

    def _fits(self, source: Tensor, target: Tensor) -> bool:
        try:
            image = self.generator(source)
            loss = self._generator_loss(image, source, target)
            if self.discriminator is not None:
                loss = loss + self._discriminator_loss(image, source, target)
            loss.backward()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            return False
        return True
