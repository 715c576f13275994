from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cellqa.cli import main
from cellqa.errors import CellqaError
from cellqa.metrics.shared_noise import SHARED
from cellqa.tables.external import read_table, run_of_table

HEAD = ",SSIM_TE~GT,SSIM_NET~GT,SSIM_NET~EGT,MS-SSIM_NET~GT,Resolution_Input,Resolution_GT,"
WIDE = f"""{HEAD}NIQE_NET,note
a.png,0.5,0.7,0.6,0.9,4.5,1.2,30,x
b.png,0.4,0.8,0.5,0.8,4.4,1.3,,y
"""


def values(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    return {(r.image, r.method): dict(r.values) for r in read_table(path).rows}


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_the_wide_form_of_the_papers_authors(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, WIDE))
    assert table.methods == ["input", "TE", "NET", "gt"]
    assert [m.name for m in table.metrics] == ["ssim", "ssim~EGT", "ms_ssim", "resolution", "niqe"]
    assert [m.higher_is_better for m in table.metrics] == [True, True, True, False, False]
    assert table.ignored == ["note"]
    found = {(r.image, r.method): dict(r.values) for r in table.rows}
    assert found["a.png", "NET"] == {"ssim": 0.7, "ssim~EGT": 0.6, "ms_ssim": 0.9, "niqe": 30}
    assert math.isnan(found["b.png", "NET"]["niqe"])
    assert found["b.png", "gt"] == {"resolution": 1.3}


@pytest.mark.parametrize(
    "text",
    [
        "image,method,SSIM,psnr\na,x,0.5,20\na,y,0.75,\n",
        "\ufeffimage;method;ssim;psnr\na;x;0,5;20\na;y;0,75;\n",
        "Image\tMethod\tMetric\tValue\na\tx\tssim\t0,5\na\tx\tpsnr\t20\na\ty\tssim\t0,75\n",
    ],
)
def test_long_forms_separators_and_decimal_commas(tmp_path: Path, text: str) -> None:
    found = values(written(tmp_path, text))
    assert found["a", "x"] == {"ssim": 0.5, "psnr": 20}
    assert found["a", "y"]["ssim"] == 0.75


def test_a_comma_between_commas_parts_thousands(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'image,method,mse,psnr\na,x,"1,200",20\na,y,900,19\n'))
    (first, second) = table.rows
    assert math.isnan(first.values["mse"])
    assert second.values["mse"] == 900
    assert any("'1,200'" in note for note in table.notes)


def test_a_comma_in_a_name_is_no_decimal_one(tmp_path: Path) -> None:
    assert set(values(written(tmp_path, "image;method;ssim\n1,5;x;0,5\n"))) == {("1,5", "x")}


@pytest.mark.parametrize("rows", ["i,a,20,\ni,a,,0.9\n", "i,a,,0.9\ni,a,20,\n"])
def test_an_empty_cell_takes_no_number_away(tmp_path: Path, rows: str) -> None:
    found = values(written(tmp_path, "image,method,psnr,ssim\n" + rows))
    assert found == {("i", "a"): {"psnr": 20, "ssim": 0.9}}


