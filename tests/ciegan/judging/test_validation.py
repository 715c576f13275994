"""Validation: what stands beside the network, and what is refused."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from fields import write_fields

from cellqa.enhance import ENHANCERS
from cellqa.errors import CellqaError
from cellqa.metrics.pixel import psnr
from ciegan.cli import main
from ciegan.config import Config
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.degrade import Gaussian
from ciegan.data.tile_pairs import read_split
from ciegan.judging.validation import enhanced, validate
from ciegan.network.checkpoint import load
from ciegan.network.trained_on import TrainedOn, digest
from ciegan.training.run import train


@pytest.fixture(scope="module")
def run(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fields import TINY

    from ciegan.config import from_dict

    folder = tmp_path_factory.mktemp("trained") / "run"
    train(prepared, folder, from_dict(TINY))
    return folder


def test_a_network_stands_beside_what_it_has_to_beat(
    prepared: Path, run: Path, tmp_path: Path
) -> None:
    found = validate({"net": run}, prepared, tmp_path / "out")
    assert found.page.is_file()
    with (found.results / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    methods = ["input", "net", "te", "te_tuned", "wiener", "rl", "egt", "gt"]
    assert [row["method"] for row in rows] == methods
    assert list(found.to_frame().method) == methods
    assert {row["status"] for row in rows} == {"ok"}
    (tile,) = read_split(prepared, "test")
    source, target, _ = tile.load()
    image = tifffile.imread(tmp_path / f"out/enhanced/net/{tile.name}.tif")
    assert (image == enhanced(load(run), source, tile.limits)).all()
    assert float(rows[1]["psnr"]) == pytest.approx(psnr(target, image, data_range=255))
    egt = tifffile.imread(tmp_path / f"out/enhanced/egt/{tile.name}.tif")
    assert (egt == ENHANCERS["egt"](target)).all()
    assert "step" in found.settings["net"]


def test_tiles_that_were_trained_on_are_told(prepared: Path, run: Path, tmp_path: Path) -> None:
    known = load(run).trained_on
    tiles = read_split(prepared, "train")
    assert f"{len(tiles)} of {len(tiles)} tiles are among those" in known.warning(tiles)
    assert known.warning(read_split(prepared, "test")) == ""
    found = validate({"net": run}, prepared, tmp_path / "out", split="train")
    assert any("net: " in w and "trained on" in w for w in found.warnings)
    # the same field, cut elsewhere
    moved = [
        replace(tile, input=other.input, target=other.target)
        for tile, other in zip(tiles, read_split(prepared, "test") * len(tiles), strict=False)
    ]
    assert "have the names of fields that it was trained on" in known.warning(moved)
    part = [replace(tile, field=f"{tiles[0].field} test") for tile in moved]
    assert "have the names of fields" in known.warning(part)  # of a field that it knows whole
    parts = TrainedOn(fields=frozenset([digest(b"a train")]))
    assert parts.warning([replace(moved[0], field="a")])
    assert not parts.warning([replace(moved[0], field="a test")])


def test_the_command(prepared: Path, run: Path, tmp_path: Path) -> None:
    arguments = ["validate", f"net={run}", "--data", str(prepared), "--out", str(tmp_path / "o")]
    found = CliRunner().invoke(main, [*arguments, "--split", "val"])
    assert found.exit_code == 0, found.output
    assert "net: preset adversarial, generator resunet" in found.stdout
    assert (tmp_path / "o/results/report.html").exists()
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "use --overwrite" in again.stderr


def test_egt_targets_have_no_egt_beside_them(run: Path, tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 3)
    tiling = TilingOptions(tile=64, split="1,1,1", target="egt")
    prepare_blur(source, tmp_path / "data", Gaussian((1.5, 1.5)), tiling=tiling)
    found = validate({"net": run}, tmp_path / "data", tmp_path / "out")
    assert "egt" not in found.finished.tally.methods
    assert any("enhanced ground truth" in warning for warning in found.warnings)


def test_other_channels_are_refused(run: Path) -> None:
    with pytest.raises(CellqaError, match="3 channels, the network was trained on 1"):
        enhanced(load(run), np.zeros((16, 16, 3), np.uint8))


def test_colour_from_end_to_end(tmp_path: Path, tiny: Config) -> None:
    rng = np.random.default_rng(0)
    for k in range(3):
        image = np.kron(rng.integers(0, 255, (16, 16, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        image += rng.integers(0, 9, image.shape).astype(np.uint8)  # no labels
        (tmp_path / "sharp").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"sharp/{k}.tif", image, photometric="rgb")
    tiling = TilingOptions(tile=64, split="1,1,1", min_contrast=0)
    prepare_blur(tmp_path / "sharp", tmp_path / "data", Gaussian((1, 1)), tiling=tiling)
    train(tmp_path / "data", tmp_path / "run", tiny)
    found = validate({"net": tmp_path / "run"}, tmp_path / "data", tmp_path / "out")
    assert not found.finished.tally.failures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--data", "DATA"], "there is no such file"),
        (["DATA", "--data", "DATA"], "no best.safetensors here"),
        (["RUN", "--data", "none"], "there is no folder"),
        (["RUN", "--data", "DATA", "--out", "full"], "is not an earlier validation's"),
        (["RUN", "--data", "DATA", "--device", "cuda"], "no CUDA device"),
        (["egt=RUN", "--data", "DATA"], "is the name of another method"),
    ],
)
def test_wrong_input_is_one_line(
    prepared: Path,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").touch()
    places = {"DATA": str(prepared), "RUN": str(run), "egt=RUN": f"egt={run}"}
    found = CliRunner().invoke(main, ["validate", *(places.get(a, a) for a in arguments)])
    assert found.exit_code == 1, found.output
    assert message in found.stderr
    assert "Traceback" not in found.stderr
