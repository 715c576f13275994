"""The comparison: one budget, one split, one judge; and what it does when it is called again."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from fields import write_fields
from torch import nn

from cellqa.enhance import ENHANCERS, RichardsonLucy, Wiener
from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.metrics.pixel import psnr
from cellqa.simulate import nuclei
from ciegan.cli import main
from ciegan.config import PRESETS, preset_on
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.degrade import Gaussian, Noise
from ciegan.judging import results, work
from ciegan.judging.classical import best
from ciegan.judging.comparing import compare
from ciegan.judging.methods import config_of, parse_methods
from ciegan.judging.results import Compared
from ciegan.models import Generator
from ciegan.network.checkpoint import load
from ciegan.network.cost import multiplications, parameters
from ciegan.training.run import Interrupted

SMALL = {
    "": {"data.crop": "32", "data.batch_size": "2", "monitor.samples": "0"},
    "pix2pix": {"generator.options.width": "8"},
    "default": {
        "generator.options.widths": "[4, 8]",
        "generator.options.blocks": "[1, 1]",
        "discriminator.options.width": "4",
        "discriminator.options.layers": "2",
    },
}


def run(data: Path, out: Path, methods: str, **more: Any) -> Compared:
    return compare(data, out, parse_methods(methods), steps=10, settings=SMALL, **more)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longer than all the rest; for tests of that."""
    for name in ("save_charts", "save_montage"):
        monkeypatch.setattr(results, name, lambda *_, **__: [])


@pytest.fixture(scope="module")
def compared(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Compared, list[str]]:
    told: list[str] = []
    out = tmp_path_factory.mktemp("compared") / "out"
    methods = "te,wiener,rl,default,default+egt"
    return out, run(prepared, out, methods, seeds=2, tell=told.append), told


def test_every_method_stands_in_every_table(
    prepared: Path, compared: tuple[Path, Compared, list[str]]
) -> None:
    out, found, told = compared
    assert not found.failures
    names = ["te", "wiener", "rl", "default", "default+egt"]
    rows = rows_of(out / "results/scores.csv")
    assert [row["method"] for row in rows] == ["input", *names, "egt", "gt"]
    assert {row["status"] for row in rows} == {"ok"}
    costs = {row["method"]: row for row in rows_of(out / "cost.csv")}
    assert list(costs) == names
    assert costs["te"]["parameters"] == costs["te"]["training, s"] == ""
    assert costs["default"]["parameters"] == costs["default+egt"]["parameters"] != ""
    assert costs["default"]["steps"] == "10"
    assert all(float(row["images/s"]) > 0 for row in costs.values())
    assert "Gaussian sigma" in costs["wiener"]["what"]
    seeds = rows_of(out / "seeds.csv")
    assert {row["method"] for row in seeds} == {"default", "default+egt"}
    one = next(row for row in seeds if row["metric"] == "psnr")
    scores = {row["method"]: row for row in rows}
    assert float(one["seed 0"]) == pytest.approx(float(scores["default"]["psnr"]), rel=1e-3)
    first, second = (load(out / f"networks/default/seed{k}").generator for k in range(2))
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert any((a != b).any() for a, b in pairs)
    assert any("training default+egt, seed 1" in line for line in told)
    page = found.page.read_text(encoding="utf-8")
    for title in ("Cost", "Against enhanced ground truth", "Other seeds"):
        assert f"<h2>{title}</h2>" in page
    assert (out / "results/figures/boxplots.png").exists()
    assert (out / "results/figures/montage.png").exists()


def test_enhanced_truth_is_what_the_other_scores_are_against(
    prepared: Path, compared: tuple[Path, Compared, list[str]]
) -> None:
    out = compared[0]
    (target,) = (prepared / "test/target").glob("*.tif")
    egt = ENHANCERS["egt"](tifffile.imread(target))
    assert (tifffile.imread(out / "enhanced/egt" / target.name) == egt).all()
    image = tifffile.imread(out / "enhanced/te" / target.name)
    rows = {row["method"]: row for row in rows_of(out / "results-egt/scores.csv")}
    assert float(rows["te"]["psnr"]) == pytest.approx(psnr(egt, image, data_range=255))
    trained_on = tifffile.imread(next((out / "data-egt/train/target").glob("*.tif")))
    assert not any(
        (trained_on == tifffile.imread(p)).all() for p in (prepared / "train/target").glob("*.tif")
    )


