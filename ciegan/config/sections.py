"""Everything that a training run may be told, checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cellqa.errors import CellqaError, did_you_mean, printable
from cellqa.metrics.registry import metric
from cellqa.pairs.roles import Role
from cellqa.shown import one_line
from ciegan.config.context import Context

NORMALISATIONS = ("image", "train", "range")
GAN_KINDS = ("non-saturating", "saturating", "relativistic")
TARGETS = ("truth", "other", "self")
PRECISIONS = ("auto", "32", "bf16")
OPTIMIZERS = ("auto", "adam", "muon")


class ConfigError(CellqaError):
    """A wrong configuration: one line that names the key and what it takes."""


def unknown(where: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a key that does not exist; the nearest that does is named."""
    near = difflib.get_close_matches(name, known, 1, 0.0)[0]
    return ConfigError(f"{printable(where)} is unknown; did you mean {near}?")


def check_value(name: str, value: Any, right: bool, wanted: str) -> None:
    """Raise ConfigError where a value is not right."""
    if not right:
        raise ConfigError(f"{name} must be {wanted}, got {value}")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ConfigError where a value is none of the choices."""
    if value not in choices:
        near = did_you_mean(str(value), choices)
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}{near}")


@dataclass(frozen=True)
class Data:
    """What the networks see.

    Attributes
    ----------
    crop : int
        Side of the training images, in pixels.
    batch_size : int
        In each process.
    normalize : str
        What becomes -1 and 1: `image`: the 0.1st and 99.9th percentile of each whole input image;
        `train`: those of all training inputs; `range`: 0 and 255 for 8-bit images, else the
        smallest and largest value of the training images.
    augment : bool
        Flips and quarter turns.
    workers : int
        Processes that load; 0 loads in the training process.
    memory : float
        Gigabytes of images that are kept in memory.
    target : str
        What targets are: `truth`; `other`: another noisy capture of the same; `self`: the noisy
        input, of which two are made whose noise is independent. See `ciegan.data.noisy`.
    context : str
        Planes that are seen beside the one that is enhanced: `t:1`, those just before and after;
        `z:2`, two above and two below; empty for none. The nearest stands for one that is missing.
    """

    crop: int = 128
    batch_size: int = 4
    normalize: str = "image"
    augment: bool = True
    workers: int = 0
    memory: float = 2.0
    target: str = "truth"
    context: str = ""

    __repr__ = one_line

    def __post_init__(self) -> None:
        check_value("data.crop", self.crop, 16 <= self.crop <= 4096, "16 to 4096")
        check_value("data.batch_size", self.batch_size, 1 <= self.batch_size <= 4096, "1 to 4096")
        check_choice("data.normalize", self.normalize, NORMALISATIONS)
        check_choice("data.target", self.target, TARGETS)
        check_value("data.workers", self.workers, 0 <= self.workers <= 256, "0 to 256")
        check_value("data.memory", self.memory, self.memory >= 0, "0 or more")
        try:
            Context.parse(self.context)
        except ValueError as error:
            raise ConfigError(f"data.context must be {error}, got {self.context!r}") from None


@dataclass(frozen=True)
class Network:
    """A network: its name in the table of `ciegan.models`, and its own options.

    Attributes
    ----------
    name : str
    options : dict
    """

    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    __repr__ = one_line


@dataclass(frozen=True)
class Losses:
    """The terms of the loss with their weights, and what several of them share.

    In TOML both stand side by side: `charbonnier = 1.0`, `gan = "relativistic"`.

    Attributes
    ----------
    weights : dict
        Name of a term in `ciegan.losses.TERMS` to its weight; those of weight 0 are left out.
    gan : str
        `non-saturating`, `saturating` or `relativistic`.
    layers : tuple of str
        Of VGG-19, for terms that see its features.
    vgg : str
        A file with torchvision's `vgg19` weights; `download` fetches them once; `random` takes
        seeded random ones.
    imagenet : bool
        Whether VGG-19 is used as it was trained: mean and deviation of ImageNet removed, maxima
        pooled; the authors give it -1 to 1, and pool means.
    """

    weights: dict[str, float] = field(default_factory=dict)
    gan: str = "non-saturating"
    layers: tuple[str, ...] = ("conv1_2", "conv2_2", "conv3_2")
    vgg: str = "random"
    imagenet: bool = True

    __repr__ = one_line

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            check_value(f"losses.{name}", weight, 0 <= weight < float("inf"), "0 or more")
        weights = {name: float(weight) for name, weight in self.weights.items() if weight}
        object.__setattr__(self, "weights", weights)
        check_choice("losses.gan", self.gan, GAN_KINDS)

    def seen(self, what: str) -> list[str]:
        """Names of the terms that see `images`, `features` or `verdicts`; see `losses.Term`."""
        from ciegan.losses import TERMS

        return [name for name in self.weights if TERMS[name].sees == what]

    def check_terms(self) -> None:
        """See that a network can be trained with these terms.

        Raises
        ------
        ConfigError
            A term is unknown (the nearest is named), or none is between image and target.
        """
        from ciegan.losses import TERMS

        known = [*TERMS, *(each.name for each in fields(self) if each.name != "weights")]
        for name in self.weights:
            if name not in TERMS:
                raise unknown(f"losses.{name}", name, known)
        if len(self.seen("verdicts")) == len(self.weights):
            raise ConfigError("losses: no term between image and target has a weight above 0")

    def as_table(self, preset: Losses | None = None) -> dict[str, Any]:
        """As in TOML; terms that are left out, of those of the preset, have the weight 0."""
        rest = {e.name: getattr(self, e.name) for e in fields(self) if e.name != "weights"}
        return {**dict.fromkeys(preset.weights if preset else (), 0.0), **self.weights, **rest}

    @staticmethod
    def from_table(table: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes that a table of TOML names.

        Raises
        ------
        ConfigError
            A term has no number for its weight.
        """
        settings = {each.name for each in fields(Losses)} - {"weights"}
        attributes: dict[str, Any] = {name: table[name] for name in table if name in settings}
        weights = {name: table[name] for name in table if name not in settings}
        for name, value in weights.items():
            # no weight was meant, but a setting
            if isinstance(value, str) and difflib.get_close_matches(name, settings, 1):
                raise unknown(f"losses.{name}", name, settings)
        return {**attributes, "weights": weights} if weights else attributes


