"""Wiener and Richardson-Lucy as enhancers."""

import cv2
import numpy as np
import pytest

from cellqa import simulate
from cellqa.enhance import METHODS, RichardsonLucy, Wiener
from cellqa.metrics.pixel import psnr

SHARP = simulate.filaments((96, 120), cutoff=0.8, photons=5000, seed=1).image
SOFT = np.rint(cv2.GaussianBlur(SHARP.astype(float), (0, 0), 2)).astype(np.uint16)


@pytest.mark.parametrize("method", [Wiener(2.0, 0.001), RichardsonLucy(2.0, 20)])
def test_a_known_blur_is_undone(method: Wiener) -> None:
    span = float(np.ptp(SHARP))
    before, after = (psnr(SHARP, image, data_range=span) for image in (SOFT, method(SOFT)))
    assert after > before + 1
    border = np.s_[:, :6]  # mirrored, not zero
    assert np.abs(method(SOFT)[border].mean() / SHARP[border].mean() - 1) < 0.05


@pytest.mark.parametrize("name", ["wiener", "rl"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_type_shape_and_colour(name: str, dtype: type) -> None:
    grey = (SOFT // 20).astype(dtype)
    assert METHODS[name](grey).dtype == dtype
    rgb = np.stack([grey, grey, grey], axis=-1)
    found = METHODS[name](rgb)
    assert found.shape == rgb.shape
    # luminance of equal colours is the grey image, but for rounding
    assert found[..., 0].astype(float) == pytest.approx(METHODS[name](grey).astype(float), abs=1)


def test_a_constant_image_stays() -> None:
    flat = np.full((20, 30), 7, np.uint8)
    assert (Wiener()(flat) == flat).all()
    assert "sigma 2" in RichardsonLucy().describe()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Wiener(sigma=0),
        lambda: Wiener(balance=0),
        lambda: RichardsonLucy(iterations=0),
        lambda: RichardsonLucy(sigma=float("nan")),
    ],
)
def test_wrong_settings(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
