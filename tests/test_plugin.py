"""The package of examples/plugin, installed as a user would: each of its seven entries is used."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cellqa.io import write_tiff
from cellqa.simulate import filaments

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin"
BROKEN = """
[cellqa.metrics]
absent = cellqa_nowhere:METRIC
taken = cellqa_wrong:TAKEN
number = cellqa_wrong:NUMBER
"""
WRONG = """
from cellqa import Metric
TAKEN = Metric(name="psnr", measure=lambda case, names: {"psnr": 1.0})
NUMBER = 3
"""


def floatmap(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed, and another that is broken."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation"]
    command += ["--no-deps", "--no-index", "--target", str(folder), str(EXAMPLE)]
    subprocess.run(command, check=True)
    broken = folder / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text(BROKEN)
    (folder / "cellqa_wrong.py").write_text(WRONG)
    return folder


def run(site: Path, folder: Path, *command: str, status: int = 0) -> str:
    """What a command says, with the packages of the site installed."""
    found = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == status, found.stderr[-2000:]
    return found.stdout + found.stderr


def test_they_are_listed_with_their_package(site: Path, tmp_path: Path) -> None:
    ours = run(site, tmp_path, "cellqa", "plugins")
    theirs = run(site, tmp_path, "ciegan", "plugins")
    lines = {" ".join(line.split()) for line in (ours + theirs).splitlines()}
    for group, name in (
        ("cellqa.metrics", "contrast"),
        ("cellqa.formats", "Portable FloatMap"),
        ("cellqa.enhancers", "gamma"),
        ("cellqa.engines", "threads"),
        ("ciegan.generators", "plain"),
        ("ciegan.losses", "gradient"),
        ("ciegan.degradations", "motion"),
    ):
        assert f"{group} {name} cellqa-example" in lines
    assert "cellqa.metrics psnr cellqa" in lines
    assert "contrast" in run(site, tmp_path, "cellqa", "metrics")


def test_what_cannot_be_used_is_left_out_with_a_warning(site: Path, tmp_path: Path) -> None:
    said = run(site, tmp_path, "cellqa", "plugins")
    warnings = [line for line in said.splitlines() if line.startswith("warning")]
    assert len(warnings) == 3, said
    assert re.search("broken: .*'absent' is left out .*No module named 'cellqa_nowhere'", said)
    assert re.search("broken: .*'taken' is left out .*'psnr' is the name of another", said)
    assert re.search("broken: .*'number' is left out .*3 is no Metric", said)


def test_metric_format_engine_and_enhancer(site: Path, tmp_path: Path) -> None:
    """From images that no other format reads to the page."""
    for seed in range(8):
        scene = filaments((64, 64), seed=seed).image
        for folder in ("gt", "raw"):
            (tmp_path / folder).mkdir(exist_ok=True)
            shown = np.float32(scene if folder == "gt" else scene // 2)
            assert cv2.imwrite(str(tmp_path / folder / f"{seed}.pfm"), shown)
    said = run(
        site, tmp_path, "cellqa", "enhance", "raw", "out", "--method", "gamma", "--set", "gamma=0.5"
    )
    assert "gamma 0.5" in said
    bright, raw = (floatmap(tmp_path / folder / "3.pfm").mean() for folder in ("out", "raw"))
    assert bright > raw
    command = ["cellqa", "score", "--pred", "out", "--gt", "gt", "--input", "raw"]
    command += ["--metrics", "contrast,ssim", "--engine", "threads", "--jobs", "2"]
    said = run(site, tmp_path, *command, "--fail-under", "contrast=9", status=4)
    assert "below the limit: contrast of out" in said
    results = tmp_path / "cellqa-results"
    with (results / "scores.csv").open(newline="") as file:
        row = next(r for r in csv.DictReader(file) if (r["image"], r["method"]) == ("3.pfm", "gt"))
    gt = floatmap(tmp_path / "gt" / "3.pfm")
    assert float(row["contrast"]) == pytest.approx(gt.std() / gt.mean())
    for table in ("summary.csv", "comparisons.csv"):
        assert "contrast" in (results / table).read_text()
    record = json.loads((results / "run.json").read_text())
    assert record["engine"] == "2 threads"
    assert "contrast" in [m["name"] for m in record["metrics"]]
    assert record["versions"]["cellqa-example"] == "1.0"
    page = (results / "report.html").read_text()
    assert "how strong structure is against the mean" in page
    assert "boxplots.svg" in run(site, tmp_path, "cellqa", "figures", "cellqa-results")
    assert "contrast" in (results / "figures" / "boxplots.svg").read_text()
    said = run(site, tmp_path, "cellqa", "score", "--pred", "out", "--engine", "rope", status=2)
    assert "threads" in said


def test_generator_loss_and_degradation(site: Path, tmp_path: Path) -> None:
    """From sharp images to one that the network enhanced, watched by the metric."""
    for seed in range(3):
        write_tiff(tmp_path / "sharp" / f"{seed}.tif", filaments((64, 64), seed=seed).image, 0.2)
    command = ["ciegan", "prepare", "blur", "sharp", "data", "--tile", "32", "--split", "1,1,1"]
    command += ["--degradation", "motion", "--set", "length=5"]
    run(site, tmp_path, *command)
    with (tmp_path / "data" / "pairs.csv").open(newline="") as file:
        assert {row["degradation"] for row in csv.DictReader(file)} == {
            "motion 5.000 px; shares its target's noise"
        }
    command = ["ciegan", "train", "data", "run", "--generator", "plain", "--steps", "2"]
    command += ["--crop", "32", "--set", "generator.options.width=4", "--device", "cpu"]
    command += ["--set", "losses.gradient=0.5", "--set", "losses.ms_ssim=0"]
    said = run(site, tmp_path, *command, "--every", "1", "--monitor", "ssim=1,contrast=0.1")
    assert "contrast" in said
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss_gradient"]) > 0
    assert float(rows[-1]["contrast"]) > 0
    said = run(site, tmp_path, "ciegan", "enhance", "run", "sharp", "out", "--device", "cpu")
    assert "enhanced 3 images" in said


def test_without_the_package_its_network_is_refused_in_a_line(site: Path, tmp_path: Path) -> None:
    said = run(site, tmp_path, "ciegan", "train", "a", "b", "--generator", "nothing", status=1)
    assert "generator.name must be one of paper" in said
    assert "plain" in said
