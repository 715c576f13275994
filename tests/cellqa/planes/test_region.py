"""Margins and outliers: found where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import rotate

from cellqa import simulate
from cellqa.planes.plane import Plane
from cellqa.planes.region import Region, largest_rectangle, margin_of, outliers_of, span


def scene(side: int = 256) -> np.ndarray:
    return simulate.filaments((side, side), cutoff=0.4, photons=1000, seed=1).image


def region(pixels: np.ndarray, valid: np.ndarray | None = None) -> Region:
    return Region.of([Plane.with_gaps(pixels, "image")], valid)


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_the_margin_of_a_mosaic(value: float) -> None:
    pixels = scene().astype(np.float32)
    pixels[:40] = pixels[:, :60] = pixels[250:] = value
    found = region(pixels)
    assert (found.rows, found.columns) == (slice(40, 250), slice(60, 256))
    assert found.margin
    taken = found.taken(Plane.with_gaps(pixels, "image"))
    np.testing.assert_array_equal(taken.pixels, pixels[40:250, 60:256])
    assert taken.missing is None


@pytest.mark.parametrize("degrees", [3, 10, 30, 45])
@pytest.mark.parametrize("enlarged", [False, True])
def test_the_corners_of_a_rotated_canvas(degrees: int, enlarged: bool) -> None:
    canvas = rotate(scene().astype(np.float32), degrees, reshape=enlarged, order=1, cval=0)
    found = region(canvas)
    assert found.margin
    inner = canvas[found.rows, found.columns]
    assert (inner != 0).all()
    assert inner.size > 0.3 * scene().size


def test_a_black_background_is_no_margin() -> None:
    ideal = simulate.nuclei((256, 256), seed=1).ideal
    cut = np.clip(ideal / ideal.max() * 300 - 60, 0, 255).astype(np.uint8)
    assert (cut[:5] == 0).mean() > 0.5
    assert margin_of(Plane.of(cut, "image")) is None
    y, x = np.mgrid[-64:64, -64:64]
    cell = np.where(x**2 + y**2 < 60**2, 100 + x + y, 0)  # one round cell that fills the picture
    assert margin_of(Plane.of(cell, "image")) is None


@pytest.mark.parametrize("draw", [simulate.filaments, simulate.nuclei, simulate.spots])
def test_pictures_have_neither(draw: object) -> None:
    for seed in range(5):
        for pixels in (
            draw((128, 128), seed=seed).image,  # type: ignore[operator]
            draw((128, 128), seed=seed).ideal,  # type: ignore[operator]
        ):
            found = region(pixels)
            assert found.whole
            assert not len(found.outliers)


def test_a_given_region() -> None:
    valid = np.zeros((256, 256), np.uint8)
    valid[30:200, 40:140] = 255
    assert region(scene(), valid).rows == slice(30, 200)
    with pytest.raises(ValueError, match="nothing is valid"):
        region(scene(), np.zeros((256, 256)))


def test_hot_pixels_stand_alone() -> None:
    pixels = scene()
    places = [(0, 0), (77, 131), (200, 255)]
    for place in places:
        pixels[place] = 65535
    plane = Plane.of(pixels, "image")
    assert sorted(map(tuple, outliers_of(plane).tolist())) == places
    assert span(plane)[1] == scene().max() < 1000
    assert plane.extremes[1] == 65535
    # a bead of some pixels is none, nor is everything that there is
    bead = scene()
    bead[100:104, 100:104] = 65535
    assert not len(outliers_of(Plane.of(bead, "image")))
    single = np.zeros((256, 256))
    single[5, 5] = 1
    assert not len(outliers_of(Plane.of(single, "image")))


def test_the_largest_rectangle_against_all_of_them() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        invalid = rng.random((7, 9)) < 0.3
        top, bottom, left, right = largest_rectangle(invalid)
        assert not invalid[top:bottom, left:right].any()
        largest = max(
            (b - t) * (r - c)
            for t in range(7)
            for b in range(t + 1, 8)
            for c in range(9)
            for r in range(c + 1, 10)
            if not invalid[t:b, c:r].any()
        )
        assert (bottom - top) * (right - left) == largest
