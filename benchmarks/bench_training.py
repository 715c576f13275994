"""Training beside its peers: `python benchmarks/bench_training.py WHAT [FOLDER] [options]`.

fields FOLDER    blur sharp fields, train both presets for the same time, test beside filters
generators FOLDER   the generators for the same short time, same losses
speed            steps per second beside a bare PyTorch loop of the same networks
zstack FOLDER    a brightfield focus series: train on its left half, test on its right half
"""

from __future__ import annotations

import argparse
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from bench_comparison import PLANES, planned
from bench_comparison import SHARP as FOCUS
from timing import heading

from cellqa.io import open_image, write_tiff
from cellqa.simulate import filaments, filtered
from cellqa.tables.files import align, terminal_table
from ciegan.config import DEFAULT, PAPER, Config, Losses, Monitor, Network, Schedule
from ciegan.data import TilingOptions, ZStack, prepare_blur, prepare_zstack
from ciegan.data.crops import Crops, crops_of_steps, read_split
from ciegan.data.degrade import BrightfieldDefocus, Gaussian, Noise
from ciegan.data.optics import (
    BrightfieldFit,
    brightfield_defocus,
    defocused,
    fit_brightfield,
    ring_sums,
)
from ciegan.judging.tables import METRICS
from ciegan.judging.validation import validate
from ciegan.losses import (
    charbonnier,
    discriminator_loss,
    feature_matching,
    generator_loss,
    ms_ssim,
)
from ciegan.network.checkpoint import Checkpoint, load
from ciegan.network.windows import enhance_plane
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
    found = validate(runs, data, out / "test", device=device, jobs=2, overwrite=True)
    for name, what in found.settings.items():
        print(f"{name}: {what}")
    print(terminal_table(found.finished.tally, found.finished.summaries))
    print("\ndefault against what it has to beat, over fields (Wilcoxon of field means):")
    print(align(planned(found.finished.comparisons, RIVALS, METRICS)))


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
            losses=replace(config.losses, ms_ssim=0.0, adversarial=0.0, feature_matching=0.0),
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
        config = replace(DEFAULT, schedule=schedule, monitor=monitor, precision="32")
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
    ours = torch.optim.Adam(generator.parameters(), 1e-3)
    theirs = torch.optim.Adam(judge.parameters(), 2e-4)
    weights = config.losses.weights()
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


# 25 µm out of focus, a point spreads over more than 100 pixels, and nothing of the input can stay
OUT_OF_FOCUS = {"widths": [24, 48, 64, 64], "blocks": [1, 1, 1, 1], "residual": False}
BACKGROUND = 60  # sigma of what is taken off before correlations: uneven light, the same in all


def zstack(folder: Path, out: Path, minutes: float, device: str) -> None:
    """Networks trained on real, modelled and Gaussian defocus of the left half, on the right."""
    halves: dict[str, dict[int, Array]] = {"left": {}, "right": {}}
    size = 0.2005
    for z, name in {**PLANES, 0: FOCUS}.items():
        with open_image(folder / f"set1_{name}.tif") as file:
            plane = file.load(file.planes[0])
        middle = plane.shape[1] // 2
        halves["left"][z], halves["right"][z] = plane[:, :middle], plane[:, middle:]
    flat = {side: {z: _flat(p) for z, p in planes.items()} for side, planes in halves.items()}
    stage = [float(re.sub(r".*z", "", name)) - 1352.25 for name in PLANES.values()]
    fit = fit_brightfield(
        flat["left"][0], [flat["left"][z] for z in PLANES], stage, pixel_size=size
    )
    print(f"fitted: {fit.microscope}, distances {np.round(fit.distances, 1)}")
    _forward(flat, fit, size)
    runs = {}
    for kind, data in _kinds(flat["left"], fit, out, size):
        config = replace(
            small_default(),
            # one grey level for all: by the levels of its own image, a network recognises the plane
            # that it is shown, and is lost where they differ
            data=replace(DEFAULT.data, crop=192, batch_size=4, normalize="train"),
            generator=Network("resunet", OUT_OF_FOCUS),
            losses=Losses(l2=1.0),  # the mean of what it may have been correlates best
            monitor=replace(small_default().monitor, metrics={"nrmse": 1.0}, every=100),
        )
        trained = train(
            data,
            out / f"run-{kind}",
            config,
            device=device,
            max_time=60 * minutes,
            fit_time=True,
            overwrite=True,
        )
        print(f"{kind}: {trained.steps} steps, best at {trained.best['step']}", flush=True)
        runs[kind] = load(out / f"run-{kind}")
    _restoring(halves, flat, runs, size)


