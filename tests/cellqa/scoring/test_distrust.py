"""What a run says of images that are not what they seem, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from images import blurred

from cellqa import simulate
from cellqa.errors import CellqaError
from cellqa.pairs.pairing import pair_folders
from cellqa.planes.plane import Plane
from cellqa.scoring.data_range import data_range, parse
from cellqa.scoring.distrust import of_plane
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.run import score_pairing, score_to_folder
from cellqa.tables.rows import Row

Folders = Callable[..., Path]


def said(pixels: np.ndarray, reference: np.ndarray | None = None) -> str:
    truth = None if reference is None else Plane.of(reference, "reference")
    return " | ".join(of_plane("net", Plane.of(pixels, "image"), truth, None))


def ideal() -> np.ndarray:
    return simulate.filaments((192, 192), cutoff=0.5, photons=1000, seed=1).ideal


def test_clipping_below_the_types_maximum_is_told() -> None:
    twelve = np.minimum(ideal() / ideal().max() * 4 * 4095, 4095).astype(np.uint16)
    assert "net is clipped" in said(twelve)
    assert "clipped" not in said((ideal() / ideal().max() * 4095).astype(np.uint16))
    assert "net is saturated" in said(np.clip(ideal() * 2, 0, 255).astype(np.uint8))


def test_few_levels_are_told() -> None:
    scaled = ideal() / ideal().max()
    assert "two values only, 0 and 1" in said(scaled.astype(np.uint8))
    assert "two values only: is it" in said(np.where(scaled > 0.3, 200, 10).astype(np.uint8))
    levels = (255 * scaled).astype(np.uint8)
    black = np.where(levels < 60, 0, levels - 60).astype(np.uint8)
    assert "net is cut to black" in said(black, levels)
    assert said(levels, levels) == said(levels) == ""


def scores(gt: Path, net: Path, **roles: Path) -> dict[str, Row]:
    pairing = pair_folders({"net": net}, reference=gt, **roles)
    return {row.method: row for row in score_pairing(pairing, options=ScoreOptions())}


def test_one_hot_pixel_changes_nothing(folders: Folders, sharp16: np.ndarray) -> None:
    soft = blurred(sharp16, 2)
    clean = scores(folders("gt", ".tif", a=sharp16), folders("net", ".tif", a=soft))
    cold, sharp16 = sharp16, sharp16.copy()
    for image in (sharp16, soft):
        image[50, 60] = 65535
    hot = scores(folders("gt-hot", ".tif", a=sharp16), folders("net-hot", ".tif", a=soft))
    for name, value in clean["net"].values.items():
        assert hot["net"].values[name] == pytest.approx(value, rel=0.01, nan_ok=True), name
    assert any("hot or dead" in note for note in hot["gt"].notes)
    # of the image alone, it is an error, and told
    own = scores(folders("gt-clean", ".tif", a=cold), folders("n", ".tif", a=soft))
    assert own["net"].values["psnr"] < hot["net"].values["psnr"]


def test_the_margin_of_a_mosaic_agrees_in_nothing(folders: Folders) -> None:
    def framed(seed: int) -> np.ndarray:
        image = simulate.filaments((256, 256), cutoff=0.3, photons=1000, seed=seed).image
        image[:40] = image[:, :60] = 0
        return image

    rows = scores(folders("gt", ".tif", a=framed(1)), folders("net", ".tif", a=framed(2)))
    assert np.isinf(rows["net"].values["frc_resolution"])
    assert any("margin" in note for note in rows["gt"].notes)


def test_nan_is_allowed_where_there_is_no_picture(folders: Folders, sharp16: np.ndarray) -> None:
    truth = sharp16.astype(np.float32)
    soft = blurred(sharp16, 2).astype(np.float32)
    gaps = truth.copy()
    gaps[:30] = np.nan
    whole = scores(folders("a", ".tif", a=truth[30:]), folders("b", ".tif", a=soft[30:]))
    found = scores(folders("gt", ".tif", a=gaps), folders("net", ".tif", a=soft))
    assert found["net"].values["psnr"] == pytest.approx(whole["net"].values["psnr"])
    valid = np.ones(truth.shape, np.uint8)
    valid[:30] = 0
    given = folders("valid", ".png", a=valid)
    asked = scores(folders("gt2", ".tif", a=truth), folders("net2", ".tif", a=soft), valid=given)
    assert asked["net"].values == pytest.approx(whole["net"].values, nan_ok=True)
    soft[100, 100] = np.nan
    bad = scores(folders("gt3", ".tif", a=truth), folders("net3", ".tif", a=soft))
    assert bad["net"].status == "failed"
    assert "holds 1 pixels of NaN" in bad["net"].reason


def test_percentiles_as_data_range(sharp16: np.ndarray) -> None:
    plane = Plane.of(sharp16, "reference")
    low, high = np.percentile(sharp16, [1, 99])
    assert data_range(plane, parse("percentile:1,99"), None) == (high - low, None)
    for wrong in ("percentile:", "percentile:5", "percentile:9,3", "-1", "nan", "many"):
        with pytest.raises(ValueError, match="percentile"):
            parse(wrong)


@pytest.mark.parametrize("inside", [".", "results"])
def test_results_among_the_images_are_refused(
    folders: Folders, sharp8: np.ndarray, inside: str
) -> None:
    """Their pictures would be scored as images by the next run."""
    gt, net = folders("gt", a=sharp8), folders("net", a=sharp8)
    pairing = pair_folders({"net": net}, reference=gt)
    for folder in (gt, net):
        with pytest.raises(CellqaError, match=r"--out: .* the folder of"):
            score_to_folder(pairing, folder / inside)
    finished = score_to_folder(pair_folders({"net": gt}, reference=gt), gt.parent / "out")
    assert "net and gt are the same folder" in finished.warnings
