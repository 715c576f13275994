"""The pipelines in examples/: Snakemake runs, and runs again; Nextflow types real lines."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import click
import numpy as np
import pytest

from cellqa.cli import main
from cellqa.io import write_tiff

ROOT = Path(__file__).parents[1]
SNAKEFILE = ROOT / "examples" / "snakemake" / "Snakefile"
NEXTFLOW = ROOT / "examples" / "nextflow" / "main.nf"


def write_images(folder: Path, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for name in ("a", "b", "c"):
        image = np.cumsum(rng.integers(0, 5, (96, 96)), axis=1).astype(np.uint8)
        write_tiff(folder / "sharp" / f"{name}.tif", image, None)
        noisy = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        write_tiff(folder / "raw" / f"{name}.tif", noisy, None)


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    scripts = sysconfig.get_path("scripts")
    line = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--cores", "2"]
    return subprocess.run(
        [*line, *options],
        cwd=folder,
        env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def test_snakemake_runs_and_runs_again(tmp_path: Path) -> None:
    pytest.importorskip("snakemake", reason="snakemake is not installed")
    write_images(tmp_path)
    first = snakemake(tmp_path)
    assert first.returncode == 0, first.stderr
    content = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert content["methods"] == ["input", "te", "wiener", "gt"]
    assert content["rows"] == 12
    assert (tmp_path / "results" / "report.html").stat().st_size > 10_000
    assert "begin: " in (tmp_path / "logs" / "score.log").read_text()
    assert "Nothing to be done" in snakemake(tmp_path).stderr
    # snakemake removes the declared outputs, and leaves the journal and run.json
    again = snakemake(tmp_path, "--forcerun", "score")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "results" / "summary.json").read_text())["rows"] == 12


def test_snakemake_and_nextflow_type_lines_that_there_are() -> None:
    for path in (SNAKEFILE, NEXTFLOW):
        text = path.read_text(encoding="utf-8")
        lines = re.findall(r"cellqa (score|enhance)((?:.|\n)*?)(?:\n\n|\"\"\"|\Z)", text)
        assert {name for name, _ in lines} == {"score", "enhance"}
        for name, rest in lines:
            command = main.commands[name]
            with click.Context(main, info_name="cellqa") as parent:
                known = command.get_params(click.Context(command, parent, name))
            options = {option for each in known for option in each.opts}
            used = set(re.findall(r"--[a-z][a-z-]+", rest))
            assert used
            assert used <= options, used - options
