"""The built-in weights are those of their card, and do what it says."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from cellqa import simulate
from cellqa.errors import CellqaError
from cellqa.metrics.pixel import psnr
from ciegan.cli import main
from ciegan.config import DEFAULT, Config
from ciegan.judging.nulls import check_nothing
from ciegan.network.builtin import WEIGHTS, names, resolved
from ciegan.network.checkpoint import Checkpoint, load
from ciegan.network.windows import enhance_plane
from ciegan.training.run import train

PROJECT = Path(__file__).parents[3]
CARD = PROJECT / "docs/reference/general.md"
LARGEST = 2_000_000  # bytes


@pytest.fixture(scope="module")
def general() -> Checkpoint:
    return load("general")


def error(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image - truth) ** 2)))


@pytest.mark.parametrize("name", names())
def test_each_has_a_card_with_its_hash(name: str) -> None:
    data = (WEIGHTS / f"{name}.safetensors").read_bytes()
    assert len(data) <= LARGEST
    card = (PROJECT / f"docs/reference/{name}.md").read_text(encoding="utf-8")
    assert hashlib.sha256(data).hexdigest() in card


def checked() -> list[tuple[str, int, float, float]]:
    """Scene, photons, PSNR of the input and of the result, as the card has them."""
    lines = CARD.read_text(encoding="utf-8").splitlines()
    cells = [re.split(r"\s*\|\s*", line.strip("| ")) for line in lines if line.startswith("| `")]
    return [(c[0].strip("`"), int(c[1]), float(c[2]), float(c[3])) for c in cells if len(c) == 4]


@pytest.mark.parametrize(("scene", "photons", "before", "after"), checked())
def test_scores_are_those_of_the_card(
    general: Checkpoint, scene: str, photons: int, before: float, after: float
) -> None:
    made = getattr(simulate, scene)((256, 256), photons=photons, seed=1000)
    truth = made.ideal + simulate.OFFSET
    span = float(np.ptp(truth))
    result = enhance_plane(general.generator, made.image, general.normalisation)
    assert psnr(truth, made.image, data_range=span) == pytest.approx(before, abs=0.1)
    assert psnr(truth, result, data_range=span) == pytest.approx(after, abs=0.1)
    assert after > before


def test_the_card_has_scores_to_check() -> None:
    assert len(checked()) >= 4


def test_of_nothing_it_makes_nothing(general: Checkpoint) -> None:
    assert general.familiar is not None
    for null in check_nothing(general):
        assert null.made <= 1, null.name


def test_borders_are_nearly_as_good_as_the_middle(general: Checkpoint) -> None:
    outer, inner = [], []
    for scene in ("nuclei", "filaments", "cells"):
        made = getattr(simulate, scene)((448, 448), photons=30, seed=7)
        truth = made.ideal + simulate.OFFSET
        whole = tuple(np.percentile(made.image, (0.1, 99.9)))
        part = slice(96, 352)
        rule = replace(general.normalisation, rule="image")
        alone = enhance_plane(general.generator, made.image[part, part], rule, whole=whole)  # type: ignore[arg-type]
        large = enhance_plane(general.generator, made.image, rule, whole=whole)[part, part]  # type: ignore[arg-type]
        for edge in (np.s_[:8], np.s_[-8:], np.s_[:, :8], np.s_[:, -8:]):
            outer.append(error(alone[edge], truth[part, part][edge]))
            inner.append(error(large[edge], truth[part, part][edge]))
    assert np.mean(outer) < 1.3 * np.mean(inner)
    assert max(outer) < 2.5 * max(inner)


def test_it_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scene = simulate.nuclei((96, 96), photons=50, seed=1)
    tifffile.imwrite("a.tif", scene.image)
    done = CliRunner().invoke(main, ["enhance", "general", "a.tif", "b.tif"])
    assert done.exit_code == 0, done.output
    assert "network: general, which comes with the package" in done.output
    truth = scene.ideal + simulate.OFFSET
    assert error(tifffile.imread("b.tif"), truth) < 0.6 * error(scene.image, truth)
    Path("general").mkdir()  # one's own comes first
    assert resolved("general") == Path("general")
    with pytest.raises(CellqaError, match="here; is it the folder"):
        load("general")
    assert resolved("generals") == Path("generals")
    assert resolved(Path("x/general")) == Path("x/general")


def test_it_is_not_changed(prepared: Path) -> None:
    before = (WEIGHTS / "general.safetensors").read_bytes()
    done = CliRunner().invoke(main, ["calibrate", "general", "--data", str(prepared)])
    assert done.exit_code == 1
    assert "comes with the package and is not changed" in done.output
    assert (WEIGHTS / "general.safetensors").read_bytes() == before


def test_colour_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "a.tif", rng.integers(0, 255, (80, 80, 3)).astype(np.uint8))
    done = CliRunner().invoke(
        main, ["enhance", "general", str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    )
    assert done.exit_code == 3
    assert "trained on 1" in done.output


def test_training_begins_from_it(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    config = replace(
        tiny, preset="default", losses=DEFAULT.losses, generator=DEFAULT.generator, start="general"
    )
    config = replace(config, schedule=replace(config.schedule, steps=2))
    train(prepared, tmp_path / "run", config)
    first, after = load("general"), load(tmp_path / "run")
    apart = [
        float((first.generator.state_dict()[name] - value).abs().max())
        for name, value in after.generator.state_dict().items()
    ]
    assert 0 < max(apart) < 0.05
