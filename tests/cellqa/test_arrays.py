"""Scoring from Python in one call: the numbers of the command line, whatever is given."""

import csv
from dataclasses import is_dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cellqa
import ciegan
from cellqa.cli import main
from cellqa.io import write_tiff
from cellqa.shown import one_line
from cellqa.simulate import acquire, filaments

SCENES = [filaments((128, 128), cutoff=0.6, photons=1000, seed=k) for k in range(7)]
GT = np.stack([s.image for s in SCENES]).astype(np.float32)
RAW = np.stack(
    [acquire(s.structure, cutoff=0.3, photons=300, seed=k).image for k, s in enumerate(SCENES)]
).astype(np.float32)
NET = (RAW + GT) / 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("folders")
    for role, images in (("raw", RAW), ("gt", GT), ("net", NET)):
        for k, image in enumerate(images):
            write_tiff(top / role / f"{k}.tif", image, None)
    return top


@pytest.fixture(scope="module")
def scores() -> cellqa.Scores:
    return cellqa.score({"net": NET}, GT, raw=RAW)


def test_the_numbers_are_those_of_the_command(
    folders: Path, scores: cellqa.Scores, tmp_path: Path
) -> None:
    line = ["score", "--pred", f"net={folders / 'net'}", "--gt", f"{folders / 'gt'}"]
    line += ["--input", f"{folders / 'raw'}", "--out", f"{tmp_path / 'cli'}", "--no-report"]
    assert CliRunner().invoke(main, [*line, "--jobs", "1"]).exit_code == 0
    scores.save(tmp_path / "python")
    for name in ("scores.csv", "summary.csv", "comparisons.csv"):
        assert (tmp_path / "cli" / name).read_text() == (tmp_path / "python" / name).read_text()
    of_paths = cellqa.score(
        {"net": folders / "net"}, str(folders / "gt"), raw=folders / "raw", metrics="psnr,ssim"
    )
    both = scores.frame[["image", "method", "psnr", "ssim"]]
    theirs = of_paths.frame[["image", "method", "psnr", "ssim"]]
    assert list(theirs["image"]) == [f"{name}.tif" for name in both["image"]]
    pd.testing.assert_frame_equal(both.drop(columns="image"), theirs.drop(columns="image"))


@pytest.mark.parametrize(
    ("pred", "gt"),
    [
        (torch.from_numpy(NET)[:, None], torch.from_numpy(GT)[:, None].requires_grad_()),
        (list(NET), list(GT)),
        ([torch.from_numpy(p)[None] for p in NET], GT),
        (NET[:, None], GT),
    ],
    ids=["tensors", "lists", "list of tensors", "channel axis"],
)
def test_every_kind_of_array_is_the_same(pred: object, gt: object, scores: cellqa.Scores) -> None:
    ours = cellqa.score(pred, gt, metrics=["psnr"]).frame.query("method == 'image'")["psnr"]
    assert list(ours) == list(scores.frame.query("method == 'net'")["psnr"])


def test_half_precision_and_one_image() -> None:
    half = torch.from_numpy(NET[0] / NET.max()).to(torch.bfloat16)
    truth = torch.from_numpy(GT[0] / NET.max())
    expected = cellqa.psnr(truth.numpy(), half.float().numpy(), data_range=1.0)
    found = cellqa.score(half, truth, metrics="psnr", data_range=1.0)
    assert len(found) == 1
    assert found.frame["psnr"][0] == pytest.approx(expected, rel=1e-12)


def test_the_frame_is_tidy_and_the_summary_follows(scores: cellqa.Scores) -> None:
    frame = scores.frame
    assert list(frame["method"].unique()) == ["input", "net", "gt"]
    assert frame.groupby("method").size().eq(7).all()
    assert frame.dtypes["psnr"] == np.float64
    mean = scores.summary.set_index(["method", "metric"]).loc[("net", "psnr"), "mean"]
    assert mean == frame.query("method == 'net'")["psnr"].mean()
    # what a ground truth has against itself is undefined, not 0 or inf
    assert frame.query("method == 'gt'")["psnr"].isna().all()
    pd.testing.assert_frame_equal(scores.to_frame(), frame)