@dataclass(frozen=True)
class Optimizer:
    """How both networks learn.

    Attributes
    ----------
    name : str
        Of the generator: `adam`; `muon`, see `ciegan.training.muon`; `auto`: Muon, and Adam where
        targets are noisy (`data.target`). The discriminator has Adam.
    rate : float
        Learning rate of the generator.
    discriminator_rate : float
        Of the discriminator.
    beta1, beta2 : float
    warmup : int
        Steps until the rate is reached.
    decay : str
        `cosine` to 0 at the last step, or `none`.
    clip : float
        Largest norm of the gradient; 0 for any.
    average : float
        Decay of the moving average of the generator's weights, which is what is validated and kept;
        0 for none.
    """

    name: str = "adam"
    rate: float = 1e-3
    discriminator_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    warmup: int = 0
    decay: str = "none"
    clip: float = 0.0
    average: float = 0.0

    __repr__ = one_line

    def __post_init__(self) -> None:
        check_choice("optimizer.name", self.name, OPTIMIZERS)
        for name in ("rate", "discriminator_rate"):
            check_value(
                f"optimizer.{name}", getattr(self, name), 0 < getattr(self, name) <= 1, "0 to 1"
            )
        for name in ("beta1", "beta2", "average"):
            value = getattr(self, name)
            check_value(f"optimizer.{name}", value, 0 <= value < 1, "0 to below 1")
        check_choice("optimizer.decay", self.decay, ("cosine", "none"))
        check_value("optimizer.warmup", self.warmup, self.warmup >= 0, "0 or more")
        check_value("optimizer.clip", self.clip, self.clip >= 0, "0 or more")


@dataclass(frozen=True)
class Schedule:
    """The phases: the generator alone, the discriminator alone, both in turn.

    Attributes
    ----------
    steps : int
        In all.
    generator : float
        Steps of the generator alone; below 1, a share of all.
    discriminator : float
        Steps of the discriminator alone that follow; below 1, a share of all.
    """

    steps: int = 100_000
    generator: float = 0.5
    discriminator: float = 0.02

    __repr__ = one_line

    def __post_init__(self) -> None:
        check_value("schedule.steps", self.steps, 1 <= self.steps <= 10**9, "1 to 1e9")
        for name in ("generator", "discriminator"):
            value = getattr(self, name)
            whole = value < 1 or value == int(value)
            check_value(f"schedule.{name}", value, value >= 0 and whole, "whole steps, or below 1")


