from __future__ import annotations

import math

import numpy as np
import pytest
from images import blurred

import cellqa
from cellqa import Undefined
from cellqa.metrics.case import Case
from cellqa.metrics.foreground import objects
from cellqa.planes.labels import Labels
from cellqa.planes.plane import Plane


def test_a_full_mask_gives_the_plain_scores(sharp8: np.ndarray) -> None:
    soft, mask = blurred(sharp8, 2), np.ones(sharp8.shape)
    for name in ("psnr", "ssim"):
        plain = getattr(cellqa, name)(sharp8, soft, data_range=255)
        masked = getattr(cellqa, f"{name}_fg")(sharp8, soft, mask=mask, data_range=255)
        assert masked == pytest.approx(plain, rel=1e-9)
    masked = cellqa.nrmse_fg(sharp8, soft, mask=mask)
    assert masked == pytest.approx(cellqa.nrmse(sharp8, soft), rel=1e-12)


def test_background_hides_what_happens_to_cells() -> None:
    truth = np.zeros((128, 128))
    truth[50:70, 50:70] = np.random.default_rng(1).uniform(100, 200, (20, 20))
    image = truth.copy()
    image[50:70, 50:70] = truth[50:70, 50:70].mean()  # the cell's texture is gone
    plain = cellqa.ssim(truth, image, data_range=200)
    inside = cellqa.ssim_fg(truth, image, mask=truth > 0, data_range=200)
    assert plain > 0.9
    assert inside < 0.6


def test_an_empty_mask_and_one_at_the_border(sharp8: np.ndarray) -> None:
    soft = blurred(sharp8, 2)
    empty = np.zeros(sharp8.shape)
    value = cellqa.psnr_fg(sharp8, soft, mask=empty, data_range=255)
    assert isinstance(value, Undefined)
    assert "the mask is empty" in value.reason
    border = empty.copy()
    border[:3] = 1
    assert (
        "fits around no pixel"
        in cellqa.ssim_fg(  # type: ignore[attr-defined]
            sharp8, soft, mask=border, data_range=255
        ).reason
    )
    assert math.isfinite(cellqa.psnr_fg(sharp8, soft, mask=border, data_range=255))
    with pytest.raises(ValueError, match=r"`mask` must have the shape of `reference`"):
        cellqa.nrmse_fg(sharp8, soft, mask=empty[1:])


def test_each_object_has_its_own_scores(sharp8: np.ndarray) -> None:
    soft = blurred(sharp8, 2)
    labels = np.zeros(sharp8.shape, np.int32)
    labels[20:60, 30:80] = 7
    labels[100:150, 100:110] = 3
    labels[0:2, 0:2] = 900
    truth, image = (Plane.of(i, "image") for i in (sharp8, soft))
    case = Case(image, truth, mask=Labels.of(labels), data_range=255.0)
    found = {o.label: o for o in objects(case)}
    assert list(found) == [3, 7, 900]
    for label, entry in found.items():
        mask = labels == label
        assert entry.area == mask.sum()
        assert (entry.y, entry.x) == pytest.approx(np.argwhere(mask).mean(axis=0))
        assert entry.mean == pytest.approx(soft[mask].mean())
        assert entry.gt_mean == pytest.approx(sharp8[mask].mean())
        expected = cellqa.psnr_fg(sharp8, soft, mask=mask, data_range=255)
        assert entry.psnr == pytest.approx(expected, rel=1e-9)
        assert entry.nrmse == pytest.approx(cellqa.nrmse_fg(sharp8, soft, mask=mask), rel=1e-9)
        similar = cellqa.ssim_fg(sharp8, soft, mask=mask, data_range=255)
        assert entry.ssim == pytest.approx(similar, rel=1e-9, nan_ok=True)
    assert math.isnan(found[900].ssim)  # no window fits


def test_a_binary_mask_has_no_objects(sharp8: np.ndarray) -> None:
    plane = Plane.of(sharp8, "image")
    assert objects(Case(plane, plane, mask=Labels.of(sharp8 > 9), data_range=255.0)) == []
    assert objects(Case(plane, plane, data_range=255.0)) == []
