"""Growing within an image, against scikit-image."""

import numpy as np
import pytest
from skimage.morphology import reconstruction

from cellqa.planes.segment import grown


@pytest.mark.parametrize("seed", range(30))
def test_grown_is_the_reconstruction_by_dilation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outer = rng.integers(0, 9, rng.integers(1, 40, 2)).astype(np.float32)
    some = rng.integers(0, 9, outer.shape) * (rng.random(outer.shape) < 0.1)
    inner = np.minimum(outer, some).astype(np.float32)
    np.testing.assert_array_equal(grown(inner.copy(), outer), reconstruction(inner, outer))


def test_grown_follows_a_winding_way() -> None:
    outer = np.zeros((41, 41), np.float32)
    for k in range(0, 41, 2):  # lines that are joined at one end, in turn
        outer[k] = 5
        if k < 40:
            outer[k + 1, -1 if k % 4 == 0 else 0] = 5
    inner = np.zeros_like(outer)
    inner[40, 20] = 3
    np.testing.assert_array_equal(grown(inner, outer), np.minimum(outer, 3))
