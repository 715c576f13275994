"""Intervals: they hold at every level, say where they do not apply, and are kept with weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from networks import run, weights

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from ciegan.cli import main
from ciegan.config import Config
from ciegan.data.tile_pairs import read_split
from ciegan.network.checkpoint import add, load
from ciegan.network.intervals import COVERAGES, Intervals, fit
from ciegan.training.calibration import Calibrated, calibrate
from ciegan.training.run import train


def pixels(seed: int, number: int = 60_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors that grow with level and change, to one side."""
    rng = np.random.default_rng(seed)
    level = rng.beta(1, 6, number)
    change = rng.exponential(0.05, number)
    error = (0.01 + 0.2 * level + change) * rng.gamma(2, 1, number) - 0.02
    return level, change, error


@pytest.mark.parametrize("coverage", COVERAGES)
def test_they_hold_at_every_level(coverage: int) -> None:
    made = fit([pixels(0), pixels(1)])
    assert made is not None
    level, change, error = pixels(2)
    lower, upper = made.bounds(level, change, coverage)
    known = ~np.isnan(lower)
    assert known.mean() > 0.99
    within = (error >= lower - level) & (error <= upper - level)
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.4), (0.4, 1)):
        part = known & (level >= low) & (level < high)
        assert within[part].mean() == pytest.approx(coverage / 100, abs=0.025)


def test_a_constant_interval_does_not() -> None:
    """What the bins are for: nine of ten pixels are dark, and decide a constant width."""
    level, _, error = pixels(0)
    width = np.quantile(np.abs(error), 0.9)
    bright = level > np.quantile(level, 0.95)
    assert (np.abs(error) <= width)[bright].mean() < 0.75


def test_where_they_do_not_apply() -> None:
    made = fit([pixels(0)])
    assert made is not None
    level = np.array([[0.1, 1.5], [-0.3, 0.1]])
    change = np.array([[0.01, 0.01], [0.01, 9.0]])
    lower, upper = made.bounds(level, change, 90)
    assert np.isnan(lower).tolist() == [[False, True], [True, True]]
    assert (np.isnan(lower) == np.isnan(upper)).all()
    assert fit([pixels(0, 500)]) is None


def test_they_are_read_as_they_were_written() -> None:
    made = fit([pixels(0)])
    assert made is not None
    table = json.loads(json.dumps(made.as_lists()))
    again = Intervals.from_lists(table)
    level, change, _ = pixels(3, 500)
    for one, two in zip(
        made.bounds(level, change, 90), again.bounds(level, change, 90), strict=True
    ):
        assert two == pytest.approx(one, abs=1e-5, nan_ok=True)
    for spoil in (
        lambda t: t.pop("ends"),
        lambda t: t["levels"].pop(),
        lambda t: t.update(levels=t["levels"][::-1]),
        lambda t: t.update(lower=t["upper"], upper=t["lower"]),
        lambda t: t.update(changes=[[1], [2, 3]]),
    ):
        wrong = json.loads(json.dumps(table))
        spoil(wrong)
        with pytest.raises((ValueError, KeyError)):
            Intervals.from_lists(wrong)


def test_weights_with_wrong_intervals_are_refused(tmp_path: Path) -> None:
    path = weights(tmp_path / "best.safetensors")
    made = fit([pixels(0)])
    assert made is not None
    add(path, made)
    assert load(path).intervals is not None
    data = path.read_bytes()
    path.write_bytes(data.replace(b'\\"levels\\"', b'\\"lexels\\"'))
    with pytest.raises(CellqaError, match="its description is damaged"):
        load(path)


