"""What a simulated time-lapse says of itself is so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage

from cellqa.simulate import READ_NOISE, timelapse

SHAPE = (9, 128, 144)


def test_it_is_seeded_and_photons_are_counted() -> None:
    series, again = (timelapse(SHAPE, photons=5, bleaching=0.05, seed=4) for _ in range(2))
    assert np.array_equal(series.image, again.image)
    assert series.image.shape == series.truth.shape == series.labels.shape == SHAPE
    assert not np.array_equal(series.image, timelapse(SHAPE, photons=5, seed=5).image)
    # Poisson: the variance about the expectation is the expectation, plus that of the camera
    residual = series.image - series.offset[:, None, None] - series.ideal
    expected = series.ideal.mean() + READ_NOISE**2 + 1 / 12
    # relative standard error of a variance of 165,888 values, near 0.4 % each side
    assert residual.var() == pytest.approx(expected, rel=0.02)
    assert abs(residual.mean()) < 5 * np.sqrt(expected / residual.size)


def test_nuclei_are_where_it_says_and_go_as_fast() -> None:
    series = timelapse((12, 200, 200), speed=2.0, seed=1)
    number = series.positions.shape[1]
    for t in (0, 5, 11):
        centres = np.array(
            scipy.ndimage.center_of_mass(
                series.labels[t] > 0, series.labels[t], range(1, number + 1)
            )
        )
        assert np.abs(centres - series.positions[t]).max() < 0.7  # whole pixels of the outline
    ways = np.linalg.norm(np.diff(series.positions, axis=0), axis=2)
    # they push each other and turn at the border, which takes and adds little
    assert ways.mean() == pytest.approx(2.0, rel=0.2)
    still = timelapse((3, 200, 200), speed=0, seed=1)
    assert np.ptp(still.positions, axis=0).max() < 1e-9


@pytest.mark.parametrize("options", [{}, {"growth": 0.08}, {"divisions": 3}])
def test_nuclei_never_touch_and_stay_whole(options: dict[str, Any]) -> None:
    series = timelapse((10, 160, 160), speed=4, seed=2, **options)
    for labels in series.labels:
        joined = scipy.ndimage.label(labels > 0)[1]
        assert joined == np.unique(labels[labels > 0]).size
    border = np.concatenate(
        [series.labels[:, [0, -1]].ravel(), series.labels[:, :, [0, -1]].ravel()]
    )
    assert not border.any()


def test_flux_is_what_the_pixels_of_each_nucleus_hold() -> None:
    series = timelapse(SHAPE, cutoff=0.6, photons=300, seed=3)
    background = 0.02 * 300
    for t in range(SHAPE[0]):
        near = scipy.ndimage.grey_dilation(series.labels[t], size=(5, 5))
        for k, flux in enumerate(series.flux[t]):
            photons = (series.truth[t] - background)[near == k + 1].sum()
            assert photons == pytest.approx(flux, rel=0.12)  # the optics spread some further
        # but lose nothing; the border mirrors what comes close
        assert (series.truth[t] - background).sum() == pytest.approx(series.flux[t].sum(), rel=0.01)
    # nothing is born and nothing bleaches in the truth
    assert np.ptp(series.flux, axis=0) / series.flux.mean(axis=0) == pytest.approx(0, abs=0.02)


def test_decay_flashes_focus_and_offset_are_in_the_images() -> None:
    steady = timelapse(SHAPE, photons=500, seed=6)
    offset = np.full(SHAPE[0], 90.0)
    offset[5] = 140
    series = timelapse(
        SHAPE, photons=500, bleaching=0.1, flashes={3: 1.7}, offset=offset, defocus=3, seed=6
    )
    assert np.array_equal(series.truth, steady.truth)  # the same nuclei, whatever the microscope
    assert series.decay == pytest.approx(np.exp(-0.1 * np.arange(9)))
    assert series.flashes == (3,)
    assert series.lamp.tolist() == [1, 1, 1, 1.7, 1, 1, 1, 1, 1]
    level = (series.image - offset[:, None, None]).mean(axis=(1, 2))
    expected = series.lamp * (
        series.decay * (steady.truth.mean(axis=(1, 2)) - 10) + 10
    )  # the background of 10 photons does not bleach
    assert level == pytest.approx(expected, rel=0.005)  # noise; light that the border mirrors
    assert np.median(series.image[5]) - np.median(series.image[4]) > 40
    assert series.focus[[0, 4]] == pytest.approx([0, 3])
    assert series.focus[-1] == pytest.approx(0, abs=1e-9)
    relative = [np.std(s.ideal[4]) / np.mean(s.ideal[4] - 10) for s in (series, steady)]
    assert relative[0] < 0.9 * relative[1]
    each = timelapse((3, 96, 96), defocus=[0, 2, 0], seed=6)
    assert each.focus.tolist() == [0, 2, 0]


def test_growth_and_divisions() -> None:
    grown = timelapse((8, 200, 200), growth=0.05, density=0.6, seed=7)
    areas = [np.count_nonzero(one) for one in grown.labels]
    assert areas[-1] / areas[0] == pytest.approx(np.exp(0.35), rel=0.06)  # whole pixels
    series = timelapse((8, 200, 200), divisions=2, seed=8)
    assert len(series.parents) == 4
    assert len(set(series.parents.values())) == 2
    there = np.isfinite(series.positions[..., 0])
    assert np.array_equal(there, np.isfinite(series.flux))
    for daughter, mother in series.parents.items():
        born = int(there[:, daughter].argmax())
        assert there[:born, mother].all()
        assert not there[born:, mother].any()
        assert there[born:, daughter].all()
        assert not (series.labels[born:] == mother + 1).any()
        # half of the mother's; the texture in it differs
        assert series.flux[born, daughter] / series.flux[0, mother] == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"photons": 0}, "`photons` must be above 0"),
        ({"offset": [1, 2]}, "`offset` must have a value for each of 9 frames"),
        ({"defocus": -1}, "`defocus` must be 0 or more"),
        ({"flashes": {9: 2.0}}, "frames from 0 to 8, got 9"),
        ({"flashes": {1: 0.0}}, "`flashes` must be above 0"),
        ({"divisions": 99}, "`divisions` must be 0 to 4"),
    ],
)
def test_what_is_wrong_is_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        timelapse(SHAPE, **options)
    with pytest.raises(ValueError, match="`shape` must be"):
        timelapse((3, 20, 200))