def _restoring(
    halves: dict[str, dict[int, Array]],
    flat: dict[str, dict[int, Array]],
    runs: dict[str, Checkpoint],
    size: float,
) -> None:
    """The plane in focus from those out of focus: without background, and as recorded."""

    def restorer(network: Checkpoint) -> Callable[[int], Array]:
        def restored(z: int) -> Array:
            plane = flat["right"][z].astype(np.float32)
            return enhance_plane(network.generator, plane, network.normalisation)

        return restored

    def put_back(make: Callable[[int], Array]) -> Callable[[int], Array]:
        return lambda z: make(z) + _background(halves["right"][z])

    linear = _linear(flat, size)
    whole = {side: {z: _windowed(p) for z, p in planes.items()} for side, planes in halves.items()}
    header = [f"{z:+d} µm" for z in PLANES]
    rows = [["in focus, right half, without background, from", *header]]
    rows.append(["nothing (the plane itself)", *_each(lambda z: flat["right"][z], flat)])
    rows.append(["best linear isotropic filter", *_each(linear, flat)])
    for kind, network in runs.items():
        rows.append([f"network, {kind} defocus", *_each(restorer(network), flat)])
    print(align(rows))
    rows = [["in focus, right half, as recorded, Hann window, from", *header]]
    rows.append(["nothing (the plane itself)", *_each(lambda z: whole["right"][z], whole)])
    rows.append(["best linear isotropic filter", *_each(_linear(whole, size), whole)])
    makers = {"filter": linear} | {
        f"network, {kind} defocus": restorer(network) for kind, network in runs.items()
    }
    for name, make in makers.items():
        again = put_back(make)
        cells = _each(lambda z, again=again: _windowed(again(z)), whole)
        rows.append([f"{name}, background put back", *cells])
    print(align(rows))


def _background(plane: Array) -> Array:
    """Uneven light, and what is as smooth."""
    return cv2.GaussianBlur(plane.astype(np.float64), (0, 0), BACKGROUND)


def _flat(plane: Array) -> Array:
    """Without uneven light."""
    return plane - _background(plane)


def _windowed(plane: Array) -> Array:
    """Without its mean, fading towards the borders."""
    return (plane - plane.mean()) * np.outer(*(np.hanning(n) for n in plane.shape))


def _each(make: Callable[[int], Array], planes: dict[str, dict[int, Array]]) -> list[str]:
    truth = planes["right"][0].ravel()
    return [f"{np.corrcoef(make(z).ravel(), truth)[0, 1]:.2f}" for z in PLANES]


def _linear(flat: dict[str, dict[int, Array]], size: float) -> Callable[[int], Array]:
    def make(z: int) -> Array:
        rings = ring_sums(flat["left"][0], flat["left"][z], size)
        transfer = rings.cross / rings.second
        return filtered(
            flat["right"][z],
            lambda r: np.interp(r / (2 * size), rings.frequency, transfer),
            64,
        )

    return make


