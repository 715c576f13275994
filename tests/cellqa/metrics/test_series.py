"""Time series of known truth: each fault is seen, and honest filters are not accused."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from cellqa import series_measures, stsnr
from cellqa.enhance import ENHANCERS
from cellqa.metrics.series import SeriesMeasures
from cellqa.simulate import Timelapse, timelapse
from cellqa.tables.time import FLICKER, MOTION

FRAMES = 12
Stack = np.ndarray


def acquired(**options: object) -> Timelapse:
    options = {"photons": 100, "speed": 2.0, "seed": 1, **options}
    return timelapse((FRAMES, 192, 192), **options)  # type: ignore[arg-type]


def smooth(stack: Stack, sigma: float = 1.0) -> Stack:
    return np.stack([cv2.GaussianBlur(np.float64(f), (0, 0), sigma) for f in stack])


def each(name: str) -> Callable[[Stack], Stack]:
    return lambda stack: np.stack([ENHANCERS[name](f) for f in stack]).astype(float)


def averaged(stack: Stack, frames: int = 3) -> Stack:
    half = frames // 2
    padded = np.pad(np.float64(stack), ((half, half), (0, 0), (0, 0)), mode="edge")
    return np.stack([padded[t : t + frames].mean(axis=0) for t in range(len(stack))])


def stretched(stack: Stack) -> Stack:
    """As programs that display each frame by its own percentiles."""
    made = []
    for frame in stack:
        low, high = np.percentile(frame, (1, 99.8))
        made.append(np.clip((frame - low) / (high - low), 0, 1))
    return np.stack(made)


def faults(found: SeriesMeasures) -> set[str]:
    """What a run would tell of one series."""
    told = set()
    if found.flicker_contrast > np.hypot(FLICKER, 2 * found.flicker_noise):
        told.add("flicker")
    if found.flicker_level > FLICKER:
        told.add("level")
    if abs(found.drift) > FLICKER + found.flicker_contrast + 2 * found.flicker_noise:
        told.add("drift")
    if found.motion < MOTION:
        told.add("motion")
    return told | {"frames" for _ in found.outliers}


HONEST: dict[str, Callable[[Stack], Stack]] = {
    "raw": np.float64,
    "gauss": smooth,
    "strong gauss": lambda stack: smooth(stack, 2.5),
    "wiener": each("wiener"),
    "unsharp": each("unsharp"),
    "scaled": lambda stack: 0.01 * stack - 0.4,
}
MICROSCOPES: dict[str, dict[str, object]] = {
    "steady": {},
    "bleaching": {"bleaching": 0.05},
    "flashes": {"flashes": {4: 2.0, 9: 0.5}},
    "defocus": {"defocus": 3.0},
    "one frame out of focus": {"defocus": [0.0] * 6 + [3.0] + [0.0] * 5},
    "camera's offset jumps": {"offset": [100, 160, 90, 180] * 3},
    "low light": {"photons": 20},
    "growth and division": {"growth": 0.03, "divisions": 2},
    "still": {"speed": 0.0},
}


@pytest.mark.parametrize("microscope", MICROSCOPES)
@pytest.mark.parametrize("method", HONEST)
def test_honest_filters_are_not_accused(method: str, microscope: str) -> None:
    series = acquired(**MICROSCOPES[microscope])
    made = HONEST[method](series.image)
    reference = None if method == "scaled" else series.ideal + series.offset[:, None, None]
    found = series_measures(series.image, made, reference=reference)
    assert not faults(found), found
    if microscope == "still":
        assert np.isnan(found.motion)
        assert "by no more than noise" in found.reason
    if microscope == "bleaching":
        assert found.decay_error == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("microscope", MICROSCOPES)
def test_the_truth_itself_is_not_accused(microscope: str) -> None:
    """A method that takes all noise away, and the camera's jumps too."""
    series = acquired(**MICROSCOPES[microscope])
    found = series_measures(series.image, series.ideal)
    assert not faults(found), found


def test_flicker_is_measured() -> None:
    series = acquired()
    rng = np.random.default_rng(0)
    for size in (0.05, 0.1):
        factors = 1 + size * rng.standard_normal(FRAMES)
        made = (smooth(series.image) - 100) * factors[:, None, None] + 100
        found = series_measures(series.image, made)
        # 1.13 times the standard deviation; of twelve values, within a third
        assert found.flicker_contrast == pytest.approx(1.13 * factors.std(), rel=0.35)
        assert faults(found) >= {"flicker"}
        assert found.flicker_level < 0.02


def test_percentiles_of_each_frame_flicker() -> None:
    """Cells that divide and grow, and a flash: each frame gets another contrast."""
    series = acquired(photons=200, divisions=4, growth=0.05, flashes={4: 2.0, 8: 1.6}, seed=3)
    found = series_measures(series.image, stretched(series.image))
    assert {"flicker", "frames"} & faults(found)
    assert any("brightness -" in o.what for o in found.outliers if o.frame == 4)
    steady = (np.float64(series.image) - 100) / 300  # one black and white for the stack
    assert not faults(series_measures(series.image, steady))


def test_bleaching_that_is_undone_is_told() -> None:
    series = acquired(bleaching=0.05)
    restored = (np.float64(series.image) - 100) / series.decay[:, None, None] + 100
    found = series_measures(series.image, restored)
    # the background, which does not bleach, is made brighter too
    assert found.decay_raw == pytest.approx(0.05, abs=0.005)
    assert found.decay_error == pytest.approx(-1, abs=0.1)
    assert "drift" in faults(found)
    half = (np.float64(series.image) - 100) / series.decay[:, None, None] ** 0.5 + 100
    assert series_measures(series.image, half).decay_error == pytest.approx(-0.5, abs=0.07)
    assert series_measures(series.image, stretched(series.image)).decay_error < -0.7


