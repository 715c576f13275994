"""The detail budget: what is put in comes out, by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import scipy.ndimage

from cellqa import detail_budget, invented, resolution, simulate, supported, unexplained
from cellqa.metrics.case import Case
from cellqa.metrics.detail import SHARES, measure
from cellqa.metrics.resolution import FILTERED

DRAW = {"filaments": simulate.filaments, "nuclei": simulate.nuclei, "spots": simulate.spots}
KINDS = pytest.mark.parametrize("kind", DRAW)


def trio(
    kind: str = "filaments", seed: int = 1, side: int = 256, photons: float = 400
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground truth, raw image, and the structure of another scene."""
    truth = DRAW[kind]((side, side), cutoff=0.7, photons=1500, seed=seed)
    raw = simulate.acquire(truth.structure, cutoff=0.3, photons=photons, seed=seed + 1000)
    other = DRAW[kind]((side, side), cutoff=0.7, photons=1500, seed=seed + 500)
    return truth.image.astype(float), raw.image.astype(float), other.ideal


@KINDS
def test_the_shares_add_up_to_all(kind: str) -> None:
    truth, raw, other = trio(kind)
    budget = detail_budget(truth, raw, raw + 0.2 * other)
    assert sum(getattr(budget, name) for name in SHARES) == pytest.approx(1)
    np.testing.assert_allclose(budget.curves.sum(axis=1), 1)


@KINDS
@pytest.mark.parametrize(
    "change",
    [
        lambda x: 3 * x + 70,
        lambda x: scipy.ndimage.gaussian_filter(x, 1),
        lambda x: scipy.ndimage.uniform_filter(x, 3),
        lambda x: scipy.ndimage.shift(x, (0.5, 0.5), order=3, mode="reflect"),
        lambda x: x - 0.5 * scipy.ndimage.gaussian_filter(x, 2),
        lambda x: -x,
    ],
    ids=["gain", "gauss", "mean", "shift", "sharpened", "inverted"],
)
def test_filters_invent_nothing(kind: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    truth, raw, _ = trio(kind)
    budget = detail_budget(truth, raw, change(raw))
    assert budget.invented < 0.005
    assert budget.measured + budget.noise > 0.97


def test_each_share_is_what_was_put_in() -> None:
    """Independent parts of equal power, below 0.7 of the Nyquist frequency."""
    f = 2 * np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))
    parts = np.fft.fft2(np.random.default_rng(1).normal(size=(4, 512, 512)))
    signal, extra, camera, forged = np.fft.ifft2(np.where(f < 0.7, parts, 0)).real
    truth, raw = signal + extra, signal + camera

    def shares(image: np.ndarray) -> dict[str, float]:
        budget = detail_budget(truth, raw, image)
        inside = (budget.radii > 0.2) & (budget.radii < 0.6)
        return dict(zip(SHARES, budget.curves[inside].mean(axis=0), strict=True))

    # truth and raw image together explain two thirds of the signal, each alone a half
    expected = {"measured": 1 / 6, "noise": 1 / 12, "inferred": 1 / 12, "invented": 2 / 3}
    assert shares(signal + forged) == pytest.approx({**expected, "untestable": 0}, abs=0.01)
    assert shares(forged)["invented"] == pytest.approx(1, abs=0.01)
    assert shares(camera + 0 * truth)["noise"] == pytest.approx(2 / 3, abs=0.02)
    assert shares(extra)["inferred"] == pytest.approx(2 / 3, abs=0.02)


@KINDS
@pytest.mark.parametrize("amount", [1.0, 0.5, 0.25])
@pytest.mark.parametrize("beyond", [0.1, 0.3])
def test_the_power_of_a_forgery_is_found(kind: str, amount: float, beyond: float) -> None:
    truth, raw, other = trio(kind)
    honest = simulate.optical_blur(raw, 0.35)
    coarse = simulate.optical_blur(other, 0.3) if beyond == 0.1 else other
    size = amount * float(simulate.optical_blur(truth, 0.3).std()) / 3
    forged = simulate.paste_texture(honest, coarse, beyond=beyond, amount=size)
    before, after = (detail_budget(truth, raw, image) for image in (honest, forged))
    # each share is of the image's own power, which the forgery raises
    powers = [(b.power * (b.radii >= 0.1)).sum() for b in (before, after)]
    ranges = [float(np.ptp(image)) for image in (honest, forged)]
    was, now = (p * r**2 for p, r in zip(powers, ranges, strict=True))
    found = after.invented * now - before.invented * was
    # what happens to lie along the truth counts as true
    assert found == pytest.approx(now - was, rel=0.25)
    assert after.invented > before.invented


def test_what_the_truth_alone_shows_is_inferred() -> None:
    truth, raw, _ = trio()
    again = simulate.filaments((256, 256), cutoff=0.7, photons=1500, seed=1)
    better = simulate.acquire(again.structure, cutoff=0.7, photons=5000, seed=5).image
    budget = detail_budget(truth, raw, better)
    assert budget.inferred > 0.2
    assert budget.invented < 0.02
    assert supported(truth, better) == pytest.approx(budget.supported, abs=0.01)