def test_methods_are_compared(scores: cellqa.Scores) -> None:
    (pair,) = scores.compare("psnr").to_dict("records")
    assert (pair["first"], pair["second"], pair["n"], pair["better"]) == ("input", "net", 7, 0)
    assert pair["p"] == pytest.approx(2 / 2**7)  # all seven of one sign, exact and two-sided
    with pytest.raises(ValueError, match="'lpips' was not scored; there are psnr"):
        scores.compare("lpips")


def test_groups_are_samples() -> None:
    line = {"metrics": "psnr", "raw": RAW}
    grouped = cellqa.score(NET, GT, group=["a", "a", "b", "b", "c", "c", "d"], **line)
    assert set(grouped.compare()["groups"]) == {4}
    assert set(cellqa.score(NET, GT, **line).compare()["groups"]) == {0}
    with pytest.raises(ValueError, match="`group` must be 7 as the images, got 1"):
        cellqa.score(NET, GT, group=["a"])


def test_it_reads_in_one_line_and_in_a_notebook(scores: cellqa.Scores) -> None:
    assert repr(scores).startswith("Scores(7 images, methods input, net, gt; net: psnr ")
    html = cellqa.score({"net": NET}, GT, raw=RAW, names=[f"a,{k}" for k in range(7)])._repr_html_()
    assert html.count("<tr>") == 4
    assert "psnr ↑" in html
    assert scores.verdict[0].startswith("net is better than the untouched images")
    assert html.startswith(f"<p>{scores.verdict[0]}</p>")
    assert "<script" not in html
    assert "net" in scores.table


def test_a_bad_image_fails_alone_and_is_told() -> None:
    broken = NET.copy()
    broken[2, 5, 5] = np.nan
    found = cellqa.score({"net": broken}, GT, metrics="psnr")
    row = found.frame.query("image == '2' and method == 'net'").iloc[0]
    assert row["status"] == "failed"
    assert "NaN" in row["reason"]
    assert np.isnan(row["psnr"])
    assert "1 of 14 rows failed" in repr(found)
    assert "failed: 2 (net)" in found._repr_html_()


def test_jobs_change_nothing(scores: cellqa.Scores) -> None:
    twice = cellqa.score({"net": NET}, GT, raw=RAW, jobs=2)
    pd.testing.assert_frame_equal(twice.frame, scores.frame)


def test_the_page_shows_the_arrays(scores: cellqa.Scores, tmp_path: Path) -> None:
    page = scores.report(tmp_path / "run", gallery=2)
    assert page == tmp_path / "run" / "report.html"
    assert page.stat().st_size > 20_000
    run = tmp_path / "run"
    with cellqa.open_image(run / "images" / "net" / "3.tif") as file:
        assert np.array_equal(file.load(file.planes[0]), NET[3])
    with (run / "scores.csv").open() as file:
        assert len(list(csv.reader(file))) == 22
    with pytest.raises(cellqa.CellqaError, match="holds an earlier run"):
        scores.report(run)
    scores.report(run, gallery=0, overwrite=True)
    with pytest.raises(ValueError, match="give a folder"):
        scores.report(tmp_path / "page.html")


def test_files_one_by_one(folders: Path) -> None:
    pairs = [folders / "net" / "0.tif", folders / "net" / "1.tif"]
    truths = [folders / "gt" / "0.tif", folders / "gt" / "1.tif"]
    found = cellqa.score({"net": pairs}, truths, metrics=["psnr"])
    alone = cellqa.score(pairs[1], truths[1], metrics=["psnr"])
    both = found.frame.query("method == 'net'")["psnr"]
    assert list(both) == [
        cellqa.score(NET[k], GT[k], metrics="psnr").frame["psnr"][0] for k in (0, 1)
    ]
    assert alone.frame["psnr"][0] == both.iloc[1]


