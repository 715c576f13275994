"""Training beside its peers: `python benchmarks/bench_training.py WHAT [FOLDER] [options]`.

fields FOLDER    blur sharp fields, train both presets for the same time, test beside filters
generators FOLDER   the generators for the same short time, same losses
speed            steps per second beside a bare PyTorch loop of the same networks
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from bench_comparison import planned
from timing import heading

from cellqa.io import write_tiff
from cellqa.simulate import filaments
from cellqa.tables.means import terminal_summary
from cellqa.terminal import align
from ciegan.config import DEFAULT, PAPER, Config, Losses, Monitor, Schedule
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.crops import Crops, crops_of_steps
from ciegan.data.degrade import Gaussian, Noise
from ciegan.data.tile_pairs import read_split
from ciegan.judging.tables import COMPARED
from ciegan.judging.validation import validate
from ciegan.losses import (
    charbonnier,
    discriminator_loss,
    feature_matching,
    generator_loss,
    ms_ssim,
)
from ciegan.network.checkpoint import load
from ciegan.training.run import train
from ciegan.training.step import Networks

Array = npt.NDArray[Any]


def small_paper() -> Config:
    """The paper's networks and losses with a batch and a schedule that a CPU can take steps of."""
    return replace(
        PAPER,
        data=replace(PAPER.data, crop=128, batch_size=2),
        schedule=Schedule(generator=0.5, discriminator=0.1),
        monitor=replace(PAPER.monitor, every=75, images=12, patience=0),
    )


def small_default() -> Config:
    """The default preset, validated often, never stopped early."""
    return replace(DEFAULT, monitor=replace(DEFAULT.monitor, every=500, patience=0))


def fields(folder: Path, out: Path, minutes: float, device: str) -> None:
    """Both presets and classical filters on fields that none was trained or tuned on."""
    data = out / "data"
    prepared = prepare_blur(
        folder,
        data,
        Gaussian((1.0, 3.0)),
        noise=Noise(photons=20_000),
        draws=3,
        tiling=TilingOptions(split="5,2,8", seed=1),
        jobs=2,
        overwrite=True,
    )
    print(prepared.describe(), flush=True)
    runs = {}
    for name, config in (("default", small_default()), ("paper", small_paper())):
        trained = train(
            data,
            out / name,
            config,
            device=device,
            max_time=60 * minutes,
            fit_time=True,
            overwrite=True,
            tell=lambda line: print(line, flush=True),
        )
        print(f"{name}: {trained.describe()}\nwaiting {trained.waiting:.1%}", flush=True)
        runs[name] = out / name
    validated = validate(runs, data, out / "test", device=device, jobs=2, overwrite=True)
    for name, what in validated.settings.items():
        print(f"{name}: {what}")
    print(terminal_summary(validated.finished))
    print("\ndefault against what it has to beat, over fields (Wilcoxon of field means):")
    print(align(planned(validated.finished.comparisons, RIVALS, COMPARED)))


RIVALS = ("input", "te", "wiener", "rl", "paper")  # stated before; Holm's correction is over these


def generators(folder: Path, out: Path, seconds: float, device: str) -> None:
    """Each generator for the same time, towards the same loss, on the same data."""
    data = out / "data"
    if not (data / "pairs.csv").exists():
        tiling = TilingOptions(split="5,2,8", seed=1)
        noise = Noise(photons=20_000)
        prepare_blur(
            folder, data, Gaussian((1.0, 3.0)), noise=noise, draws=3, tiling=tiling, jobs=2
        )
    rows = [["generator", "parameters", "steps", "psnr", "ssim", "input psnr", "input ssim"]]
    for name in ("resunet", "nafnet", "unet", "paper"):
        config = small_default()
        config = replace(
            config,
            generator=replace(config.generator, name=name, options={}),
            losses=Losses({"charbonnier": 1.0}),
            monitor=replace(config.monitor, every=100, images=16),
        )
        trained = train(
            data,
            out / f"generator-{name}",
            config,
            device=device,
            max_time=seconds,
            fit_time=True,
            overwrite=True,
        )
        size = sum(p.numel() for p in load(out / f"generator-{name}").generator.parameters())
        ours, before = trained.best["values"], trained.untouched
        numbers = [ours["psnr"], ours["ssim"], before["psnr"], before["ssim"]]
        rows.append([name, f"{size:,}", str(trained.steps), *(f"{v:.4g}" for v in numbers)])
    print(align(rows))


