"""Weights with their configuration, as safetensors or ONNX; and those of Real-ESRGAN.

Never a pickle that can run code: of Real-ESRGAN's, nothing but tensors is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from cellqa.disk import StrPath, appearing
from cellqa.errors import CellqaError, first_line
from cellqa.shown import one_line
from ciegan.config import Config, ConfigError, Context, Network, from_dict, to_toml
from ciegan.config.sections import NORMALISATIONS
from ciegan.models import GENERATORS, Generator
from ciegan.network import onnx, realesrgan
from ciegan.network.builtin import is_builtin, resolved
from ciegan.network.enlarging import check_scale
from ciegan.network.familiar import Familiar
from ciegan.network.intervals import Intervals
from ciegan.network.normalisation import Normalisation, channels_of
from ciegan.network.trained_on import TrainedOn

BEST, LAST = "best.safetensors", "last.ckpt"
_FORMAT = "ciegan 1"
_REMEMBERED = ("tiles", "fields")
_PARTS: Mapping[type[Any], str] = {Intervals: "intervals", Familiar: "familiar"}
_PICKLES = (b"\x80", b"PK\x03\x04", b"\x1f\x8b")  # a pickle, torch's zip of one, gzip


@dataclass(frozen=True)
class Checkpoint:
    """A trained generator.

    Attributes
    ----------
    generator : Generator
        In evaluation mode, on the CPU.
    config : Config
    normalisation : Normalisation
    step : int
        At which the weights were kept.
    scores : dict
        Means over the validation split.
    warnings : list of str
        What to distrust.
    path : Path
        What it was read from.
    trained_on : TrainedOn
    intervals : Intervals or None
        Where the weights were calibrated.
    familiar : Familiar or None
        Where what they were trained on was looked at.
    scale : int
        Times that inputs are enlarged before it sees them (`ciegan.enlarge`).
    """

    generator: Generator
    config: Config
    normalisation: Normalisation
    step: int
    scores: dict[str, float]
    warnings: list[str]
    path: Path
    trained_on: TrainedOn = field(default_factory=TrainedOn)
    intervals: Intervals | None = None
    familiar: Familiar | None = None
    scale: int = 1

    __repr__ = one_line

    @classmethod
    def of(cls, network: Checkpoint | StrPath) -> Checkpoint:
        """A checkpoint as it is, or read from a path; see `load`."""
        return network if isinstance(network, Checkpoint) else load(network)

    @property
    def context(self) -> Context:
        """Neighbours that it sees beside the plane that it enhances."""
        return Context.parse(self.config.data.context)

    def check_channels(self, shape: tuple[int, ...], what: str = "the images have") -> None:
        """Raise CellqaError where the network was trained on other channels than (Y, X[, C]).

        The channels of neighbours count with those of the plane.
        """
        channels, own = channels_of(shape), self.generator.inputs
        if channels != own:
            raise CellqaError(f"{what} {channels} channels, the network was trained on {own}")


def save(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    config: Config,
    channels: int,
    normalisation: Normalisation,
    step: int,
    scores: Mapping[str, float],
    warnings: list[str],
    trained_on: TrainedOn | None = None,
    scale: int = 1,
) -> Path:
    """Write a generator's weights with all that is needed to use them.

    The file appears when it is complete; an earlier one stays whole until then.

    Raises
    ------
    OSError
        The file cannot be written, or the disk is full.
    """
    about = {
        "channels": channels,
        "scale": scale,
        "normalisation": asdict(normalisation),
        "step": step,
        "scores": dict(scores),
        "warnings": warnings,
        "trained_on": {n: sorted(v) for n, v in asdict(trained_on or TrainedOn()).items()},
        "versions": {name: version(name) for name in ("cellqa", "torch")},
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    metadata = {"format": _FORMAT, "config": to_toml(config), "about": json.dumps(about)}
    with appearing(path) as temporary:
        try:
            temporary.write_bytes(_in_order(serialised(tensors, metadata)))
        except SafetensorError as error:
            raise OSError(None, first_line(error), str(path)) from None
    return path


def add(path: Path, part: Intervals | Familiar) -> None:
    """Keep what was learnt about weights that are there with them; they stay what they are.

    Raises
    ------
    CellqaError
        The file holds no weights of ciegan.
    OSError
        It cannot be written.
    """
    if path.suffix.lower() != ".safetensors":
        raise CellqaError(f"{path.name}: only weights of `ciegan train` take more with them")
    if is_builtin(path):
        raise CellqaError(f"{path.stem} comes with the package and is not changed: copy {path}")
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"]["about"])
    about[_PARTS[type(part)]] = part.as_lists()
    header["__metadata__"]["about"] = json.dumps(about)
    with appearing(path) as temporary:
        temporary.write_bytes(_with_header(header, data[8 + length :]))


def _with_header(header: dict[str, Any], tensors: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple
    return struct.pack("<Q", len(text)) + text + tensors


def _in_order(data: bytes) -> bytes:
    """Safetensors with their metadata sorted, so that equal weights are equal bytes."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    return _with_header(header, data[8 + length :])


