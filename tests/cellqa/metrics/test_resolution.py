from __future__ import annotations

import math
from importlib.resources import files

import cv2
import numpy as np
import pytest

from cellqa import decorrelation, resolution, simulate
from cellqa.metrics._spectrum import linspace, window
from cellqa.metrics.resolution import plan_of

# kc and A0 in normal mode, then in fast mode: the authors' MATLAB program (ImDecorr 1.1.8, with
# single() replaced by double()) under GNU Octave 7.3.0, 2026-11-22; apodisation 20 px, Nr 50,
# Ng 10. The images are those inside scikit-image 0.26's wheel, RGB as round(255 rgb2gray).
GOLDEN = [
    ("camera.png", 0.7750104123281966, 0.384, 0.7750104123281966, 0.384),
    ("coins.png", 0.935860058309038, 0.319, 0.935860058309038, 0.319),
    ("cell.png", 0.2040816326530612, 0.349, 0.2040816326530612, 0.349),
    ("microaneurysms.png", 0.8673052894627239, 0.462, 0.9081216159933362, 0.462),
    ("moon.png", 0.9925031236984589, 0.168, 0.9925031236984589, 0.168),
    ("page.png", 0.9625156184922948, 0.326, 0.9979175343606831, 0.147),
    ("text.png", 0.7687630154102457, 0.256, 0.8974593919200333, 0.107),
    ("brick.png", 0.7341940857975843, 0.126, 0.755768429820908, 0.126),
    ("grass.png", 0.8500624739691796, 0.209, 0.8500624739691796, 0.209),
    ("gravel.png", 0.9250312369845898, 0.206, 0.9250312369845898, 0.206),
    ("clock_motion.png", 0.6590587255310287, 0.268, 0.6590587255310287, 0.268),
    ("phantom.png", 0.7346938775510204, 0.567, 0.7346938775510204, 0.567),
    ("chessboard_GRAY.png", 0.9591836734693877, 0.214, 0.9987505206164098, 0.166),
    ("horse.png", 0.8375676801332778, 0.488, 0.8375676801332778, 0.488),
    ("astronaut.png", 0.8875468554768846, 0.406, 0.8875468554768846, 0.406),
    ("chelsea.png", 0.8427321949187838, 0.265, 0.8427321949187838, 0.265),
    ("coffee.png", 0.8459808413161183, 0.395, 0.8459808413161183, 0.395),
    ("color.png", 0.43990004164931285, 0.456, 0.43990004164931285, 0.456),
    ("ihc.png", 0.8500624739691796, 0.26, 0.8500624739691796, 0.26),
    ("hubble_deep_field.jpg", 0.8775510204081632, 0.522, 0.8775510204081632, 0.522),
    ("retina.jpg", 0.6806330695543523, 0.239, 0.6806330695543523, 0.239),
    ("rocket.jpg", 0.2189087880049979, 0.299, 0.9587671803415244, 0.299),
    ("motorcycle_left.png", 0.8937942523948355, 0.327, 0.8937942523948355, 0.327),
]


def sample(name: str) -> np.ndarray:
    from skimage.color import rgb2gray
    from skimage.io import imread

    image = imread(str(files("skimage") / "data" / name))
    if image.ndim == 2:
        return np.asarray(image)
    return np.round(255 * rgb2gray(image[..., :3])).astype(np.uint8)


@pytest.mark.parametrize(("name", "kc", "a0", "fast_kc", "fast_a0"), GOLDEN)
def test_agrees_with_the_authors_program(
    name: str, kc: float, a0: float, fast_kc: float, fast_a0: float
) -> None:
    image = sample(name)
    normal, fast = decorrelation(image), decorrelation(image, fast=True)
    # kc is a grid value and A0 has three digits: equal but for the last bit
    assert (normal.kc, normal.amplitude) == pytest.approx((kc, a0), abs=1e-12)
    assert (fast.kc, fast.amplitude) == pytest.approx((fast_kc, fast_a0), abs=1e-12)