class Clock(pl.Callback):
    """Seconds between the ends of steps."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Take the time."""
        self.times.append(time.perf_counter())


def speed(out: Path, device: str) -> None:
    """Ours and a bare loop in turns, each with both phases, on the same crops."""
    sharp = out / "sharp"
    for k in range(8):
        write_tiff(sharp / f"f{k}.tif", filaments((256, 256), seed=k).image, 0.2)
    data = out / "data"
    prepare_blur(sharp, data, Gaussian(), tiling=TilingOptions(split="6,2,0"), overwrite=True)
    rows = [["phase", "bare loop, steps/s", "ours, steps/s", "ratio"]]
    steps = 40
    for name, share in (("generator alone", steps + 1), ("both", 0)):
        schedule = Schedule(steps=steps, generator=share, discriminator=0)
        monitor = Monitor(every=steps, images=1, patience=0, samples=0)
        config = replace(DEFAULT, schedule=schedule, monitor=monitor)
        bare, ours = [], []
        for _ in range(4):
            bare.append(1 / np.median(np.diff(bare_loop(config, data, device))))
            ours.append(1 / np.median(np.diff(our_loop(config, data, out / "run", device))))
        first, second = float(np.median(bare)), float(np.median(ours))
        rows.append([name, f"{first:.2f}", f"{second:.2f}", f"{second / first:.3f}"])
        print(f"  {name}: bare {np.round(bare, 2)}, ours {np.round(ours, 2)}", flush=True)
    print(align(rows))


def our_loop(config: Config, data: Path, out: Path, device: str) -> list[float]:
    """When each step of `ciegan train` ended."""
    clock = Clock()
    made = pl.Trainer.__init__

    def with_clock(self: Any, *args: Any, callbacks: Any, **options: Any) -> None:
        made(self, *args, callbacks=[*callbacks, clock], **options)

    pl.Trainer.__init__ = with_clock  # type: ignore[method-assign]
    try:
        train(data, out, config, device=device, overwrite=True)
    finally:
        pl.Trainer.__init__ = made  # type: ignore[method-assign]
    return clock.times


def bare_loop(config: Config, data: Path, device: str) -> list[float]:
    """When each step of a loop without any framework ended."""
    crops = Crops(read_split(data, "train"), config.data, config.seed)
    networks = Networks(config, crops)
    generator, judge = networks.generator.to(device), networks.discriminator
    assert judge is not None
    judge = judge.to(device)
    averaged = [p.detach().clone() for p in generator.parameters()]
    ours, theirs = networks.configure_optimizers()
    weights = config.losses.weights
    together = config.schedule.generator == 0
    times = []
    for source, target in crops_of_steps(crops, 0, config.schedule.steps):
        x = source.to(device, memory_format=torch.channels_last)
        y = target.to(device, memory_format=torch.channels_last)
        image = generator(x)
        if together:
            loss = discriminator_loss(judge(y, x)[0], judge(image.detach(), x)[0], "relativistic")
            theirs.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
            theirs.step()
        loss = weights["charbonnier"] * charbonnier(image, y)
        loss = loss + weights["ms_ssim"] * ms_ssim(image, y)
        if together:
            judge.requires_grad_(False)
            fake, features = judge(image, x)
            with torch.no_grad():
                real, wanted = judge(y, x)
            judge.requires_grad_(True)
            loss = loss + weights["adversarial"] * generator_loss(fake, "relativistic", real)
            loss = loss + weights["feature_matching"] * feature_matching(features, wanted)
        ours.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        ours.step()
        with torch.no_grad():
            torch._foreach_lerp_(averaged, list(generator.parameters()), 0.001)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
    return times


def main() -> None:
    """Run what is asked for and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fields", "generators", "speed"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench-training"))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    given = parser.parse_args()
    if given.device == "cpu":
        torch.set_num_threads(2)
    threads = f"{given.device}, {torch.get_num_threads()} threads"
    print(heading(f"Training: {given.what}", threads))
    out = given.out / given.what
    if given.what == "speed":
        speed(out, given.device)
        return
    if given.folder is None:
        parser.error("FOLDER is needed")
    if given.what == "fields":
        fields(given.folder, out, given.minutes, given.device)
    else:
        generators(given.folder, out, 60 * given.minutes, given.device)


if __name__ == "__main__":
    main()
