"""Flux of enhanced images against that of raw ones."""

import cv2
import numpy as np
import pytest

from cellqa import flux_ratio, photometry, photometry_exponent, photometry_offset, photometry_slope
from cellqa.enhance import ENHANCERS
from cellqa.metrics.case import Case
from cellqa.metrics.photometry import NAMES, measure
from cellqa.simulate import cells, filaments, nuclei

SCENES = {
    "nuclei": nuclei((256, 256), photons=500, seed=1),
    "filaments": filaments((320, 256), photons=300, seed=2),
    "large": nuclei((700, 600), photons=200, seed=3),
    "cells": cells((256, 256), photons=500, seed=4),
}


@pytest.fixture(params=list(SCENES))
def raw(request: pytest.FixtureRequest) -> np.ndarray:
    return SCENES[request.param].image.astype(float)


def test_linear_filters_keep_everything(raw: np.ndarray) -> None:
    soft = cv2.GaussianBlur(raw, (0, 0), 2)
    ideal = next(s.ideal for s in SCENES.values() if s.image.shape == raw.shape)
    assert ideal.shape == raw.shape
    for image in (soft, raw + 1.5 * (raw - soft), ENHANCERS["wiener"](raw.astype(np.float32))):
        found = photometry(raw, image)
        assert found.slope == pytest.approx(1, abs=0.012)
        assert found.exponent == pytest.approx(1, abs=0.012)
        assert found.ratio == pytest.approx(1, abs=0.015)


def test_gain_and_offset_are_told(raw: np.ndarray) -> None:
    found = photometry(raw, 1.3 * raw + 70)
    assert found.slope == pytest.approx(1.3, abs=1e-3)
    assert found.exponent == pytest.approx(1, abs=0.02)
    assert found.ratio == pytest.approx(1.3, abs=1e-3)
    dark = np.sort(raw.ravel())[: raw.size // 20].mean()
    assert found.offset == pytest.approx(0.3 * dark + 70, rel=0.1)
    inverted = photometry(raw, 4000 - raw)
    assert inverted.slope == pytest.approx(-1, abs=1e-3)
    assert inverted.ratio < 0


@pytest.mark.parametrize("gamma", [0.5, 0.7, 1.5])
def test_a_gamma_reads_as_it_is(raw: np.ndarray, gamma: float) -> None:
    smooth = cv2.GaussianBlur(raw, (0, 0), 1)
    for image in ((raw / raw.max()) ** gamma, 300 * (smooth / smooth.max()) ** gamma):
        assert photometry(raw, image).exponent == pytest.approx(gamma, abs=0.03)


def test_te_is_far_from_it() -> None:
    raw = SCENES["nuclei"].image
    assert abs(photometry(raw, ENHANCERS["te"](raw)).slope - 1) > 0.15


def test_a_forged_object_counts_little(raw: np.ndarray) -> None:
    forged = raw.copy()
    forged[40:60, 40:60] += raw.max()
    assert photometry(raw, forged).slope == pytest.approx(1, abs=0.05)


def test_enlarged_images_are_averaged(raw: np.ndarray) -> None:
    large = np.kron(1.1 * raw, np.ones((2, 2)))
    assert photometry(raw, large, scale=2).slope == pytest.approx(1.1, abs=1e-3)
    with pytest.raises(ValueError, match="scale"):
        photometry(raw, large)


def test_what_has_no_flux_is_undefined() -> None:
    noise = np.random.default_rng(0).normal(100, 10, (256, 256))
    with pytest.raises(ValueError, match="does not vary beyond its noise"):
        photometry(noise, noise)
    for pixels, told in ((np.ones((100, 100)), "constant"), (noise[:50, :50], "fewer than 64")):
        with pytest.raises(ValueError, match=told):
            photometry(pixels, pixels)
    values = measure(Case.of(noise, raw=noise), set(NAMES))
    assert set(values) == set(NAMES)
    assert all(np.isnan(v) for v in values.values())
    bright = SCENES["nuclei"].image
    with pytest.raises(ValueError, match="the image is constant"):
        photometry(bright, np.zeros(bright.shape))
    steep = photometry(bright, (bright / bright.max()) ** 9.0)
    assert np.isnan(steep.exponent)
    signed = SCENES["nuclei"].image.astype(float) - 300
    assert photometry(signed, 2 * signed).exponent == pytest.approx(1, abs=0.02)


def test_public_functions_are_those_of_the_fit() -> None:
    raw = SCENES["nuclei"].image
    image = 1.2 * raw + 5
    found = photometry(raw, image)
    each = (photometry_slope, photometry_exponent, flux_ratio, photometry_offset)
    values = tuple(f(raw, image) for f in each)
    assert values == (found.slope, found.exponent, found.ratio, found.offset)
    assert tuple(measure(Case.of(image, raw=raw), set(NAMES)).values()) == pytest.approx(values)
