from __future__ import annotations

import math

import numpy as np
import pytest

from cellqa import nrmse, psnr


def test_psnr_of_a_constant_error_has_a_closed_form() -> None:
    dark = np.zeros((9, 7), np.uint8)
    # MSE = 10^2, so that 20 log10(255 / 10)
    assert psnr(dark, dark + 10, data_range=255) == pytest.approx(20 * math.log10(25.5), rel=1e-15)


def test_identical_images() -> None:
    image = np.arange(100.0).reshape(10, 10)
    assert psnr(image, image, data_range=1) == math.inf
    assert nrmse(image, image) == 0


def test_unsigned_values_do_not_wrap() -> None:
    low, high = np.zeros((4, 4), np.uint16), np.full((4, 4), 65535, np.uint16)
    assert psnr(low, high, data_range=65535) == psnr(high, low, data_range=65535) == 0


def test_nrmse_has_a_closed_form_and_no_value_for_a_reference_of_0() -> None:
    assert nrmse(np.full((5, 5), 4.0), np.full((5, 5), 5.0)) == pytest.approx(0.25, rel=1e-15)
    empty = nrmse(np.zeros((5, 5)), np.ones((5, 5)))
    assert math.isnan(empty)
    assert "0 everywhere" in empty.reason  # type: ignore[attr-defined]


def test_more_noise_is_worse() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(50, 200, (64, 64))
    noise = rng.normal(size=image.shape)
    values = [psnr(image, image + s * noise, data_range=255) for s in (1, 2, 4, 8)]
    # doubling the error costs 20 log10(2) dB
    assert np.diff(values) == pytest.approx([-20 * math.log10(2)] * 3, rel=1e-9)


def test_psnr_is_symmetric_and_nrmse_is_not() -> None:
    a, b = np.random.default_rng(1).uniform(1, 2, (2, 16, 16))
    b *= 3
    assert psnr(a, b, data_range=1) == psnr(b, a, data_range=1)
    assert nrmse(a, b) != nrmse(b, a)
