"""`--objects`: the same segmentation on truth and methods, by labels or by a command."""

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from cellqa import Plane
from cellqa.cli import main
from cellqa.errors import ImageError
from cellqa.io import write_tiff
from cellqa.scoring.segmenting import Command, check

SIDE = 96
PLACES = [(20, 20, 8), (20, 60, 9), (60, 30, 10), (70, 75, 9)]
SEGMENT = """
import sys
import cv2
import numpy as np
from tifffile import imread, imwrite
image = imread(sys.argv[1])
open(sys.argv[3], "a").write("x") if len(sys.argv) > 3 else None
if image.min() == 7:
    sys.exit("no model for this image")
_, labels = cv2.connectedComponents((image > 50).astype(np.uint8))
imwrite(sys.argv[2], labels.astype(np.uint16))
"""


def labels_of(places: list[tuple[int, int, int]], first: int = 1) -> np.ndarray:
    y, x = np.indices((SIDE, SIDE))
    labels = np.zeros((SIDE, SIDE), np.uint16)
    for k, (cy, cx, radius) in enumerate(places, first):
        labels[np.hypot(y - cy, x - cx) < radius] = k
    return labels


def picture(places: list[tuple[int, int, int]], seed: int, level: float = 100) -> np.ndarray:
    rng = np.random.default_rng(seed)
    levels = np.concatenate([[0], level * (1 + np.arange(len(places)) / 4)])
    return (10 + levels[labels_of(places)] + rng.normal(0, 1, (SIDE, SIDE))).astype(np.float32)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for k in range(3):
        name = f"a{k}.tif"
        write_tiff(tmp_path / "gt" / name, picture(PLACES, k), None)
        write_tiff(tmp_path / "less" / name, picture(PLACES[:-1], k + 10), None)
        write_tiff(tmp_path / "dim" / name, picture(PLACES, k + 20, level=80), None)
        write_tiff(tmp_path / "truth" / name, labels_of(PLACES, 11), None)
        write_tiff(
            tmp_path / "labels_less" / f"a{k}_cp_masks.tif", labels_of(PLACES[:-1], 21), None
        )
    (tmp_path / "segment.py").write_text(SEGMENT)
    return tmp_path


def score(folders: Path, *more: str, methods: tuple[str, ...] = ("less", "dim")) -> Result:
    line = ["score", "--gt", str(folders / "gt"), "--no-report", "--jobs", "1"]
    for name in methods:
        line += ["--pred", f"{name}={folders / name}"]
    line += ["--metrics", "psnr", "--out", str(folders / "out"), *more]
    return CliRunner().invoke(main, line)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def command(folders: Path, *more: str) -> str:
    return " ".join([sys.executable, str(folders / "segment.py"), "{in}", "{out}", *more])


def test_the_built_in_segmentation_of_truth_and_methods(folders: Path) -> None:
    done = score(folders, "--objects", "auto")
    assert done.exit_code == 0, done.output
    scores = {(r["image"], r["method"]): r for r in rows_of(folders / "out/scores.csv")}
    assert scores["a0.tif", "less"]["count_error"] == "-0.25"
    assert scores["a0.tif", "dim"]["ap50"] == "1"
    assert scores["a0.tif", "gt"]["ap50"] == ""
    lines = rows_of(folders / "out/objects.csv")
    less = [r for r in lines if r["image"] == "a1.tif" and r["method"] == "less"]
    assert [r["state"] for r in less] == ["matched"] * 3 + ["missed"]
    missed = less[-1]
    assert float(missed["y"]) == pytest.approx(70, abs=0.1)
    assert (missed["found_area"], missed["iou"]) == ("", "")
    assert float(missed["gt_total"]) > 0
    dim = [r for r in lines if r["image"] == "a1.tif" and r["method"] == "dim"]
    for row in dim:
        ratio = float(row["found_total"]) / float(row["gt_total"])
        assert ratio == pytest.approx(0.8, abs=0.03)
        assert float(row["found_eccentricity"]) < 0.4
        assert abs(float(row["found_y"]) - float(row["y"])) < 0.2


