"""Objects found again, against independent counting."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.optimize import linear_sum_assignment
from skimage.measure import regionprops

from cellqa import match_objects, object_measures
from cellqa.cli import main
from cellqa.io import write_tiff
from cellqa.metrics.case import Case
from cellqa.metrics.objects import NAMES, measure
from cellqa.planes.labels import Labels
from cellqa.planes.plane import Plane
from cellqa.planes.segment import segmented
from cellqa.simulate import nuclei


def discs(places: list[tuple[int, int, int]], level: float = 100.0) -> np.ndarray:
    y, x = np.indices((128, 128))
    image = np.zeros((128, 128))
    for cy, cx, radius in places:
        image[np.hypot(y - cy, x - cx) < radius] = level
    return image


PLACES = [(20, 20, 9), (20, 60, 12), (64, 30, 10), (70, 90, 14), (105, 60, 8)]


def random_labels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells, and the same cells moved, grown, joined and lost."""
    rng = np.random.default_rng(seed)
    first, second = np.zeros((2, 128, 128), int)
    y, x = np.indices((128, 128))
    for k in range(1, 15):
        cy, cx, radius = *rng.integers(10, 118, 2), rng.integers(4, 12)
        first[np.hypot(y - cy, x - cx) < radius] = k
        moved = np.hypot(y - cy - rng.normal(0, 2), x - cx - rng.normal(0, 2))
        if rng.random() < 0.9:
            second[moved < radius + rng.normal(0, 1)] = k if rng.random() < 0.9 else 1
    return first, second


@pytest.mark.parametrize("seed", range(8))
def test_precision_is_that_of_the_best_assignment(seed: int) -> None:
    first, second = random_labels(seed)
    zeros = np.zeros(first.shape)
    found = match_objects(zeros, zeros, labels=(first, second))
    ours, theirs = (
        [np.array(labels == k) for k in np.unique(labels[labels > 0])] for labels in (first, second)
    )
    overlap = np.array([[(a & b).sum() / (a | b).sum() for b in theirs] for a in ours])
    each = []
    for threshold in np.arange(0.5, 1, 0.05):
        over = overlap >= threshold - 1e-12
        # as StarDist: most matches first, then the largest overlap
        rows, columns = linear_sum_assignment(-over.astype(float) - overlap / (2 * len(ours)))
        matched = int(over[rows, columns].sum())
        each.append(matched / (len(ours) + len(theirs) - matched))
    assert (found.truths, found.found) == (len(ours), len(theirs))
    assert found.ap50 == pytest.approx(each[0], abs=1e-12)
    assert found.ap == pytest.approx(np.mean(each), abs=1e-12)


# `stardist.matching.matching` of stardist 0.9.2 (its wheel on PyPI), 2026-11-28; see
# benchmarks/bench_objects.py: seed, n_true, n_pred, tp, accuracy, its mean over 0.5 to 0.95, and
# mean_matched_score, which stardist computes in float32
STARDIST = [
    (0, 14, 13, 8, 0.421052632, 0.148378881, 0.6727977),
    (1, 14, 11, 9, 0.5625, 0.234745039, 0.7100271),
    (2, 14, 12, 7, 0.368421053, 0.19393343, 0.7453232),
    (3, 14, 14, 9, 0.473684211, 0.196023376, 0.7050491),
    (4, 14, 7, 4, 0.235294118, 0.072389061, 0.6260166),
    (5, 14, 12, 8, 0.444444444, 0.20347619, 0.7197485),
]


@pytest.mark.parametrize(("seed", "truths", "own", "matched", "ap50", "ap", "iou"), STARDIST)
def test_precision_is_that_of_stardist(
    seed: int, truths: int, own: int, matched: int, ap50: float, ap: float, iou: float
) -> None:
    first, second = random_labels(seed)
    zeros = np.zeros(first.shape)
    found = match_objects(zeros, zeros, labels=(first, second))
    assert (found.truths, found.found, len(found.pairs)) == (truths, own, matched)
    assert (found.ap50, found.ap) == pytest.approx((ap50, ap), abs=1e-9)  # its digits here
    assert found.iou.mean() == pytest.approx(iou, abs=1e-6)


