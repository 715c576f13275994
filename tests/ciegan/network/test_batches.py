from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from networks import awake

from cellqa.enhance.filters import as_type
from ciegan.network.batches import Batches
from ciegan.network.launching import DeviceNetwork, Window
from ciegan.network.normalisation import rounded, scaled, unscaled
from ciegan.network.percentiles import percentiles
from ciegan.network.runner import Runner
from ciegan.network.turns import turned, turned_back, turned_tensor, turned_tensor_back

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_counted_percentiles_are_those_of_numpy_to_the_bit(dtype: type) -> None:
    ends = np.iinfo(dtype)
    for size in (1, 2, 7, 1000, 4999):
        values = RNG.integers(ends.min // 3, ends.max // 2, size).astype(dtype)
        wanted = [0, 0.1, 13.7, 50, 61.8, 99.9, 100]
        assert percentiles(values, wanted) == list(np.percentile(values, wanted))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
@pytest.mark.parametrize("limits", [(3.3, 200.7), (0.0, 255.0), (10.0, 60000.0)])
def test_one_pass_gives_what_numpy_gives_to_the_bit(
    dtype: type, shape: tuple[int, ...], limits: tuple[float, float]
) -> None:
    colour = len(shape) == 3
    pixels = RNG.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    planes = np.moveaxis(pixels, -1, 0) if colour else pixels[None]
    expected = planes.astype(np.float32)
    expected -= limits[0]
    expected *= 2 / (limits[1] - limits[0])
    expected -= 1
    found = scaled(pixels, limits)
    assert (found == expected).all()
    noisy = found + RNG.normal(0, 0.5, found.shape).astype(np.float32)
    values = unscaled(noisy, limits, colour)
    beyond = (values < -0.5) | (values > np.iinfo(dtype).max + 0.5)
    image, clipped = rounded(noisy, limits, colour, np.dtype(dtype))
    assert image.dtype == dtype
    assert (image == as_type(values, np.dtype(dtype))).all()
    assert clipped == beyond.sum() > 0


@pytest.mark.parametrize("number", range(8))
def test_tensors_are_turned_as_arrays_are(number: int) -> None:
    window = RNG.random((2, 6, 4))
    found = turned_tensor(torch.from_numpy(window), number)
    assert (found.numpy() == turned(window, number)).all()
    assert (turned_tensor_back(found, number).numpy() == turned_back(found.numpy(), number)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("channels", "samples"), [(1, 1), (1, 3), (3, 1), (3, 8)])
def test_a_device_scales_and_rounds_as_the_cpu(dtype: type, channels: int, samples: int) -> None:
    """What CUDA is given raw, computed by the same program on the CPU."""
    generator = awake("resunet", channels)
    batches = Batches(DeviceNetwork(generator, CPU, "auto", None), 8, 1e9, 4)
    runner = Runner(generator)
    largest = np.iinfo(dtype).max
    shape = (48, 64) if channels == 1 else (48, 64, 3)
    windows = [
        Window(
            RNG.integers(0, largest // (k + 1), shape).astype(dtype),
            (slice(k, 40 + k), slice(3, 60)),
            (0.1 * largest * k, 0.6 * largest),
            np.dtype(dtype),
            samples,
        )
        for k in range(4)
    ]
    found = [asked.result() for asked in [batches.ask(window) for window in windows]]
    for window, result in zip(windows, found, strict=True):
        expected = runner.submit(window)()
        assert result.pixels.dtype == dtype
        assert result.pixels.shape == expected.pixels.shape
        step = 1 if dtype is np.uint8 else 2  # float32 against float64
        assert np.abs(result.pixels.astype(int) - expected.pixels.astype(int)).max() <= step
        assert result.clipped == pytest.approx(expected.clipped, abs=5)
        if samples > 1:
            assert result.spread == pytest.approx(expected.spread, rel=1e-3, abs=1e-3 * largest)
            assert result.spread.max() > 0
        else:
            assert result.spread is None


def test_windows_of_other_kinds_wait_for_their_turn() -> None:
    generator = awake("resunet")
    batches = Batches(DeviceNetwork(generator, CPU, "32", None), 4, 1e9, 8)
    sizes = [(32, 32), (32, 40), (32, 32), (40, 32)] * 4
    windows = [RNG.uniform(-1, 1, (1, *size)).astype(np.float32) for size in sizes]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda window: batches.ask(window).result(), windows))
    alone = Runner(generator)
    for window, image in zip(windows, found, strict=True):
        assert image == pytest.approx(alone(window), abs=1e-5)


@pytest.mark.parametrize(
    ("precision", "dtype", "limits", "narrow"),
    [
        ("auto", np.uint8, (0.0, 255.0), True),
        ("auto", np.uint16, (100.0, 500.0), True),  # little of its range is used
        ("auto", np.uint16, (0.0, 40000.0), False),
        ("auto", np.float32, (0.0, 1.0), False),
        ("16", np.float32, (0.0, 1.0), True),
        ("32", np.uint8, (0.0, 255.0), False),
    ],
)
def test_half_precision_is_taken_where_its_rounding_is_below_half_a_level(
    precision: str,
    dtype: type,
    limits: tuple[float, float],
    narrow: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = DeviceNetwork(awake("resunet"), CPU, precision, None)
    window = Window(np.zeros((8, 8), dtype), (slice(8), slice(8)), limits, np.dtype(dtype))
    assert not network.narrow(window)  # on the CPU
    monkeypatch.setattr(network, "_cuda", True)
    assert network.narrow(window) == narrow
    network.finite = False
    assert not network.narrow(window)


def test_what_half_precision_cannot_hold_is_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = awake("resunet")
    network = DeviceNetwork(generator, CPU, "auto", None)
    monkeypatch.setattr(network, "narrow", lambda window: network.finite)
    launch = network.launch
    widths = []

    def overflowing(group):
        widths.append(group[0].narrow)
        narrow, group[0].narrow = group[0].narrow, False  # no half precision on every CPU
        flight = launch(group)
        group[0].narrow = narrow
        if narrow:
            flight.finite = torch.tensor(False)
        return flight

    monkeypatch.setattr(network, "launch", overflowing)
    window = RNG.uniform(-1, 1, (1, 32, 32)).astype(np.float32)
    batches = Batches(network, 1, 1e9, 1)
    for _ in range(2):
        assert batches.ask(window).result() == pytest.approx(Runner(generator)(window), abs=1e-5)
    assert widths == [True, False, False]
