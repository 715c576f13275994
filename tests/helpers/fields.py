"""Simulated fields, prepared data and a tiny configuration for the tests of ciegan."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellqa.io import write_tiff
from cellqa.simulate import filaments, nuclei
from ciegan.config import Config, from_dict
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.degrade import Gaussian, Noise


def write_fields(folder: Path, number: int, side: int = 64) -> Path:
    """Sharp simulated fields, as 8-bit images."""
    for k in range(number):
        scene = (filaments, nuclei)[k % 2]((side, side), cutoff=0.6, photons=500, seed=k)
        grey = scene.image.astype(float)
        grey = 255 * (grey - grey.min()) / np.ptp(grey)
        write_tiff(folder / f"field{k}.tif", np.rint(grey).astype(np.uint8), 0.2)
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six blurred fields: three to train on, two to validate, one to test."""
    folder = tmp_path_factory.mktemp("prepared")
    sharp = write_fields(folder / "sharp", 6)
    prepare_blur(
        sharp,
        folder / "data",
        Gaussian((1.5, 1.5)),
        noise=Noise(photons=500),
        tiling=TilingOptions(tile=64, split="3,2,1"),
    )
    return folder / "data"


# Generators whose own size is too much for the tests of what all of them promise.
SMALLER: dict[str, dict[str, Any]] = {"pix2pix": {"width": 8, "depth": 4}}

TINY = {
    "preset": "adversarial",
    "data": {"crop": 32, "batch_size": 2},
    "generator": {"options": {"widths": [4, 8], "blocks": [1, 1]}},
    "discriminator": {"options": {"width": 4, "layers": 2}},
    "schedule": {"steps": 8, "generator": 3, "discriminator": 1},
    "monitor": {"every": 2, "min_adversarial_steps": 1, "samples": 1},
}


@pytest.fixture
def tiny() -> Config:
    """A configuration whose eight steps take a second."""
    return from_dict(TINY)


TINY_TOML = """
[data]
crop = 32
batch_size = 2
[generator]
name = "resunet"
[generator.options]
widths = [4, 8]
blocks = [1, 1]
[monitor]
images = 1
samples = 1
"""