@dataclass(frozen=True)
class Monitor:
    """What is watched on the validation split, and when training stops.

    Attributes
    ----------
    metrics : dict
        Metric of cellqa to its weight: the score is the sum of weight x mean value, taken
        negative where lower is better.
    every : int
        Steps between validations.
    images : int
        Validation images at most.
    patience : int
        Validations without a better score after which training stops; 0 for never.
    min_delta : float
        By how much a score must be better.
    min_steps : int
        Training does not stop before.
    min_adversarial_steps : int
        Nor before both networks were trained together for so many steps.
    max_invented : float
        Weights whose mean `invented` (share of detail, see `cellqa.detail_budget`) is above are not
        kept as the best; 1 for any.
    samples : int
        Images in the sample montages; 0 for no montages.
    """

    metrics: dict[str, float] = field(default_factory=lambda: {"ssim": 1.0})
    every: int = 500
    images: int = 32
    patience: int = 10
    min_delta: float = 0.0
    min_steps: int = 0
    min_adversarial_steps: int = 500
    max_invented: float = 1.0
    samples: int = 4

    __repr__ = one_line

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError("monitor.metrics: name at least one metric")
        for name, weight in self.metrics.items():
            try:
                chosen = metric(name)
            except ValueError as error:
                raise ConfigError(f"monitor.metrics: {error}") from None
            if chosen.higher_is_better is None:
                raise ConfigError(f"monitor.metrics: {name} has no better and worse")
            if Role.MASK in chosen.needs:
                raise ConfigError(f"monitor.metrics: {name} needs a mask, which training has not")
            check_value(f"monitor.metrics.{name}", weight, 0 < weight < float("inf"), "above 0")
        for name, least in (
            ("every", 1),
            ("images", 1),
            ("patience", 0),
            ("min_steps", 0),
            ("min_adversarial_steps", 0),
            ("min_delta", 0),
            ("samples", 0),
        ):
            value = getattr(self, name)
            check_value(f"monitor.{name}", value, value >= least, f"{least} or more")
        check_value(
            "monitor.max_invented", self.max_invented, 0 <= self.max_invented <= 1, "0 to 1"
        )

    def warnings(self) -> list[str]:
        """What to distrust: a monitor that rewards invention."""
        others = [metric(name) for name in self.metrics if name != "invented"]
        if any(Role.REFERENCE in each.needs for each in others):
            return []
        names = ", ".join(self.metrics)
        return [
            f"the monitor ({names}) compares nothing with the target: it can be raised by invented "
            "detail; add a fidelity metric, as in --monitor ssim=1,resolution=0.1, or a limit as "
            "--max-invented 0.1"
        ]


@dataclass(frozen=True)
class Config:
    """A training run.

    Attributes
    ----------
    preset : str
        What it started from.
    data, generator, discriminator, losses, optimizer, schedule, monitor
    seed : int
    precision : str
        `32`; `bf16`, mixed precision; `auto`: bf16 on a processor that has it and on which some
        steps show that it pays, else 32 bits, whose convolutions may round to TF32 on CUDA.
    channels_last : bool
    compile : bool
        torch.compile, on CUDA.
    start : str
        A run, or weights, that training begins from; empty to begin anew.
    """

    preset: str = "default"
    data: Data = field(default_factory=Data)
    generator: Network = field(default_factory=lambda: Network("resunet"))
    discriminator: Network = field(default_factory=lambda: Network("patchgan"))
    losses: Losses = field(default_factory=lambda: Losses({"charbonnier": 1.0}))
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    monitor: Monitor = field(default_factory=Monitor)
    seed: int = 0
    precision: str = "auto"
    channels_last: bool = True
    compile: bool = False
    start: str = ""

    __repr__ = one_line

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        check_value("seed", self.seed, 0 <= self.seed < 2**32, "0 to 2^32 - 1")