def load(path: StrPath) -> Checkpoint:
    """Read what `save` or `ciegan export --to onnx` wrote, or published weights of Real-ESRGAN.

    Parameters
    ----------
    path : path
        The file, the folder of a training run, or the name of built-in weights. A name in .pth is
        Real-ESRGAN's.

    Raises
    ------
    CellqaError
        The file is missing, truncated, a pickle (refused, never run), of another program or
        preset, or does not fit its own configuration.
    MissingExtraError
        The file is ONNX, and onnxruntime is not installed.
    """
    path = resolved(path)
    if path.is_dir():
        if not (path / BEST).exists():
            raise CellqaError(f"{path}: no {BEST} here; is it the folder of `ciegan train`?")
        path = path / BEST
    if not path.is_file():
        raise CellqaError(f"{path}: there is no such file")
    if path.suffix.lower() == onnx.SUFFIX:
        data, metadata = onnx.read(path)
        checkpoint = _described(metadata, path)
        generator = onnx.OnnxGenerator(data, checkpoint.generator, path.name)
        return replace(checkpoint, generator=generator.eval())
    if path.suffix.lower() == realesrgan.SUFFIX:
        return _of_real_esrgan(path)
    with path.open("rb") as file:
        start = file.read(9)
    # safetensors begin with a length, which may be any byte, and a brace
    if start.startswith(_PICKLES) and start[8:] not in (b"", b"{"):
        raise CellqaError(
            f"{path.name}: a pickle, which can run code when it is loaded; ciegan loads only "
            "safetensors"
        )
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CellqaError(f"{path.name}: damaged or truncated ({first_line(error)})") from None
    if metadata.get("format") != _FORMAT:
        raise CellqaError(
            f"{path.name}: not weights of this version of ciegan "
            f"(format {metadata.get('format', 'unknown')!r}, not {_FORMAT!r})"
        )
    checkpoint = _described(metadata, path)
    fill(checkpoint.generator, state, path.name)
    return replace(checkpoint, generator=checkpoint.generator.eval())


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of the weights in the folder of a training run.

    Raises
    ------
    CellqaError
        It cannot be read.
    """
    path = resolved(path)
    try:
        return hashlib.sha256((path / BEST if path.is_dir() else path).read_bytes()).hexdigest()
    except OSError as error:
        raise CellqaError(f"{path}: {error.strerror}") from None


def _of_real_esrgan(path: Path) -> Checkpoint:
    """Weights that another program trained, on photographs of 8 bits."""
    generator = realesrgan.read(path)
    config = Config(
        preset=realesrgan.NAME, generator=Network(realesrgan.NAME, dict(generator.options))
    )
    levels = Normalisation("image", 0.0, 255.0)
    return Checkpoint(generator.eval(), config, levels, 0, {}, [realesrgan.WARNING], path)


def _described(metadata: Mapping[str, str], path: Path) -> Checkpoint:
    """What the metadata of a file say; the generator has no weights yet.

    Raises
    ------
    CellqaError
        They are damaged, or of another version of ciegan.
    """
    try:
        config = from_dict(tomllib.loads(metadata["config"]))
        about: dict[str, Any] = json.loads(metadata["about"])
        with torch.device("meta"):  # no memory before the sizes are compared
            generator = make_generator(config, int(about["channels"]))
        own = about["normalisation"]
        normalisation = Normalisation(str(own["rule"]), float(own["low"]), float(own["high"]))
        if normalisation.rule not in NORMALISATIONS:
            raise ValueError(f"there is no normalisation {normalisation.rule!r}")
        if not -math.inf < normalisation.low < normalisation.high < math.inf:
            raise ValueError("black and white are no range")
        step, scores = int(about["step"]), dict(about["scores"])
        warnings = [str(warning) for warning in about["warnings"]]
        known = about.get("trained_on", {})  # not of versions up to 0.1
        parts = {
            name: kind.from_lists(about[name]) for kind, name in _PARTS.items() if name in about
        }
        trained_on = TrainedOn(*(frozenset(map(str, known.get(n, ()))) for n in _REMEMBERED))
        scale = about.get("scale", 1)
        check_scale(scale)
    except ConfigError as error:
        raise CellqaError(f"{path.name}: {error}") from None
    except Exception as error:  # a hostile file can bring any error up
        raise CellqaError(
            f"{path.name}: its description is damaged ({first_line(error)})"
        ) from None
    return Checkpoint(
        generator,
        config,
        normalisation,
        step,
        scores,
        warnings,
        path,
        trained_on,
        scale=scale,
        **parts,
    )


def fill(generator: Generator, state: Mapping[str, Tensor], name: str) -> None:
    """Put weights into a generator.

    Raises
    ------
    CellqaError
        They are of another network: the first that differs is named.
    """
    own = generator.state_dict()
    for key in sorted(own.keys() | state.keys()):
        if key not in state or key not in own or own[key].shape != state[key].shape:
            raise CellqaError(
                f"{name}: the weights are of another network than its configuration says "
                f"({type(generator).__name__}; {key} differs)"
            )
    # weights that are kept in half precision compute in 32 bits
    generator.load_state_dict({n: v.float() for n, v in state.items()}, assign=True)


def make_generator(config: Config, channels: int) -> Generator:
    """The generator that a configuration names.

    Raises
    ------
    ConfigError
        There is none of that name, or it does not take these options, or no neighbours.
    """
    planes = Context.parse(config.data.context).planes
    if planes == 1:
        return make(config.generator, GENERATORS, "generator", channels)
    able = [n for n, kind in GENERATORS.items() if "planes" in signature(kind).parameters]
    if config.generator.name not in able:
        raise ConfigError(
            f"data.context: the generator {config.generator.name} sees no neighbours; "
            f"{' and '.join(able)} do"
        )
    return make(config.generator, GENERATORS, "generator", channels, planes=planes)


def make(network: Any, table: Mapping[str, Any], role: str, channels: int, **extra: Any) -> Any:
    """A network by its name in a table.

    Raises
    ------
    ConfigError
        There is none of that name, or it does not take these options.
    """
    if network.name not in table:
        raise ConfigError(f"{role}.name must be one of {', '.join(table)}, got {network.name!r}")
    try:
        return table[network.name](channels, **extra, **network.options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{role}.options: {first_line(error)}") from None