@pytest.mark.parametrize(
    ("given", "error", "line"),
    [
        ({"pred": np.zeros((2, 3, 64, 64))}, ValueError, r"choose a channel or colour, as in \[:"),
        ({"pred": np.zeros((64, 64, 3))}, ValueError, "choose a channel"),
        ({"pred": NET, "gt": GT[:3]}, ValueError, "image 7, gt 3"),
        ({"pred": {"gt": NET}}, ValueError, "name of another role"),
        ({"pred": {"../a": NET}}, ValueError, "no name of a method"),
        ({"pred": NET, "names": ["a"] * 7}, ValueError, "'a' is there twice"),
        ({"pred": NET, "names": ["../x", *"bcdefg"]}, ValueError, "no name of an image"),
        ({"pred": NET, "metrics": "psnr"}, ValueError, "psnr needs ground truth, which is not"),
        ({"pred": NET, "gt": "folder"}, TypeError, "gt are paths and the others arrays"),
        ({"pred": NET, "wrong": 1}, TypeError, "wrong"),
        ({"pred": {}}, ValueError, "give at least one method"),
        ({"pred": "no/such"}, cellqa.CellqaError, "there is no folder"),
    ],
)
def test_wrong_input_is_a_line(given: dict[str, object], error: type, line: str) -> None:
    with pytest.raises(error, match=line):
        cellqa.score(**given)


def test_every_public_dataclass_is_one_line() -> None:
    for package in (cellqa, ciegan):
        for name in package.__all__:
            each = getattr(package, name)
            if isinstance(each, type) and is_dataclass(each) and each.__dataclass_fields__:
                own = "__repr__" in vars(each) and each.__repr__ is one_line
                few = len(each.__dataclass_fields__) <= 3
                assert own or few, name


def test_what_calls_return_is_one_readable_line(scores: cellqa.Scores, tmp_path: Path) -> None:
    finished = scores.save(tmp_path / "run")
    results = [
        finished,
        *finished.summaries,
        *finished.comparisons,
        *scores.rows,
        scores.source,
        cellqa.decorrelation(RAW[0]),
        cellqa.consistency(RAW[0], NET[0]),
        cellqa.detail_budget(GT[0], NET[0], RAW[0]),
        cellqa.frc(GT[0], NET[0]),
        cellqa.METRICS["ssim"],
        ciegan.PRESETS["default"],
    ]
    for each in results:
        line = repr(each)
        assert "\n" not in line
        assert len(line) <= 200, line
        assert line.startswith(f"{type(each).__name__}(")
    assert repr(finished.summaries[-1]).startswith("Summary(method='gt', metric=")


def test_a_run_is_a_frame(scores: cellqa.Scores, tmp_path: Path) -> None:
    frame = scores.save(tmp_path / "run").to_frame()
    ours = scores.frame
    assert list(frame.columns) == list(ours.columns)
    assert list(frame["psnr"].dropna()) == list(ours["psnr"].dropna())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("data_range", ["auto", "set"])
def test_an_image_of_no_numbers_fails_its_row_alone(bad: float, data_range: str) -> None:
    rng = np.random.default_rng(0)
    truths = [rng.normal(100, 10, (64, 64)) for _ in range(3)]
    images = [truth + 1 for truth in truths]
    whole = cellqa.score(images, truths, data_range=data_range, metrics=["psnr"]).frame
    nothing = np.full((64, 64), bad)
    for pred, gt in (
        ([images[0], nothing, images[2]], truths),
        (images, [truths[0], nothing, truths[2]]),
    ):
        frame = cellqa.score(pred, gt, data_range=data_range, metrics=["psnr"]).frame
        row = (frame.image == frame.image.iloc[2]) & (frame.method == "image")
        assert frame[row].status.item() == "failed"
        assert "must be finite, got 4096 pixels" in frame[row].reason.item()
        others = (frame.method == "image") & ~row
        if data_range == "auto" or gt is truths:
            assert frame[others].psnr.equals(whole[others].psnr)
        assert np.isfinite(frame[others].psnr).all()


def test_masked_pixels_are_no_measurements() -> None:
    truth = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    rubbish = truth.copy()
    rubbish[:20] ^= 255
    hidden = np.arange(64)[:, None] * np.ones(64) < 20
    for pred, gt in (
        (np.ma.masked_array(rubbish, hidden), truth),
        (truth, np.ma.masked_array(rubbish, hidden)),
    ):
        with pytest.raises(TypeError, match="masked pixels; fill or crop them"):
            cellqa.score(pred, gt, metrics="psnr")
    whole = np.ma.masked_array(truth, np.zeros(truth.shape, bool))
    assert cellqa.score(whole, truth, metrics="psnr").frame["psnr"][0] == np.inf
