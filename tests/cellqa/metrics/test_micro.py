"""MicroSSIM and MicroMS3IM, against the authors' package."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cellqa import micro_ms3im, micro_ssim, simulate

# microssim 0.0.5 on these pairs (torch 2.14, torchmetrics 1.8.2)
PACKAGE = [
    (simulate.filaments, 300, 1, 0, 0.5851696, 0.8253309),
    (simulate.nuclei, 100, 0.2, 50, 0.7710386, 0.7106963),
    (simulate.spots, 500, 3, -20, 0.2330492, 0.6377951),
    (simulate.filaments, 50, 1.5, 100, 0.5142942, 0.4569557),
    (simulate.nuclei, 2000, 0.05, 3, 0.8684285, 0.9810939),
]


@pytest.mark.parametrize("k", range(len(PACKAGE)))
def test_they_agree_with_the_package(k: int) -> None:
    draw, photons, gain, offset, ssim, ms3im = PACKAGE[k]
    truth = draw((200, 210), cutoff=0.6, photons=800, seed=k)
    raw = simulate.acquire(truth.structure, cutoff=0.3, photons=photons, seed=k + 9).image
    image = gain * raw.astype(float) + offset
    assert micro_ssim(truth.image, image) == pytest.approx(ssim, abs=1e-4)
    assert micro_ms3im(truth.image, image) == pytest.approx(ms3im, abs=1e-4)


def test_brightness_and_background_change_nothing(sharp16: np.ndarray) -> None:
    noisy = sharp16 + np.random.default_rng(1).normal(0, 20, sharp16.shape)
    for measure in (micro_ssim, micro_ms3im):
        assert measure(sharp16, 7 * noisy - 300) == pytest.approx(measure(sharp16, noisy), abs=1e-5)
        assert measure(sharp16, 3.0 * sharp16 + 9) == pytest.approx(1, abs=1e-6)


def test_there_may_be_none(sharp16: np.ndarray) -> None:
    small = sharp16[:10]
    assert math.isnan(micro_ssim(small, small))
    assert math.isnan(micro_ssim(0 * sharp16, sharp16))
    half = sharp16[:100, :100]
    assert math.isnan(micro_ms3im(half, half))
    assert micro_ssim(half, half) == pytest.approx(1)
