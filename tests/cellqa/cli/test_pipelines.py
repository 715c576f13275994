"""What pipelines rely on: outputs removed and made again, the summary as JSON, the doctor."""

import importlib.metadata
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cellqa.cli import main
from cellqa.extras import install_line
from cellqa.io import write_tiff

ROOT = Path(__file__).parents[3]


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


@pytest.fixture
def line(tmp_path: Path) -> list[object]:
    rng = np.random.default_rng(0)
    for name in "abcd":
        image = rng.integers(0, 200, (64, 64), np.uint8)
        write_tiff(tmp_path / "gt" / f"{name}.tif", image, None)
        write_tiff(tmp_path / "net" / f"{name}.tif", image + 20, None)
    options: list[object] = ["score", "--pred", f"net={tmp_path / 'net'}", "--no-report"]
    options += ["--gt", tmp_path / "gt", "--out", tmp_path / "out", "--metrics", "psnr,ssim"]
    return [*options, "--jobs", "1"]


@pytest.mark.parametrize("removed", [["scores.csv"], ["run.json"], ["summary.csv", "run.json"]])
@pytest.mark.parametrize("changed", [True, False])
def test_outputs_that_a_pipeline_removed_are_made_again(
    line: list[object], tmp_path: Path, removed: list[str], changed: bool
) -> None:
    out = tmp_path / "out"
    assert run(*line).exit_code == 0
    before = (out / "scores.csv").read_text()
    assert run(*line).exit_code == 1  # a whole run is not touched
    for name in removed:
        (out / name).unlink()
    if changed:
        image = np.random.default_rng(9).integers(0, 200, (64, 64), np.uint8)
        write_tiff(tmp_path / "net" / "b.tif", image, None)
    again = run(*line)
    assert again.exit_code == 0, again.output
    assert "what is still right of it is kept" in again.stderr
    after = (out / "scores.csv").read_text()
    assert (after == before) is not changed
    assert after.splitlines()[1] == before.splitlines()[1]  # of a.tif, which did not change
    fresh = run(*line[:-2], "--overwrite", "--jobs", "1")
    assert fresh.exit_code == 0
    assert (out / "scores.csv").read_text() == after


def test_other_settings_are_no_earlier_run(line: list[object], tmp_path: Path) -> None:
    assert run(*line).exit_code == 0
    (tmp_path / "out" / "scores.csv").unlink()
    again = run(*line, "--data-range", "200")
    assert again.exit_code == 0
    assert "all is scored again" in again.stderr
    assert ",200," in (tmp_path / "out" / "scores.csv").read_text()


def test_a_table_of_somebody_else_is_never_replaced(line: list[object], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.csv").write_text("mine")
    assert run(*line).exit_code == 1
    assert (tmp_path / "out" / "scores.csv").read_text() == "mine"


def test_the_summary_as_json(line: list[object], tmp_path: Path) -> None:
    (tmp_path / "net" / "c.tif").write_bytes(b"nothing")
    found = run(*line, "--json", "--fail-under", "psnr=99", "--allow-failures", "1")
    content = json.loads(found.stdout)
    assert found.exit_code == 4
    assert (content["rows"], content["failed"]) == (8, 1)
    assert content["failures"][0]["image"] == "c.tif"
    means = {(s["method"], s["metric"]): s["mean"] for s in content["summary"]}
    # every grey level is 20 too high
    assert means["net", "psnr"] == pytest.approx(10 * np.log10(255**2 / 400), rel=1e-9)
    assert content["below_limits"][0].startswith("psnr of net is 22.1")
    assert str(tmp_path / "out" / "scores.csv") in content["files"]


def test_the_doctor_says_what_is_here() -> None:
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["machine"]["cellqa"] == importlib.metadata.version("cellqa")
    assert facts["extras"][""]["missing"] == []
    assert facts["extras"][""]["here"]["numpy"] == importlib.metadata.version("numpy")
    assert facts["extras"]["gan"]["here"]["torch"] == importlib.metadata.version("torch")
    text = run("doctor")
    assert text.exit_code == 0
    assert "compiled loops" in text.stdout


def test_the_doctor_says_how_to_get_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name in ("pyarrow", "numpy"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    found = run("doctor")
    assert found.exit_code == 1  # numpy is always needed
    assert "missing numpy" in found.stdout
    assert f"parquet: {install_line('parquet')}" in found.stdout


def test_the_advice_installs_from_the_clone() -> None:
    """Nothing of this name is on an index, and without the constraints torch brings gigabytes."""
    python, *words = shlex.split(install_line("parquet"))
    assert python == sys.executable
    assert words[:4] == ["-m", "pip", "install", "-c"]
    assert Path(words[4]).read_text() == (ROOT / "constraints.txt").read_text()
    assert words[-1] == f"{ROOT}[parquet]"
    assert "parquet" in importlib.metadata.metadata("cellqa").get_all("Provides-Extra")


def test_a_limit_that_could_never_act_is_refused(pair_of_folders: tuple[Path, Path]) -> None:
    net, gt = pair_of_folders
    line = ["score", "--pred", f"net={net}", "--gt", str(gt), "--fail-under", "invented=0.05"]
    found = run(*line)
    assert found.exit_code == 2
    assert "--fail-under: invented needs --input" in found.stderr
