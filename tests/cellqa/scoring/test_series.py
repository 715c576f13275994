"""Time series of runs: by the files' axis or by names, whole or in parts, in tables and words."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result

from cellqa.cli import main
from cellqa.io import write_tiff
from cellqa.simulate import timelapse

ARGS = ["--metrics", "psnr", "--no-report", "--jobs", "1"]


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two positions of two channels, as stacks and as folders of frames."""
    top = tmp_path_factory.mktemp("movies")
    for position in range(2):
        channels = [
            timelapse((6, 96, 96), photons=300 * (c + 1), speed=3, seed=10 * position + c).image
            for c in range(2)
        ]
        raw = np.stack(channels, axis=1)  # T, C, Y, X
        soft = np.stack([[cv2.GaussianBlur(p, (0, 0), 1) for p in frame] for frame in raw])
        again = soft.copy()
        again[3] = again[2]
        for name, stack in {"raw": raw, "soft": soft, "again": again}.items():
            path = top / "stacks" / name / f"p{position}.ome.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, stack, metadata={"axes": "TCYX"}, ome=True)
            for t, frame in enumerate(stack):
                # 8, 9, 10 ...: in the order of text, the tenth is not after the ninth
                write_tiff(top / "frames" / name / f"p{position}_t{t + 8}.tif", frame[0], None)
    return top


