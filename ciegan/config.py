"""Everything that a training run may be told, checked, and read from and written as TOML."""

from __future__ import annotations

import difflib
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from cellqa.errors import CellqaError, first_line, printable
from cellqa.metrics.registry import metric

NORMALISATIONS = ("image", "train", "range")
GAN_KINDS = ("non-saturating", "saturating", "relativistic")
PRECISIONS = ("auto", "32", "bf16")
# `real-esrgan` are weights that another program trained: nothing starts from it here
PRESET_NAMES = ("default", "paper", "pix2pix", "real-esrgan")


_LARGEST = 10**300  # whole numbers beyond are no floats


class ConfigError(CellqaError):
    """A wrong configuration: one line that names the key and what it takes."""


def _check(name: str, value: Any, right: bool, wanted: str) -> None:
    if not right:
        raise ConfigError(f"{name} must be {wanted}, got {value}")


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


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
    """

    crop: int = 128
    batch_size: int = 4
    normalize: str = "image"
    augment: bool = True
    workers: int = 0
    memory: float = 2.0

    def __post_init__(self) -> None:
        _check("data.crop", self.crop, 16 <= self.crop <= 4096, "16 to 4096")
        _check("data.batch_size", self.batch_size, 1 <= self.batch_size <= 4096, "1 to 4096")
        _choice("data.normalize", self.normalize, NORMALISATIONS)
        _check("data.workers", self.workers, 0 <= self.workers <= 256, "0 to 256")
        _check("data.memory", self.memory, self.memory >= 0, "0 or more")


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


@dataclass(frozen=True)
class Losses:
    """Weights of the terms of the loss; 0 leaves a term out. See `ciegan.losses`.

    Attributes
    ----------
    l1, l2, charbonnier, ms_ssim, focal_frequency, perceptual, style, tv : float
        Between the enhanced image and its target.
    adversarial, feature_matching : float
        Through the discriminator, in the last phase.
    gan : str
        `non-saturating`, `saturating` or `relativistic`.
    layers : tuple of str
        Of VGG-19, for `perceptual` and `style`.
    vgg : str
        A file with torchvision's `vgg19` weights; `download` fetches them once; `random` takes
        seeded random ones.
    imagenet : bool
        Whether VGG-19 is used as it was trained: mean and deviation of ImageNet removed, maxima
        pooled; the authors give it -1 to 1, and pool means.
    """

    l1: float = 0.0
    l2: float = 0.0
    charbonnier: float = 0.0
    ms_ssim: float = 0.0
    focal_frequency: float = 0.0
    perceptual: float = 0.0
    style: float = 0.0
    tv: float = 0.0
    adversarial: float = 0.0
    feature_matching: float = 0.0
    gan: str = "non-saturating"
    layers: tuple[str, ...] = ("conv1_2", "conv2_2", "conv3_2")
    vgg: str = "random"
    imagenet: bool = True

    def __post_init__(self) -> None:
        for name, weight in self.weights().items():
            _check(f"losses.{name}", weight, 0 <= weight < float("inf"), "0 or more")
        _choice("losses.gan", self.gan, GAN_KINDS)
        pixels = ("adversarial", "feature_matching")
        if not any(weight for name, weight in self.weights().items() if name not in pixels):
            raise ConfigError("losses: no term between image and target has a weight above 0")

    def weights(self) -> dict[str, float]:
        """Name of each term to its weight."""
        return {
            each.name: float(getattr(self, each.name))
            for each in fields(self)
            if each.type == "float"
        }

    @property
    def uses_discriminator(self) -> bool:
        """Whether a term needs the discriminator."""
        return bool(self.adversarial or self.feature_matching)


@dataclass(frozen=True)
class Optimizer:
    """Adam, for both networks.

    Attributes
    ----------
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

    rate: float = 1e-3
    discriminator_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    warmup: int = 0
    decay: str = "none"
    clip: float = 0.0
    average: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "discriminator_rate"):
            _check(f"optimizer.{name}", getattr(self, name), 0 < getattr(self, name) <= 1, "0 to 1")
        for name in ("beta1", "beta2", "average"):
            value = getattr(self, name)
            _check(f"optimizer.{name}", value, 0 <= value < 1, "0 to below 1")
        _choice("optimizer.decay", self.decay, ("cosine", "none"))
        _check("optimizer.warmup", self.warmup, self.warmup >= 0, "0 or more")
        _check("optimizer.clip", self.clip, self.clip >= 0, "0 or more")


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

    def __post_init__(self) -> None:
        _check("schedule.steps", self.steps, 1 <= self.steps <= 10**9, "1 to 1e9")
        for name in ("generator", "discriminator"):
            value = getattr(self, name)
            whole = value < 1 or value == int(value)
            _check(f"schedule.{name}", value, value >= 0 and whole, "whole steps, or below 1")


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
    max_overclaim : float
        Weights whose mean `overclaim` is above are not kept as the best; 1 for any.
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
    max_overclaim: float = 1.0
    samples: int = 4

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError("monitor.metrics: name at least one metric")
        for name, weight in self.metrics.items():
            try:
                found = metric(name)
            except ValueError as error:
                raise ConfigError(f"monitor.metrics: {error}") from None
            if found.higher_is_better is None:
                raise ConfigError(f"monitor.metrics: {name} has no better and worse")
            if "mask" in found.needs:
                raise ConfigError(f"monitor.metrics: {name} needs a mask, which training has not")
            _check(f"monitor.metrics.{name}", weight, 0 < weight < float("inf"), "above 0")
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
            _check(f"monitor.{name}", value, value >= least, f"{least} or more")
        _check("monitor.max_overclaim", self.max_overclaim, 0 <= self.max_overclaim <= 1, "0 to 1")

    def warnings(self) -> list[str]:
        """What to distrust: a monitor that rewards invention."""
        if any("gt" in metric(name).needs and name != "overclaim" for name in self.metrics):
            return []
        names = ", ".join(self.metrics)
        return [
            f"the monitor ({names}) compares nothing with the target: it can be raised by invented "
            "detail; add a fidelity metric, as in --monitor ssim=1,resolution=0.1, or a limit on "
            "overclaim"
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
        `auto` is bf16 mixed precision on CUDA devices that have it (compute capability 8 and
        above), 32 bits elsewhere.
    channels_last : bool
    compile : bool
        torch.compile, on CUDA.
    """

    preset: str = "default"
    data: Data = field(default_factory=Data)
    generator: Network = field(default_factory=lambda: Network("resunet"))
    discriminator: Network = field(default_factory=lambda: Network("patchgan"))
    losses: Losses = field(default_factory=lambda: Losses(charbonnier=1.0))
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    monitor: Monitor = field(default_factory=Monitor)
    seed: int = 0
    precision: str = "auto"
    channels_last: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        _choice("preset", self.preset, PRESET_NAMES)
        _choice("precision", self.precision, PRECISIONS)
        _check("seed", self.seed, 0 <= self.seed < 2**32, "0 to 2^32 - 1")

    def to_toml(self) -> str:
        """The whole configuration as TOML."""
        return tomli_w.dumps(_plain(asdict(self)))


# Faithful to Sun et al. 2022 and their program; what differs between the two is in docs/ciegan.md.
PAPER = Config(
    preset="paper",
    data=Data(crop=256, batch_size=20, normalize="range", augment=False),
    generator=Network("paper"),
    discriminator=Network("paper"),
    losses=Losses(l2=1.0, perceptual=0.05, style=50.0, tv=0.1, adversarial=0.02, imagenet=False),
    optimizer=Optimizer(beta1=0.5),
    schedule=Schedule(steps=800_000, generator=6000, discriminator=1500),
    monitor=Monitor(every=1000, min_adversarial_steps=1000),
    channels_last=True,
)

# Isola et al. 2017 (arXiv 1611.07004). They take 1 to 10 images at once; with one, running averages
# describe poorly what the networks were trained with, each image's own statistics.
PIX2PIX = Config(
    preset="pix2pix",
    data=Data(crop=256, batch_size=4, normalize="range"),
    generator=Network("pix2pix"),
    discriminator=Network("patchgan", {"width": 64, "norm": "batch"}),
    losses=Losses(l1=100.0, adversarial=1.0),
    optimizer=Optimizer(rate=2e-4, discriminator_rate=2e-4, beta1=0.5),
    schedule=Schedule(steps=100_000, generator=0, discriminator=0),
)

DEFAULT = Config(
    losses=Losses(
        charbonnier=1.0, ms_ssim=0.1, adversarial=0.001, feature_matching=0.01, gan="relativistic"
    ),
    optimizer=Optimizer(
        rate=1e-3,
        discriminator_rate=2e-4,
        warmup=100,
        decay="cosine",
        clip=1.0,
        average=0.999,
    ),
)

PRESETS: Mapping[str, Config] = {"default": DEFAULT, "paper": PAPER, "pix2pix": PIX2PIX}


def read_config(path: Path, start: Config | None = None) -> Config:
    """Read a configuration; what it does not name is as in its preset.

    Parameters
    ----------
    path : Path
        TOML; `preset = "paper"` chooses where to start.
    start : Config, optional
        Where to start if the file names no preset.

    Raises
    ------
    ConfigError
        The file is no TOML, a key is unknown (the nearest is named), a value is of the wrong type
        or out of range.
    """
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ConfigError(f"{path}: not a TOML file ({first_line(error)})") from None
    try:
        return from_dict(found, start)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def from_dict(found: Mapping[str, Any], start: Config | None = None) -> Config:
    """A configuration from nested dictionaries; see `read_config`.

    Examples
    --------
    >>> from_dict({"preset": "paper", "data": {"crop": 64}}).data.batch_size
    20
    >>> from_dict({"data": {"corp": 64}})
    Traceback (most recent call last):
      ...
    ciegan.config.ConfigError: data.corp is unknown; did you mean crop?
    """
    name = found.get("preset", (start or DEFAULT).preset)
    if "preset" in found or start is None:
        _choice("preset", name, tuple(PRESETS))
        start = PRESETS[name]
    return typing.cast(Config, _merge(start, found, ""))


def with_settings(config: Config, settings: Mapping[str, str]) -> Config:
    """Replace values by their dotted names, given as text: `data.crop` to `64`.

    Raises
    ------
    ConfigError
        As `read_config`.
    """
    for name, text in settings.items():
        if name == "preset":
            raise ConfigError("preset is where settings start from: give --preset")
        try:
            found = tomllib.loads(f"value = {text}")
        except (ValueError, RecursionError):
            found = {"value": text}  # a bare word is text
        if len(found) > 1:
            raise ConfigError(f"{name}: more than one value in {text!r}")
        nested: Any = found["value"]
        for part in reversed(name.split(".")):
            nested = {part: nested}
        config = typing.cast(Config, _merge(config, nested, "", join=True))
    return config


def _merge(start: Any, found: Mapping[str, Any], at: str, join: bool = False) -> Any:
    """A dataclass with the values found put in place of its own; tables are joined, or replaced."""
    types_of = typing.get_type_hints(type(start))
    known = {each.name for each in fields(start)}
    changed = {}
    for name, value in found.items():
        where = f"{at}{name}"
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.0)[0]
            raise ConfigError(f"{printable(where)} is unknown; did you mean {near}?")
        own = getattr(start, name)
        if is_dataclass(own):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where} must be a table, got {value!r}")
            # another network has other options
            if isinstance(own, Network) and value.get("name", own.name) != own.name:
                own = Network()
            changed[name] = _merge(own, value, f"{where}.", join)
        else:
            changed[name] = _typed(where, value, types_of[name])
            if join and isinstance(own, dict):
                changed[name] = {**own, **changed[name]}
    return replace(start, **changed)


def _typed(where: str, value: Any, wanted: Any) -> Any:
    """The value in the type that the field has."""
    origin = typing.get_origin(wanted)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < _LARGEST else math.inf
    if wanted is float and isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} must be a finite number")
    if origin is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if origin is dict and isinstance(value, Mapping):
        inner = typing.get_args(wanted)[1]
        return {
            k: v if inner is Any else _typed(f"{where}.{k}", v, inner) for k, v in value.items()
        }
    plain = isinstance(wanted, type) and not isinstance(wanted, types.GenericAlias)
    right = plain and isinstance(value, wanted)
    if not right or (wanted is int and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        kind = names.get(wanted, "a list of texts" if origin is tuple else "a table")
        raise ConfigError(f"{where} must be {kind}, got {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
