"""Runs that are to end in a time: planned, planned again, in the bits that are fast."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ciegan.config import DEFAULT, Config, Schedule
from ciegan.data.crops import Crops
from ciegan.data.tile_pairs import read_split
from ciegan.training.budget import Costs, with_precision
from ciegan.training.run import train
from ciegan.training.schedule import phase
from ciegan.training.step import Networks


def test_time_ends_a_run_in_order(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    config = replace(tiny, schedule=replace(tiny.schedule, steps=10**6))
    found = train(prepared, tmp_path / "run", config, max_time=2.0)
    assert found.stopped == "time"
    assert (
        int((tmp_path / "run/metrics.csv").read_text().splitlines()[-1].split(",")[0])
        == found.steps
    )
    resumed = train(prepared, tmp_path / "run", config, max_time=found.seconds + 3, resume=True)
    assert resumed.steps > found.steps


def test_steps_are_fitted_into_the_time(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    config = replace(tiny, schedule=replace(tiny.schedule, generator=0.5, discriminator=0.1))
    found = train(prepared, tmp_path / "run", config, max_time=4.0, fit_time=True)
    text = (tmp_path / "run/config.toml").read_text()
    assert f"steps = {8}\n" not in text
    assert found.seconds < 8
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["plans"][0][0] == 0
    assert summary["plans"][-1][1] >= summary["steps"] == found.steps


def test_a_wrong_plan_is_mended(
    prepared: Path, tmp_path: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first step that takes long, as on a device that starts, or on a machine that was busy."""

    def trial(*_: object) -> tuple[Costs, bool]:
        return Costs({"generator": 2.0, "both": 2.0}, 0.1), True

    monkeypatch.setattr("ciegan.training.budget.trial", trial)
    config = replace(tiny, schedule=replace(tiny.schedule, generator=0.5, discriminator=0.1))
    found = train(prepared, tmp_path / "run", config, max_time=6.0, fit_time=True)
    first, last = found.plans[0][1], found.plans[-1][1]
    assert first <= 2
    assert last >= found.steps > first
    # and gone on with: the last plan is in the checkpoint, not in config.toml
    again = train(prepared, tmp_path / "run", config, max_time=found.seconds + 4, resume=True)
    assert again.plans[: len(found.plans)] == found.plans
    assert again.steps >= found.steps


def test_a_run_of_a_number_of_steps_is_not_planned_again(
    prepared: Path, tmp_path: Path, tiny: Config
) -> None:
    train(prepared, tmp_path / "run", tiny)
    again = train(prepared, tmp_path / "run", tiny, max_time=60.0, fit_time=True, resume=True)
    assert again.steps == 8
    assert again.plans == []


def test_what_fits_into_a_time() -> None:
    config = replace(DEFAULT, schedule=Schedule(generator=0.5, discriminator=0.1))
    costs = Costs({"generator": 0.1, "discriminator": 0.2, "both": 0.4}, 1.0)
    for done in (0, 50, 400):
        steps, every = costs.fitting(100.0, done, config, judged=True)
        left = range(done, steps)
        schedule = replace(config.schedule, steps=steps)
        needed = sum(costs.steps[phase(k, schedule).name] for k in left)
        needed += -(-len(left) // every)
        assert 97 < needed <= 100.001
    assert costs.fitting(0.05, 7, config, judged=True)[0] == 7


@pytest.mark.parametrize(
    ("has", "seconds", "chosen"),
    [
        (False, {}, "auto"),
        (True, {"32": 0.4, "bf16": 0.1}, "bf16"),
        (True, {"32": 0.4, "bf16": 0.38}, "32"),
        (True, {"32": 0.01, "bf16": 0.001}, "auto"),  # short steps are not tried
    ],
)
def test_steps_choose_the_precision(
    prepared: Path,
    tiny: Config,
    monkeypatch: pytest.MonkeyPatch,
    has: bool,
    seconds: dict[str, float],
    chosen: str,
) -> None:
    def timed(networks: Networks, *_: object) -> float:
        return seconds[networks.config.precision]

    monkeypatch.setattr("ciegan.training.budget.cpu_has_bf16", lambda: has)
    monkeypatch.setattr("ciegan.training.budget.time_steps", timed)
    crops = Crops(read_split(prepared, "train"), tiny.data, 0)
    tiles, told = read_split(prepared, "val"), list[str]()
    cpu = torch.device("cpu")
    found = with_precision(tiny, crops, tiles, None, cpu, told.append)
    assert found.precision == chosen
    assert bool(told) == (chosen == "bf16")
    fixed = replace(tiny, precision="32")
    assert with_precision(fixed, crops, tiles, None, cpu, told.append) is fixed