def score(
    folder: Path, out: Path, *more: str, methods: tuple[str, ...] = ("soft", "again")
) -> Result:
    line = ["score", "--input", str(folder / "raw"), "--out", str(out), *ARGS, *more]
    for name in methods:
        line += ["--pred", f"{name}={folder / name}"]
    return CliRunner().invoke(main, line)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_time_axis_is_followed(movies: Path, tmp_path: Path) -> None:
    done = score(movies / "stacks", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = table(tmp_path / "out/time.csv")
    assert [(r["series"], r["method"]) for r in rows][:4] == [
        ("p0.ome.tif#channel 0 focus 0", "input"),
        ("p0.ome.tif#channel 0 focus 0", "soft"),
        ("p0.ome.tif#channel 0 focus 0", "again"),
        ("p0.ome.tif#channel 1 focus 0", "input"),
    ]
    assert len(rows) == 12
    for row in rows:
        assert row["frames"] == "6"
        if row["method"] != "input":
            assert float(row["flicker"]) < 0.03
            assert float(row["motion"]) > 0.95
            assert row["against"] == "input"
        assert bool(row["outliers"]) == (row["method"] == "again")
    frames = table(tmp_path / "out/frames.csv")
    assert len(frames) == 12 * 6
    odd = {r["frame"] for r in frames if r["outlier"]}
    assert odd == {f"p{p}.ome.tif#t3c{c}z0" for p in range(2) for c in range(2)}
    warning = next(w for w in done.output.splitlines() if "again: 4 frames out of line" in w)
    assert "time 3: shows the frame before" in warning
    assert not any("soft: " in w for w in done.output.splitlines())


def test_names_tell_the_time(movies: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = score(movies / "frames", tmp_path / "out", "--time", r"_t(\d+)", "--log", str(log))
    assert done.exit_code == 0, done.output
    assert "Following series: 2 of 2" in log.read_text(encoding="utf-8")
    rows = table(tmp_path / "out/time.csv")
    assert {r["series"] for r in rows} == {"p0_t*.tif", "p1_t*.tif"}
    of_stacks = score(movies / "stacks", tmp_path / "stacks")
    assert of_stacks.exit_code == 0
    same = [r for r in table(tmp_path / "stacks/time.csv") if "channel 0" in r["series"]]
    for row, other in zip(rows, same, strict=True):
        for name in ("flicker", "drift", "motion", "own_flicker"):
            values = [float(each[name] or "nan") for each in (row, other)]
            # times that begin at 8, not at 0, are rounded otherwise
            assert values[0] == pytest.approx(values[1], rel=1e-6, abs=1e-9, nan_ok=True)
        # 8 is the first time
        assert row["outliers"].replace("11:", "3:") == other["outliers"]
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["group"] == r"series of _t(\d+)"
    assert not any("tiles" in line for line in run["warnings"])
    # without --time, names are images like others
    assert score(movies / "frames", tmp_path / "none").exit_code == 0
    assert not (tmp_path / "none/time.csv").exists()


def test_parts_of_a_run_are_joined(movies: Path, tmp_path: Path) -> None:
    whole = score(movies / "stacks", tmp_path / "whole")
    for part in ("1", "2"):
        score(movies / "stacks", tmp_path / part, "--shard", f"{part}/2")
    merged = CliRunner().invoke(
        main, ["merge", str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(tmp_path / "all")]
    )
    assert merged.exit_code == 0, merged.output
    for name in ("time.csv", "frames.csv"):
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    told = [w for w in whole.output.splitlines() if "out of line" in w]
    assert told == [w for w in merged.output.splitlines() if "out of line" in w]
    resumed = score(movies / "stacks", tmp_path / "whole", "--resume")
    assert [w for w in resumed.output.splitlines() if "out of line" in w] == told
    page = (tmp_path / "all/report.html").read_text(encoding="utf-8")
    assert '<section id="time">' in page
    assert "out of line" in page


def test_ground_truth_serves_where_there_are_no_raw_images(movies: Path, tmp_path: Path) -> None:
    folder = movies / "stacks"
    line = ["score", "--gt", str(folder / "raw"), "--pred", f"again={folder / 'again'}"]
    done = CliRunner().invoke(main, [*line, "--out", str(tmp_path / "out"), *ARGS])
    assert done.exit_code == 0, done.output
    rows = table(tmp_path / "out/time.csv")
    assert {(r["method"], r["against"]) for r in rows} == {("gt", ""), ("again", "gt")}
    assert all(float(r["stsnr"]) > 10 for r in rows if r["method"] == "again")


def test_what_cannot_be_followed_is_told(movies: Path, tmp_path: Path) -> None:
    frames = movies / "frames"
    for more, words in {
        (r"_t\d+",): "has no group",
        (r"x(\d+)",): "matches no image",
        (r"(?P<all>_)t(?P<t>\d+)",): "are both time 10",
        (r"_t(\d+)", "--shard", "1/2"): "leave --shard out",
    }.items():
        done = score(frames, tmp_path / "out", "--time", *more)
        assert done.exit_code == 1
        assert words in done.output
        assert len(done.output.splitlines()) == 1
    alone = ["score", "--pred", str(frames / "soft"), "--time", r"_t(\d+)", *ARGS]
    done = CliRunner().invoke(main, [*alone, "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "give --input or --gt" in done.output
    done = score(movies / "stacks", tmp_path / "out", "--time", r"p(\d)")
    assert done.exit_code == 0  # the images are scored all the same
    assert "holds several times itself" in done.output


def test_a_frame_that_cannot_be_read_is_a_gap(movies: Path, tmp_path: Path) -> None:
    for name in ("raw", "soft"):
        for path in (movies / "frames" / name).glob("p0*"):
            target = tmp_path / "in" / name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tmp_path / "in/soft/p0_t10.tif").write_bytes(b"II*\0 not much of an image")
    done = score(tmp_path / "in", tmp_path / "out", "--time", r"_t(\d+)", methods=("soft",))
    assert done.exit_code == 3
    raw, soft = table(tmp_path / "out/time.csv")
    assert (raw["frames"], soft["frames"]) == ("6", "5")
    assert float(soft["motion"]) > 0.95
    assert not soft["outliers"]


def test_series_that_are_too_short_are_told(movies: Path, tmp_path: Path) -> None:
    frames = movies / "frames"
    done = score(frames, tmp_path / "out", "--time", r"t(1[0-2])")
    assert done.exit_code == 0, done.output
    assert "2 of 2 time series were not followed: fewer than 4 frames" in done.output
    for name in ("raw", "soft"):
        for t in range(5):
            target = tmp_path / "in" / name / f"p0_t{t}.tif"
            image = tifffile.imread(frames / f"raw/p0_t{t + 8}.tif")
            write_tiff(target, image if name == "raw" else 40000 - image, None)
    done = score(tmp_path / "in", tmp_path / "two", "--time", r"t(\d)", methods=("soft",))
    assert "soft: 1 of 1 time series could not be judged: brightness does not follow" in done.output


def test_a_hostile_name_stays_text(movies: Path, tmp_path: Path) -> None:
    for name in ("raw", "again"):
        for t in range(6):
            image = tifffile.imread(movies / f"frames/{name}/p0_t{t + 8}.tif")
            write_tiff(tmp_path / "in" / name / f"=<b>$x^_t{t}.tif", image, None)
    line = ["--time", r"_t(\d+)"]
    done = score(tmp_path / "in", tmp_path / "out", *line, methods=("again",))
    assert done.exit_code == 0, done.output
    report = CliRunner().invoke(main, ["report", str(tmp_path / "out")])
    assert report.exit_code == 0, report.output
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "<b>$x" not in page
    assert '<section id="time">' in page
    assert table(tmp_path / "out/time.csv")[0]["series"].startswith("'=<b>")
