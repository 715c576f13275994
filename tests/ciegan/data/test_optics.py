"""Transfer functions out of focus, against closed forms and their own physics."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cellqa.simulate import filaments
from ciegan.data.optics import (
    Microscope,
    brightfield_defocus,
    defocused,
    fit_brightfield,
    fluorescence_defocus,
    rings_of,
)

SCOPE = Microscope(na=0.6, wavelength=0.55, condenser_na=0.1, phase=3.0)


def test_in_focus_nothing_changes() -> None:
    inside = np.linspace(0, 0.9 * 2 * SCOPE.na / SCOPE.wavelength, 20)
    # but for the interpolation between the points of the table
    assert fluorescence_defocus(inside, 0.0, SCOPE) == pytest.approx(np.ones(20), abs=1e-6)
    passed = np.linspace(0, 0.9 * SCOPE.na / SCOPE.wavelength, 20)
    absorbs = Microscope(na=0.6, condenser_na=0.1, phase=0.0)
    assert brightfield_defocus(passed, 0.0, absorbs) == pytest.approx(np.ones(20), abs=1e-6)


@pytest.mark.parametrize("distance", [-5.0, 2.0, 8.0])
def test_fluorescence_keeps_light_and_never_gains(distance: float) -> None:
    cutoff = 2 * SCOPE.na / SCOPE.wavelength
    found = fluorescence_defocus(np.linspace(0, 1.2 * cutoff, 80), distance, SCOPE)
    assert found[0] == pytest.approx(1)
    assert np.abs(found).max() <= 1 + 1e-9
    assert (found[70:] == 0).all()
    # a symmetric pupil cannot tell the sides of focus apart
    other = fluorescence_defocus(np.linspace(0, 1.2 * cutoff, 80), -distance, SCOPE)
    assert found == pytest.approx(other, abs=1e-9)


def test_fluorescence_far_from_focus_is_the_blur_of_a_disc() -> None:
    # geometrical optics: a disc of radius z tan(theta), transfer 2 J1(x) / x; for small apertures
    from scipy.special import j1

    scope, distance = Microscope(na=0.2, wavelength=0.5), 150.0
    disc = distance * math.tan(math.asin(scope.na))
    frequency = np.linspace(0.001, 0.02, 30)
    x = 2 * np.pi * disc * frequency
    expected = 2 * j1(x) / x
    found = fluorescence_defocus(frequency, distance, scope)
    # the pupil's grid, and diffraction
    assert found == pytest.approx(expected, abs=0.06)


def test_brightfield_of_coherent_light_by_the_contrast_transfer_function() -> None:
    # a point source: cos(chi) + p sin(chi), chi = pi lambda z q^2 (parabolic, small angles)
    scope = Microscope(na=0.3, wavelength=0.5, condenser_na=0.0, phase=2.0)
    distance = 10.0
    frequency = np.linspace(0, 0.3, 40)
    chi = np.pi * scope.wavelength * distance * frequency**2
    found = brightfield_defocus(frequency, distance, scope)
    # the parabola for the sphere
    assert found == pytest.approx(np.cos(chi) - scope.phase * np.sin(chi), abs=0.05)


def test_contrast_inverts_on_one_side_of_focus() -> None:
    scope = replace(SCOPE, phase=8.0)
    above, below = (brightfield_defocus([0.15], z, scope)[0] for z in (8.0, -8.0))
    assert above * below < 0


def test_the_phase_part_falls_with_frequency() -> None:
    flat, falling = (replace(SCOPE, slope=s) for s in (0.0, 1.0))
    assert falling.phase_at([0.1, 0.2, 0.01]) == pytest.approx([3.0, 1.5, 30.0])
    assert flat.phase_at([0.1, 0.2]) == pytest.approx([3.0, 3.0])
    odd = [
        np.subtract(*(brightfield_defocus([0.05, 0.1, 0.2], z, scope) for z in (4.0, -4.0)))
        for scope in (flat, falling)
    ]
    assert odd[1] / odd[0] == pytest.approx([2.0, 1.0, 0.5])


def test_the_mean_of_an_image_stays() -> None:
    image = filaments((96, 96), seed=1).ideal
    found = defocused(image, lambda q: fluorescence_defocus(q, 3.0, SCOPE), pixel_size=0.2)
    assert found.mean() == pytest.approx(image.mean(), rel=0.02)  # the mirrored border
    assert found.std() < image.std()


def test_a_simulated_series_is_fitted() -> None:
    image = filaments((256, 256), cutoff=0.9, photons=1e5, seed=2).ideal
    image = image - image.mean()
    true = Microscope(na=0.6, condenser_na=0.12, phase=4.0)
    distances = (-8.0, 8.0)
    rng = np.random.default_rng(0)
    planes = []
    for z in distances:
        plane = defocused(image, lambda q, z=z: brightfield_defocus(q, z, true), pixel_size=0.25)
        planes.append(plane + rng.normal(0, 0.05 * plane.std(), plane.shape))
    fit = fit_brightfield(image, planes, distances, pixel_size=0.25)
    assert min(fit.correlations) > 0.97
    assert np.sign(fit.distances[0] * fit.microscope.phase) != np.sign(
        fit.distances[1] * fit.microscope.phase
    )


def test_ring_sums_by_parseval() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (64, 64))
    rings = rings_of(image, image, 0.5)
    assert rings.cross == pytest.approx(rings.first)
    assert rings.frequency[-1] < 1 / (2 * 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"na": 1.2}, "`na` must be above 0 and below `index`"),
        ({"wavelength": 550.0}, "`wavelength` must be in micrometres"),
        ({"condenser_na": -1.0}, "`condenser_na`"),
        ({"phase": math.inf}, "`phase`"),
        ({"slope": -1.0}, "`slope`"),
    ],
)
def test_wrong_microscopes(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Microscope(**options)


def test_as_many_distances_as_planes() -> None:
    with pytest.raises(ValueError, match="`distances` must be as many as `planes`"):
        fit_brightfield(np.ones((8, 8)), [np.ones((8, 8))], [1.0, 2.0], pixel_size=0.2)
