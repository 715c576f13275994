from __future__ import annotations

import math

import numpy as np
import pytest
from images import blurred

from cellqa import Undefined, frc_resolution, overclaim, resolution, simulate


def test_it_is_the_quotient_of_both_resolutions() -> None:
    truth = simulate.filaments((256, 256), cutoff=0.7, photons=2000, seed=1).image
    soft = simulate.acquire(
        simulate.filaments((256, 256), seed=1).structure, cutoff=0.3, photons=500, seed=9
    ).image
    other = simulate.spots((256, 256), cutoff=0.8, photons=3000, seed=3).ideal
    invented = simulate.paste_texture(soft, other, beyond=0.4, amount=60)
    expected = 1 - resolution(invented) / frc_resolution(truth, invented)
    assert expected > 0.2
    assert overclaim(truth, invented) == pytest.approx(expected, abs=1e-12)


def test_honest_images_claim_nothing(sharp8: np.ndarray) -> None:
    assert overclaim(sharp8, sharp8) == 0
    assert overclaim(sharp8, blurred(sharp8, 2)) == 0
    assert overclaim(sharp8, 255 - sharp8 // 2) == 1  # agrees nowhere: contrast is inverted


def test_undefined_where_either_is(sharp8: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(size=sharp8.shape)
    flat = np.full_like(sharp8, 3)
    for pair in ((sharp8, flat), (flat, sharp8), (sharp8, noise), (sharp8[:30], sharp8[:30])):
        value = overclaim(*pair)
        assert math.isnan(value)
        assert isinstance(value, Undefined)
        assert "overclaim" in value.reason
