"""Measures of papers, against their definitions and other programs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from images import blurred
from sklearn.metrics import adjusted_mutual_info_score

from cellqa import ami, average_gradient, spatial_frequency, std, uqi


def test_they_are_their_definitions(sharp8: np.ndarray) -> None:
    image = sharp8.astype(float)
    right, down = image[:-1, 1:] - image[:-1, :-1], image[1:, :-1] - image[:-1, :-1]
    assert std(sharp8) == pytest.approx(image.std())
    assert average_gradient(sharp8) == pytest.approx(np.sqrt((right**2 + down**2) / 2).mean())
    across, along = np.diff(image, axis=1) ** 2, np.diff(image, axis=0) ** 2
    assert spatial_frequency(sharp8) == pytest.approx(math.sqrt(across.mean() + along.mean()))


def test_uqi_window_by_window(sharp8: np.ndarray) -> None:
    one, two = (i[:24, :30].astype(float) for i in (sharp8, blurred(sharp8, 1.5)))
    values = []
    for y in range(24 - 7):
        for x in range(30 - 7):
            a, b = (i[y : y + 8, x : x + 8].ravel() for i in (one, two))
            cov = ((a - a.mean()) * (b - b.mean())).mean()
            top = 4 * cov * a.mean() * b.mean()
            values.append(top / ((a.var() + b.var()) * (a.mean() ** 2 + b.mean() ** 2)))
    assert uqi(one, two) == pytest.approx(np.mean(values), abs=1e-9)
    flat = np.full((16, 16), 7.0)
    assert uqi(flat, flat) == 1
    assert uqi(flat, 2 * flat) == pytest.approx(0.8)


@pytest.mark.parametrize("shape", [(40, 50), (192, 200)])
def test_ami_agrees_with_scikit_learn(sharp8: np.ndarray, shape: tuple[int, int]) -> None:
    one = sharp8[: shape[0], : shape[1]]
    for two in (
        blurred(one, 1.5),
        np.random.default_rng(1).permutation(one.ravel()).reshape(shape),
    ):
        expected = adjusted_mutual_info_score(one.ravel(), two.ravel())
        assert ami(one, two) == pytest.approx(expected, abs=1e-9)


def test_unrelated_images_have_none(sharp16: np.ndarray) -> None:
    shuffled = np.random.default_rng(1).permutation(sharp16.ravel()).reshape(sharp16.shape)
    assert abs(ami(sharp16, shuffled)) < 0.01
    assert math.isnan(ami(sharp16, 0 * sharp16))
