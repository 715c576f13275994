"""Generators on images of any size: no seams, whatever the tile."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from fields import SMALLER
from networks import awake

from cellqa.errors import CellqaError
from ciegan.models import GENERATORS
from ciegan.network.normalisation import Normalisation
from ciegan.network.percentiles import percentiles_of_rows
from ciegan.network.runner import Runner
from ciegan.network.turns import turned, turned_back
from ciegan.network.windows import (
    enhance_bands,
    enhance_plane,
    span,
    tile_side,
)

UNIT = Normalisation("range", 0.0, 1.0)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("shape", [(5, 7), (33, 41), (64, 64), (9, 50)])
def test_any_size(name: str, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    generator = GENERATORS[name](1, **SMALLER.get(name, {})).eval()
    found = enhance_plane(generator, pixels, UNIT)
    assert found.shape == shape
    if name not in ("paper", "pix2pix"):  # which begin at random
        assert found == pytest.approx(pixels, abs=1e-6)


@pytest.mark.parametrize("name", GENERATORS)
def test_no_seams(name: str) -> None:
    generator = awake(name)
    pixels = np.random.default_rng(0).random((221, 198)).astype(np.float32)
    whole = enhance_plane(generator, pixels, UNIT, tile=4096)
    assert np.abs(whole - pixels).max() > 0.01  # it does something
    for tile in (128,) if name == "paper" else (64, 100, 128):
        found = enhance_plane(generator, pixels, UNIT, tile=tile)
        # float32 sums in another order; a grey level in 8 bits is 4e-3
        assert np.abs(found - whole).max() < 1e-4


@pytest.mark.parametrize("length", [100, 37, 8, 257])
def test_spans_cover_each_row_once(length: int) -> None:
    generator = GENERATORS["resunet"](1)
    counts = np.zeros(length, int)
    start = 0
    while start < length:
        kept, computed = span(start, length, 60, generator)
        counts[kept] += 1
        assert computed.start % generator.stride == computed.stop % generator.stride == 0
        assert computed.start <= kept.start < kept.stop <= computed.stop
        start = kept.stop
    assert (counts == 1).all()


def test_a_wider_network_takes_smaller_windows() -> None:
    sides = {name: Runner(GENERATORS[name](1)).window for name in ("paper", "resunet")}
    assert 64 <= sides["paper"] < sides["resunet"] <= 4096


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("length", [1, 100, 1023, 1400, 1700, 5001])
def test_the_fewest_windows_that_fit(name: str, length: int) -> None:
    with torch.device("meta"):
        generator = GENERATORS[name](1)
    window = 4 * generator.radius + 200

    def windows(side: int) -> list[int]:
        spans = [span(start, length, side, generator) for start in range(0, length, side)]
        return [s.computed.stop - s.computed.start for s in spans if s.kept.start < s.kept.stop]

    step = generator.stride
    side = step * -(-tile_side(length, window, generator) // step)
    found = windows(side)
    assert max(found) <= window
    if len(found) > 1:
        fewer = step * -(-length // (len(found) - 1) // step)
        assert max(windows(fewer)) > window


@pytest.mark.parametrize("number", range(8))
def test_turns_are_undone_and_differ(number: int) -> None:
    window = np.random.default_rng(0).random((2, 6, 4))
    assert (turned_back(turned(window, number), number) == window).all()
    square = window[:, :4]
    others = [turned(square, k) for k in range(8) if k != number]
    assert not any((turned(square, number) == other).all() for other in others)


def test_samples_are_averaged_and_their_spread_told() -> None:
    generator = awake("resunet")
    pixels = np.random.default_rng(0).random((50, 70)).astype(np.float32)

    def read(start: int, stop: int) -> np.ndarray:
        return pixels[start:stop]

    runner = Runner(generator)
    bands = list(enhance_bands(runner, read, pixels.shape, (0.0, 1.0), tile=32, samples=8))
    mean = np.concatenate([band.enhanced for band in bands])
    spread = np.concatenate([band.spread for band in bands])
    filled = np.pad(pixels, ((0, 6), (0, 2)), mode="symmetric")  # to multiples of the stride
    turns = []
    for k in range(8):
        each = enhance_plane(generator, turned(filled[None], k)[0], UNIT)
        turns.append(turned_back(each[None], k)[0, :50, :70])
    assert mean == pytest.approx(np.mean(turns, axis=0), abs=1e-5)
    assert spread == pytest.approx(np.std(turns, axis=0, ddof=1), abs=1e-5)
    assert spread.max() > 1e-3


def test_windows_of_several_threads_go_through_together() -> None:
    generator = awake("resunet")
    sizes = []
    generator.register_forward_hook(lambda m, inputs, out: sizes.append(len(inputs[0])))
    runner = Runner(generator, batch=4)
    windows = np.random.default_rng(0).uniform(-1, 1, (8, 1, 32, 32)).astype(np.float32)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(runner, windows))
    alone = Runner(generator)
    for window, image in zip(windows, found, strict=True):
        assert image == pytest.approx(alone(window), abs=1e-5)
    assert 1 < max(sizes) <= 4


def test_less_goes_through_where_memory_runs_out() -> None:
    """What does not fit at once is halved: batches, then tiles."""
    generator = awake("resunet")
    pixels = np.random.default_rng(0).random((200, 300)).astype(np.float32)
    whole = enhance_plane(generator, pixels, UNIT)
    room = 45_000  # less than the image; one window of a tile of 128, with its margins of 56

    def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].numel() > room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")

    runner = Runner(generator, batch=4)
    generator.register_forward_pre_hook(refuse)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: enhance_plane(runner, pixels, UNIT, tile=256), range(4)))
    for image in found:
        assert image == pytest.approx(whole, abs=1e-4)
    room = 10
    with pytest.raises(CellqaError, match="not enough memory"):
        enhance_plane(Runner(generator), pixels, UNIT)


def test_an_error_of_the_network_reaches_who_waits() -> None:
    runner = Runner(awake("resunet"), batch=4)
    with pytest.raises(RuntimeError, match="expected input"):
        runner(np.zeros((3, 32, 32), np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_percentiles_of_bands(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciegan.network.percentiles._AT_ONCE", 0)
    monkeypatch.setattr("ciegan.network.percentiles._ROWS", 7)
    rng = np.random.default_rng(0)
    for image in (
        rng.normal(100, 20, (60, 50)).astype(dtype),
        np.where(rng.random((50, 40)) < 0.01, 1e9, rng.random((50, 40)))
        .clip(0, 1e9 if dtype(0).itemsize > 2 else 100)
        .astype(dtype),
        np.full((30, 3), 5, dtype),
    ):
        found = percentiles_of_rows(
            lambda a, b, image=image: image[a:b], len(image), [0, 0.1, 50, 99.9, 100]
        )
        assert found == pytest.approx(np.percentile(image, [0, 0.1, 50, 99.9, 100]), rel=1e-12)


def test_percentiles_of_nan_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ciegan.network.percentiles._AT_ONCE", 0)
    image = np.array([[1.0, np.nan]])
    with pytest.raises(CellqaError, match="NaN"):
        percentiles_of_rows(lambda a, b: image[a:b], 1, [50])


def test_colour() -> None:
    generator = awake("resunet", 3)
    pixels = np.random.default_rng(0).random((70, 90, 3)).astype(np.float32)
    whole = enhance_plane(generator, pixels, UNIT)
    assert whole.shape == pixels.shape
    assert np.abs(enhance_plane(generator, pixels, UNIT, tile=32) - whole).max() < 1e-4


def test_an_image_with_nan_is_refused_for_what_it_is() -> None:
    pixels = np.ones((32, 32), np.float32)
    pixels[3, 4] = np.nan
    with pytest.raises(CellqaError, match="NaN or infinity in the image"):
        enhance_plane(GENERATORS["resunet"](1).eval(), pixels, UNIT)