def test_measures_are_those_of_regionprops() -> None:
    scene = nuclei((256, 256), photons=500, seed=3)
    found = match_objects(scene.ideal, scene.image)
    assert len(found.pairs) >= 5
    for column, image in enumerate((scene.ideal, scene.image)):
        plane = Plane.of(image, "image")
        labels = segmented(plane)
        background = np.median(image[labels == 0])
        props = {p.label: p for p in regionprops(labels, intensity_image=np.asarray(image, float))}
        for k, label in enumerate(found.pairs[:, column]):
            assert found.area[k, column] == props[label].area
            mean = props[label].intensity_mean - background
            assert found.mean[k, column] == pytest.approx(mean, rel=1e-6)
        every = (found.of_truth, found.of_image)[column]
        for k, label in enumerate(every.names):
            own = props[label]
            assert (every.y[k], every.x[k]) == pytest.approx(own.centroid, abs=1e-9)
            assert every.eccentricity[k] == pytest.approx(own.eccentricity, abs=1e-9)
            total = own.image_intensity[own.image].sum() - own.area * background
            assert every.total[k] == pytest.approx(total, rel=1e-6)
    centres = [
        {p.label: p.centroid for p in regionprops(segmented(Plane.of(i, "image")))}
        for i in (scene.ideal, scene.image)
    ]
    for (t, o), shift in zip(found.pairs, found.shift, strict=True):
        assert shift == pytest.approx(
            np.hypot(*np.subtract(centres[0][t], centres[1][o])), abs=1e-6
        )


def test_of_two_at_one_half_the_first_is_taken() -> None:
    truth, halves = np.zeros((2, 8, 8), int)
    truth[2:6, 2:6], halves[2:4, 2:6], halves[4:6, 2:6] = 1, 4, 5
    zeros = np.zeros(truth.shape)
    found = match_objects(zeros, zeros, labels=(truth, halves))
    assert (found.pairs.tolist(), found.iou.tolist(), found.ap50) == ([[1, 4]], [0.5], 0.5)
    turned = match_objects(zeros, zeros, labels=(halves, truth))
    assert (turned.pairs.tolist(), turned.splits, turned.merges) == ([[4, 1]], 0, 1)


def test_each_fault_has_its_number() -> None:
    truth = discs(PLACES)
    assert object_measures(truth, truth)["ap"] == 1
    added = object_measures(truth, discs([*PLACES, (110, 110, 9)]))
    assert added["count_error"] == pytest.approx(0.2)
    assert added["ap50"] == pytest.approx(5 / 6)
    erased = object_measures(truth, discs(PLACES[:-1]))
    assert erased["count_error"] == pytest.approx(-0.2)
    larger = object_measures(truth, discs([(y, x, r + 1) for y, x, r in PLACES]))
    assert 1.1 < larger["object_area"] < 1.4
    split = truth.copy()
    split[70, :] = split[69, :] = split[71, :] = 0  # through the largest
    assert object_measures(truth, split)["splits"] == 1
    assert object_measures(split, truth)["merges"] == 1


def test_dark_objects_are_none() -> None:
    dark = 200 - discs([(64, 64, 12)])
    assert segmented(Plane.of(dark, "image")).max() == 0
    assert "none" in object_measures(dark, dark)["ap50"].reason  # type: ignore[attr-defined]


def test_pairs_have_their_own_labels() -> None:
    labels = np.zeros((20, 20), int)
    labels[2:8, 2:8], labels[12:18, 2:8], labels[2:8, 12:18] = 5, 9, 200
    other = np.where(labels == 5, 0, labels) + (labels > 0)
    zeros = np.zeros(labels.shape)
    assert match_objects(zeros, zeros, labels=(labels, labels)).pairs.tolist() == [
        [5, 5],
        [9, 9],
        [200, 200],
    ]
    assert [9, 10] in match_objects(zeros, zeros, labels=(labels, other)).pairs.tolist()


def test_touching_objects_are_parted() -> None:
    pair = discs([(64, 50, 14), (64, 74, 14)])
    assert segmented(Plane.of(pair, "image")).max() == 2
    lone = cv2.GaussianBlur(discs([(64, 64, 20)]), (0, 0), 2)
    assert segmented(Plane.of(lone, "image")).max() == 1
    assert segmented(Plane.of(np.ones((50, 50)), "image")).max() == 0


