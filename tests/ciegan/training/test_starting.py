"""Training that begins from other weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from cellqa.errors import CellqaError
from ciegan.cli import main
from ciegan.config import Config, Network, read_config
from ciegan.data.tile_pairs import read_split
from ciegan.network.checkpoint import load
from ciegan.training.run import train


def test_a_run_begins_where_another_ended(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(prepared, first, tiny)
    slow = replace(tiny, optimizer=replace(tiny.optimizer, rate=1e-12), start=str(first))
    found = train(prepared, second, replace(slow, generator=Network("resunet")))
    assert found.best["score"] == pytest.approx(load(first).scores["ssim"], abs=1e-5)
    ours, theirs = (load_file(place / "best.safetensors") for place in (first, second))
    for name, value in ours.items():
        assert (value - theirs[name]).abs().max() < 1e-6
    # what the first was trained on is known to the second
    assert load(second).trained_on.warning(read_split(prepared, "train"))
    assert read_config(second / "config.toml").start == str(first)


def test_resuming_before_the_first_checkpoint_begins_from_them_again(
    prepared: Path, tmp_path: Path, tiny: Config
) -> None:
    first, whole, cut = (tmp_path / name for name in ("first", "whole", "cut"))
    train(prepared, first, tiny)
    config = replace(tiny, start=str(first))
    train(prepared, whole, config)
    cut.mkdir()
    (cut / "config.toml").write_text((whole / "config.toml").read_text())
    train(prepared, cut, tiny, resume=True)
    same = [(place / "best.safetensors").read_bytes() for place in (whole, cut)]
    assert same[0] == same[1]


def test_the_command_and_what_is_refused(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    first = tmp_path / "first"
    train(prepared, first, tiny)
    line = ["train", str(prepared), str(tmp_path / "run"), "--from", str(first), "--crop", "32"]
    found = CliRunner().invoke(main, [*line, "--steps", "2", "--every", "2", "--batch-size", "2"])
    assert found.exit_code == 0, found.output
    found = CliRunner().invoke(main, [*line, "--generator", "nafnet", "--overwrite"])
    assert found.exit_code == 1
    assert "drop --generator" in found.stderr
    with pytest.raises(CellqaError, match="there is no such file"):
        train(prepared, tmp_path / "other", replace(tiny, start=str(tmp_path / "nothing")))