def test_labels_of_truth_and_methods(folders: Path) -> None:
    more = ["--objects", f"labels:{folders / 'truth'}"]
    more += ["--objects", f"labels:less={folders / 'labels_less'}"]
    done = score(folders, *more)
    assert done.exit_code == 0, done.output
    assert "_cp_masks" in done.output
    scores = {(r["image"], r["method"]): r for r in rows_of(folders / "out/scores.csv")}
    assert scores["a0.tif", "less"]["ap"] == "0.75"
    assert scores["a0.tif", "dim"]["ap"] == ""
    assert "no labels were given" in scores["a0.tif", "dim"]["reason"]
    lines = rows_of(folders / "out/objects.csv")
    own = [r for r in lines if r["image"] == "a0.tif"]
    assert {r["method"] for r in own} == {"less"}
    assert [(r["label"], r["found_label"]) for r in own] == [
        ("11", "21"),
        ("12", "22"),
        ("13", "23"),
        ("14", ""),
    ]


def test_what_a_segmentation_costs_is_seen_on_the_truth(folders: Path) -> None:
    done = score(folders, "--objects", f"labels:{folders / 'truth'}", "--objects", "auto")
    assert done.exit_code == 0, done.output
    lines = rows_of(folders / "out/objects.csv")
    own = [r for r in lines if r["image"] == "a0.tif" and r["method"] == "gt"]
    assert [r["state"] for r in own] == ["matched"] * 4
    assert [r["label"] for r in own] == ["11", "12", "13", "14"]
    assert all(float(r["iou"]) > 0.8 for r in own)


def test_a_command_segments_truth_once_and_each_method(folders: Path) -> None:
    calls = folders / "calls"
    done = score(folders, "--objects", command(folders, str(calls)))
    assert done.exit_code == 0, done.output
    assert len(calls.read_text()) == 3 * 3  # truth and two methods of three images
    scores = rows_of(folders / "out/scores.csv")
    assert {r["count_error"] for r in scores if r["method"] == "less"} == {"-0.25"}
    # with the same command nothing is done again; with another, all
    score(folders, "--objects", command(folders, str(calls)), "--resume")
    assert len(calls.read_text()) == 9
    other = score(folders, "--objects", command(folders, str(calls), "x"), "--resume")
    assert "settings or versions differ" in other.output
    assert len(calls.read_text()) == 18
    record = json.loads((folders / "out/run.json").read_text())
    assert record["settings"]["objects"].endswith(" x")


def test_a_command_that_fails_costs_its_rows_alone(folders: Path) -> None:
    write_tiff(folders / "dim/a1.tif", np.full((SIDE, SIDE), 7, np.float32), None)
    write_tiff(folders / "gt/a2.tif", np.full((SIDE, SIDE), 7, np.float32), None)
    calls = folders / "calls"
    done = score(folders, "--objects", command(folders, str(calls)))
    assert done.exit_code == 3
    rows = {(r["image"], r["method"]): r for r in rows_of(folders / "out/scores.csv")}
    failed = {place for place, row in rows.items() if row["status"] == "failed"}
    assert failed == {("a1.tif", "dim"), ("a2.tif", "less"), ("a2.tif", "dim")}
    reason = rows["a1.tif", "dim"]["reason"]
    assert reason == "objects: the command ended with status 1: no model for this image"
    assert rows["a2.tif", "dim"]["reason"] == f"ground truth: {reason}"
    assert len(calls.read_text()) == 3 + 3 + 1  # a truth that failed is not tried again
    assert rows["a2.tif", "gt"]["status"] == "ok"


def test_several_processes_give_the_same(folders: Path) -> None:
    for k in range(3, 10):
        for name in ("gt", "less", "dim"):
            write_tiff(folders / f"{name}/a{k}.tif", picture(PLACES[: 2 + k % 3], k), None)
    how = command(folders)
    assert score(folders, "--objects", how).exit_code == 0
    first = [(folders / "out" / n).read_bytes() for n in ("scores.csv", "objects.csv")]
    done = score(folders, "--objects", how, "--jobs", "2", "--overwrite")
    assert done.exit_code == 0, done.output
    assert first == [(folders / "out" / n).read_bytes() for n in ("scores.csv", "objects.csv")]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("pass", "left no files"),
        ("open(sys.argv[1] + 'a.tif', 'w'); open(sys.argv[1] + 'b.tif', 'w')", "left 2 files"),
        ("open(sys.argv[1] + 'a.tif', 'w')", "the command's labels: a.tif"),
        ("imwrite(sys.argv[1] + 'a.tif', np.zeros((9, 9), int))", "size 9 x 9 differs"),
        ("imwrite(sys.argv[1] + 'a.tif', np.zeros((2, 8, 8), 'u1'))", "2 planes where one"),
        ("imwrite(sys.argv[1] + 'a.tif', -np.ones((64, 64), 'f4'))", "negative values"),
    ],
)
def test_what_a_command_leaves_is_looked_at(code: str, reason: str, tmp_path: Path) -> None:
    script = tmp_path / "leave.py"
    script.write_text(f"import sys\nimport numpy as np\nfrom tifffile import imwrite\n{code}\n")
    plane = Plane.of(np.eye(64), "image")
    with pytest.raises(ImageError, match=reason):
        Command(f"{sys.executable} {script} {{folder}}/ {{in}}", 60)(plane)