def test_our_own_scores_come_back(tmp_path: Path) -> None:
    text = "image,method,pixel_size,data_range,psnr,ssim,status,reason\na,net,0.1,255,inf,0.5,ok,\n"
    assert values(written(tmp_path, text))["a", "net"] == {"psnr": math.inf, "ssim": 0.5}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "one column only"),
        ("image,method,ssim\na,x,0.5,7\n", "line 2 has more cells than the heading"),
        ("image,method,SSIM,ssim\na,x,0.5,0.6\n", "two columns are called 'ssim'"),
        ("image,method,ssim\n,x,0.5\n", "no image or no method"),
        ("justonecolumn\n1\n", "one column only"),
        ("image,comment\na,nice\n", "no scores found"),
        ("image,method,ssim\na,x,0.5\na,x,0.6\n", "two values of ssim"),
        ("image,method,ssim\na,x,\n", "no scores found"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(CellqaError, match=reason):
        read_table(written(tmp_path, text))
    result = CliRunner().invoke(main, ["report", str(tmp_path / "table.csv")])
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xff\xfe\x00a,b\n")
    with pytest.raises(CellqaError, match="not a table of text"):
        read_table(path)


def tiles(path: Path) -> Path:
    """Forty tiles of four scans; two methods; a tenth of one metric is exactly 0."""
    rng = np.random.default_rng(1)
    level = np.repeat(rng.normal(0.7, 0.05, 4), 10)
    frame = pd.DataFrame(
        {
            "": [f"CD09~S{k // 10}_{k % 10}.png" for k in range(40)],
            "SSIM_A~GT": level + rng.normal(0.05, 0.01, 40),
            "SSIM_B~GT": level + rng.normal(0, 0.01, 40),
            "MS-SSIM_A~GT": np.where(np.arange(40) % 10 == 3, 0, level),
            "Resolution_A": np.where(np.arange(40) == 7, 63.7, 1.6 + rng.normal(0, 0.01, 40)),
        }
    )
    frame.to_csv(path, index=False)
    return path


def test_suspicious_values_are_told(tmp_path: Path) -> None:
    warnings = run_of_table(tiles(tmp_path / "t.csv"), tmp_path / "out").warnings
    text = "\n".join(warnings)
    assert "ms_ssim of A is exactly 0 in 4 of 40 images" in text
    assert "resolution of A is 63.7 in one image, where the median is 1.6" in text
    assert "40 tiles of 4 fields" in text
    assert "ssim of A is exactly" not in text.replace("ms_ssim", "")


def test_a_table_becomes_a_page(tmp_path: Path) -> None:
    path = tiles(tmp_path / "t.csv")
    arguments = ["report", str(path), "--group", r"(S\d)"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    out = tmp_path / "t-report"
    assert "A" in result.stdout
    page = (out / "report.html").read_text()
    assert "has the best ssim" in page
    assert "63.7" in page
    run = json.loads((out / "run.json").read_text())
    assert run["group"] == r"(S\d)"
    with (out / "comparisons.csv").open(newline="") as file:
        assert [(r["first"], r["groups"]) for r in csv.DictReader(file)] == [("A", "4")]
    figures = CliRunner().invoke(main, ["figures", str(out)])
    assert figures.exit_code == 0, figures.output
    assert (out / "figures" / "boxplots.svg").stat().st_size > 1000
    again = CliRunner().invoke(main, arguments)
    assert (again.exit_code, "holds an earlier run" in again.output) == (1, True)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    for command in ("report", "figures"):
        result = CliRunner().invoke(main, [command, str(tmp_path)])
        assert (result.exit_code, "no finished run" in result.output) == (1, True)


def test_trailing_separators_failed_rows_and_odd_cells(tmp_path: Path) -> None:
    text = (
        "image,method,ssim,psnr,status,reason\na,m,.1,30,ok,,\nb,m,0.9,,failed,bad file,\n"
        "c,m,.3,1 234,ok,\nd,m,.5,NA,ok,\n"
    )
    finished = run_of_table(written(tmp_path, text), tmp_path / "out")
    assert (finished.tally.scored["m"], finished.tally.failed["m"]) == (3, 1)
    found = {s.metric: s for s in finished.summaries}
    assert found["ssim"].mean == pytest.approx(0.3)
    assert (found["ssim"].variant, found["psnr"].n) == ("ssim [as the table has it]", 1)
    assert any("1 cells are no numbers" in w and "1 234" in w for w in finished.warnings)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["failures"][0]["image"] == "b"


def test_what_a_run_says_of_its_values_is_kept(tmp_path: Path) -> None:
    header = "image,method,pixel_size,data_range,psnr,frc_resolution,status,reason\n"
    rows = [f'{k},m,0.2,255,30,.4,ok,"frc_resolution: {SHARED}"\n' for k in range(4)]
    text = header + "".join(rows) + "5,m,,255,,,ok,psnr: flat\n6,m,,,,,failed,not a TIFF\n"
    finished = run_of_table(written(tmp_path, text), tmp_path / "out")
    assert finished.tally.noisy["m"] == 4  # so that the verdict leaves frc_resolution out
    with (tmp_path / "out/scores.csv").open(newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert reasons == [f"frc_resolution: {SHARED}"] * 4 + ["psnr: flat", "not a TIFF"]


def test_names_that_are_words_of_the_scripts_language(tmp_path: Path) -> None:
    text = "image,method,ssim\nconstructor,m,.1\n__proto__,m,.2\nconstructor,toString,.3\n"
    path = written(tmp_path, text)
    result = CliRunner().invoke(main, ["report", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "setPrototypeOf" in (tmp_path / "out" / "report.html").read_text()
    (tmp_path / "out" / "run.json").write_text("{}")
    again = CliRunner().invoke(main, ["report", str(tmp_path / "out")])
    assert (again.exit_code, "not the run.json" in again.output) == (1, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(f"{'_' * 2000}{k},a,{k}" for k in range(9)), "longer than 1024 characters"),
        ("\n".join(f"i{k},m{n},{k + n}" for n in range(151) for k in range(3)), "151 methods"),
    ],
)
def test_tables_that_would_take_for_ever(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"image,method,psnr\n{text}\n")
    with pytest.raises(CellqaError, match=message):
        read_table(path)


@pytest.mark.parametrize("heading", ["PSNR (dB)", "psnr [dB]", "psnr_dB", "PSNR ↑", "PSNR (dB) ↑"])
def test_units_and_arrows_belong_to_no_name(tmp_path: Path, heading: str) -> None:
    found = values(written(tmp_path, f"image,method,{heading}\na,x,20\na,y,21\n"))
    assert found["a", "x"] == {"psnr": 20}


def test_columns_without_a_direction_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "image,method,psnr,my score\na,x,20,1\na,y,21,2\n")
    said = "\n".join(run_of_table(path, tmp_path / "out").warnings)
    assert "whether more is better is not known of my_score" in said