def test_noise_of_the_truth_accuses_nobody() -> None:
    scene = simulate.filaments((256, 256), cutoff=0.6, photons=3000, seed=1)
    raw = simulate.acquire(scene.structure, cutoff=0.3, photons=300, seed=2).image
    honest = simulate.acquire(scene.structure, cutoff=0.6, photons=3000, seed=3).image
    for photons in (30, 100, 1000):
        truth = simulate.acquire(scene.structure, cutoff=0.6, photons=photons, seed=4).image
        assert detail_budget(truth, raw, honest).invented < 0.05


def test_white_noise_supports_and_explains_nothing() -> None:
    rng = np.random.default_rng(1)
    truth, raw, image = rng.normal(size=(3, 200, 200))
    budget = detail_budget(truth, raw, image)
    assert budget.invented + budget.untestable == pytest.approx(1, abs=0.02)
    assert supported(truth, image) < 0.02


@KINDS
def test_the_raw_image_tells_what_was_taken_away(kind: str) -> None:
    _, raw, other = trio(kind, photons=3000)
    again = simulate.acquire(
        DRAW[kind]((256, 256), seed=1).structure, cutoff=0.3, photons=3000, seed=9
    ).image.astype(float)
    erased = again.copy()
    erased[80:150, 80:180] = np.median(again)
    forged = again + 0.5 * simulate.optical_blur(other, 0.3)
    honest = unexplained(raw, again)
    assert unexplained(raw, erased) > 1.2 * honest
    assert unexplained(raw, forged) > 1.2 * honest


def test_known_noise_takes_the_place_of_an_estimate() -> None:
    scene = simulate.filaments((256, 256), cutoff=0.3, photons=300, seed=1)
    variance = float(scene.ideal.mean()) + 1.5**2  # of photons, and of reading
    estimated = unexplained(scene.image, scene.ideal)
    known = unexplained(scene.image, scene.ideal, noise=variance)
    assert known == pytest.approx(estimated, rel=0.1)
    assert 0.8 < known < 1.3


def test_a_smaller_raw_image() -> None:
    truth, raw, _ = trio()
    small = raw.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    large = cv2.resize(small.astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)
    assert detail_budget(truth, small, large, scale=2).invented < 0.01
    assert invented(truth, small, large, scale=2) < 0.01


@pytest.mark.parametrize(
    ("shape", "flat", "message"),
    [((40, 60), False, "below 41"), ((64, 64), True, "ground truth is constant")],
)
def test_there_may_be_none(shape: tuple[int, int], flat: bool, message: str) -> None:
    image = np.random.default_rng(1).normal(size=shape)
    truth = 0 * image if flat else image
    with pytest.raises(ValueError, match=message):
        detail_budget(truth, image, image)
    case = Case.of(image, reference=truth, raw=image)
    values = measure(case, {*SHARES, "supported"})
    assert all(math.isnan(value) for value in values.values())


@KINDS
@pytest.mark.parametrize("photons", [100, 1000])
def test_resolution_of_filtered_images_says_that_it_is_of_the_filter(
    kind: str, photons: float
) -> None:
    raw = DRAW[kind]((256, 256), cutoff=0.3, photons=photons, seed=1).image.astype(float)
    half = raw[::2, ::2].astype(np.float32)
    filtered = {
        "gauss": scipy.ndimage.gaussian_filter(raw, 0.7),
        "mean": scipy.ndimage.uniform_filter(raw, 3),
        "median": scipy.ndimage.median_filter(raw, 3),
        "shift": scipy.ndimage.shift(raw, 0.5, order=1, mode="reflect"),
        "cubic": cv2.resize(half, (256, 256), interpolation=cv2.INTER_CUBIC),
    }
    for name, image in filtered.items():
        assert FILTERED in getattr(resolution(image), "reason", FILTERED), name
    assert not hasattr(resolution(raw), "reason") or math.isnan(resolution(raw))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_truth_explains_a_raw_image_of_larger_pixels(scale: int) -> None:
    """White noise of a raw image is not white once that is enlarged: nothing may be read there."""
    truth = simulate.filaments((288, 288), cutoff=0.25, photons=300, seed=1).ideal.astype(float)
    rng = np.random.default_rng(2)
    seen = truth.reshape(288 // scale, scale, 288 // scale, scale).mean((1, 3))
    raw = rng.poisson(seen + 20).astype(np.float64)
    assert unexplained(raw, truth, scale=scale) == pytest.approx(1, abs=0.15)
    forged = truth + 0.5 * np.roll(truth[::-1], 40, 1)
    assert unexplained(raw, forged, scale=scale) > 3
    with pytest.raises(ValueError, match="scale"):
        unexplained(raw, truth, scale=scale + 1)
