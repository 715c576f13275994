"""What a CUDA device does: `python benchmarks/bench_device.py WHAT [FOLDER] [options]`.

memory   networks in memory, by precision, with and without compiled kernels; how far from float32
speed    from disk to disk, beside the network in memory
steps    a step by preset, phase, batch and precision: milliseconds, kernels, share busy
train [FOLDER]   the same seconds for several settings, on prepared data, on sharp fields that are
         blurred, or on simulated ones
long [FOLDER]   the paper's schedule as far as its time goes, and others for a share of that, on
         fields blurred as in the paper

With `--device cpu`, `memory` and `steps` run in a small form.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch
from bench_inference import images, network
from timing import heading
from torch.profiler import ProfilerActivity, profile

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.simulate import filaments
from cellqa.terminal import align
from ciegan.config import PRESETS, Config, with_settings
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.degrade import PUBLISHED, Gaussian, Noise
from ciegan.enhancing.folder import enhance_files, make_runners
from ciegan.enhancing.processes import processes_for
from ciegan.losses import load_vgg
from ciegan.network.checkpoint import load
from ciegan.network.device import choose_device
from ciegan.network.precision import float32
from ciegan.network.runner import Runner
from ciegan.training.run import train
from ciegan.training.step import Networks

SETS = ((6000, 256), (2000, 1024), (96, 4096))  # images, and their side


def memory(out: Path, device: str, presets: list[str]) -> None:
    """Networks on images in memory, and what precision changes."""
    place = choose_device(device)
    cuda = place.type == "cuda"
    noise = np.random.default_rng(0).normal(0, 0.5, (1, 256, 256)).clip(-1, 1).astype(np.float32)
    rows = [["preset", "images", "float32", "TF32", "half", "half, compiled", "compiling, s"]]
    for name in presets:
        generator = load(network(out / name, name)).generator
        exact = Runner(copy.deepcopy(generator))(noise)
        off = {
            precision: 127.5 * np.abs(Runner(generator, place, precision=precision)(noise) - exact)
            for precision in (("32", "16") if cuda else ("32",))
        }
        told = ", ".join(f"{bits} bits {levels.max():.2g}" for bits, levels in off.items())
        print(
            f"{name}: off the CPU's float32 by at most (grey levels of 8 bits): {told}", flush=True
        )
        generator.to(place, memory_format=torch.channels_last)
        for number, side in MEMORY[name] if cuda else ((1, 256),):
            batch = torch.rand(number, 1, side, side, device=place) * 2 - 1
            batch = batch.to(memory_format=torch.channels_last)
            row = [name, f"{number} of {side} x {side}"]
            with torch.inference_mode():
                for exactly in (True, False):
                    with float32(exact=exactly):
                        row.append(rate_of(generator, batch))
                if cuda:
                    half = copy.deepcopy(generator).half()
                    row.append(rate_of(half, batch.half()))
                    torch._dynamo.reset()
                    start = time.perf_counter()
                    compiled = torch.compile(half, dynamic=False)
                    example = batch[:2].half()
                    torch._dynamo.mark_dynamic(example, 0)
                    compiled(example)
                    torch.cuda.synchronize()
                    took = time.perf_counter() - start
                    row += [rate_of(compiled, batch.half()), f"{took:.0f}"]
            row += [""] * (len(rows[0]) - len(row))
            rows.append(row)
    print(align(rows))


MEMORY = {
    "default": ((32, 1024), (64, 256), (8, 2048)),
    "paper": ((8, 512),),
}


def rate_of(network: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> str:
    """Megapixels a second, the median of some calls."""

    def wait() -> None:
        if batch.device.type == "cuda":
            torch.cuda.synchronize()

    times = []
    for _ in range(9):
        start = time.perf_counter()
        network(batch)
        wait()
        times.append(time.perf_counter() - start)
    return f"{batch.numel() / 1e6 / median(times[2:]):.4g}"


def speed(out: Path, device: str, presets: list[str]) -> None:
    """Files through `enhance_files`, beside the network in memory.

    Steady is the rate between the results at a fifth and at four fifths: without the start of
    processes, and without compiling.
    """
    place = choose_device(device)
    rows = [["preset", "images", "processes", "images/s", "MP/s", "steady", "in memory", "share"]]
    for name, (number, side) in product(presets, SETS):
        checkpoint = load(network(out / name, name))
        half = (
            copy.deepcopy(checkpoint.generator).half().to(place, memory_format=torch.channels_last)
        )
        batch = torch.rand(max(1, 2**24 // side**2), 1, side, side, device=place) * 2 - 1
        with torch.inference_mode():
            best = rate_of(half, batch.half().to(memory_format=torch.channels_last))
        del half, batch
        torch.cuda.empty_cache()
        source = images(out / "in", number, side)
        shutil.rmtree(out / "out", ignore_errors=True)
        start = time.perf_counter()
        records = enhance_files(
            checkpoint, source, out / "out", runners=make_runners(checkpoint, device), jobs=None
        )
        wall = time.perf_counter() - start
        assert all(record.status == "ok" for record in records)
        ends = sorted(path.stat().st_mtime_ns for path in (out / "out").glob("*.tif"))
        first, last = ends[number // 5], ends[4 * number // 5]
        size = side * side / 1e6
        steady = (4 * number // 5 - number // 5) / max(last - first, 1) * 1e9 * size
        row = [
            name,
            f"{number} of {side} x {side}",
            str(processes_for(number, number * side**2, place)),
        ]
        row += [f"{number / wall:.0f}", f"{number * size / wall:.0f}", f"{steady:.0f}", best]
        rows.append([*row, f"{steady / float(best):.2f}"])
        print("  " + "  ".join(rows[-1]), flush=True)
    print(align(rows))


# what is compared on a device, as `ciegan train --preset --set` takes it
SETTINGS: tuple[tuple[str, dict[str, str]], ...] = (
    ("default", {"data.batch_size": "4"}),
    ("default", {"data.batch_size": "8"}),
    ("default", {"data.batch_size": "16"}),
    ("default", {"data.batch_size": "32"}),
    ("default", {"data.batch_size": "32", "precision": "bf16"}),
)


# the paper's networks, and what is to be compared with them, each with its share of the time
WIDE = '{"widths" = [48, 96, 192], "blocks" = [2, 2, 2]}'
LONG: tuple[tuple[str, dict[str, str], float], ...] = (
    ("paper", {"precision": "bf16", "compile": "true"}, 1.0),
    ("pix2pix", {"precision": "bf16"}, 0.25),
    ("default", {"data.batch_size": "32"}, 0.25),
    ("default", {"data.batch_size": "32", "generator.options": WIDE}, 0.25),
)


def settings(
    folder: Path | None,
    out: Path,
    seconds: float,
    device: str,
    tried: Sequence[tuple[str, dict[str, str], float]],
    how: Gaussian,
    noise: Noise,
) -> None:
    """Each setting for its share of the seconds, validated on the same fields."""
    sharp = folder or out / "sharp"
    if folder is None:
        for k in range(12):
            write_tiff(sharp / f"f{k}.tif", filaments((512, 512), seed=k).image, 0.2)
    data = sharp if (sharp / "pairs.csv").exists() else out / "data"
    if not (data / "pairs.csv").exists():
        tiling = TilingOptions(split="2,1,0", seed=1)
        prepare_blur(
            sharp,
            data,
            how,
            noise=noise,
            draws=2,
            tiling=tiling,
            jobs=os.cpu_count() or 1,
            overwrite=True,
        )
    shown = ("psnr", "ssim", "ms_ssim", "nrmse", "resolution")
    rows = [["preset", "settings", "steps", "seconds", "waiting", *shown]]
    for preset, changes, share in tried:
        config = with_settings(PRESETS[preset], changes)
        metrics = {"ssim": 1.0, "psnr": 0.02, "ms_ssim": 1.0, "nrmse": 0.0, "resolution": 0.001}
        monitor = replace(config.monitor, metrics=metrics, images=24, patience=0, samples=0)
        try:
            trained = train(
                data,
                out / "run",
                replace(config, monitor=monitor),
                device=device,
                max_time=seconds * share,
                fit_time=True,
                overwrite=True,
            )
        except CellqaError as error:
            print(f"  {preset} {changes}: {error}", flush=True)
            continue
        values = trained.best["values"]
        told = ", ".join(f"{key}={value}" for key, value in changes.items())
        row = [preset, told, str(trained.steps), f"{trained.seconds:.0f}"]
        row += [f"{trained.waiting:.0%}", *(f"{values[name]:.4g}" for name in shown)]
        rows.append(row)
        print("  " + "  ".join(row), flush=True)
    before = trained.untouched
    rows.append(["input", "", "", "", "", *(f"{before[name]:.4g}" for name in shown)])
    print(align(rows))


class Nothing:
    """Crops of which there are none: the batches are noise in memory."""

    channels = 1
    normalisation = None


def steps(device: str) -> None:
    """What a step costs, without loading and validation."""
    place = choose_device(device)
    cuda = place.type == "cuda"
    torch.use_deterministic_algorithms(True, warn_only=True)  # as in training
    rows = [["preset", "phase", "batch", "precision", "ms", "kernels", "device busy", "first, s"]]
    for name, phases in STEPS.items():
        for phase, at in phases.items():
            for batch, precision in BATCHES[name] if cuda else ((2, "32"),):
                config = PRESETS[name]
                schedule = replace(config.schedule, steps=100_000)
                data = replace(config.data, batch_size=batch)
                config = replace(config, schedule=schedule, data=data, precision=precision)
                row = [name, phase, str(batch), precision]
                rows.append([*row, *step_costs(config, at, place)])
                print("  " + "  ".join(rows[-1]), flush=True)
    print(align(rows))


STEPS = {
    "default": {"alone": 0, "both": 90_000},
    "pix2pix": {"both": 100},
    "paper": {"alone": 0, "both": 10_000},
}
BATCHES = {
    "default": [(b, p) for b in (4, 32) for p in ("32", "auto", "bf16")],
    "pix2pix": [(4, "auto"), (4, "bf16")],
    "paper": [(20, "auto"), (20, "bf16")],
}


def step_costs(config: Config, at: int, place: torch.device) -> list[str]:
    """Milliseconds, kernels, share of the time that the device computes, seconds of the first."""
    vgg = load_vgg("random", config.losses.layers, imagenet=False, seed=0)[0]
    networks = Networks(config, Nothing(), (), vgg).to(place)  # type: ignore[arg-type]
    networks.steps_done = at
    optimizers = networks.configure_optimizers()
    networks.prepare()
    cuda = place.type == "cuda"
    shape = (config.data.batch_size, 1, config.data.crop, config.data.crop)
    batch = [torch.rand(shape, device=place) * 2 - 1 for _ in range(2)]

    def take(number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            networks.step(batch[0], batch[1], optimizers, lambda loss: loss.backward())
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    first = take(5)
    milliseconds = 1000 * take(50 if cuda else 3) / (50 if cuda else 3)
    activities = [ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]
    with profile(activities=activities) as profiled:
        take(3)
    events = profiled.key_averages()
    kernels = sum(e.count for e in events if not cuda or e.self_device_time_total > 0) / 3
    busy = sum(e.self_device_time_total for e in events) / 3000 / milliseconds if cuda else 1.0
    return [f"{milliseconds:.2f}", f"{kernels:.0f}", f"{min(busy, 1):.0%}", f"{first:.1f}"]


def main() -> None:
    """Run what is asked for and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["memory", "speed", "steps", "train", "long"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench-device"))
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--presets", default="default,paper")
    parser.add_argument("--minutes", type=float, default=0.6, help="of the longest training")
    given = parser.parse_args()
    threads = f"{given.device}, {torch.get_num_threads()} threads"
    print(heading(f"Device: {given.what}", threads))
    given.out.mkdir(parents=True, exist_ok=True)
    presets = given.presets.split(",")
    if given.what == "memory":
        memory(given.out, given.device, presets)
    elif given.what == "speed":
        speed(given.out, given.device, presets)
    elif given.what == "steps":
        steps(given.device)
    elif given.what == "train":
        tried = [(*each, 1.0) for each in SETTINGS]
        how, noise = Gaussian((1.0, 3.0)), Noise(photons=20_000)
        settings(given.folder, given.out, 60 * given.minutes, given.device, tried, how, noise)
    else:
        how, noise = PUBLISHED["paper"]
        assert isinstance(how, Gaussian)
        settings(given.folder, given.out, 60 * given.minutes, given.device, LONG, how, noise)


if __name__ == "__main__":
    main()
