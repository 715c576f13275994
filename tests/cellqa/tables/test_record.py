"""run.json: written, read, of earlier versions, damaged."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cellqa.errors import CellqaError
from cellqa.metrics.metric import Metric
from cellqa.metrics.registry import select
from cellqa.metrics.table import METRICS
from cellqa.tables.record import Paired, RunRecord

RECORD = RunRecord(
    command=["cellqa", "score"],
    settings={"data_range": "auto"},
    metrics=[m.facts() for m in select(["psnr", "rsp"])],
    folders={"net": "/out"},
    pairing=Paired(3, "abc", {"net": ["x.tif"]}),
    shard=[2, 3],
    rows=6,
    versions={"cellqa": "0.2.0"},
)


def test_a_record_survives(tmp_path: Path) -> None:
    RECORD.write(tmp_path)
    again = RunRecord.read(tmp_path)
    assert again.pairing == RECORD.pairing
    assert json.dumps(asdict(again)) == json.dumps(asdict(RECORD))
    assert again.known_metrics() == select(["psnr", "rsp"])
    assert not again.external


def test_a_metric_that_is_not_known_here_is_as_it_was_described(tmp_path: Path) -> None:
    own = Metric(name="own", unit="px", length=True, higher_is_better=False, decimals=1, leads=3)
    other = Metric(name="psnr", definition="of another program", higher_is_better=True)
    RunRecord(metrics=[own.facts(), other.facts()]).write(tmp_path)
    first, second = RunRecord.read(tmp_path).known_metrics()
    assert first == own
    assert second == other
    assert second != METRICS["psnr"]


def test_records_of_format_1_are_read(tmp_path: Path) -> None:
    """As versions before 0.2 wrote them."""
    content = {
        "command": ["cellqa", "score"],
        "settings": {"metrics": {"psnr": "x", "ssim": "y"}, "data_range": "auto"},
        "folders": {"net": "/out"},
        "rows": 2,
        "failed": 0,
        "failures": [],
        "warnings": ["w"],
        "versions": {"cellqa": "0.1.0"},
    }
    (tmp_path / "run.json").write_text(json.dumps(content))
    record = RunRecord.read(tmp_path)
    assert [m.name for m in record.known_metrics()] == ["psnr", "ssim"]
    assert (record.format, record.shard, record.warnings) == (2, [1, 1], ["w"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 3}, "of format 3, which this version of cellqa does not know"),
        ({"rows": "6"}, "rows is no int"),
        ({"rows": True}, "rows is no int"),
        ({"shard": [1, 2.0]}, r"shard\[1\] is no int"),
        ({"shard": 5}, "shard is no list"),
        ({"pairing": {}}, r"pairing\.images is missing"),
        (
            {"pairing": {"images": "40", "digest": "x", "unpaired": {}}},
            r"pairing\.images is no int",
        ),
        (
            {"pairing": {"images": 40, "digest": "x", "unpaired": 3}},
            r"pairing\.unpaired is no table",
        ),
        ({"shard": [4, 3]}, r"shard is not \[I, N\]"),
        ({"pairing": {"images": 1, "digest": "x"}}, r"pairing\.unpaired is missing"),
        ({"metrics": [{"name": "x", "needs": ["moon"]}]}, "metrics: 'moon' is not a valid Role"),
        ({"metrics": [{}]}, "metrics: "),
        ({"failures": [3]}, r"failures\[0\] is no table"),
        ({"versions": None}, "versions is no table"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    RECORD.write(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CellqaError, match=problem):
        RunRecord.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, "\xff"])
def test_what_is_no_record_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(CellqaError, match=r"not the run\.json of a scoring run"):
        RunRecord.read(tmp_path)


def test_a_folder_without_one_holds_no_finished_run(tmp_path: Path) -> None:
    with pytest.raises(CellqaError, match="no finished run"):
        RunRecord.read(tmp_path)