def test_calibrating_keeps_the_weights(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    train(prepared, tmp_path / "run", tiny)
    before = load(tmp_path / "run")
    assert before.intervals is not None  # at the end of training
    found = calibrate(tmp_path / "run", read_split(prepared, "train"))
    assert "trained on" in found.warning
    after = load(tmp_path / "run")
    for name, value in before.generator.state_dict().items():
        assert (value == after.generator.state_dict()[name]).all()
    assert after.trained_on == before.trained_on
    line = ["calibrate", str(tmp_path / "run"), "--data", str(prepared)]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    assert "calibrated" in done.output


def test_fields_that_intervals_of_others_do_not_hold_are_named() -> None:
    made = fit([pixels(0)])
    assert made is not None
    held = Calibrated(made, {"a": (0.9, 0.9), "b": (0.86, 0.7)}, "")
    assert held.warnings() == []
    apart = {"a": (0.9, 0.9), "b": (0.7, 0.6), "c": (0.4, 0.4)}
    (told,) = Calibrated(made, apart, "").warnings()
    assert "less than 80% of 2 of 3 fields (40% of c)" in told


def test_maps_beside_results(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    train(prepared, tmp_path / "run", tiny)
    source = prepared / "test/input"
    found = run(tmp_path / "run", source, tmp_path / "out", "--interval", "90")
    assert found.exit_code == 0, found.output
    assert "90 % intervals of" in found.output
    for path in source.glob("*.tif"):
        maps = [tifffile.imread(tmp_path / f"out-{end}" / path.name) for end in ("lower", "upper")]
        assert maps[0].dtype == np.float32
        known = ~np.isnan(maps[0])
        assert known.mean() > 0.9
        assert (maps[0][known] <= maps[1][known]).all()
    # an image unlike any: brighter than what was calibrated on, so that nothing is claimed
    odd = tmp_path / "odd"
    pixels = tifffile.imread(next(source.glob("*.tif")))
    spot = pixels // 8
    spot[5, 5:7] = 255
    write_tiff(odd / "a.tif", spot, None)
    found = run(tmp_path / "run", odd, tmp_path / "odd-out", "--interval", "90")
    lower = tifffile.imread(tmp_path / "odd-out-lower/a.tif")
    assert np.isnan(lower[5, 5:7]).all()
    assert "without an interval" in found.output
    shutil.rmtree(tmp_path / "odd-out")
    none = run(weights(tmp_path / "w.safetensors"), odd, tmp_path / "odd-out", "--interval", "90")
    assert none.exit_code == 1
    assert "was not calibrated" in none.output
    assert not (tmp_path / "odd-out").exists()  # told before any work


def test_maps_of_lone_files_and_of_names_that_differ_in_their_suffix(
    prepared: Path, tmp_path: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    train(prepared, tmp_path / "run", tiny)
    pixels = tifffile.imread(next((prepared / "test/input").glob("*.tif")))
    write_tiff(tmp_path / "in/a.tif", pixels, None)
    cv2.imwrite(str(tmp_path / "in/a.png"), pixels.T)
    found = run(tmp_path / "run", tmp_path / "in", tmp_path / "out", "--interval", "90")
    assert found.exit_code == 0, found.output
    assert {p.name for p in (tmp_path / "out-lower").glob("*.tif")} == {"a.tif.tif", "a.png.tif"}
    monkeypatch.chdir(tmp_path)
    found = run(tmp_path / "run", tmp_path / "in/a.tif", Path("b.tif"), "--interval", "90")
    assert found.exit_code == 0, found.output
    assert (tmp_path / "b-lower.tif").exists()
    assert (tmp_path / "b-upper.tif").exists()


def test_what_cannot_be_calibrated_on(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    train(prepared, tmp_path / "run", tiny)
    before = (tmp_path / "run/best.safetensors").read_bytes()
    tiles = read_split(prepared, "val")
    same = [replace(tile, target=tile.input) for tile in tiles]
    with pytest.raises(CellqaError, match="the same images"):
        calibrate(tmp_path / "run", same)
    colour = tmp_path / "c.tif"
    write_tiff(colour, np.dstack([tifffile.imread(tiles[0].input)] * 3), None)
    other = tmp_path / "d.tif"
    write_tiff(other, np.dstack([tifffile.imread(tiles[0].target)] * 3), None)
    with pytest.raises(CellqaError, match="3 channels, the network was trained on 1"):
        calibrate(tmp_path / "run", [replace(tiles[0], input=colour, target=other)])
    assert (tmp_path / "run/best.safetensors").read_bytes() == before