def direct_curve(image: np.ndarray, g: float, radii: np.ndarray) -> np.ndarray:
    """d(r) by the definition, for a high-pass filter g: masks of the whole spectrum."""
    plan = plan_of(image.shape)
    shape = plan.shape
    cropped = image[: shape[0], : shape[1]].astype(float)
    mean = image.mean()
    tapered = (cropped - mean) * window(image.shape[0])[:, None] * window(image.shape[1]) + mean
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(tapered)))
    y, x = (linspace(-1, 1, n) for n in shape)
    radius = np.sqrt(x[None] ** 2 + y[:, None] ** 2)
    high_passed = spectrum * (1 - np.exp(-2 * g**2 * radius**2))
    energy = (high_passed[radius < 1] ** 2).sum()
    curve = []
    for r in radii:
        inside = (radius < r) & (spectrum > 0)
        n = inside.sum()
        d = high_passed[inside].sum() / math.sqrt(energy * n) if n else 0.0
        curve.append(math.floor(1000 * d) / 1000)
    return np.array(curve)


@pytest.mark.parametrize("shape", [(64, 64), (99, 120), (130, 77)])
def test_radial_sums_give_the_curves_of_the_definition(shape: tuple[int, int]) -> None:
    image = simulate.filaments(shape, cutoff=0.5, photons=300, seed=4).image
    found = decorrelation(image)
    widest = 2 / found.peaks[0, 0]
    filters = [(shape[0] - (shape[0] + 1) % 2) / 4, *np.geomspace(widest, 0.15, 10)]
    for curve, g in zip(found.curves[1:], filters, strict=True):
        # floored to 0.001, where the last bit may decide: one step
        assert curve == pytest.approx(direct_curve(image, g, found.radii), abs=0.00101)


def test_noise_has_no_peak_and_no_resolution() -> None:
    noise = np.random.default_rng(0).normal(100, 5, (128, 128))
    value = resolution(noise)
    assert math.isnan(value)
    assert "no peak" in value.reason  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_constant_images_have_no_peak(dtype: type) -> None:
    flat = np.full((64, 64), 7.3).astype(dtype)
    found = decorrelation(flat)
    assert not found.has_peak
    assert math.isnan(found.resolution())
    assert math.isnan(resolution(flat, compat=True))


def test_small_images_have_no_resolution() -> None:
    value = resolution(np.random.default_rng(0).random((40, 200)))
    assert math.isnan(value)
    assert "below 41 pixels" in value.reason  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="at least 3 x 3"):
        decorrelation(np.zeros((2, 50)))


@pytest.mark.parametrize("shape", [(3, 3), (4, 5), (8, 8), (21, 40)])
def test_the_analysis_itself_takes_any_image(shape: tuple[int, int]) -> None:
    found = decorrelation(np.random.default_rng(0).random(shape))
    assert 0 <= found.kc <= 1
    assert found.curves.shape == (12, 50)


@pytest.mark.parametrize("cutoff", [0.2, 0.35, 0.5, 0.7])
def test_simulated_cut_offs_are_found(cutoff: float) -> None:
    scene = simulate.filaments((512, 512), cutoff=cutoff, photons=500, seed=2)
    # known to read 8-13 % low on ideal transfer functions; one second-pass step is 0.009
    assert decorrelation(scene.image).kc == pytest.approx(0.9 * cutoff, rel=0.1)


def test_gain_and_offset_hardly_matter(sharp16: np.ndarray) -> None:
    once = decorrelation(sharp16)
    again = decorrelation(sharp16.astype(np.float64) * 0.003)
    assert again.kc == pytest.approx(once.kc, abs=0.01)


def test_more_blur_is_coarser(sharp16: np.ndarray) -> None:
    soft = [cv2.GaussianBlur(sharp16, (0, 0), s) for s in (1.5, 3, 5)]
    values = [resolution(image, pixel_size=0.1) for image in soft]
    assert values == sorted(values)


def test_pixel_size_scales(sharp16: np.ndarray) -> None:
    assert resolution(sharp16, pixel_size=0.25) == pytest.approx(0.25 * resolution(sharp16))
    with pytest.raises(ValueError, match="`pixel_size` must be above 0"):
        resolution(sharp16, pixel_size=0)


def test_compat_gives_a_number_where_the_authors_do() -> None:
    noise = np.random.default_rng(3).normal(100, 5, (256, 256))
    assert math.isnan(resolution(noise))
    # 2 pixels / (1/49): the 63.7 µm of their tables at 0.65 µm a pixel
    assert resolution(noise, pixel_size=0.65, compat=True) == pytest.approx(63.7, rel=1e-9)
