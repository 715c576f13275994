"""What a run remembers of its rows."""

import itertools
import math

import cv2
import numpy as np
import pytest

import cellqa
from cellqa import simulate
from cellqa.metrics.registry import select
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Pairing
from cellqa.tables.rows import Row, failed
from cellqa.tables.tally import Tally

NOTHING = Pairing({}, ())


def tally(grouping: Grouping | None = None) -> Tally:
    counted = Tally(["net", "gt"], select(["psnr", "entropy"]), {"gt"}, grouping)
    for place, name in enumerate("abc"):
        if name == "b":
            counted.add(failed(f"{name}.tif", "net", "damaged"), place)
        else:
            values = {"psnr": 20.0 + place, "entropy": math.nan}
            counted.add(Row(f"{name}.tif", "net", 0.1, 255.0, values), place)
        counted.add(Row(f"{name}.tif", "gt", 0.1, values={"entropy": 5.0}), place)
    return counted


def test_values_are_aligned_by_image() -> None:
    counted = tally()
    assert (counted.rows, counted.scored["net"], counted.failed["net"]) == (6, 2, 1)
    psnr = counted.aligned("psnr")
    assert list(psnr) == ["net"]  # the truth has none
    np.testing.assert_array_equal(psnr["net"], [20, math.nan, 22])
    assert list(counted.places["net"]) == [0, 2]
    assert counted.named_failures() == [{"image": "b.tif", "method": "net", "reason": "damaged"}]


def test_groups_follow_the_images() -> None:
    counted = tally(Grouping.parse("[ab]"))
    groups = counted.groups_of("gt")
    assert groups is not None
    assert len(set(groups.tolist())) == 3  # a, b, and c for itself
    assert any("does not match 1 of 3 images" in line for line in counted.warnings(NOTHING))


def test_the_variant_names_the_data_range_if_there_is_one() -> None:
    counted = tally()
    psnr = counted.metrics[0]
    assert counted.variant(psnr).endswith("L=255]")
    counted.add(Row("d.tif", "net", 0.1, 4095.0, {"psnr": 1.0}))
    assert counted.variant(psnr).endswith("L of each image]")


def test_what_to_distrust_is_said() -> None:
    counted = tally()
    counted.add(Row("d.tif", "net", None, 255.0, {"psnr": 1.0}, notes=("net is saturated",)))
    said = counted.warnings(Pairing({}, (), {"net": ("x.tif", "y.tif")}))
    assert said[0] == "net: 2 without a partner (x.tif, y.tif)"
    assert "net is saturated (1 images)" in said
    assert any("unknown for 1" in line for line in said)


def test_many_failures_are_counted_and_a_thousand_named() -> None:
    counted = Tally(["net"], select(["psnr"]))
    for k in range(1500):
        counted.add(failed(f"{k}.tif", "net", "gone"))
    assert counted.failed["net"] == 1500
    assert len(counted.named_failures()) == 1000


def test_planes_of_a_file_are_one_sample() -> None:
    counted = Tally(["net", "gt"], select(["psnr"]), {"gt"})
    for name in ("a.tif#t0c0z0", "a.tif#t1c0z0", "b.tif#t0c0z0", "b.tif#t1c0z0"):
        counted.add(Row(name, "net", values={"psnr": 20.0}))
    assert counted.groups is not None
    assert counted.groups.tolist() == [0, 0, 1, 1]
    assert any("4 planes of 2 files" in line for line in counted.warnings(NOTHING))


def wells(grouping: Grouping | None = None) -> Tally:
    counted = Tally(["net"], select(["psnr"]), {"gt"}, grouping)
    for name in ("p/A/1/0", "p/A/1/1#t0c0z0", "p/A/1/1#t1c0z0", "p/A/2/0", "q/A/1/0", "x.tif"):
        counted.add(Row(name, "net", values={"psnr": 20.0}))
    return counted


