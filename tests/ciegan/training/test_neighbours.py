"""From time-lapses to results of a network that sees the frames before and after."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from fields import TINY_TOML

from cellqa.simulate import timelapse
from ciegan.cli import main
from ciegan.config import DEFAULT
from ciegan.data.crops import Crops
from ciegan.data.tile_pairs import read_split
from ciegan.network.checkpoint import load


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stacks of noisy frames with the same without noise."""
    folder = tmp_path_factory.mktemp("series")
    for seed in range(3):
        lapse = timelapse((4, 72, 72), photons=30, seed=seed)
        true = np.rint(lapse.ideal + lapse.offset[:, None, None]).astype(np.uint16)
        for role, stack in (("raw", lapse.image), ("true", true)):
            (folder / role).mkdir(exist_ok=True)
            place = folder / role / f"pos{seed}.ome.tif"
            tifffile.imwrite(place, stack, metadata={"axes": "TYX"}, ome=True)
    done = invoke(
        "prepare", "pairs", folder / "raw", folder / "true", folder / "data", "--tile", 64,
        "--split", "0.34,0.33,0.33", "--min-contrast", 0, "--no-check",
    )  # fmt: skip
    assert done == 0
    return folder


def invoke(*words: object) -> int:
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exit_code:
        print(result.output)
    return result.exit_code


def test_tiles_that_lack_a_neighbour_are_told(data: Path) -> None:
    settings = replace(DEFAULT.data, context="t:1", crop=64)
    tiles = read_split(data / "data", "train", "t:1")
    assert Crops(tiles, settings, 0).warnings() == []
    ends = [tile for tile in tiles if "_t0" in tile.name or "_t3" in tile.name]
    (told,) = Crops(ends, settings, 0).warnings()
    assert f"{len(ends)} of {len(ends)} tiles lack a neighbour" in told


def test_from_series_to_results(data: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_TOML, encoding="utf-8")
    run = tmp_path / "run"
    words = ("train", data / "data", run, "--config", tmp_path / "tiny.toml", "--device", "cpu")
    assert invoke(*words, "--context", "t:1", "--steps", 4, "--every", 2) == 0
    network = load(run)
    assert (network.generator.planes, network.generator.channels) == (3, 1)
    assert network.intervals is not None  # calibrated with neighbours, at the end of training
    assert invoke("validate", run, "--data", data / "data", "--out", tmp_path / "judged") == 0
    assert invoke("check", run, "--data", data / "data") == 0
    assert invoke("calibrate", run, "--data", data / "data", "--split", "test") == 0
    out = tmp_path / "out"
    assert invoke("enhance", run, data / "raw", out, "--device", "cpu", "--interval", 90) == 0
    assert tifffile.imread(out / "pos0.ome.tif").shape == (4, 72, 72)
    more = tmp_path / "more"
    words = ("train", data / "data", more, "--config", tmp_path / "tiny.toml", "--device", "cpu")
    assert invoke(*words, "--context", "t:2", "--steps", 2, "--from", run) == 0
    assert load(more).generator.planes == 5
    assert invoke(*words, "--overwrite", "--steps", 2, "--from", run) == 1  # sees fewer
