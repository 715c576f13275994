from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage

from cellqa import decorrelation, resolution_map, sector_resolution, simulate


def test_sharp_and_blurred_halves_are_told_apart() -> None:
    scenes = [
        simulate.filaments((256, 256), cutoff=c, photons=1000, seed=1).image for c in (0.25, 0.6)
    ]
    image = np.hstack(scenes)
    found = resolution_map(image, pixel_size=0.1)
    left, right = found.values[:, found.x < 190], found.values[:, found.x > 320]
    assert np.nanmedian(left) == pytest.approx(0.2 / 0.25, rel=0.25)
    assert np.nanmedian(right) == pytest.approx(0.2 / 0.6, rel=0.25)
    full = found.full_size()
    assert full.shape == image.shape
    assert full[100, 40] == np.float32(found.values[2, 0])
    assert math.isfinite(full[255, 511])  # the last tile ends at the border


@pytest.mark.parametrize("tile", [64, 128])
def test_tiles_without_structure_are_blank(tile: int) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:400, :400] / 400
    for light in (20, 20 + 30 * x + 10 * y, 100):
        noise = rng.poisson(np.broadcast_to(light, x.shape))
        assert np.isnan(resolution_map(noise, tile=tile, step=tile // 2).values).all()
    flat = np.full((200, 200), 1000, np.uint16)
    assert np.isnan(resolution_map(flat, tile=tile).values).all()
    assert np.isnan(resolution_map(1e6 + 3 * y + x, tile=tile).values).all()


def test_cells_on_a_dark_ground_are_an_island() -> None:
    image = np.full((512, 512), 30.0)
    image[180:330, 180:330] += simulate.nuclei((150, 150), photons=500, seed=2).ideal
    found = resolution_map(np.random.default_rng(1).poisson(image), tile=96)
    finite = np.isfinite(found.values)
    middle = np.ix_(abs(found.y - 255) < 60, abs(found.x - 255) < 60)
    assert finite[middle].all()
    assert not finite[0].any()
    assert not finite[:, -1].any()


def test_map_refuses_what_cannot_be(sharp8: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"`image` must be at least one tile \(128 pixels\) wide"):
        resolution_map(sharp8[:100])
    with pytest.raises(ValueError, match="`tile` must be at least 41 pixels, got 20"):
        resolution_map(sharp8, tile=20)
    with pytest.raises(ValueError, match="`step` must be at least 1"):
        resolution_map(sharp8, step=0)


def test_equal_in_all_directions() -> None:
    image = simulate.filaments((512, 512), cutoff=0.5, photons=1000, seed=1).image
    cutoffs = [found.kc for found in sector_resolution(image, sectors=6)]
    assert np.allclose(cutoffs, decorrelation(image).kc, rtol=0.12)


@pytest.mark.parametrize("axis", [0, 1])
def test_motion_blurs_along_its_direction(axis: int) -> None:
    ideal = simulate.spots((300, 280), cutoff=0.7, photons=5000, seed=1).ideal
    moved = scipy.ndimage.gaussian_filter1d(ideal, 3, axis=axis)
    found = [f.kc for f in sector_resolution(moved, sectors=4)]
    assert int(np.argmin(found)) == (2 if axis == 0 else 0)
    assert min(found) < 0.5 * max(found)


def test_a_diagonal_is_counted_from_x_towards_y() -> None:
    """Stripes whose wave vector points to +x and +y lie in the sector of 45 degrees."""
    y, x = np.mgrid[:256, :256]
    rng = np.random.default_rng(1)
    image = np.cos(2 * np.pi * 0.2 * (x + y) / math.sqrt(2)) + 0.01 * rng.normal(size=x.shape)
    energy = [found.curves[0].max() for found in sector_resolution(image, sectors=4)]
    amplitudes = [
        found.kc if found.has_peak else 0 for found in sector_resolution(image, sectors=4)
    ]
    assert int(np.argmax(amplitudes)) == 1, (amplitudes, energy)


def test_sectors_refuse_what_cannot_be(sharp8: np.ndarray) -> None:
    with pytest.raises(ValueError, match="`sectors` must be 2 to 36, got 1"):
        sector_resolution(sharp8, sectors=1)
    with pytest.raises(ValueError, match="at least 41 x 41"):
        sector_resolution(sharp8[:30], sectors=4)
    assert not any(f.has_peak for f in sector_resolution(np.ones((64, 64)), sectors=4))
