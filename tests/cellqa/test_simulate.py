from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from cellqa import simulate

SCENES = [
    simulate.filaments,
    simulate.spots,
    simulate.nuclei,
    simulate.fibres,
    simulate.cells,
    partial(simulate.nuclei, density=0.1, size=1.8),
]


@pytest.mark.parametrize("make", SCENES)
def test_scenes_are_seeded_and_band_limited(make: object) -> None:
    scene = make((128, 120), cutoff=0.4, photons=500, seed=3)  # type: ignore[operator]
    again = make((128, 120), cutoff=0.4, photons=500, seed=3)  # type: ignore[operator]
    assert np.array_equal(scene.image, again.image)
    assert scene.image.shape == (128, 120)
    assert 0 <= scene.structure.min() <= scene.structure.max() <= 1
    # photons are counted: the mean is the ideal's, within five standard errors
    error = np.sqrt(scene.ideal.mean() / scene.ideal.size)
    assert scene.image.mean() - 100 == pytest.approx(scene.ideal.mean(), abs=5 * error + 0.05)


def test_nothing_passes_the_cut_off() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256))
    blurred = simulate.optical_blur(np.tile(noise, (1, 1)), 0.5)
    spectrum = np.abs(np.fft.rfft2(blurred * np.hanning(256)[:, None] * np.hanning(256)))
    fy, fx = np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None]
    radius = np.hypot(fy, fx) * 2
    # the cut-out edges leak a little; a window keeps that small
    assert spectrum[radius > 0.55].max() < 1e-3 * spectrum[radius < 0.3].max()


def test_light_is_kept() -> None:
    assert simulate.optical_blur(np.full((64, 64), 2.0), 0.3) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="`cutoff` must be above 0"):
        simulate.optical_blur(np.ones((8, 8)), 0)


def test_sarcomeres_are_nine_pixels_long() -> None:
    structure = simulate.fibres((512, 512), seed=1).structure
    assert (structure < 0.02).mean() > 0.15  # cells leave part of the field dark
    window = np.outer(np.hanning(512), np.hanning(512))
    power = np.abs(np.fft.rfft2((structure - structure.mean()) * window)) ** 2
    fy, fx = np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None]
    rings = np.rint(np.hypot(fy, fx) * 512).astype(int)
    mean = np.bincount(rings.ravel(), power.ravel()) / np.bincount(rings.ravel())
    fine = np.arange(30, 100)  # periods of 17 to 5 pixels
    # fibrils differ by 3 % in period, and bend
    assert 512 / fine[mean[fine].argmax()] == pytest.approx(9, abs=1)


def test_cells_are_weak_objects_on_a_bright_ground() -> None:
    structure = simulate.cells((512, 512), seed=1).structure
    assert np.median(structure) == pytest.approx(0.6, abs=0.02)
    dark, bright = np.percentile(structure / 0.6 - 1, (1, 99))
    assert -0.35 < dark < -0.1
    assert 0.05 < bright < 0.25


def test_fewer_and_larger_nuclei() -> None:
    areas = [
        (simulate.nuclei((512, 512), seed=0, **options).structure > 0).mean()
        for options in ({}, {"density": 0.25}, {"size": 1.5})
    ]
    assert areas[1] < 0.5 * areas[0]
    assert areas[2] > 1.2 * areas[0]