def test_brightness_that_is_compressed_is_told() -> None:
    truth = sum(discs([place], 40.0 * (k + 1)) for k, place in enumerate(PLACES))
    assert isinstance(truth, np.ndarray)
    linear = object_measures(truth, 0.8 * truth + 10)
    assert linear["object_intensity"] == pytest.approx(0.8, abs=0.01)
    assert linear["intensity_slope"] == pytest.approx(0.8, abs=0.01)
    assert linear["intensity_r2"] == pytest.approx(1, abs=1e-6)
    flat = object_measures(truth, np.where(truth > 0, 100.0, 0))
    assert flat["intensity_r2"] < linear["intensity_r2"]


def test_what_is_undefined_says_why(tmp_path: Path) -> None:
    nothing = np.zeros((64, 64))
    values = object_measures(nothing, discs(PLACES)[:64, :64])
    assert set(values) == set(NAMES)
    assert values.pop("ap50") == values.pop("ap") == 0  # objects that are not there were found
    assert all("none in the ground truth" in v.reason for v in values.values())  # type: ignore[attr-defined]
    alike = object_measures(discs([(20, 20, 9), (60, 60, 9), (100, 90, 9)]), discs(PLACES))
    assert "fewer than 3" in alike["intensity_slope"].reason  # type: ignore[attr-defined]
    same = discs([(20, 20, 9), (60, 60, 9), (100, 90, 9)])
    assert "are as bright" in object_measures(same, same)["intensity_slope"].reason  # type: ignore[attr-defined]
    apart = object_measures(discs(PLACES[:1]), discs(PLACES[3:4]))
    assert apart["ap50"] == 0
    assert "none is matched" in apart["object_area"].reason  # type: ignore[attr-defined]
    two = object_measures(discs(PLACES[:2]), discs(PLACES[:2]))
    assert "fewer than 3" in two["intensity_slope"].reason  # type: ignore[attr-defined]
    for wrong in (np.zeros((3, 3), int), np.zeros((64, 64))):
        with pytest.raises(ValueError, match="whole numbers of shape"):
            match_objects(nothing, nothing, labels=(wrong, wrong))


def test_labels_of_a_mask_are_the_truth() -> None:
    truth = discs(PLACES)
    _, labels = cv2.connectedComponents((discs(PLACES[:4]) > 0).astype(np.uint8))
    case = Case.of(truth, reference=truth, mask=labels > 0)
    parts = measure(case, set(NAMES))  # of a mask of one value, what hangs together
    assert (parts["count_error"], parts["ap50"]) == (pytest.approx(0.25), pytest.approx(0.8))
    empty = measure(Case.of(truth, reference=truth, mask=np.zeros_like(truth)), set(NAMES))
    assert "none in the ground truth" in empty["count_error"].reason  # type: ignore[attr-defined]
    labelled = measure(replace(case, mask=Labels.of(labels)), set(NAMES))
    assert labelled["count_error"] == pytest.approx(0.25)
    assert labelled["ap50"] == pytest.approx(0.8)


def test_on_the_command_line(tmp_path: Path) -> None:
    for k in range(3):
        scene = nuclei((200, 200), photons=300, seed=k)
        write_tiff(tmp_path / f"gt/{k}.tif", np.rint(scene.ideal).astype(np.uint16), None)
        write_tiff(tmp_path / f"pred/{k}.tif", scene.image, None)
    line = ["score", "--pred", f"m={tmp_path / 'pred'}", "--gt", str(tmp_path / "gt")]
    line += ["--metrics", "ap50,count_error,intensity_slope", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    header = (tmp_path / "out/scores.csv").read_text().splitlines()[0]
    assert {"ap50", "count_error", "intensity_slope"} <= set(header.split(","))


@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_a_mask_of_true_and_false_is_taken_apart_as_in_a_run(kind: type) -> None:
    truth = np.zeros((120, 120), kind)
    for y in range(10, 110, 30):
        for x in range(10, 110, 30):
            truth[y : y + 15, x : x + 15] = kind(255)
    half = truth.copy()
    half[:, 60:] = 0
    image = np.where(truth > 0, 300.0, 100.0)
    found = match_objects(image, image, labels=(truth, half))
    assert (found.truths, found.found, found.ap50) == (16, 8, 0.5)


def test_masked_labels_are_refused() -> None:
    scene = nuclei((96, 96), photons=500, seed=1)
    found = segmented(Plane.of(scene.ideal, "image"))
    with pytest.raises(TypeError, match="`labels` has masked pixels; fill or crop them"):
        match_objects(scene.ideal, scene.image, labels=(np.ma.masked_less(found, 2), found))
