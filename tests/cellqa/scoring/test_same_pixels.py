"""What is judged is the same on disk and in memory, and everywhere without what is not valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter

import cellqa
from cellqa.cli import main
from cellqa.io import open_image, write_tiff
from cellqa.simulate import filaments, timelapse


def field(seed: int, side: int = 128) -> np.ndarray:
    return filaments((side, side), cutoff=0.5, photons=1000, seed=seed).image.astype(np.uint16)


def blurred(image: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    return np.round(gaussian_filter(image.astype(float), sigma)).astype(np.uint16)


def run(out: Path, *words: object) -> str:
    line = ["score", *map(str, words), "--out", str(out), "--overwrite", "--no-report"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    return done.output


def rows(out: Path, table: str = "scores.csv") -> pd.DataFrame:
    return pd.read_csv(out / table)


@pytest.mark.parametrize("outer", [(3, 2), (2, 2, 2), (6,)])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_axes_without_a_name_are_all_read(
    tmp_path: Path, outer: tuple[int, ...], options: dict[str, Any]
) -> None:
    """`tifffile.imwrite` of four dimensions calls two of them Q."""
    number = int(np.prod(outer))
    planes = np.arange(number, dtype=np.uint16)[:, None, None] * np.ones((64, 64), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes.reshape(*outer, 64, 64), **options)
    with open_image(tmp_path / "a.tif") as file:
        assert [int(file.load(index)[0, 0]) for index in file.planes] == list(range(number))
        assert [int(file.load_rows(i, 3, 5)[0, 0]) for i in file.planes] == list(range(number))


def test_results_have_all_of_them(tmp_path: Path) -> None:
    planes = np.stack([field(k, 64) for k in range(6)])
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", planes.reshape(3, 2, 64, 64))
    line = ["te-enhance", str(tmp_path / "in"), str(tmp_path / "out")]
    assert CliRunner().invoke(main, line).exit_code == 0
    assert tifffile.imread(tmp_path / "out/a.tif").shape == (6, 64, 64)


def test_the_range_of_a_set_is_that_of_what_is_judged(tmp_path: Path) -> None:
    """Neither a hot pixel, nor a margin, nor a bar that is not valid counts, as in a folder."""
    truths = [field(k) for k in range(3)]
    truths[1][50, 60] = 60000
    truths[2][:20] = 0
    images = [blurred(truth) for truth in truths]
    valid = [np.full((128, 128), 255, np.uint8) for _ in truths]
    truths[0][-20:, 10:90], valid[0][-25:] = 30000, 0
    for k in range(3):
        for folder, each in (("gt", truths), ("a", images), ("valid", valid)):
            write_tiff(tmp_path / f"{folder}/{k}.tif", each[k], None)
    line = ["--pred", tmp_path / "a", "--gt", tmp_path / "gt", "--valid", tmp_path / "valid"]
    run(tmp_path / "out", *line, "--data-range", "set", "--metrics", "psnr")
    there = rows(tmp_path / "out").query("method == 'a'")
    here = cellqa.score(
        {"a": images}, truths, valid=valid, metrics=["psnr"], data_range="set"
    ).frame.query("method == 'a'")
    assert there.data_range.max() < 1000
    np.testing.assert_allclose(here.data_range, there.data_range)
    np.testing.assert_allclose(here.psnr, there.psnr, rtol=1e-12)


def test_what_is_not_valid_is_no_pattern_and_no_flicker(tmp_path: Path) -> None:
    for k in range(6):
        truth = field(k, 160)
        image, valid = blurred(truth), np.full(truth.shape, 255, np.uint8)
        valid[-30:] = 0
        for each in (truth, image):  # a bar with a scale
            each[-25:-10, 10:90] = 3000
            each[-22:-18, 20:60:3] = 0
        for folder, each in (("gt", truth), ("a", image), ("valid", valid)):
            write_tiff(tmp_path / f"{folder}/q{k}x.tif", each, None)
    line = ["--pred", tmp_path / "a", "--gt", tmp_path / "gt", "--metrics", "psnr,frc_resolution"]
    pattern = "ground truths of different images agree"
    assert pattern in run(tmp_path / "out", *line)
    assert pattern not in run(tmp_path / "out", *line, "--valid", tmp_path / "valid")
    raw = timelapse((8, 128, 128), seed=1).image.astype(np.uint16)
    mask = np.full((128, 128), 255, np.uint8)
    mask[:40] = 0
    for k in range(8):
        net = blurred(raw[k])
        net[:40] = 2000 * (k % 2)
        for folder, each in (("raw", raw[k]), ("net", net), ("mask", mask)):
            write_tiff(tmp_path / f"{folder}/p_t{k}.tif", each, None)
    line = ["--pred", tmp_path / "net", "--input", tmp_path / "raw", "--time", r"_t(\d+)"]
    assert "flickers" in run(tmp_path / "out", *line)
    assert "flickers" not in run(tmp_path / "out", *line, "--valid", tmp_path / "mask")


def test_stacks_of_other_axes_are_told(tmp_path: Path) -> None:
    planes = np.stack([field(k) for k in range(6)])
    for folder in ("gt", "net", "same"):
        (tmp_path / folder).mkdir()
    named = {"imagej": True, "metadata": {"axes": "ZCYX"}}
    tifffile.imwrite(tmp_path / "gt/x.tif", planes.reshape(3, 2, 128, 128), **named)
    tifffile.imwrite(tmp_path / "same/x.tif", planes.reshape(3, 2, 128, 128), **named)
    tifffile.imwrite(tmp_path / "net/x.tif", planes)
    line = ["--gt", tmp_path / "gt", "--metrics", "psnr"]
    assert "net has other axes" in run(tmp_path / "out", "--pred", tmp_path / "net", *line)
    assert "other axes" not in run(tmp_path / "out", "--pred", tmp_path / "same", *line)


@pytest.mark.parametrize("kind", ["constant", "diverged"])
def test_who_has_no_value_of_some_images_does_not_lead(kind: str) -> None:
    truths, good, bad = [], [], []
    for k in range(12):
        truth = field(k, 192).astype(np.float32)
        truths.append(truth)
        good.append(gaussian_filter(truth, 1.2))
        image = gaussian_filter(truth, 1.0).astype(np.float64)
        if k < 4 and kind == "constant":
            image[:] = image.mean()
        elif k < 4:
            image[10, 10] = 1e200
        bad.append(image)
    metrics = ["psnr", "ssim", "frc_resolution"] if kind == "diverged" else ["frc_resolution"]
    found = cellqa.score({"good": good, "bad": bad}, truths, metrics=metrics)
    said = " ".join(found.warnings)
    assert "in 4 images where others have" in said
    assert ("bad is constant" in said) == (kind == "constant")
    assert not any(line.startswith("Best: bad") for line in found.verdict)


def test_a_difference_of_rounding_is_a_tie() -> None:
    truths = [field(k, 192).astype(np.float64) for k in range(12)]
    first = [gaussian_filter(truth, 0.8) for truth in truths]
    second = [image * (1 + 1e-9) for image in first]
    found = cellqa.score({"a": first, "b": second}, truths, metrics=["psnr", "ssim"])
    table = found.compare()
    pair = table[(table["first"] == "a") & (table["second"] == "b")]
    assert (pair.better == 0.5).all()
    assert not any(line.startswith(("Best: a,", "Best: b,")) for line in found.verdict)


CELLS = [(40, 30), (40, 50), (90, 40), (90, 60)]


@pytest.fixture
def cells() -> np.ndarray:
    """Touching in pairs."""
    y, x = np.mgrid[:128, :128]
    labels = np.zeros((128, 128), np.int64)
    for k, (row, column) in enumerate(CELLS, 1):
        labels[(abs(y - row) < 10) & (abs(x - column) <= 10)] = k
    return labels


@pytest.mark.parametrize("base", [0, 2**54, 2**63])
@pytest.mark.parametrize("dtype", [np.uint64, np.float32])
def test_labels_are_whole_numbers_of_any_size(cells: np.ndarray, base: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(np.where(cells > 0, 100 + 20 * cells, 20)).astype(np.uint16)
    numbers = np.where(cells > 0, np.uint64(base) + cells.astype(np.uint64), np.uint64(0))
    if dtype is np.float32 and base:
        numbers = cells / 255  # as some programs save them
    gt = numbers.astype(dtype)
    pred = gt * (cells != 4)
    found = cellqa.score(
        {"a": image}, image, labels={"gt": gt, "a": pred}, metrics=["ap50", "count_error"]
    ).frame.query("method == 'a'")
    if dtype is np.float32 and base:
        assert np.isnan(found.ap50.item())
        assert "whole numbers" in found.reason.item()
    else:
        assert (found.ap50.item(), found.count_error.item()) == (0.75, -0.25)


@pytest.mark.parametrize("value", [1, 7])
def test_one_object_is_one(tmp_path: Path, value: int) -> None:
    """In two pieces, of label 1 in 16 bits; and it has its line of a mask."""
    labels = np.zeros((96, 96), np.uint16)
    labels[20:60, 20:60], labels[40, 20:60] = value, 0
    image = np.random.default_rng(0).poisson(np.where(labels > 0, 150, 20)).astype(np.uint16)
    found = cellqa.score({"a": image + 1}, image, labels={"gt": labels, "a": labels})
    assert len(found.objects) == 1
    for folder, each in (("gt", image), ("a", image + 1), ("mask", labels)):
        write_tiff(tmp_path / f"{folder}/0.tif", each, None)
    line = ["--pred", tmp_path / "a", "--gt", tmp_path / "gt", "--mask", tmp_path / "mask"]
    run(tmp_path / "out", *line)
    assert rows(tmp_path / "out", "objects.csv").label.tolist() == [value]


def test_negative_labels_are_refused(cells: np.ndarray) -> None:
    image = np.ones((128, 128))
    with pytest.raises(ValueError, match="must not be negative"):
        cellqa.match_objects(image, image, labels=(-cells, cells))


def test_what_cannot_be_computed_ends_one_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    huge, small = rng.random((96, 96)) * 1e160, np.array([[0.0, 1], [2, 3]])
    for folder, factor in (("gt", 1), ("a", 0.9), ("in", 0.9)):
        write_tiff(tmp_path / folder / "f.tif", field(0, 96), None)
        tifffile.imwrite(tmp_path / folder / "y.tif", huge * factor)
        tifffile.imwrite(tmp_path / folder / "z.tif", small * factor)
    line = ["--pred", tmp_path / "a", "--gt", tmp_path / "gt", "--input", tmp_path / "in"]
    with np.errstate(all="ignore"):
        run(tmp_path / "out", *line, "--metrics", "psnr,ami,unexplained", "--allow-failures", "50%")
    found = rows(tmp_path / "out").query("method == 'a'").set_index("image")
    assert np.isinf(found.psnr["f.tif"])
    assert np.isnan(found.ami["z.tif"])


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_times_are_finite(tmp_path: Path, text: str) -> None:
    for name in (f"p_t{text}.tif", "p_t1.tif"):
        for folder in ("raw", "net"):
            write_tiff(tmp_path / folder / name, field(0, 64), None)
    line = ["score", "--pred", str(tmp_path / "net"), "--input", str(tmp_path / "raw")]
    line += ["--time", r"_t(\w+)", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 1
    assert "is no number" in done.output
