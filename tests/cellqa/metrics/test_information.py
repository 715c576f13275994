from __future__ import annotations

import math

import numpy as np
import pytest

from cellqa import entropy, mi, nmi


def test_independent_levels_share_nothing_and_equal_ones_everything() -> None:
    rows = np.repeat(np.arange(16, dtype=np.uint8)[:, None], 16, axis=1)
    assert mi(rows, rows.T) == pytest.approx(0, abs=1e-12)
    assert nmi(rows, rows.T) == pytest.approx(0, abs=1e-12)
    assert mi(rows, rows) == pytest.approx(math.log(16), rel=1e-12)
    assert nmi(rows, rows) == pytest.approx(1, rel=1e-12)


def test_any_relabelling_of_levels_keeps_the_information() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64), np.uint8)
    assert mi(image, rng.permutation(256).astype(np.uint8)[image]) == pytest.approx(
        mi(image, image), rel=1e-12
    )


def test_symmetric_for_8_bits() -> None:
    a, b = np.random.default_rng(1).integers(0, 9, (2, 50, 50), np.uint8)
    assert mi(a, b) == pytest.approx(mi(b, a), rel=1e-10)


def test_16_bit_images_use_256_bins_of_the_reference_range() -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert mi(ramp, ramp) == pytest.approx(math.log(256), rel=1e-12)
    assert mi(ramp // 256, ramp // 256) == pytest.approx(math.log(256), rel=1e-12)


def test_values_outside_the_range_fall_into_the_end_bins() -> None:
    reference = np.linspace(0, 1, 4096).reshape(64, 64)
    wide = reference * 3 - 1
    assert mi(reference, wide) == pytest.approx(mi(reference, np.clip(wide, 0, 1)), rel=1e-12)


def test_constant_images() -> None:
    flat = np.full((8, 8), 7, np.uint8)
    assert mi(flat, flat) == 0
    assert math.isnan(nmi(flat, flat))
    assert entropy(flat) == entropy(flat.astype(float)) == 0


def test_entropy_has_a_closed_form() -> None:
    image = np.array([[0, 0, 0, 0], [1, 1, 2, 3]], np.uint8)  # 1/2, 1/4, 1/8, 1/8
    assert entropy(image) == pytest.approx(1.75, rel=1e-14)
    assert entropy(image.astype(np.uint16)) == pytest.approx(1.75, rel=1e-14)
    assert entropy(image.astype(float), value_range=(0, 4)) == pytest.approx(1.75, rel=1e-14)


def test_compat_leaves_the_last_level_out_but_counts_its_pixels() -> None:
    image = np.array([[0, 0], [255, 255]], np.uint8)
    assert entropy(image) == 1
    assert entropy(image, compat=True) == 0.5  # only -1/2 log2(1/2) is left


def test_few_pixels_bias_mutual_information_upwards() -> None:
    # docs/reference/metrics.md: about (levels - 1)^2 / (2 n) nats for independent images
    rng = np.random.default_rng(5)
    n, levels = 512 * 512, 64
    a, b = rng.integers(0, levels, (2, 512, 512), np.uint8)
    expected = (levels - 1) ** 2 / (2 * n)
    assert mi(a, b) == pytest.approx(expected, rel=0.1)  # the estimate's own spread is 2.3 %


def test_bad_value_range() -> None:
    with pytest.raises(ValueError, match="low < high"):
        entropy(np.ones((4, 4)), value_range=(1, 1))
