"""scores.csv and objects.csv once more as Parquet."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cellqa.cli import main
from cellqa.errors import MissingExtraError
from cellqa.pairs.pairing import Pairing
from cellqa.scoring.run import merge, score_to_folder
from cellqa.tables import parquet as tested
from cellqa.tables.files import write_csv
from cellqa.tables.folder import TYPED
from cellqa.tables.parquet import write_parquet

read = pytest.importorskip("pyarrow.parquet")
HEADER = ["image", "method", "pixel_size", "ssim", "status", "reason"]


def score(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


def test_columns_have_types_and_empty_cells_are_null(tmp_path: Path) -> None:
    lines = [
        ["007", "a,b", "0.1", "inf", "ok", ""],
        ['q"uote', "NA", "", "-inf", "failed", "why"],
        ["c", "nan", "1e-300", repr(1 / 3), "ok", ""],
    ]
    path = write_parquet(write_csv(tmp_path / "scores.csv", HEADER, lines))
    table = read.read_table(path)
    text = ["image", "method", "status", "reason"]
    assert [str(table.schema.field(name).type) for name in text] == ["string"] * 4
    assert str(table.schema.field("ssim").type) == "double"
    assert table["image"].to_pylist() == ["007", 'q"uote', "c"]
    assert table["method"].to_pylist() == ["a,b", "NA", "nan"]
    assert table["reason"].to_pylist() == [None, "why", None]
    assert table["pixel_size"].to_pylist() == [0.1, None, 1e-300]
    assert table["ssim"].to_pylist() == [math.inf, -math.inf, 1 / 3]


def test_rows_come_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "_ROWS", 10)
    lines = ([f"{k}.tif", "net", "", str(k / 7), "ok", ""] for k in range(25))
    path = write_parquet(write_csv(tmp_path / "scores.csv", HEADER, lines))
    file = read.ParquetFile(path)
    assert (file.num_row_groups, file.metadata.num_rows) == (3, 25)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read()["ssim"].to_pylist() == [k / 7 for k in range(25)]


def test_no_rows_are_a_table_too(tmp_path: Path) -> None:
    path = write_parquet(write_csv(tmp_path / "scores.csv", HEADER, []))
    assert read.read_table(path).column_names == HEADER


def test_what_fails_leaves_the_earlier_table(tmp_path: Path) -> None:
    path = write_parquet(write_csv(tmp_path / "scores.csv", HEADER, []))
    before = path.read_bytes()
    write_csv(tmp_path / "scores.csv", HEADER, [["a", "net", "no number", "1", "ok", ""]])
    with pytest.raises(ValueError, match="no number"):
        write_parquet(tmp_path / "scores.csv")
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_has_them_when_asked(
    folders: Callable[..., Path], pair_of_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    net, gt = pair_of_folders
    labels = np.zeros((192, 200), np.uint16)
    labels[20:60, 30:90], labels[100:150, 50:120] = 1, 7
    mask = folders("mask", ".tif", a=labels, b=labels, c=labels)
    out = tmp_path / "run"
    line = ["score", "--pred", net, "--gt", gt, "--out", out, "--metrics", "psnr,ssim_fg"]
    line += ["--mask", mask, "--no-report", "--jobs", 1]
    parts = ["--table", "parquet"]
    result = score(*line, *parts)
    assert result.exit_code == 0, result.output
    for name in TYPED:
        assert str(out / name) in result.stdout
        rows = pd.read_csv((out / name).with_suffix(".csv"))
        pd.testing.assert_frame_equal(
            pd.read_parquet(out / name), rows, check_dtype=False, check_column_type=False
        )
    objects = read.read_schema(out / "objects.parquet")
    assert [str(objects.field(name).type) for name in ("label", "y")] == ["int64", "double"]
    assert score(*line, "--resume").exit_code == 0
    assert not any((out / name).exists() for name in TYPED)  # they were of the earlier run

    shards = [tmp_path / f"part{k}" for k in (1, 2)]
    for k, part in enumerate(shards, 1):
        split = [*line[:6], part, *line[7:], "--shard", f"{k}/2"]
        assert score(*split).exit_code == 0
    joined = tmp_path / "joined"
    assert score("merge", *shards, "--out", joined, *parts, "--jobs", 1).exit_code == 0
    assert (joined / "scores.csv").read_bytes() == (out / "scores.csv").read_bytes()
    assert len(pd.read_parquet(joined / "scores.parquet")) == 6


def test_a_missing_package_is_one_line_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for work in (
        lambda: score_to_folder(Pairing({}, ()), tmp_path / "run", parquet=True),
        lambda: merge([tmp_path / "none"], tmp_path / "run", parquet=True),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install -c .*\[parquet\]"):
            work()
    assert not (tmp_path / "run").exists()