def test_images_of_a_well_are_one_sample() -> None:
    counted = wells()
    assert counted.groups is not None
    assert counted.groups.tolist() == [0, 0, 0, 1, 2, 3]
    said = counted.warnings(NOTHING)
    assert any("4 images of 3 wells of plates: images of a well are one sample" in s for s in said)
    assert not any("copies" in line or "tiles" in line for line in said)


def test_a_grouping_goes_before_wells() -> None:
    counted = wells(Grouping.parse("^[pq]"))
    assert counted.groups is not None
    assert counted.groups.tolist() == [0, 0, 0, 0, 1, 2]
    assert not any("wells" in line for line in counted.warnings(NOTHING))


def test_fields_of_wells_are_no_tiles() -> None:
    counted = Tally(["net"], select(["psnr"]))
    for well, field in itertools.product("ABC", range(8)):
        counted.add(Row(f"{well}/1/{field}.tif", "net", values={"psnr": 20.0}))
    assert not any("tiles" in line for line in counted.warnings(NOTHING))


def test_copies_are_one_sample_and_are_told() -> None:
    counted = Tally(["net", "gt"], select(["psnr"]), {"gt"})
    for place, (net, gt) in enumerate([(5, 1), (6, 1), (7, 2), (3, 3)]):
        counted.add(Row(f"{place}.tif", "net", values={"psnr": 20.0}, digest=net))
        counted.add(Row(f"{place}.tif", "gt", digest=gt))
    assert counted.groups is not None
    assert counted.groups.tolist() == [0, 0, 1, 2]
    said = counted.warnings(NOTHING)
    assert any("1 of 4 images are copies" in line for line in said)
    assert any("net is its ground truth, pixel for pixel, on 1 of 4" in line for line in said)


def test_methods_that_lack_images_are_told() -> None:
    counted = Tally(["one", "two", "gt"], select(["psnr"]), {"gt"})
    for place in range(3):
        counted.add(Row(f"{place}.tif", "one", values={"psnr": 20.0}))
    counted.add(Row("0.tif", "two", values={"psnr": 20.0}))
    assert any("two has 1 of 3 images" in line for line in counted.warnings(NOTHING))


def smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma)


@pytest.fixture(scope="module")
def seen_twice() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images with little light, and of the same structures with much."""
    raws, truths = [], []
    for seed in range(4):
        scene = simulate.filaments((192, 192), cutoff=0.5, photons=1000, seed=seed)
        again = simulate.acquire(scene.structure, cutoff=0.3, photons=200, seed=100 + seed)
        raws.append(again.image.astype(np.float32))
        truths.append(scene.image.astype(np.float32))
    return raws, truths


def swaps(
    pred: list[np.ndarray], gt: list[np.ndarray], raw: list[np.ndarray] | None = None
) -> list[str]:
    names = ["psnr", "resolution", *(["unexplained"] if raw else [])]
    scores = cellqa.score({"net": pred}, gt, raw=raw, metrics=names)
    return [warning for warning in scores.warnings if "swapped" in warning]


def test_results_in_the_place_of_their_truth_are_told(
    seen_twice: tuple[list[np.ndarray], list[np.ndarray]],
) -> None:
    raws, truths = seen_twice
    results = [smoothed(raw, 2) for raw in raws]
    assert swaps(truths, results)
    assert swaps(truths, results, raws)


def test_a_smooth_truth_is_not_taken_for_a_result(
    seen_twice: tuple[list[np.ndarray], list[np.ndarray]],
) -> None:
    """The raw images say so: what is sharpened holds their noise, CLAHE does not explain them."""
    raws, truths = seen_twice
    smooth = [smoothed(truth, 1.0) for truth in truths]
    sharpened = [2 * smoothed(raw, 0.4) - smoothed(raw, 2) for raw in raws]
    whole = [np.clip(raw, 0, 65535).astype(np.uint16) for raw in raws]
    loud = [
        cellqa.clahe(w, clip_limit=4, tiles=8, value_range=(float(w.min()), float(w.max())))
        for w in whole
    ]
    assert not swaps(sharpened, smooth, raws)
    assert not swaps(loud, smooth, raws)
