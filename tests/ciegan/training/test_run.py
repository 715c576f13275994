"""Training: phases, stopping, what is kept, exact resume, several processes, bad luck."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tifffile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from cellqa.disk import LOCK
from cellqa.errors import CellqaError
from ciegan.cli import main
from ciegan.config import (
    Config,
    Monitor,
    Network,
    from_dict,
    to_toml,
    with_settings,
)
from ciegan.data.crops import Crops
from ciegan.data.tile_pairs import read_split
from ciegan.losses import TERMS, Term
from ciegan.network.checkpoint import load
from ciegan.training.callbacks import Stopping
from ciegan.training.monitor import Judge, Scores
from ciegan.training.objective import TrainingError
from ciegan.training.run import Trained, train
from ciegan.training.step import Networks

JUDGED = ("--preset", "adversarial", "--crop", "32")


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_what_it_promises(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    told: list[str] = []
    steps: list[int] = []
    found = train(
        prepared, tmp_path / "run", tiny, tell=told.append, progress=lambda k, n: steps.append(k)
    )
    run = tmp_path / "run"
    assert found.steps == 8
    assert found.stopped == "steps"
    assert steps == list(range(1, 9))
    names = {path.name for path in run.iterdir()}
    assert names == {
        LOCK,
        "config.toml",
        "metrics.csv",
        "tensorboard",
        "samples",
        "best.safetensors",
        "last.ckpt",
        "summary.json",
    }
    rows = rows_of(run)
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    # the generator alone for three steps: no judge before
    assert rows[0]["loss_adversarial"] == ""
    assert float(rows[3]["loss_adversarial"]) > 0
    assert float(rows[0]["psnr"]) > 0
    assert len(list((run / "samples").glob("*.png"))) == 4
    assert any((run / "tensorboard").glob("events*"))
    summary = json.loads((run / "summary.json").read_text())
    assert summary["best"]["step"] == found.best["step"]
    assert 0 <= summary["waiting"] < 1
    frame = found.to_frame()
    assert list(frame.step) == [int(row["step"]) for row in rows]
    assert frame.loss_adversarial.isna()[0]
    assert sum("(best)" in line for line in told) >= 1


def test_the_best_weights_are_the_ones_validated(
    prepared: Path, tmp_path: Path, tiny: Config
) -> None:
    found = train(prepared, tmp_path / "run", tiny)
    kept = load(tmp_path / "run")
    assert kept.step == found.best["step"]
    scores = [float(row["score"]) for row in rows_of(tmp_path / "run")]
    assert kept.scores["ssim"] == pytest.approx(max(scores))
    # scored again from the file, as `ciegan validate` would
    from ciegan.judging.validation import enhanced

    judge = Judge(tiny.monitor)
    values = []
    for k, tile in enumerate(read_split(prepared, "val")):
        source, target, size = tile.load()
        values.append(judge.values(k, enhanced(kept, source, tile.limits), source, target, size))
    assert judge.summarise(values).score == pytest.approx(kept.scores["ssim"], abs=1e-6)


def test_who_learns_in_which_phase(prepared: Path, tiny: Config) -> None:
    crops = Crops(read_split(prepared, "train"), tiny.data, 0)
    networks = Networks(tiny, crops, read_split(prepared, "val"))
    optimizers = networks.configure_optimizers()
    assert networks.discriminator is not None
    moved = []
    batch = [torch.stack(part) for part in zip(*(crops[k] for k in range(2)), strict=True)]
    for step in (0, 3, 4):  # alone, discriminator, both
        networks.steps_done = step
        weights = [next(n.parameters()) for n in (networks.generator, networks.discriminator)]
        before = [w.detach().clone() for w in weights]
        for _ in range(2):
            networks.step(*batch, optimizers, lambda loss: loss.backward())
        moved.append([not torch.equal(a, b) for a, b in zip(before, weights, strict=True)])
    assert moved == [[True, False], [False, True], [True, True]]
    assert all(p.requires_grad for p in networks.discriminator.parameters())


def test_the_average_follows(prepared: Path, tiny: Config) -> None:
    crops = Crops(read_split(prepared, "train"), tiny.data, 0)
    networks = Networks(tiny, crops)
    assert networks.average is not None
    (optimizer, *_) = networks.configure_optimizers()
    weights = []
    batch = [torch.stack(part) for part in zip(*(crops[k] for k in range(2)), strict=True)]
    for _ in range(3):
        networks.step(*batch, [optimizer], lambda loss: loss.backward())
        networks.steps_done += 1
        weights.append(networks.generator.tail.weight.detach().clone())
    expected = weights[0]  # the first is copied
    for number, weight in enumerate(weights[1:], 1):
        decay = (1 + number) / (10 + number)
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(networks.average.module.tail.weight, expected)


def test_early_stopping_waits_for_the_adversarial_phase(
    prepared: Path, tmp_path: Path, tiny: Config
) -> None:
    # nothing is ever better by as much as 10
    monitor = replace(tiny.monitor, every=1, patience=2, min_delta=10.0, min_adversarial_steps=2)
    config = replace(tiny, monitor=monitor, schedule=replace(tiny.schedule, steps=50))
    found = train(prepared, tmp_path / "run", config)
    # 3 steps alone, 1 of the judge, 2 of both; the first counted is the one to beat, then two
    assert (found.stopped, found.steps) == ("early", 8)
    later = replace(config, monitor=replace(monitor, min_steps=12))
    found = train(prepared, tmp_path / "run", later, overwrite=True)
    assert found.steps == 14


def test_a_veto_by_invented(
    prepared: Path, tmp_path: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([(0.1, 1.0), (0.5, 9.0), (0.2, 2.0), (0.9, 9.0)])
    summarise = Judge.summarise

    def pretended(self: Judge, rows: Any) -> Any:
        found = summarise(self, rows)
        claim, score = next(scores, (0.0, 0.0))
        return replace(found, values={**found.values, "invented": claim}, score=score)

    config = replace(tiny, monitor=replace(tiny.monitor, max_invented=0.3))
    untouched = Scores({"psnr": 1.0, "ssim": 1.0, "invented": 0.0}, 1.0)
    monkeypatch.setattr("ciegan.training.run._untouched", lambda networks: untouched)
    monkeypatch.setattr(Judge, "summarise", pretended)
    found = train(prepared, tmp_path / "run", config)
    assert (found.best["step"], found.best["score"]) == (6, 2.0)


def test_directions_come_from_the_registry() -> None:
    rows = [{"psnr": 30.0, "nrmse": 0.1, "ssim": 0.5}, {"psnr": 20.0, "nrmse": 0.3, "ssim": 0.7}]
    judge = Judge(Monitor({"psnr": 1.0, "nrmse": 10.0}))
    assert judge.summarise(rows).score == pytest.approx(25 - 10 * 0.2)


def command(data: Path, run: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ciegan", "train", str(data), str(run), "--device", "cpu", *more]


SLOW = {
    "data": {"crop": 32, "batch_size": 2},
    "generator": {"options": {"widths": [4, 8], "blocks": [1, 1]}},
    "discriminator": {"options": {"width": 4, "layers": 2}},
    "schedule": {"steps": 60, "generator": 12, "discriminator": 6},
    "monitor": {"every": 6, "patience": 0, "samples": 0},
}


def test_killed_and_resumed_is_as_never_killed(prepared: Path, tmp_path: Path) -> None:
    config = from_dict(SLOW)
    (tmp_path / "c.toml").write_text(to_toml(config))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(prepared, whole, config)
    process = subprocess.Popen(
        command(prepared, killed, "--config", str(tmp_path / "c.toml")), stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not (killed / "last.ckpt").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (killed / "summary.json").exists()
    done = len(rows_of(killed))
    assert 1 <= done < 10
    with (killed / "metrics.csv").open("a") as file:
        file.write("54,both,1,0,0,9\n")  # a row of steps that no checkpoint holds
    found = train(prepared, killed, config, resume=True)
    assert found.steps == 60
    for name in ("best.safetensors", "last.ckpt"):
        first, second = (state_of(run / name) for run in (whole, killed))
        assert first.keys() == second.keys()
        for key, value in first.items():
            if torch.cuda.is_available():  # where the same bits are not promised
                torch.testing.assert_close(value, second[key], rtol=1e-3, atol=1e-4, msg=key)
            else:
                assert torch.equal(value, second[key]), key
    timeless = [
        [{k: v for k, v in row.items() if k not in ("seconds", "waiting")} for row in rows_of(run)]
        for run in (whole, killed)
    ]
    if not torch.cuda.is_available():
        assert timeless[0] == timeless[1]


def state_of(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    found = torch.load(path, weights_only=True)
    state = dict(found["state_dict"])
    for k, optimizer in enumerate(found["optimizer_states"]):
        for place, values in optimizer["state"].items():
            state |= {f"{k}.{place}.{name}": torch.as_tensor(v) for name, v in values.items()}
    return state


def test_two_processes_learn_as_one_with_twice_the_batch(prepared: Path, tmp_path: Path) -> None:
    shared: dict[str, Any] = {**SLOW, "schedule": {"steps": 6, "generator": 2, "discriminator": 2}}
    one = from_dict({**shared, "data": {"crop": 32, "batch_size": 4}})
    two = from_dict(shared)
    # float32 sums in another order; sgd-like steps of Adam divide by small numbers
    (tmp_path / "c.toml").write_text(to_toml(two))
    train(prepared, tmp_path / "one", one)
    run = command(
        prepared, tmp_path / "two", "--config", str(tmp_path / "c.toml"), "--devices", "2"
    )
    done = subprocess.run(run, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (load_file(tmp_path / name / "best.safetensors") for name in ("one", "two"))
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=0, atol=2e-3)
    rows = [rows_of(tmp_path / name) for name in ("one", "two")]
    assert len(rows[0]) == len(rows[1]) == 1
    assert float(rows[1][0]["psnr"]) == pytest.approx(float(rows[0][0]["psnr"]), abs=0.05)


def test_a_loss_that_is_not_finite_says_what_to_change(
    prepared: Path, tmp_path: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.1, 0.1, float("nan")])

    def breaking(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return image.mean() * 0 + next(values, 0.1)

    # without the steps that choose bits on some processors
    config = with_settings(replace(tiny, precision="32"), {"losses.l2": "1.0"})
    monkeypatch.setitem(TERMS._entries, "l2", Term("l2", breaking))
    with pytest.raises(TrainingError, match=r"the loss l2 became nan by step 4: .*--rate"):
        train(prepared, tmp_path / "run", config)
    assert load(tmp_path / "run").step == 2  # what was best before


def test_out_of_memory_names_a_batch_that_fits(
    prepared: Path, tmp_path: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ciegan.models import ResidualUNet

    forward = ResidualUNet.forward

    def limited(self: ResidualUNet, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(self, images)

    monkeypatch.setattr(ResidualUNet, "forward", limited)
    config = replace(tiny, data=replace(tiny.data, batch_size=7))
    with pytest.raises(TrainingError, match="batch of 7 crops of 32 pixels; --batch-size 2 fits"):
        train(prepared, tmp_path / "run", config)


def test_other_runtime_errors_are_not_taken_for_memory(
    prepared: Path, tmp_path: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ciegan.models import ResidualUNet

    def broken(self: ResidualUNet, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise RuntimeError("something else")
        return images

    monkeypatch.setattr(ResidualUNet, "forward", broken)
    with pytest.raises(RuntimeError, match="something else"):
        train(prepared, tmp_path / "run", tiny)


def test_a_disk_that_fills_leaves_the_last_checkpoint_whole(prepared: Path, tmp_path: Path) -> None:
    config = replace(from_dict(SLOW), schedule=replace(from_dict(SLOW).schedule, steps=6))
    run = tmp_path / "run"
    train(prepared, run, config)
    before = {name: (run / name).read_bytes() for name in ("last.ckpt", "best.safetensors")}
    text = (run / "config.toml").read_text().replace("steps = 6", "steps = 12")
    (run / "config.toml").write_text(text)

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = len(before["last.ckpt"]) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        command(prepared, run, "--resume"),
        capture_output=True,
        text=True,
        preexec_fn=small_files,
        timeout=240,
        env={**os.environ, "NUMBA_DISABLE_JIT": "0"},
        check=False,
    )
    assert done.returncode == 1, done.stderr[-2000:]
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert (run / "last.ckpt").read_bytes() == before["last.ckpt"]
    assert not list(run.glob(".cellqa-*"))
    assert train(prepared, run, config, resume=True).steps == 12


def test_interrupted(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        to_toml(from_dict(SLOW)).replace("steps = 60", "steps = 99999")
    )
    run = command(prepared, tmp_path / "run", "--config", str(tmp_path / "c.toml"))
    process = subprocess.Popen(
        run,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/last.ckpt").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors[-2000:]
    assert "--resume" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("weights", ["random", "file"])
def test_the_papers_losses_and_networks(prepared: Path, tmp_path: Path, weights: str) -> None:
    from ciegan.losses import VGG19

    settings: dict[str, Any] = {
        "preset": "paper",
        "data": {"crop": 32, "batch_size": 2},
        "schedule": {"steps": 4, "generator": 2, "discriminator": 1},
        "monitor": {"every": 4, "images": 1, "samples": 0},
    }
    if weights == "file":
        vgg = VGG19(("conv3_2",))
        state = {}
        for name, place in vgg.places.items():
            state[f"features.{place}.weight"] = vgg.convolutions[name].weight
            state[f"features.{place}.bias"] = vgg.convolutions[name].bias
        torch.save(state, tmp_path / "vgg.pth")
        settings["losses"] = {"vgg": str(tmp_path / "vgg.pth")}
    found: Trained = train(prepared, tmp_path / "run", from_dict(settings))
    assert any("random features" in w for w in found.warnings) == (weights == "random")
    assert load(tmp_path / "run").warnings == found.warnings
    (row,) = rows_of(tmp_path / "run")
    terms = ("l2", "perceptual", "style", "tv", "adversarial")
    parts = {name: float(row[f"loss_{name}"]) for name in terms}
    assert all(value > 0 for value in parts.values())


def test_stopping_is_lightnings(tiny: Config) -> None:
    found = Stopping(replace(tiny.monitor, patience=3, min_delta=0.5))
    assert (found.monitor, found.mode, found.patience, found.min_delta) == ("score", "max", 3, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["none", "run"], "there is no folder", 1),
        (["DATA", "run", "--device", "cuda"], "no CUDA device", 1),
        (["DATA", "run", "--config", "none.toml"], "none.toml: No such file", 1),
        (["DATA", "run", "--set", "data.corp=3"], "data.corp is unknown; did you mean crop?", 1),
        (["DATA", "run", "--set", "data.crop"], "is not KEY=VALUE", 2),
        (["DATA", "run", "--crop", "128"], "smaller than a crop of 128", 1),
        (["DATA", "run", "--monitor", "sim"], "no metric is called 'sim'", 1),
        (["DATA", "run", "--monitor", "ssim=x"], "is not METRIC or METRIC=WEIGHT", 2),
        (
            ["DATA", "run", "--monitor", "ms_ssim", "--crop", "32"],
            "ms_ssim is undefined on every",
            1,
        ),
        (["DATA", "run", "--generator", "nafnett"], "generator.name must be one of", 1),
        (["DATA", "run", "--max-time", "soon"], "is not a time", 2),
        (["DATA", "run", "--resume"], "holds no run", 1),
        (["DATA", "run", "--resume", "--steps", "3"], "drop --steps", 2),
        (["DATA", "file", "--crop", "32"], "is a file", 1),
        (["DATA", "run", "--crop", "36"], "must be a multiple of 8 for resunet, got 36", 1),
        (
            ["DATA", "run", "--preset", "adversarial", "--crop", "16"],
            "do not take crops of 16 pixels",
            1,
        ),
        (["DATA", "run", *JUDGED, "--set", "discriminator.name=foo"], "must be one of", 1),
        (
            ["DATA", "run", "--crop", "32", "--devices", "5", "--device", "cpu"],
            "each process validates",
            1,
        ),
    ],
)
def test_wrong_input_is_one_line(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
    status: int,
) -> None:
    if torch.cuda.is_available() and "cuda" in arguments:
        pytest.skip("there is a CUDA device")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    arguments = [str(prepared) if a == "DATA" else a for a in arguments]
    if status == 1 and "--resume" not in arguments:
        arguments += ["--steps", "2", "--every", "2"]
    found = CliRunner().invoke(main, ["train", *arguments])
    assert found.exit_code == status, found.output
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_an_earlier_run_is_not_overwritten_unasked(
    prepared: Path, tmp_path: Path, tiny: Config
) -> None:
    train(prepared, tmp_path / "run", tiny)
    with pytest.raises(CellqaError, match="--resume to go on with it, or --overwrite"):
        train(prepared, tmp_path / "run", tiny)
    other = tmp_path / "other"
    other.mkdir()
    (other / "samples").mkdir()
    with pytest.raises(CellqaError, match="is no run's folder"):
        train(prepared, other, tiny, overwrite=True)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", "half", "code"])
def test_a_damaged_checkpoint_is_not_resumed(
    prepared: Path,
    tmp_path: Path,
    tiny: Config,
    content: bytes | str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(prepared, tmp_path / "run", tiny)
    last = tmp_path / "run/last.ckpt"
    if content == "half":
        content = last.read_bytes()[: last.stat().st_size // 2]
    if content == "code":
        torch.save({"state_dict": Bomb()}, last)
    else:
        assert isinstance(content, bytes)
        last.write_bytes(content)
    with pytest.raises(CellqaError, match="damaged, or no checkpoint of weights alone"):
        train(prepared, tmp_path / "run", tiny, resume=True)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_a_run_of_another_optimizer_is_not_resumed(
    prepared: Path, tmp_path: Path, tiny: Config, name: str
) -> None:
    first = replace(tiny, optimizer=replace(tiny.optimizer, name=name))
    train(prepared, tmp_path / "run", first)
    other = {"adam": "muon", "muon": "adam"}[name]
    path = tmp_path / "run/config.toml"
    path.write_text(path.read_text().replace(f'name = "{name}"', f'name = "{other}"'))
    with pytest.raises(CellqaError, match=r"of another optimizer than config\.toml says"):
        train(prepared, tmp_path / "run", first, resume=True)


class Bomb:
    def __reduce__(self) -> object:
        return print, ("code of a pickle ran",)


def test_a_mistake_does_not_cost_the_earlier_run(
    prepared: Path, tmp_path: Path, tiny: Config
) -> None:
    run = tmp_path / "run"
    train(prepared, run, tiny)
    before = (run / "best.safetensors").read_bytes()
    with pytest.raises(CellqaError, match="there is no folder"):
        train(tmp_path / "none", run, tiny, overwrite=True)
    wrong = replace(tiny, discriminator=Network("patchgan", {"nope": 1}))
    with pytest.raises(CellqaError, match=r"discriminator\.options"):
        train(prepared, run, wrong, overwrite=True)
    undefined = replace(tiny, monitor=Monitor({"ms_ssim": 1.0}))
    with pytest.raises(CellqaError, match="ms_ssim is undefined on every"):
        train(prepared, run, undefined, overwrite=True)
    (run / "last.ckpt").unlink()
    with pytest.raises(CellqaError, match=r"last\.ckpt is gone"):
        train(prepared, run, tiny, resume=True)
    assert (run / "best.safetensors").read_bytes() == before
    (tmp_path / "other/samples").mkdir(parents=True)
    (tmp_path / "other/config.toml").write_text("[tool]\nmine = true\n")
    with pytest.raises(CellqaError, match="is no run's folder"):
        train(prepared, tmp_path / "other", tiny, overwrite=True)
    assert (tmp_path / "other/samples").exists()


def test_a_run_that_ended_before_its_first_checkpoint(
    prepared: Path, tmp_path: Path, tiny: Config
) -> None:
    """A full disk may come between the first weights and the first checkpoint."""
    run = tmp_path / "run"
    train(prepared, run, tiny)
    whole = (run / "best.safetensors").read_bytes()
    (run / "last.ckpt").unlink()
    (run / "summary.json").unlink()
    lines = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(lines[:2]))
    train(prepared, run, tiny, resume=True)
    assert (run / "best.safetensors").read_bytes() == whole
    assert len((run / "metrics.csv").read_text().splitlines()) == len(lines)


def test_other_tiles_are_not_resumed_on(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    import shutil

    train(prepared, tmp_path / "run", tiny)
    shutil.copytree(prepared, tmp_path / "data")
    for role in ("input", "target"):
        next((tmp_path / "data/train" / role).glob("field*")).unlink()
    with pytest.raises(CellqaError, match="are not those that the run began with"):
        train(tmp_path / "data", tmp_path / "run", tiny, resume=True)


@pytest.mark.parametrize(
    ("split", "role"), [("train", "target"), ("val", "target"), ("val", "input")]
)
def test_other_pixels_are_not_resumed_on(
    prepared: Path, tmp_path: Path, tiny: Config, split: str, role: str
) -> None:
    import shutil

    train(prepared, tmp_path / "run", tiny)
    shutil.copytree(prepared, tmp_path / "data")
    path = next((tmp_path / "data" / split / role).glob("field*"))
    pixels = tifffile.imread(path)
    pixels[0, 0] ^= 1
    tifffile.imwrite(path, pixels)
    with pytest.raises(CellqaError, match="validation tiles, or --devices, are not those"):
        train(tmp_path / "data", tmp_path / "run", tiny, resume=True)


def test_weights_worse_than_nothing_are_told(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    options = {**tiny.generator.options, "residual": False}
    worse = replace(tiny, generator=Network("resunet", options))
    found = train(prepared, tmp_path / "run", worse)
    assert any("worse than the untouched input" in w for w in found.warnings)
    kept = load(tmp_path / "run")
    assert any("worse than the untouched input" in w for w in kept.warnings)
    better = train(prepared, tmp_path / "better", with_settings(tiny, {"schedule.steps": "30"}))
    if better.best["score"] >= found.untouched["ssim"]:
        assert not any("untouched" in w for w in better.warnings)


def test_batch_norm_learns_after_a_validation(
    prepared: Path, tmp_path: Path, tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    step = Networks.step

    def watched(self: Networks, *args: Any) -> None:
        modes.append(self.generator.training)
        step(self, *args)

    monkeypatch.setattr(Networks, "step", watched)
    paper = replace(tiny, generator=Network("paper"), optimizer=replace(tiny.optimizer, average=0))
    paper = replace(paper, precision="32")  # no steps that choose bits on some processors
    train(prepared, tmp_path / "run", replace(paper, monitor=replace(paper.monitor, every=1)))
    assert modes == [True] * 8


def test_a_field_in_both_splits_is_refused(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    import shutil

    shutil.copytree(prepared, tmp_path / "data")
    for role in ("input", "target"):
        for tile in (tmp_path / "data/train" / role).iterdir():
            shutil.copy(tile, tmp_path / "data/val" / role)
    with pytest.raises(CellqaError, match="in the training and in the validation split"):
        train(tmp_path / "data", tmp_path / "run", tiny)


def test_targets_of_both_splits_are_told(prepared: Path, tmp_path: Path, tiny: Config) -> None:
    """Several captures of one field, each with the same sharp image, and names of their own."""
    import shutil

    shutil.copytree(prepared, tmp_path / "data")
    target = sorted((tmp_path / "data/train/target").iterdir())[0]
    held = sorted((tmp_path / "data/val/target").iterdir())
    shutil.copy(target, held[0])
    found = train(tmp_path / "data", tmp_path / "run", tiny)
    (told,) = [w for w in found.warnings if w.startswith("val: ")]
    assert told.startswith(f"val: 1 of {len(held)} tiles are among those that it was trained on")
    plain = train(prepared, tmp_path / "plain", tiny)
    assert not [w for w in plain.warnings if w.startswith("val: ")]
