from __future__ import annotations

import math

import numpy as np
import pytest
from images import blurred

import cellqa
from cellqa import Undefined


def test_gain_and_offset_are_least_squares(sharp16: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    image = 0.3 * sharp16 + 55 + rng.normal(0, 9, sharp16.shape)
    columns = np.column_stack([image.ravel(), np.ones(image.size)])
    gain, offset = np.linalg.lstsq(columns, sharp16.ravel(), rcond=None)[0]
    found = cellqa.affine(sharp16, image)
    assert found == pytest.approx((gain, offset), rel=1e-9)
    assert (cellqa.gain(sharp16, image), cellqa.offset(sharp16, image)) == tuple(found)


def test_brightness_does_not_matter_and_structure_does(sharp8: np.ndarray) -> None:
    soft = blurred(sharp8, 1.5).astype(float)
    names = ("psnr_fit", "ssim_fit", "ms_ssim_fit")
    for name in names:
        score = getattr(cellqa, name)
        plain = score(sharp8, soft, data_range=255)
        assert score(sharp8, 0.5 * soft + 40, data_range=255) == pytest.approx(plain, rel=1e-9)
        assert score(sharp8, blurred(sharp8, 4), data_range=255) < plain
    assert cellqa.nrmse_fit(sharp8, 7 * soft) == pytest.approx(cellqa.nrmse_fit(sharp8, soft))
    assert cellqa.psnr(sharp8, 0.5 * soft, data_range=255) < cellqa.psnr(
        sharp8, soft, data_range=255
    )


def test_they_are_the_metrics_of_the_fitted_image(sharp8: np.ndarray) -> None:
    image = blurred(sharp8, 2) // 2 + 30
    gain, offset = cellqa.affine(sharp8, image)
    fitted = gain * image + offset
    for name in ("psnr", "ssim", "ms_ssim"):
        expected = getattr(cellqa, name)(sharp8, fitted, data_range=255)
        found = getattr(cellqa, f"{name}_fit")(sharp8, image, data_range=255)
        assert found == pytest.approx(expected, rel=1e-12)  # scales are fitted, not refitted
    assert cellqa.nrmse_fit(sharp8, image) == pytest.approx(
        cellqa.nrmse(sharp8, fitted),
        rel=1e-12,  # sums of other compiled loops, which processors round otherwise
    )


# CARE's scale-invariant PSNR of the three pairs of docs/reference/metrics.md (CSBDeep's formula in
# float64, 2026-11-22); the pairs are made as in test_agreement.
def test_scale_invariant_psnr_is_that_of_care(sharp8: np.ndarray) -> None:
    def care(gt: np.ndarray, x: np.ndarray) -> float:
        g = (gt - gt.mean()) / gt.std()
        z = x - x.mean()
        z = z * (g * z).sum() / (z * z).sum()
        return float(20 * np.log10(np.ptp(gt) / gt.std()) - 10 * np.log10(((g - z) ** 2).mean()))

    gt = sharp8.astype(float)
    for image in (blurred(sharp8, 1.5) * 0.4 + 9, gt**1.5, 300 - gt + blurred(sharp8, 3)):
        assert cellqa.si_psnr(sharp8, image) == pytest.approx(care(gt, image), rel=1e-10)


def test_identical_but_for_brightness_is_infinite(sharp8: np.ndarray) -> None:
    assert cellqa.psnr_fit(sharp8, sharp8, data_range=255) == math.inf
    assert cellqa.ssim_fit(sharp8, 2.0 * sharp8 + 8, data_range=255) == pytest.approx(1)


def test_constant_images(sharp8: np.ndarray) -> None:
    flat = np.full_like(sharp8, 9)
    for name in ("psnr_fit", "ssim_fit", "ms_ssim_fit"):
        value = getattr(cellqa, name)(sharp8, flat, data_range=255)
        assert isinstance(value, Undefined)
        assert "the image is constant" in value.reason
    assert "ground truth is constant" in cellqa.si_psnr(flat, sharp8).reason  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="`image` must not be constant"):
        cellqa.error_map(sharp8, flat)


def test_the_map_is_the_fitted_error(sharp8: np.ndarray) -> None:
    image = sharp8 // 2
    image[50:60, 50:60] = 255
    found = cellqa.error_map(sharp8, image)
    mse = float((found.astype(float) ** 2).mean())
    expected = cellqa.psnr_fit(sharp8, image, data_range=255)
    assert 10 * math.log10(255**2 / mse) == pytest.approx(expected, abs=1e-3)
    assert found[55, 55] > 5 * abs(found[:40]).mean()  # too bright is positive
