"""A facility's engineer: pipelines, failures, ends that nobody planned."""

from __future__ import annotations

import json
import re
import shutil

from desk import Desk, line

SCORE = "cellqa score --pred te=te --gt sharp --input raw --no-report"


def test_a_pipeline_gets_a_status_a_summary_and_a_log(desk: Desk) -> None:
    desk.types("cellqa enhance raw te --method te")
    shutil.copytree(desk.folder / "te", desk.folder / "out")
    gate = line("docs/how-to/pipelines.md", "cellqa score --pred net=out/")
    assert "net" in desk.types(gate, status=4)  # worse than the page's limit
    said = desk.types(f"{SCORE} --out a --json --log run.log 2>errors.txt")
    found = json.loads(said)
    assert found["methods"] == ["input", "te", "gt"]
    assert found["failed"] == 0
    assert "begin: " in (desk.folder / "run.log").read_text(encoding="utf-8")


def test_a_broken_image_costs_its_row_alone(desk: Desk) -> None:
    desk.types("cellqa enhance raw te --method te")
    broken = desk.folder / "te/field03.tif"
    broken.write_bytes(broken.read_bytes()[:1000])
    said = desk.types(f"{SCORE} --out a", status=3)
    assert "field03.tif" in said
    desk.types(f"{SCORE} --out b --allow-failures 10%")
    failed = json.loads((desk.folder / "b/run.json").read_text(encoding="utf-8"))
    assert failed["failed"] == 1
    assert failed["rows"] == 36


def test_parts_and_a_run_that_was_killed_end_in_the_same_files(desk: Desk) -> None:
    desk.types("cellqa enhance raw te --method te")
    desk.types(f"{SCORE} --out whole")
    for part in (1, 2):
        desk.types(f"{SCORE} --out parts/{part} --shard {part}/2")
    desk.types("cellqa merge parts/1 parts/2 --out merged")
    whole = (desk.folder / "whole/scores.csv").read_bytes()
    assert (desk.folder / "merged/scores.csv").read_bytes() == whole
    desk.types(
        f"({SCORE} --out killed --jobs 1 & pid=$!; "
        "until [ -s killed/journal.jsonl ]; do sleep 0.05; done; kill -9 $pid; wait) || true"
    )
    desk.types(f"{SCORE} --out killed --resume")
    assert (desk.folder / "killed/scores.csv").read_bytes() == whole


def test_the_doctor_says_what_is_there(desk: Desk) -> None:
    said = desk.types("cellqa doctor")
    assert re.search(r"always\s+here \(click", said)
    listed = json.loads(desk.types("cellqa doctor --json"))
    assert {"extras"} <= set(listed)
