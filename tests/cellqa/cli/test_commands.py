from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from cellqa.cli import main
from cellqa.metrics.table import METRICS

ROOT = Path(__file__).parents[3]


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("package", ["cellqa", "ciegan"])
def test_help_loads_nothing_heavy(package: str) -> None:
    code = (
        f"import sys; from {package}.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'skimage', 'numba', 'scipy', 'cv2', 'numpy'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in out.stdout


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, by its full name."""
    for part, command in group.commands.items():
        yield f"{name} {part}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {part}")


def test_every_command_is_documented() -> None:
    from ciegan.cli import main as ciegan

    for name, command in [*commands(main, "cellqa"), *commands(ciegan, "ciegan")]:
        assert command.help, name
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert all(p.help for p in options), name


def test_score_writes_its_tables(pair_of_folders: tuple[Path, Path], tmp_path: Path) -> None:
    net, gt = pair_of_folders
    out = tmp_path / "run"
    result = run("score", "--pred", f"mine={net}", "--gt", gt, "--input", net, "--out", out)
    assert result.exit_code == 0, result.output
    assert all(line.startswith("warning: ") for line in result.stderr.splitlines())
    assert "mine" in result.stdout
    rows = table(out / "scores.csv")
    assert list(rows[0]) == (
        ["image", "method", "pixel_size", "data_range"]
        + [m.name for m in METRICS.values() if not m.option]
        + ["status", "reason"]
    )
    assert [r["method"] for r in rows[:3]] == ["input", "mine", "gt"]
    assert rows[0]["pixel_size"] == rows[2]["psnr"] == ""
    assert list(table(out / "summary.csv")[0])[:10] == (
        ["method", "metric", "n", "mean", "median", "std", "q25", "q75", "ci_low", "ci_high"]
    )
    settings = json.loads((out / "run.json").read_text())
    assert settings["folders"]["mine"] == str(net)
    assert settings["versions"]["cellqa"]
    assert settings["pairing"]["images"] == 3


def test_an_earlier_run_is_kept(pair_of_folders: tuple[Path, Path], tmp_path: Path) -> None:
    net, gt = pair_of_folders
    options = ["score", "--pred", net, "--gt", gt, "--metrics", "psnr", "--out", tmp_path / "run"]
    assert run(*options).exit_code == 0
    first = (tmp_path / "run" / "scores.csv").read_bytes()
    again = run(*options)
    assert again.exit_code == 1
    assert "holds an earlier run" in again.stderr
    assert run(*options, "--overwrite", "--jobs", 2).exit_code == 0
    assert (tmp_path / "run" / "scores.csv").read_bytes() == first


def test_failures_end_with_3_and_are_named(
    pair_of_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    net, gt = pair_of_folders
    (net / "b.png").write_bytes(b"")
    result = run("score", "--pred", net, "--gt", gt, "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert "failed: b.png (net): b.png: the file is empty (0 bytes)" in result.stderr
    rows = [r for r in table(tmp_path / "run" / "scores.csv") if r["method"] == "net"]
    assert [r["status"] for r in rows] == ["ok", "failed", "ok"]
    assert rows[1]["psnr"] == ""
    assert rows[1]["reason"]


def test_names_survive_the_table(
    folders: Callable[..., Path], sharp8: np.ndarray, tmp_path: Path
) -> None:
    name = 'a, "b" <i>ü'
    gt, net = (folders(folder, **{name: sharp8}) for folder in ("gt", "net"))
    assert run("score", "--pred", f"x={net}", "--gt", gt, "--out", tmp_path / "r").exit_code == 0
    assert table(tmp_path / "r" / "scores.csv")[0]["image"] == f"{name}.png"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--pred", "nowhere"], 1, "--pred: there is no folder 'nowhere'"),
        (["--pred", "{net}", "--gt", "{net}/a.png"], 1, "is a file; give the folder"),
        (["--pred", "{net}", "--gt", "{empty}"], 1, "no images in"),
        (
            ["--pred", "{net}", "--gt", "{gt}", "--out", "{net}/a.png"],
            1,
            "is a file; give a folder",
        ),
        (["--pred", "{net}", "--metrics", "ssmi"], 2, "no metric is called 'ssmi'"),
        (["--pred", "{net}", "--data-range", "wide"], 2, "must be auto, dtype, set"),
        (["--pred", "{net}", "--data-range", "-1"], 2, "above 0"),
        (["--pred", "{net}", "--pixel-size", "0"], 2, "not a finite number above 0"),
        (["--pred", "{net}", "--pred", "{net}"], 2, "two methods are called 'net'"),
        (["--pred", "gt={net}"], 2, "'gt' is the name of another role"),
        (["--pred", "{net}", "--jobs", "0"], 2, "x>=1"),
        (["--pred", "{net}", "--gt", "{other}"], 1, "no image name in common"),
        ([], 2, "Missing option '--pred'"),
        (["--pred", ""], 2, "lacks a name or a folder"),
        (["--pred", "={net}"], 2, "lacks a name or a folder"),
        (["--pred", "{net}", "--gt", ""], 2, "the path is empty"),
        (["--pred", "{net}", "--pixel-size", "nan"], 2, "not a finite number"),
        (["--pred", "{net}", "--data-range", "1e200"], 2, "must be auto"),
    ],
)
def test_wrong_input_is_one_line(
    pair_of_folders: tuple[Path, Path],
    folders: Callable[..., Path],
    sharp8: np.ndarray,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    net, gt = pair_of_folders
    (tmp_path / "empty").mkdir()
    places = {"net": net, "gt": gt, "empty": tmp_path / "empty", "other": folders("o", zz=sharp8)}
    given = [a.format(**places) for a in arguments]
    if "--out" not in given:
        given += ["--out", str(tmp_path / "run")]
    result = run("score", *given)
    assert result.exit_code == status
    assert message in result.stderr
    if status == 1:
        assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_real_process_keeps_stdout_for_results(
    pair_of_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    net, gt = pair_of_folders
    command = [sys.executable, "-m", "cellqa", "score", "--pred", net, "--gt", gt]
    done = subprocess.run(
        [*command, "--out", tmp_path / "run", "--jobs", "2"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines())
    assert done.stdout.startswith("mean")


def test_metrics_lists_the_registry() -> None:
    text = run("metrics").stdout
    assert all(m.name in text and m.doi in text and m.definition in text for m in METRICS.values())


def test_the_reference_shows_the_registry() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    assert run("metrics", "--markdown").stdout.strip() in page


def test_resolution_prints_and_draws(
    folders: Callable[..., Path], sharp16: np.ndarray, tmp_path: Path
) -> None:
    gt = folders("gt", ".tif", a=np.stack([sharp16, sharp16 * 0]))
    plot = tmp_path / "curves.svg"
    result = run("resolution", gt / "a.tif", "--pixel-size", "0.1", "--plot", plot)
    assert result.exit_code == 0, result.stderr
    assert "no peak" in result.stdout
    assert "µm" in result.stdout
    drawn = (tmp_path / "curves-1.svg").read_text()
    assert "cut-off kc" in drawn
    assert (tmp_path / "curves-2.svg").exists()
    assert run("resolution", gt).exit_code == 0
    (gt / "b.tif").write_bytes(b"II")
    failed = run("resolution", gt)
    assert failed.exit_code == 3
    assert "b.tif" in failed.stderr
    assert run("resolution", gt / "a.tif", "--plot", tmp_path / "x.gif").exit_code == 1


def test_enhancers(pair_of_folders: tuple[Path, Path], tmp_path: Path) -> None:
    net, _ = pair_of_folders
    result = run("te-enhance", net, tmp_path / "te")
    assert result.exit_code == 0
    assert "wrote 3 images" in result.stdout
    assert run("egt", net / "a.png", tmp_path / "one.png").exit_code == 0
    assert run("te-enhance", net, tmp_path / "ciegan", "--compat", "ciegan").exit_code == 0
    same = run("te-enhance", net, net)
    assert (same.exit_code, "inside IN" in same.stderr) == (1, True)
    assert run("te-enhance", net, tmp_path / "x", "--kernel", "4").exit_code == 2
    (net / "d.png").write_bytes(b"")
    assert run("te-enhance", net, tmp_path / "y").exit_code == 3


def test_a_folder_that_cannot_be_written(
    pair_of_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    net, gt = pair_of_folders
    (tmp_path / "file").write_text("")
    result = run("score", "--pred", net, "--gt", gt, "--out", tmp_path / "file" / "run")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="names that are not UTF-8 exist on POSIX only")
def test_names_that_are_not_utf8(
    folders: Callable[..., Path], sharp8: np.ndarray, tmp_path: Path
) -> None:
    gt, net = (folders(folder, a=sharp8) for folder in ("gt", "net"))
    for folder in (gt, net):
        (folder / "a.png").rename(folder / os.fsdecode(b"b\xff.png"))
    result = run("score", "--pred", f"x={net}", "--gt", gt, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output


def test_a_crash_in_a_reader_is_a_failure_of_its_file(
    folders: Callable[..., Path], sharp16: np.ndarray, tmp_path: Path
) -> None:
    from pylibCZIrw import czi

    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as document:
        document.write(sharp16[..., None], plane={"T": 0, "C": 0, "Z": 0})
    data = bytearray(path.read_bytes())
    (tmp_path / "b.czi").write_bytes(data[: len(data) // 2])
    result = run("resolution", tmp_path / "a.czi", tmp_path / "b.czi")
    assert result.exit_code == 3
    assert "a.czi" in result.stdout
    assert "b.czi" in result.stderr
