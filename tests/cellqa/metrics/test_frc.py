from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from images import blurred

from cellqa import Bound, Undefined, frc, frc_resolution, frc_single, simulate
from cellqa.metrics._spectrum import window


def pair(cutoff: float, photons: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two acquisitions of one structure."""
    first = simulate.filaments((256, 256), cutoff=cutoff, photons=photons, seed=seed)
    again = simulate.acquire(first.structure, cutoff=cutoff, photons=photons, seed=seed + 99)
    return first.image, again.image


def test_the_curve_is_the_definition() -> None:
    one, two = (image[:101, :75].astype(float) for image in pair(0.5, 300))
    found = frc(one, two)
    taper = window(101)[:, None] * window(75)
    spectra = [np.fft.fft2((image - image.mean()) * taper) for image in (one, two)]
    fy, fx = np.fft.fftfreq(101) * 101 / 50, np.fft.fftfreq(75) * 75 / 37
    radius = np.hypot(fy[:, None], fx)
    for k in (1, 2, 17, 49, 50):
        ring = np.floor(radius * 50 + 0.5) == k
        f, g = (s[ring] for s in spectra)
        expected = (f * g.conj()).sum().real / math.sqrt((abs(f) ** 2).sum() * (abs(g) ** 2).sum())
        # float32 transforms: 1e-7 for each coefficient
        assert found.correlation[k - 1] == pytest.approx(expected, abs=2e-5)
        assert found.counts[k - 1] == ring.sum()
    assert found.radii[[0, -1]] == pytest.approx([1 / 50, 1])


@pytest.mark.parametrize("cutoff", [0.2, 0.35, 0.5, 0.7])
def test_the_cutoff_approaches_the_optical_one_from_below(cutoff: float) -> None:
    cutoffs = [frc(*pair(cutoff, photons)).cutoff for photons in (50, 300, 2000)]
    assert cutoffs == sorted(cutoffs)
    assert 0.9 * cutoff < cutoffs[-1] < 1.1 * cutoff  # leakage of the taper


def test_thresholds_are_ordered() -> None:
    images = pair(0.5, 200)
    seventh, half, half_bit = (frc(*images, threshold=t) for t in ("1/7", "0.5", "half-bit"))
    assert half.cutoff < half_bit.cutoff < seventh.cutoff
    n = half_bit.counts[-1] / 2
    expected = (0.2071 + 1.9102 / math.sqrt(n)) / (1.2071 + 0.9102 / math.sqrt(n))
    assert half_bit.threshold[-1] == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match=r"`threshold` must be one of 1/7, 0\.5, half-bit"):
        frc(*images, threshold="0.143")


def test_uneven_light_does_not_end_the_search() -> None:
    one, two = pair(0.5, 500)
    y, x = np.mgrid[:256, :256] / 256
    shaded = two + 4000 * (x - 0.3) ** 2 - 5000 * np.exp(-((y - 0.6) ** 2) / 0.05)
    curve = frc(one, shaded)
    assert curve.smoothed[:3].min() < 1 / 7  # it is lost there
    assert curve.cutoff == pytest.approx(frc(one, two).cutoff, abs=0.02)


def test_contrast_inversion_ends_it() -> None:
    image = simulate.spots((256, 256), cutoff=0.9, photons=50_000, seed=1).ideal
    f = np.fft.fft2(image)
    radius = 2 * np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    inverted = np.where((radius > 0.3) & (radius < 0.5), -f, f)  # a lobe, then right again
    assert frc(image, np.fft.ifft2(inverted).real).cutoff == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("seed", range(8))
def test_unrelated_images_agree_nowhere(seed: int) -> None:
    one, two = (simulate.filaments((256, 256), seed=s).image for s in (seed, seed + 50))
    assert math.isinf(frc_resolution(one, two))


def test_identical_images_give_a_bound(sharp8: np.ndarray) -> None:
    value = frc_resolution(sharp8, sharp8, pixel_size=0.2)
    assert isinstance(value, Bound)
    assert value == 0.4
    assert "up to the Nyquist frequency" in value.reason
    assert frc(sharp8, sharp8).at_least


def test_it_worsens_with_blur_and_noise(sharp16: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=sharp16.shape)
    blur = [frc_resolution(sharp16, blurred(sharp16, s) + 20 * noise) for s in (1, 2, 4)]
    noisy = [frc_resolution(sharp16, sharp16 + s * noise) for s in (30, 100, 300)]
    assert blur == sorted(blur)
    assert noisy == sorted(noisy)
    assert blur[0] < blur[-1]
    assert noisy[0] < noisy[-1]


def test_gain_offset_and_order_do_not_matter(sharp16: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    image = blurred(sharp16, 1) + rng.normal(0, 20, sharp16.shape)
    value = frc_resolution(sharp16, image)
    assert frc_resolution(sharp16, 3 * image - 70) == pytest.approx(value, rel=1e-4)
    assert frc_resolution(image, sharp16) == pytest.approx(value, rel=1e-9)


def test_what_is_undefined_says_why(sharp8: np.ndarray) -> None:
    flat = np.full_like(sharp8, 7)
    for given, reason in (
        ((flat, sharp8), "ground truth is constant"),
        ((sharp8, flat), "image is constant"),
        ((sharp8[:40], sharp8[:40]), "below 41 pixels"),
    ):
        value = frc_resolution(*given)
        assert isinstance(value, Undefined)
        assert reason in value.reason
    with pytest.raises(ValueError, match="`first` must not be constant"):
        frc(flat, sharp8)
    with pytest.raises(ValueError, match="shape of"):
        frc(sharp8, sharp8[:30])
    with pytest.raises(ValueError, match="`pixel_size` must be above 0"):
        frc_resolution(sharp8, sharp8, pixel_size=0)


@pytest.mark.parametrize(("cutoff", "photons"), [(0.2, 300), (0.3, 300), (0.4, 300), (0.3, 1000)])
def test_a_single_image_agrees_with_two(cutoff: float, photons: float) -> None:
    """Koho's calibration, where the optical cut-off lies within the sub-images' Nyquist."""
    found = []
    for seed in (1, 2, 3):
        first = simulate.filaments((512, 512), cutoff=cutoff, photons=photons, seed=seed)
        again = simulate.acquire(first.structure, cutoff=cutoff, photons=photons, seed=seed + 99)
        found.append((frc_single(first.image).cutoff, frc(first.image, again.image).cutoff))
    single, double = np.mean(found, axis=0)
    assert single == pytest.approx(double, rel=0.1)


def test_a_single_image_of_noise_has_no_resolution() -> None:
    noise = np.random.default_rng(1).poisson(50, (256, 256))
    assert frc_single(noise).cutoff == 0
    assert math.isinf(frc_single(noise).resolution())
    with pytest.raises(ValueError, match="at least 82"):
        frc_single(noise[:80])


@pytest.mark.parametrize("side", [41, 64, 96, 128, 200])
def test_small_images_do_not_agree_by_chance(side: int) -> None:
    """Rings of few frequencies do; 1/7 alone let 38 % of pairs of 41 pixels agree."""
    rng = np.random.default_rng(side)
    pairs = [rng.normal(size=(2, side, side)) for _ in range(300)]
    agreeing = [math.isfinite(frc_resolution(*pair)) for pair in pairs]
    assert np.mean(agreeing) < 0.01
    assert frc(*pairs[0]).threshold[0] > 1 / 7
    assert frc_resolution(pairs[0][0], pairs[0][0]) == 2


@pytest.mark.parametrize("draw", [simulate.filaments, simulate.spots, simulate.nuclei])
def test_unrelated_scenes_do_not_agree_by_chance(draw: Callable[..., simulate.Scene]) -> None:
    images = [draw((128, 128), cutoff=0.5, photons=1000, seed=s).image for s in range(101)]
    pairs = pairwise(images)
    assert np.mean([math.isfinite(frc_resolution(*pair)) for pair in pairs]) <= 0.02
