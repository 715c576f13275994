"""A small network with weights, and what `ciegan enhance` makes of images with it."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner, Result
from fields import SMALLER

from cellqa.enhance.filters import as_type
from ciegan.cli import main
from ciegan.config import DEFAULT, Network
from ciegan.models import GENERATORS, Generator
from ciegan.network.checkpoint import load, make_generator, save
from ciegan.network.normalisation import PERCENTILES, Normalisation
from ciegan.network.percentiles import percentiles
from ciegan.network.windows import enhance_plane

RNG = np.random.default_rng(0)
SMALL = {"widths": [4, 8], "blocks": [1, 1]}


def weights(
    path: Path, channels: int = 1, seed: int = 0, context: str = "", scale: int = 1
) -> Path:
    """A generator that does something, as after training."""
    torch.manual_seed(seed)
    config = replace(DEFAULT, generator=Network("resunet", SMALL))
    config = replace(config, data=replace(config.data, context=context))
    generator = make_generator(config, channels)
    for parameter in generator.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return save(
        path,
        generator.state_dict(),
        config=config,
        channels=channels,
        scale=scale,
        normalisation=Normalisation("image", 10.0, 200.0),
        step=5,
        scores={},
        warnings=[],
    )


def awake(name: str, channels: int = 1) -> Generator:
    """A generator that does something, as after training."""
    torch.manual_seed(0)
    generator = GENERATORS[name](channels, **SMALLER.get(name, {}))
    for parameter in generator.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return generator.eval()


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether a result is that of the CPU: to the bit there, to rounding on a CUDA device."""
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if not torch.cuda.is_available():
        return bool((found == wanted).all())
    if found.dtype.kind == "f":
        return bool(np.abs(found - wanted).max() <= 1e-4 * np.ptp(wanted))
    return bool(np.abs(found.astype(float) - wanted).max() <= 1)


def image(dtype: type = np.uint16, shape: tuple[int, ...] = (70, 90)) -> np.ndarray:
    return RNG.integers(20, 240, shape).astype(dtype)


def run(model: Path, source: Path, target: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["enhance", str(model), str(source), str(target), *more])


def expected(
    model: Path, pixels: np.ndarray, rule: str = "image", series: np.ndarray | None = None
) -> np.ndarray:
    """What becomes of a plane; of one of a series, with black and white of all of it."""
    network = load(model)
    normalisation = replace(network.normalisation, rule=rule)
    whole = None if series is None else tuple(percentiles(series, PERCENTILES))
    made = enhance_plane(network.generator, pixels, normalisation, whole=whole)  # type: ignore[arg-type]
    return as_type(made, pixels.dtype)


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "enhanced.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}
