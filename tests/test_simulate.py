from __future__ import annotations

import numpy as np
import pytest

from cellqa import simulate


@pytest.mark.parametrize("make", [simulate.filaments, simulate.spots, simulate.nuclei])
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
