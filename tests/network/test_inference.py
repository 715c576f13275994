"""Generators on images of any size: no seams, whatever the tile."""

import numpy as np
import pytest
import torch

from ciegan.data import Normalisation
from ciegan.inference import enhance_plane, tile_side, windows
from ciegan.models import GENERATORS, Generator

UNIT = Normalisation("range", 0.0, 1.0)


def awake(name: str, channels: int = 1) -> Generator:
    """A generator that does something, as after training."""
    torch.manual_seed(0)
    generator = GENERATORS[name](channels)
    for parameter in generator.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return generator.eval()


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("shape", [(5, 7), (33, 41), (64, 64), (9, 50)])
def test_any_size(name: str, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    generator = GENERATORS[name](1).eval()
    found = enhance_plane(generator, pixels, UNIT)
    assert found.shape == shape
    if name != "paper":  # which begins at random
        assert found == pytest.approx(pixels, abs=1e-6)


@pytest.mark.parametrize("name", GENERATORS)
def test_no_seams(name: str) -> None:
    generator = awake(name)
    pixels = np.random.default_rng(0).random((301, 278)).astype(np.float32)
    whole = enhance_plane(generator, pixels, UNIT, tile=4096)
    assert np.abs(whole - pixels).max() > 0.01  # it does something
    for tile in (128,) if name == "paper" else (64, 100, 128, 256):
        found = enhance_plane(generator, pixels, UNIT, tile=tile)
        # float32 sums in another order; a grey level in 8 bits is 4e-3
        assert np.abs(found - whole).max() < 1e-4


@pytest.mark.parametrize("shape", [(100, 37), (8, 8), (256, 257)])
def test_windows_cover_each_pixel_once(shape: tuple[int, int]) -> None:
    generator = GENERATORS["resunet"](1)
    counts = np.zeros(shape, int)
    for inner, outer in windows(shape, 60, generator):
        counts[inner] += 1
        for kept, computed in zip(inner, outer, strict=True):
            assert computed.start % generator.stride == computed.stop % generator.stride == 0
            assert computed.start <= kept.start < kept.stop <= computed.stop
    assert (counts == 1).all()


def test_a_wider_network_takes_smaller_tiles() -> None:
    sides = {name: tile_side(GENERATORS[name](1)) for name in ("paper", "resunet")}
    assert 64 <= sides["paper"] < sides["resunet"] <= 4096


def test_colour() -> None:
    generator = awake("resunet", 3)
    pixels = np.random.default_rng(0).random((70, 90, 3)).astype(np.float32)
    whole = enhance_plane(generator, pixels, UNIT)
    assert whole.shape == pixels.shape
    assert np.abs(enhance_plane(generator, pixels, UNIT, tile=32) - whole).max() < 1e-4
