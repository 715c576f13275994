"""What the page's heat map shows of each well."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from cellqa.reporting import plate as tested
from cellqa.reporting.load import load_run
from cellqa.reporting.page import report
from cellqa.reporting.plate import plates_of
from cellqa.tables.external import run_of_table


def run(tmp_path: Path, lines: Sequence[str]) -> Path:
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,method,ssim,psnr,status", *lines]) + "\n")
    run_of_table(table, tmp_path / "run")
    return tmp_path / "run"


def test_wells_are_means_of_fields_and_fields_of_planes(tmp_path: Path) -> None:
    lines = [
        "p.zarr/B/2/0#t0c0z0,net,0.2,inf,ok",
        "p.zarr/B/2/0#t1c0z0,net,0.4,20,ok",
        "p.zarr/B/2/1#t0c0z0,net,0.9,inf,ok",
        "p.zarr/B/2/1,other,,,failed",
        "p.zarr/B/2/2,other,0.5,10,ok",
        "p.zarr/A/12/0,net,,inf,ok",
        "p.zarr/A/12/0,other,0.1,30,ok",
        "q.zarr/A/1/0,net,0.7,1,ok",
        "overview.tif,net,0.6,1,ok",
    ]
    plates, number = plates_of(load_run(run(tmp_path, lines)))
    assert number == 2
    first, second = plates
    assert (first["name"], first["size"]) == ("p.zarr", (8, 12))
    assert first["wells"] == [[0, 11, "A12", "p.zarr/A/12/"], [1, 1, "B2", "p.zarr/B/2/"]]
    ssim, fields = first["values"]["net"]["ssim"]
    assert math.isnan(ssim[0])
    assert (ssim[1], fields) == (pytest.approx(0.6), [0, 2])
    assert first["values"]["net"]["psnr"] == [[math.inf, 20], [0, 1]]
    assert first["values"]["other"]["ssim"] == [[0.1, 0.5], [1, 1]]
    assert first["failed"] == {"net": [0, 0], "other": [0, 1]}
    assert (second["size"], second["values"]["net"]["ssim"]) == ((2, 3), [[0.7], [1]])
    assert all(math.isnan(value) for value in second["values"]["other"]["psnr"][0])


@pytest.mark.parametrize(("names", "shown"), [(("A/1/0", "A/1/1"), True), (("A/1/0", "b"), False)])
def test_one_image_makes_no_plate(tmp_path: Path, names: Sequence[str], shown: bool) -> None:
    folder = run(tmp_path, [f"{name},net,0.{k + 1},20,ok" for k, name in enumerate(names)])
    assert bool(plates_of(load_run(folder))[0]) == shown
    page = report(folder).read_text(encoding="utf-8")
    assert ('id="plate"' in page) == ("viridis" in page) == shown


def test_beyond_the_rows_of_the_table_all_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellqa.reporting.data._NUMBERS", 6)  # of two metrics: three images
    lines = [f"{r}/{c}/{f},net,0.{f + 1},20,ok" for r in "AB" for c in (1, 2) for f in range(4)]
    text = report(run(tmp_path, lines)).read_text(encoding="utf-8")
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert (len(data["images"]), data["total"]) == (3, 16)
    (plate,) = data["plates"]
    assert plate["values"]["net"]["ssim"] == [[0.25] * 4, [4] * 4]


def test_plates_that_a_page_cannot_hold_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tested, "_NUMBERS", 6)  # of two metrics: three wells
    lines = [f"{p}/A/{c}/0,net,0.{c},20,ok" for p in "pqr" for c in (1, 2)]
    folder = run(tmp_path, lines)
    plates, number = plates_of(load_run(folder))
    assert ([plate["name"] for plate in plates], number) == (["p"], 3)
    assert "The first 1 of 3 plates are shown." in report(folder).read_text(encoding="utf-8")
