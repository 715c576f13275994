"""Intervals on other images: what holds and what does not is told, by field."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import weights

from cellqa.io import write_tiff
from ciegan.data.tile_pairs import TilePair, read_split
from ciegan.judging.reliability import draw_reliability, reliability
from ciegan.network.checkpoint import Checkpoint, load
from ciegan.network.intervals import COVERAGES, fit
from ciegan.network.normalisation import Normalisation

FIELDS = ("a", "b", "c")


@pytest.fixture
def network(tmp_path: Path) -> Checkpoint:
    """Calibrated on errors of 5 % of the level, black at 0 and white at 1000."""
    rng = np.random.default_rng(0)
    level = rng.uniform(0, 1, 200_000)
    known = (level, rng.uniform(0, 0.3, level.size), rng.normal(0, 0.05, level.size) * level)
    loaded = load(weights(tmp_path / "w.safetensors"))
    return replace(
        loaded, intervals=fit([known]), normalisation=Normalisation("train", 0.0, 1000.0)
    )


def tiles(folder: Path, off: dict[str, float]) -> list[TilePair]:
    """Results whose errors are so many times those that were calibrated on."""
    for number, (field, times) in enumerate(off.items()):
        rng = np.random.default_rng(number + 1)
        made = rng.uniform(20, 980, (96, 96)).astype(np.float32)
        true = made + times * 0.05 * made * rng.standard_normal(made.shape, np.float32)
        source = made + rng.uniform(0, 200, made.shape).astype(np.float32)
        for role, pixels in (("input", source), ("target", true)):
            write_tiff(folder / f"test/{role}/{field}.tif", pixels.astype(np.float32), None)
        write_tiff(folder / f"made/{field}.tif", made, None)
    return read_split(folder, "test")


def test_the_stated_share_is_found(tmp_path: Path, network: Checkpoint) -> None:
    found = reliability(network, tiles(tmp_path, dict.fromkeys(FIELDS, 1.0)), tmp_path / "made")
    assert found is not None
    for coverage in COVERAGES:
        for shares in (found.within, found.bright):
            assert np.mean(list(shares[coverage].values())) == pytest.approx(
                coverage / 100, abs=0.03
            )
    assert found.width[90] == pytest.approx(2 * 1.645 * 0.05 * 0.5, rel=0.05)
    assert found.unknown < 0.05


def test_a_field_with_larger_errors_is_named(tmp_path: Path, network: Checkpoint) -> None:
    found = reliability(network, tiles(tmp_path, {"a": 1, "b": 3, "c": 1}), tmp_path / "made")
    assert found is not None
    rows = {row[1]: row for row in found.rows("net")}
    assert rows["90 %"][4].endswith("(b)")
    assert float(rows["90 %"][4].split("%")[0]) < 60
    figure = draw_reliability({"net": found})
    assert len(figure.axes[0].lines) == len(FIELDS) + 3


def test_without_intervals_there_is_nothing_to_say(tmp_path: Path, network: Checkpoint) -> None:
    made = tiles(tmp_path, {"a": 1})
    assert reliability(replace(network, intervals=None), made, tmp_path / "made") is None
    assert reliability(network, made, tmp_path / "elsewhere") is None