def _forward(flat: dict[str, dict[int, Array]], fit: BrightfieldFit, size: float) -> None:
    """How well planes out of focus are predicted from the plane in focus, on the right half."""
    focus = flat["right"][0]
    rows = [["plane of the right half from its focus", *(f"{z:+d} µm" for z in PLANES)]]
    plain, free, model = [], [], []
    for z, distance in zip(PLANES, fit.distances, strict=True):
        rings = ring_sums(flat["left"][0], flat["left"][z], size)
        transfer = rings.cross / rings.first
        predicted = {
            "free": filtered(
                focus,
                lambda r, t=transfer, q=rings.frequency: np.interp(r / (2 * size), q, t),
                64,
            ),
            "model": defocused(
                focus,
                lambda q, d=distance: brightfield_defocus(q, d, fit.microscope),
                pixel_size=size,
            ),
        }
        truth = flat["right"][z].ravel()
        plain.append(f"{np.corrcoef(focus.ravel(), truth)[0, 1]:.2f}")
        free.append(f"{np.corrcoef(predicted['free'].ravel(), truth)[0, 1]:.2f}")
        model.append(f"{np.corrcoef(predicted['model'].ravel(), truth)[0, 1]:.2f}")
    rows += [["the focus itself", *plain], ["free radial transfer function", *free]]
    rows.append(["weak-object model", *model])
    print(align(rows), flush=True)


def _kinds(
    left: dict[int, Array], fit: BrightfieldFit, out: Path, size: float
) -> Iterator[tuple[str, Path]]:
    """Training data of three kinds; the lowest third of the half validates."""
    tiling = TilingOptions(
        tile=320, min_contrast=0.0, split=str(out / "split.csv"), pixel_size=size
    )
    lines = "field,split\n" + "".join(
        f"{part},{split}\n" for part, split in (("upper", "train"), ("lower", "val"))
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "split.csv").write_text(lines)
    parts = {"upper": np.s_[:704], "lower": np.s_[704:]}
    for part, rows in parts.items():
        for z, plane in left.items():
            pixels = np.ascontiguousarray(plane[rows], np.float32)
            write_tiff(out / "planes" / part / f"z{1000 + z}.tif", pixels, size)
            if z == 0:
                write_tiff(out / "focus" / f"{part}.tif", pixels, size)
    stacks = [out / "planes" / part for part in parts]
    options = ZStack(pattern=r"z(\d+)", modality="brightfield", register=False)
    prepare_zstack(stacks, out / "real", options, tiling=tiling, overwrite=True)
    yield "real", out / "real"
    furthest = 1.2 * max(map(abs, fit.distances))
    noise = Noise(photons=0, read=1.0)
    for kind, how in (
        ("modelled", BrightfieldDefocus((-furthest, furthest), fit.microscope)),
        ("Gaussian", Gaussian((1.0, 8.0))),
    ):
        data = out / kind.lower()
        prepare_blur(
            out / "focus", data, how, noise=noise, draws=24, tiling=tiling, jobs=2, overwrite=True
        )
        yield kind, data
    yield "real and modelled", _joined(out / "real", out / "modelled", out / "both")


def _joined(first: Path, second: Path, out: Path) -> Path:
    """The first with the training tiles of the second added; the first validates."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(first, out)
    _, *lines = (second / "pairs.csv").read_text().splitlines()
    kept = [f"m_{line}" for line in lines if line.split(",")[1] == "train"]
    with (out / "pairs.csv").open("a") as table:
        table.write("\n".join(kept) + "\n")
    for role in ("input", "target"):
        for tile in (second / "train" / role).iterdir():
            shutil.copy(tile, out / "train" / role / f"m_{tile.name}")
    return out


def main() -> None:
    """Run what is asked for and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fields", "generators", "speed", "zstack"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench-training"))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    given = parser.parse_args()
    torch.set_num_threads(2)
    print(heading(f"Training: {given.what}", f"{given.device}, 2 threads"))
    out = given.out / given.what
    if given.what == "speed":
        speed(out, given.device)
        return
    if given.folder is None:
        parser.error("FOLDER is needed")
    if given.what == "fields":
        fields(given.folder, out, given.minutes, given.device)
    elif given.what == "generators":
        generators(given.folder, out, 60 * given.minutes, given.device)
    else:
        zstack(given.folder, out, given.minutes, given.device)


if __name__ == "__main__":
    main()