def test_a_command_may_name_its_file(tmp_path: Path) -> None:
    script = tmp_path / "leave.py"
    code = "cv2.imwrite(sys.argv[1] + '/image_cp.png', cv2.imread(sys.argv[2], -1))"
    script.write_text(f"import sys\nimport cv2\n{code}\n")
    image = np.zeros((40, 40), np.uint8)
    image[3:9, 3:9], image[20:30, 20:30] = 200, 100
    found = Command(f"{sys.executable} {script} {{folder}} {{in}}", 60)(Plane.of(image, "image"))
    assert found.names.tolist() == [100, 200]


def test_what_says_nothing_is_refused(folders: Path) -> None:
    for wrong in ("otsu", "x {in}", "x {in} {out} {folder}", "x {out}", "x '{in} {out}"):
        with pytest.raises(ValueError, match=r"must be auto|closing"):
            check(wrong)
    refused = [
        (["--objects", "x"], "must be auto"),
        (["--objects", "auto", "--objects", "auto"], "in one way"),
        (["--objects", "no-such-program {in} {out}"], "there is no program 'no-such-program'"),
        (["--objects", f"labels:{folders / 'truth'}"], "compared with those of methods"),
        (["--objects", f"labels:less={folders / 'truth'}", "--objects", "auto"], "need those of"),
        (["--objects", f"labels:o={folders / 'truth'}"], "no method of this name"),
        (["--objects", "labels:less="], "is not labels:"),
    ]
    for more, line in refused:
        done = score(folders, *more)
        assert done.exit_code == 2, (more, done.output)
        assert line in " ".join(done.output.split()), (more, done.output)
    lonely = ["score", "--pred", str(folders / "dim"), "--objects", "auto"]
    assert "--objects compares with the ground truth" in CliRunner().invoke(main, lonely).output


def test_labels_follow_what_is_registered(folders: Path) -> None:
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.normal(0, 400, (SIDE, SIDE)), (0, 0), 1.5)
    for k in range(3):
        truth = picture(PLACES, k) + texture
        write_tiff(folders / f"gt/a{k}.tif", truth.astype(np.float32), None)
        moved = np.roll(truth, (3, -2), (0, 1)).astype(np.float32)
        write_tiff(folders / f"dim/a{k}.tif", moved, None)
        own = np.roll(labels_of(PLACES, 5), (3, -2), (0, 1))
        write_tiff(folders / f"moved/a{k}.tif", own, None)
    more = ["--objects", f"labels:{folders / 'truth'}", "--register"]
    more += ["--objects", f"labels:dim={folders / 'moved'}"]
    done = score(folders, *more, methods=("dim",))
    assert done.exit_code == 0, done.output
    for row in rows_of(folders / "out/objects.csv"):
        assert float(row["iou"]) == 1, row
        cy, cx, _ = PLACES[int(row["label"]) - 11]
        assert (float(row["y"]), float(row["x"])) == pytest.approx((cy, cx), abs=1e-6)
        assert (float(row["found_y"]), float(row["found_x"])) == pytest.approx((cy, cx), abs=1e-6)


def test_parquet_and_parts_hold_the_same(folders: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    assert score(folders, "--objects", "auto", "--table", "parquet").exit_code == 0
    whole = (folders / "out/objects.csv").read_bytes()
    table = parquet.read_table(folders / "out/objects.parquet")
    assert str(table.schema.field("found_label").type) == "int64"
    assert str(table.schema.field("state").type) == "string"
    assert table.num_rows == len(rows_of(folders / "out/objects.csv"))
    for k in (1, 2):
        part = ["--shard", f"{k}/2", "--out", str(folders / f"part{k}")]
        assert score(folders, "--objects", "auto", *part).exit_code == 0
    line = ["merge", str(folders / "part1"), str(folders / "part2"), "--out", str(folders / "all")]
    assert CliRunner().invoke(main, line).exit_code == 0
    assert (folders / "all/objects.csv").read_bytes() == whole