def test_growth_is_a_trend_as_well() -> None:
    series = acquired(growth=0.06, seed=2)
    found = series_measures(series.image, smooth(series.image))
    assert found.decay_raw == pytest.approx(-0.06, abs=0.01)
    assert found.decay_error == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("frames", [3, 5])
@pytest.mark.parametrize("speed", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("photons", [30, 200])
def test_an_average_over_time_smears_motion(frames: int, speed: float, photons: float) -> None:
    series = acquired(speed=speed, photons=photons)
    assert series_measures(series.image, averaged(series.image, frames)).motion < MOTION
    assert series_measures(series.image, averaged(series.ideal, frames)).motion < MOTION
    assert series_measures(series.image, smooth(series.image)).motion > 0.99


def test_frames_that_are_wrong_are_named() -> None:
    series = acquired()
    good = smooth(series.image)

    def odd(made: Stack) -> dict[int, str]:
        found = series_measures(series.image, made)
        told: dict[int, str] = {}
        for outlier in found.outliers:
            told[outlier.frame] = f"{told.get(outlier.frame, '')} {outlier.what}"
        return told

    again = good.copy()
    again[6] = again[5]
    assert list(odd(again)) == [6]
    assert "shows the frame before" in odd(again)[6]
    flashed = good.copy()
    flashed[7] = (flashed[7] - 100) * 1.5 + 100
    assert list(odd(flashed)) == [7]
    assert "brightness +50%" in odd(flashed)[7]
    dark = good.copy()
    dark[0] = 0
    assert list(odd(dark)) == [0]
    lifted = good.copy()
    lifted[3] += 20
    assert "background +" in odd(lifted)[3]
    dropped = np.concatenate([good[:5], good[6:], good[-1:]])
    assert list(odd(dropped)) == [5, 6, 7, 8, 9, 10]  # the last is the last again
    assert all("shows the frame after" in text for text in odd(dropped).values())
    late = np.concatenate([good[:1], good[:-1]])
    found = series_measures(series.image, late)
    assert "motion" in faults(found)
    assert {o.frame for o in found.outliers if "before" in o.what} == set(range(1, FRAMES))


def test_offsets_that_jump() -> None:
    """The camera's are no fault of a method, whether it keeps them or not; its own are."""
    offset = [100, 160, 90, 180] * 3
    series = acquired(offset=offset)
    for made in (smooth(series.image), series.ideal, 3.0 * series.image):
        assert series_measures(series.image, made).flicker_level < 0.01
    steady = acquired()
    jumps = np.array([0, 10, -5, 15] * 3)[:, None, None]
    found = series_measures(steady.image, smooth(steady.image) + jumps)
    assert faults(found) == {"level"}
    assert found.flicker_contrast < 0.01
    both = series_measures(series.image, series.ideal + 4 * jumps)
    assert "level" in faults(both)


def test_stsnr_is_as_defined() -> None:
    rng = np.random.default_rng(0)
    truth, given = rng.uniform(1, 9, (5, 7, 6)), rng.uniform(1, 9, (5, 7, 6))

    def snr(y: Stack, x: Stack) -> float:
        return float(10 * np.log10((y**2).sum() / ((y - x) ** 2).sum()))

    spatial = np.mean([snr(truth[t], given[t]) for t in range(5)])
    courses = [snr(truth[:, i, j], given[:, i, j]) for i in range(7) for j in range(6)]
    assert stsnr(truth, given) == pytest.approx((spatial + np.mean(courses)) / 2, rel=1e-12)
    assert stsnr(truth, truth) == np.inf
    some = given.copy()
    some[:, 0, 0] = truth[:, 0, 0]  # a course without error is left out
    assert np.isfinite(stsnr(truth, some))
    with pytest.raises(ValueError, match="`images` must have the shape"):
        stsnr(truth, given[:4])
    with pytest.raises(ValueError, match="0 everywhere"):
        stsnr(np.zeros_like(truth), given)


def test_series_give_the_same_stsnr() -> None:
    series = acquired()
    made = smooth(series.image)
    truth = series.ideal + 100
    found = series_measures(series.image, made, reference=truth)
    assert found.stsnr == pytest.approx(stsnr(truth, made), rel=1e-6)
    assert found.stsnr == pytest.approx((found.ssnr + found.tsnr) / 2)


def test_what_cannot_be_known_is_undefined() -> None:
    series = acquired()
    found = series_measures(series.image[:3], series.image[:3])
    assert "fewer than 4 frames" in found.reason
    assert np.isnan([found.flicker, found.motion, found.drift]).all()
    inverted = series_measures(series.image, 1000.0 - series.image)
    assert "does not follow" in inverted.reason
    blank = series_measures(series.image, np.zeros(series.image.shape))
    assert np.isnan(blank.flicker)
    noise = np.random.default_rng(0).normal(100, 5, series.image.shape)
    assert "beyond their noise" in series_measures(noise, noise).reason
    other = series_measures(series.image, series.image[:, ::2, ::2])
    assert "scale" in other.reason
    small = series_measures(series.image[:, :48, :48], series.image[:, :48, :48])
    assert "fewer than 64 pixels" in small.reason
    with pytest.raises(ValueError, match="numbers of frames differ"):
        series_measures(series.image, series.image[:5])


def test_enlarged_images_are_compared_on_the_raw_grid() -> None:
    series = acquired()
    twice = np.stack([np.kron(f, np.ones((2, 2))) for f in smooth(series.image)])
    found = series_measures(series.image, twice, scale=2)
    assert not faults(found)
    assert found.motion > 0.99
