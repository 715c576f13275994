from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage

from cellqa import Undefined, shift, shift_x, shift_y, simulate
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
