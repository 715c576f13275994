from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from images import blurred
from scipy.signal import convolve2d

import cellqa
from cellqa import ms_ssim, ssim


def direct(x: np.ndarray, y: np.ndarray, data_range: float) -> tuple[float, float]:
    """SSIM and its contrast-structure term by the definition, two-dimensional convolution."""
    x, y = x.astype(float), y.astype(float)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(z: np.ndarray) -> np.ndarray:
        return convolve2d(z, window, mode="valid")

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    contrast = (2 * cov + c2) / (vx + vy + c2)
    return float((contrast * (2 * mx * my + c1) / (mx**2 + my**2 + c1)).mean()), contrast.mean()


def direct_multiscale(x: np.ndarray, y: np.ndarray, data_range: float) -> float:
    result = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            x, y = (
                np.pad(z.astype(float), [(0, n % 2) for n in z.shape], mode="edge") for z in (x, y)
            )
            x, y = ((z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4 for z in (x, y))
        whole, contrast = direct(x, y, data_range)
        result *= max(whole if scale == 4 else contrast, 0) ** weight
    return result


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(176, 176), (177, 203), (191, 180)])
def test_agrees_with_the_definition(dtype: type, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    top = 255 if dtype == np.uint8 else 4000
    x = (rng.random(shape) ** 3 * top).astype(dtype)
    y = np.clip(x + rng.normal(0, top / 20, shape), 0, top).astype(dtype)
    # float64 throughout; only the order of the sums differs
    assert ssim(x, y, data_range=top) == pytest.approx(direct(x, y, top)[0], rel=1e-11)
    assert ms_ssim(x, y, data_range=top) == pytest.approx(direct_multiscale(x, y, top), rel=1e-11)


def test_identical_images_give_1(sharp8: np.ndarray) -> None:
    assert ssim(sharp8, sharp8, data_range=255) == pytest.approx(1, abs=1e-14)
    assert ms_ssim(sharp8, sharp8, data_range=255) == pytest.approx(1, abs=1e-14)


def test_symmetric(sharp8: np.ndarray) -> None:
    soft = blurred(sharp8, 1.5)
    for metric in (ssim, ms_ssim):
        forth, back = (metric(*p, data_range=255) for p in ((sharp8, soft), (soft, sharp8)))
        assert forth == pytest.approx(back, rel=1e-14)


def test_more_blur_is_worse(sharp8: np.ndarray) -> None:
    for metric in (ssim, ms_ssim):
        values = [metric(sharp8, blurred(sharp8, s), data_range=255) for s in (0.7, 1, 2, 4)]
        assert values == sorted(values, reverse=True)


def test_constant_images_have_a_closed_form() -> None:
    x, y = np.full((20, 20), 100.0), np.full((20, 20), 120.0)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    assert ssim(x, y, data_range=255) == pytest.approx(expected, rel=1e-12)


def test_a_negative_contrast_term_counts_as_0(sharp8: np.ndarray) -> None:
    assert ssim(sharp8, 255 - sharp8, data_range=255) < 0
    assert ms_ssim(sharp8, 255 - sharp8, data_range=255) == 0


@pytest.mark.parametrize(
    ("metric", "shape", "reason"),
    [(ssim, (10, 40), "below 11 pixels"), (ms_ssim, (175, 400), "below 176 pixels")],
)
def test_small_images_have_no_value(metric: object, shape: tuple[int, int], reason: str) -> None:
    value = metric(np.ones(shape), np.ones(shape), data_range=1)  # type: ignore[operator]
    assert math.isnan(value)
    assert reason in value.reason


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    gain=st.floats(1e-3, 1e3),
    flat=st.floats(0, 1),
)
def test_scaling_both_images_and_the_range_changes_nothing(
    seed: int, gain: float, flat: float
) -> None:
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((24, 31)) < flat, 0.0, rng.random((24, 31)))
    y = x + rng.normal(0, 0.1, x.shape)
    once = ssim(x, y, data_range=1.0)
    # rounding of the products only: at most some 1e-12
    assert ssim(x * gain, y * gain, data_range=gain) == pytest.approx(once, rel=1e-9, abs=1e-12)
    assert -1 <= once <= 1


@pytest.mark.parametrize("offset", [1e9, 4e9, -4e9, 1e12])
@pytest.mark.parametrize("name", ["ssim", "ms_ssim"])
def test_far_from_zero_structure_and_contrast_count(name: str, offset: float) -> None:
    """Squares of values there leave no room for their variance; luminance is 1 to 1e-8."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3000, (200, 200)).astype(np.float64)
    image = truth + rng.normal(0, 300, truth.shape).round()
    measure = getattr(cellqa, name)
    # where means are large beside the range and squares are still exact
    wanted = measure(truth + 1e6, image + 1e6, data_range=3000)
    assert measure(truth + offset, image + offset, data_range=3000) == pytest.approx(
        wanted, abs=1e-4
    )
    there = np.nanmean(cellqa.ssim_map(truth + offset, image + offset, data_range=3000))
    near = np.nanmean(cellqa.ssim_map(truth + 1e6, image + 1e6, data_range=3000))
    assert there == pytest.approx(near, abs=1e-4)
