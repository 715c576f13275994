from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage

from cellqa import Bound, Undefined, shift, shift_x, shift_y, simulate
from cellqa.metrics.alignment import moved_back


def displaced(seed: int, by: tuple[float, float], blur: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two noisy acquisitions of 200 x 180 pixels, the second displaced in Fourier space."""
    draw = simulate.filaments if seed % 2 else simulate.nuclei
    ideal = simulate.optical_blur(draw((260, 240), seed=seed).structure, 0.5) * 300
    fy, fx = np.fft.fftfreq(260)[:, None], np.fft.fftfreq(240)
    turn = np.exp(-2j * np.pi * (fy * by[0] + fx * by[1]))
    moved = np.fft.ifft2(np.fft.fft2(ideal) * turn).real
    if blur:
        moved = scipy.ndimage.gaussian_filter(moved, blur)
    rng = np.random.default_rng(seed)
    one, two = (rng.poisson(np.maximum(i[30:230, 30:210], 0) + 5) for i in (ideal, moved))
    return one, two


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("blur", [0, 2])
def test_a_known_displacement_is_found(seed: int, blur: float) -> None:
    by = tuple(np.random.default_rng(seed + 10).uniform(-1, 1, 2))
    found = shift(*displaced(seed, by, blur))
    # photon noise and what enters at the border leave a tenth of a pixel, blurred twice as much
    assert found == pytest.approx(by, abs=0.2 if blur else 0.1)


def test_large_displacements_are_found_to_a_fraction() -> None:
    by = (17.3, -11.6)
    assert shift(*displaced(1, by)) == pytest.approx(by, abs=0.25)


def test_both_axes_have_their_sign() -> None:
    image = simulate.filaments((160, 150), photons=2000, seed=2).image
    truth, moved = image[5:-5, 5:-5], image[3:-7, 6:-4]
    assert shift_y(truth, moved) == pytest.approx(2, abs=0.1)  # further down
    assert shift_x(truth, moved) == pytest.approx(-1, abs=0.1)  # further left


def test_gain_and_offset_do_not_matter(sharp16: np.ndarray) -> None:
    moved = np.roll(sharp16, 2, axis=1)
    found = shift(sharp16, moved)
    assert shift(sharp16, 0.01 * moved - 4) == pytest.approx(found, abs=1e-3)


def test_what_has_nothing_in_common_has_none(sharp16: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    flat = np.full(sharp16.shape, 3)
    cases = [
        (sharp16, flat, "image is constant"),
        (flat, sharp16, "ground truth is constant"),
        (sharp16[:40], sharp16[:40], "below 41"),
        (sharp16, rng.normal(size=sharp16.shape), "no structure in common"),
    ]
    for reference, image, reason in cases:
        y, x = shift(reference, image)
        assert math.isnan(y)
        assert isinstance(x, Undefined)
        assert reason in x.reason


@pytest.mark.parametrize("by", [(2.0, -3.0), (0.4, 1.7), (-5.25, 0.5)])
def test_it_is_undone_where_pixels_exist(by: tuple[float, float]) -> None:
    one, two = displaced(3, by)
    moved, (rows, columns) = moved_back(two, by)
    valid = [math.ceil(abs(s)) for s in by]
    assert (one[rows, columns].shape) == (200 - valid[0], 180 - valid[1])
    noise = math.sqrt(2 * one.mean())
    before = (one.astype(float) - two).std()
    assert (one[rows, columns] - moved[rows, columns]).std() < min(1.1 * noise, 0.7 * before)


def test_whole_pixels_keep_their_values(sharp8: np.ndarray) -> None:
    moved, (rows, columns) = moved_back(sharp8, (1.0, 0.01))
    assert moved.dtype == np.uint8
    assert np.array_equal(moved[rows, columns], sharp8[1:])


def lattice(kind: str, n: int = 256) -> np.ndarray:
    y, x = np.mgrid[:n, :n]
    return {
        "sine": 100 + 50 * np.cos(2 * np.pi * x / 16) + 50 * np.cos(2 * np.pi * y / 16),
        "pillars": np.where((x % 16 < 8) & (y % 16 < 8), 200.0, 50.0),
        "wells": np.where((x % 32 - 16) ** 2 + (y % 32 - 16) ** 2 < 64, 200.0, 50.0),
        "hexagonal": 100 + sum(np.cos(0.35 * (a * x + b * y)) for a, b in HEXAGON) * 30,
    }[kind]


HEXAGON = [(1.0, 0.0), (0.5, math.sqrt(0.75)), (-0.5, math.sqrt(0.75))]


@pytest.mark.parametrize("kind", ["sine", "pillars", "wells", "hexagonal"])
@pytest.mark.parametrize("by", [(0, 3), (5, -6), (7, 1)])
def test_a_lattice_is_told_up_to_its_period(kind: str, by: tuple[int, int]) -> None:
    whole, (y, x) = lattice(kind, 300), by
    rng = np.random.default_rng(1)
    one = whole[20:276, 20:276] + rng.normal(0, 5, (256, 256))
    two = whole[20 - y : 276 - y, 20 - x : 276 - x] + rng.normal(0, 5, (256, 256))
    found = shift(one, two)
    assert isinstance(found[0], Bound)
    assert "period" in found[0].reason
    moved, valid = moved_back(two, found)
    assert np.corrcoef(one[valid].ravel(), moved[valid].ravel())[0, 1] > 0.8
    if kind != "hexagonal":  # where another of its places may be nearer
        assert found == pytest.approx(by, abs=0.05)


def test_along_a_grating_nothing_is_told() -> None:
    x = np.arange(200)
    grating = np.tile(100 + 50 * np.sin(x / 3), (200, 1))
    y, along = shift(grating, np.roll(grating, 2, axis=1))
    assert isinstance(y, Undefined)
    assert "along a line" in y.reason
    assert along == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("draw", [simulate.filaments, simulate.nuclei, simulate.spots])
def test_cells_are_not_periodic(draw: Callable[..., simulate.Scene]) -> None:
    for seed in range(6):
        scene = draw((128, 128), photons=300, seed=seed)
        noisy = np.random.default_rng(seed).poisson(scene.ideal)
        assert not isinstance(shift(scene.image, noisy)[0], Bound)
