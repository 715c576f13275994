"""Degradations and noise."""

import cv2
import numpy as np
import pytest

from cellqa.simulate import filaments
from ciegan.data.degrade import (
    DEGRADATIONS,
    BrightfieldDefocus,
    FluorescenceDefocus,
    Gaussian,
    Noise,
    degrade,
)

RNG = np.random.default_rng
QUIET = Noise(photons=0)
SHARP = filaments((64, 80), seed=1).image


def test_the_papers_blur_is_opencvs() -> None:
    grey = np.clip(SHARP, 0, 255).astype(np.uint8)
    found = degrade(grey, Gaussian((2.3, 2.3), kernel=13), 2.3, QUIET, RNG(0))
    expected = cv2.GaussianBlur(grey, (13, 13), 2.3)
    # OpenCV's 8-bit arithmetic is fixed point
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_type_and_shape_are_kept(name: str, dtype: type) -> None:
    how = DEGRADATIONS[name]
    for shape in ((64, 80), (64, 80, 3)):
        image = np.broadcast_to(SHARP[..., None], (*SHARP.shape, 3)) if len(shape) == 3 else SHARP
        found = degrade(image.astype(dtype), how, how.draw(RNG(0)), Noise(), RNG(1), 0.2)
        assert found.shape == shape
        assert found.dtype == dtype


@pytest.mark.parametrize("how", [FluorescenceDefocus(), BrightfieldDefocus()])
def test_defocus_needs_a_pixel_size(how: FluorescenceDefocus) -> None:
    with pytest.raises(ValueError, match="pixel size is unknown"):
        degrade(SHARP, how, 1.0, QUIET, RNG(0))


def test_further_is_softer() -> None:
    image = SHARP.astype(np.float64)
    spread = [degrade(image, FluorescenceDefocus(), z, QUIET, RNG(0), 0.2).std() for z in (0, 2, 6)]
    assert spread[0] == pytest.approx(image.std(), rel=0.05)
    assert spread == sorted(spread, reverse=True)


def test_photons_have_their_variance() -> None:
    flat = np.full((200, 200), 1000.0)
    flat[0, 0] = 1000.1  # not constant
    found = Noise(photons=400).add(flat, RNG(0))
    # 400 photons at the white level of 1000: standard deviation 1000 / sqrt(400)
    assert found.std() == pytest.approx(50, rel=0.02)
    assert found.mean() == pytest.approx(1000, rel=0.002)
    both = Noise(photons=400, read=30).add(flat, RNG(0))
    assert both.std() == pytest.approx(np.hypot(50, 30), rel=0.02)


def test_the_offset_has_no_photons() -> None:
    dark = np.full((100, 100), 100.0)
    dark[:, :10] = 1100
    found = Noise(photons=1000, offset=100).add(dark, RNG(0))
    assert (found[:, 10:] == 100).all()


def test_seeds() -> None:
    def once(seed: int) -> np.ndarray:
        return degrade(SHARP, Gaussian(), 1.5, Noise(), RNG(seed))

    assert (once(3) == once(3)).all()
    assert (once(3) != once(4)).any()
    drawn = [Gaussian((1, 3)).draw(RNG(seed)) for seed in range(200)]
    assert 1 <= min(drawn) < 1.1
    assert 2.9 < max(drawn) <= 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Gaussian((3, 1)),
        lambda: Gaussian((-1, 1)),
        lambda: Gaussian((1, 1000)),
        lambda: Gaussian(kernel=12),
        lambda: Noise(photons=-1),
        lambda: Noise(read=float("nan")),
        lambda: FluorescenceDefocus((5, -5)),
    ],
)
def test_wrong_settings(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