@pytest.mark.usefixtures("undrawn")
def test_called_again_it_takes_what_is_done(
    prepared: Path,
    compared: tuple[Path, Compared, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = compared[0]
    before = (out / "results/scores.csv").read_bytes()

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(work, "train", refuse)
    monkeypatch.setattr(work, "write_tile", refuse)
    run(prepared, out, "te,wiener,rl,default,default+egt", seeds=2)
    assert (out / "results/scores.csv").read_bytes() == before


@pytest.mark.usefixtures("undrawn")
def test_it_goes_on_where_it_was_ended(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.train

    def end(data: Path, out: Path, *rest: Any, **more: Any) -> Any:
        if "default+egt" in str(out):
            raise Interrupted
        return real(data, out, *rest, **more)

    monkeypatch.setattr(work, "train", end)
    with pytest.raises(Interrupted):
        run(prepared, tmp_path / "out", "default,default+egt")
    weights = tmp_path / "out/networks/default/seed0/best.safetensors"
    written = weights.stat().st_mtime_ns
    monkeypatch.setattr(work, "train", real)
    found = run(prepared, tmp_path / "out", "default,default+egt,te")
    assert not found.failures
    assert weights.stat().st_mtime_ns == written


@pytest.mark.usefixtures("undrawn")
def test_one_method_fails_alone_and_may_be_tried_again(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.train

    def fail(data: Path, out: Path, *rest: Any, **more: Any) -> Any:
        if out.name == "seed1":
            raise CellqaError("no memory")
        return real(data, out, *rest, **more)

    monkeypatch.setattr(work, "train", fail)
    found = run(prepared, tmp_path / "out", "te,pix2pix,default", seeds=3)
    names = ["pix2pix", "pix2pix, seed 1", "pix2pix, seed 2", "default, seed 1"]
    assert sorted(name for name, _ in found.failures) == sorted(names)
    assert list(found.finished.tally.methods) == ["input", "te", "default", "egt", "gt"]
    assert found.seeds[0] == ["method", "metric", "seed 0", "seed 2", "mean", "std"]
    monkeypatch.setattr(work, "train", real)
    more = {**SMALL, "": {**SMALL[""], "monitor.images": "1"}}
    methods = parse_methods("te,pix2pix")  # which was never begun, so that it may change
    again = compare(prepared, tmp_path / "out", methods, steps=10, settings=more)
    assert [name for name, _ in again.failures] == ["pix2pix"]
    assert not again.seeds
    assert not (tmp_path / "out/seeds.csv").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_training_that_was_killed_goes_on(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(prepared, tmp_path / "whole", "default")
    from ciegan.training.callbacks import RunWriter

    ends, calls = RunWriter.on_validation_end, []

    def die(self: Any, *rest: Any) -> None:
        ends(self, *rest)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunWriter, "on_validation_end", die)
    with pytest.raises(Interrupted):
        run(prepared, tmp_path / "out", "default")
    assert not (tmp_path / "out/networks/default/seed0/summary.json").exists()
    assert (tmp_path / "out/networks/default/seed0/last.ckpt").exists()
    monkeypatch.setattr(RunWriter, "on_validation_end", ends)
    found = run(prepared, tmp_path / "out", "default")
    assert (tmp_path / "out/results/scores.csv").read_bytes() == (
        tmp_path / "whole/results/scores.csv"
    ).read_bytes()
    assert found.costs[1][4] == whole.costs[1][4] == "10"


def test_the_page_says_what_was_other_than_in_the_presets(
    prepared: Path, compared: tuple[Path, Compared, list[str]]
) -> None:
    page = compared[1].page.read_text(encoding="utf-8")
    assert "default: data.crop 32 (of 128)" in page
    assert "default: monitor.patience 0 (of 10)" in page


@pytest.mark.usefixtures("undrawn")
def test_given_weights_stand_beside(
    prepared: Path, compared: tuple[Path, Compared, list[str]], tmp_path: Path
) -> None:
    weights = compared[0] / "networks/default/seed0"
    found = run(prepared, tmp_path / "out", f"mine={weights}")
    ours = (tmp_path / "out/enhanced/mine/seed0").glob("*.tif")
    theirs = (compared[0] / "enhanced/default/seed0").glob("*.tif")
    assert [p.read_bytes() for p in ours] == [p.read_bytes() for p in theirs]
    assert found.costs[1][0] == "mine"


@pytest.mark.usefixtures("undrawn")
def test_what_would_mix_is_refused(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(prepared, out, "default")
    with pytest.raises(CellqaError, match="with another budget"):
        compare(prepared, out, parse_methods("te,default"), steps=11, settings=SMALL)
    sharp = write_fields(tmp_path / "sharp", 3)
    other = tmp_path / "other"
    prepare_blur(sharp, other, Gaussian((1, 1)), tiling=TilingOptions(tile=64, split="1,1,1"))
    with pytest.raises(CellqaError, match="a comparison on other data"):
        run(other, out, "te")
    run(other, out, "te", overwrite=True)
    assert not (out / "networks").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").touch()
    with pytest.raises(CellqaError, match="is not empty"):
        run(other, tmp_path / "full", "te")
    with pytest.raises(CellqaError, match="inside each other"):
        run(other, other / "out", "te")
    egt = tmp_path / "egt"
    prepare_blur(
        sharp, egt, Gaussian((1, 1)), tiling=TilingOptions(tile=64, split="1,1,1", target="egt")
    )
    with pytest.raises(CellqaError, match="enhanced ground truth as targets"):
        run(egt, tmp_path / "new", "te")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("te,nothing", "'nothing' is none of te, unsharp"),
        ("te,te", "is there twice"),
        ("../up=a.onnx", "with a name of its own"),
        ("te=a.onnx", "with a name of its own"),
        (",", "name one at least"),
        ("egt", "is none of"),
        ("Mine=a.onnx,mine=b.onnx", "is there twice"),
        ("default+egt=a.onnx", "a name of its own"),
        ("TE=a.onnx", "a name of its own"),
        ("mine=", "is not NAME=WEIGHTS"),
    ],
)
def test_wrong_methods(text: str, message: str) -> None:
    with pytest.raises(CellqaError, match=message):
        parse_methods(text)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--steps", "10", "--budget", "1m"], 2, "two budgets"),
        (["--methods", "no"], 1, "is none of"),
        (["--set", "none:data.crop=3"], 2, "is no preset: default, adversarial, paper, pix2pix"),
        (["--methods", "default", "--set", "data.corp=3"], 1, "did you mean crop"),
        (["--methods", "default", "--set", "seed=3"], 1, "the comparison's own"),
        (["--methods", "default", "--set", "default:generator.options.x=3"], 1, "options"),
        (["--methods", "mine=none.onnx"], 1, "there is no such file"),
        (["--methods", "rl", "--kernel", "none.tif"], 1, "none.tif"),
    ],
)
def test_wrong_options_are_one_line(
    prepared: Path, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    wanted = ["compare", "--data", str(prepared), "--out", str(tmp_path / "out"), *arguments]
    found = CliRunner().invoke(main, wanted)
    assert found.exit_code == status, found.output
    assert message in found.stderr
    assert "Traceback" not in found.output


def test_a_cpu_takes_smaller_batches_and_nothing_else() -> None:
    import torch

    for preset in PRESETS:
        (method,) = parse_methods(preset)
        small, large = (config_of(method, 3, torch.device(d), None) for d in ("cpu", "cuda"))
        assert small.seed == 3
        assert small.monitor == large.monitor
        assert small.monitor.patience == 0
        assert (small.generator, small.losses, small.optimizer) == (
            PRESETS[preset].generator,
            PRESETS[preset].losses,
            PRESETS[preset].optimizer,
        )
        assert large.data == preset_on("cuda", preset).data
        assert small.data.batch_size <= large.data.batch_size


class Layers(Generator):
    """Four pixels to one and back."""

    channels, stride, radius = 1, 2, 2

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 6, 2, stride=2)
        self.each = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.up = nn.ConvTranspose2d(6, 1, 2, stride=2)

    def forward(self, images: Any) -> Any:
        """Return images of the same shape."""
        return self.up(self.each(self.down(images)))


def test_arithmetic_is_counted() -> None:
    # a quarter of the pixels: 4 x 6 weights down, 9 for each of 6 channels, 6 x 4 up
    assert multiplications(Layers(), 20) == 100 * (24 + 54 + 24)
    assert multiplications(Layers(), 19) == round(100 * 102 * (19 / 20) ** 2)
    assert parameters(Layers()) == (24 + 6) + (54 + 6) + (24 + 1)


def test_fitting_finds_the_blur() -> None:
    import cv2

    from cellqa.simulate import filaments

    sharp = filaments((96, 96), cutoff=0.8, photons=5000, seed=1).image
    soft = np.rint(cv2.GaussianBlur(sharp.astype(float), (0, 0), 2)).astype(np.uint16)
    pairs = [(soft, sharp)]
    sigmas = (1.0, 2.0, 3.0)
    assert best([Wiener(s, 0.001) for s in sigmas], pairs).sigma == 2.0
    assert best([RichardsonLucy(s, 20) for s in sigmas], pairs).sigma == 2.0


@pytest.mark.slow
def test_the_command_with_a_small_budget(tmp_path: Path) -> None:
    for k in range(8):
        scene = nuclei((256, 256), cutoff=0.6, photons=2000, seed=k)
        write_tiff(tmp_path / f"sharp/f{k}.tif", scene.image, 0.2)
    data, out = tmp_path / "data", tmp_path / "out"
    how, noise = Gaussian((1.5, 2.5)), Noise(photons=2000, offset=100)
    prepare_blur(tmp_path / "sharp", data, how, noise=noise, tiling=TilingOptions(split="4,2,2"))
    command = ["compare", "--data", str(data), "--out", str(out), "--budget", "45s"]
    found = CliRunner().invoke(main, command, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    rows = rows_of(out / "results/summary.csv")
    mean = {r["method"]: float(r["mean"]) for r in rows if r["metric"] == "psnr"}
    methods = "te te_tuned wiener rl pix2pix paper paper+egt default"
    assert set(mean) == {*methods.split(), "input", "egt"}
    assert mean["default"] > mean["input"] + 1
    costs = {row["method"]: row for row in rows_of(out / "cost.csv")}
    for name in ("pix2pix", "paper", "paper+egt", "default"):
        assert 20 < float(costs[name]["training, s"]) < 90
        summary = json.loads((out / f"networks/{name}/seed0/summary.json").read_text())
        assert summary["steps"] == int(costs[name]["steps"])
    quarter = float(costs["paper"]["GMAC of 256 x 256"]) / 4
    assert float(costs["default"]["GMAC of 256 x 256"]) < quarter
