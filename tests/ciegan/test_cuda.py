"""What needs a CUDA device: `pytest -m cuda`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from networks import awake, expected, image, run, weights

from ciegan.config import PRESETS, Config
from ciegan.losses import load_vgg
from ciegan.network.launching import Window
from ciegan.network.runner import Runner
from ciegan.training.step import Networks

pytestmark = pytest.mark.cuda
DEVICE = torch.device("cuda")
NOISE = np.clip(np.random.default_rng(0).normal(0, 0.5, (1, 256, 256)), -1, 1).astype(np.float32)


@pytest.mark.parametrize("name", ["resunet", "paper", "pix2pix", "nafnet"])
def test_precision_is_what_it_says(name: str) -> None:
    exact = Runner(awake(name))(NOISE)
    in_32 = Runner(awake(name), DEVICE, precision="32")(NOISE)
    assert np.abs(in_32 - exact).max() <= 1e-4
    in_16 = Runner(awake(name), DEVICE, precision="16")(NOISE)
    assert 0 < np.abs(in_16 - exact).max() * 127.5 <= 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("channels", "samples"), [(1, 1), (3, 4)])
def test_raw_pixels_become_what_they_become_on_the_cpu(
    dtype: type, channels: int, samples: int
) -> None:
    shape = (96, 128) if channels == 1 else (96, 128, 3)
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    limits = (0.01 * np.iinfo(dtype).max, 0.9 * np.iinfo(dtype).max)
    window = Window(pixels, (slice(8, 90), slice(0, 120)), limits, np.dtype(dtype), samples)
    generator = awake("resunet", channels)
    wanted = Runner(generator).submit(window)()
    runner = Runner(awake("resunet", channels), DEVICE)
    found = runner.submit(window)()
    assert runner.widths == {16 if dtype is np.uint8 else 32}
    levels = np.abs(found.pixels.astype(float) - wanted.pixels)
    assert levels.max() <= 1
    assert found.clipped == pytest.approx(wanted.clipped, rel=0.1, abs=20)


@pytest.mark.parametrize("compiled", ["--compile", "--no-compile"])
def test_a_folder(tmp_path: Path, compiled: str) -> None:
    model = weights(tmp_path / "best.safetensors")
    for k in range(12):
        (tmp_path / "in").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"in/{k}.tif", image(np.uint8, (200 + 8 * (k // 6), 160)))
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cuda:0", compiled)
    assert done.exit_code == 0, done.output
    for k in range(12):
        raw, found = (tifffile.imread(tmp_path / f"{place}/{k}.tif") for place in ("in", "out"))
        assert np.abs(found.astype(float) - expected(model, raw)).max() <= 1


class Noise:
    """Crops of which there are none."""

    channels = 1
    normalisation = None


def made(config: Config) -> tuple[Networks, list[torch.optim.Optimizer]]:
    vgg = load_vgg("random", config.losses.layers, imagenet=False, seed=0)[0].to(DEVICE)
    networks = Networks(config, Noise(), (), vgg).to(DEVICE)  # type: ignore[arg-type]
    return networks, networks.configure_optimizers()


def trained(config: Config, begin: int, steps: int, *, capture: bool) -> dict[str, Any]:
    """Weights and losses after some steps from a place in the schedule."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    networks, optimizers = made(config)
    networks.steps_done = begin
    if capture:
        networks.prepare()
    generator = torch.Generator().manual_seed(0)
    shape = (2, 1, config.data.crop, config.data.crop)
    for _ in range(steps):
        batch = [(torch.rand(shape, generator=generator) * 2 - 1).to(DEVICE) for _ in range(2)]
        networks.step(*batch, optimizers, lambda loss: loss.backward())
        networks.steps_done += 1
    torch.use_deterministic_algorithms(False)
    return {**networks.state_dict(), "losses": networks.take_losses()}


def short(name: str) -> Config:
    config = PRESETS[name]
    schedule = replace(config.schedule, steps=1000, generator=500, discriminator=100)
    crop = 256 if name == "pix2pix" else 128  # which halves it eight times
    return replace(config, schedule=schedule, data=replace(config.data, crop=crop))


@pytest.mark.parametrize("name", ["default", "pix2pix", "paper"])
@pytest.mark.parametrize("begin", [0, 500, 600])
def test_captured_steps_are_the_steps(name: str, begin: int) -> None:
    config = short(name)
    whole, captured = (trained(config, begin, 12, capture=capture) for capture in (False, True))
    assert captured["losses"].keys() == whole["losses"].keys()
    for key, value in whole["losses"].items():
        assert captured["losses"][key] == pytest.approx(value, rel=1e-3, abs=1e-5), key
    differing = [
        key
        for key, value in whole.items()
        if key != "losses" and not torch.equal(value, captured[key])
    ]
    assert not differing


@pytest.mark.parametrize("name", ["default", "pix2pix", "paper"])
def test_the_same_steps_give_the_same_bits(name: str) -> None:
    first, second = (trained(short(name), 600, 12, capture=True) for _ in range(2))
    assert first["losses"] == second["losses"]
    for key, value in first.items():
        if key != "losses":
            assert torch.equal(value, second[key]), key


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("name", ["default", "pix2pix", "paper"])
def test_a_step_does_not_wait_for_the_device(name: str) -> None:
    config = short(name)
    networks, optimizers = made(config)
    networks.prepare()
    shape = (2, 1, config.data.crop, config.data.crop)
    batch = [torch.rand(shape, device=DEVICE) for _ in range(2)]
    for begin in (0, 500, 600):
        networks.steps_done = begin
        for number in range(4):
            torch.cuda.set_sync_debug_mode("error" if number > 1 else "default")
            try:
                networks.step(*batch, optimizers, lambda loss: loss.backward())
            finally:
                torch.cuda.set_sync_debug_mode("default")
