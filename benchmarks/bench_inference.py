"""Enhancing beside its bounds: `python benchmarks/bench_inference.py WHAT [options]`.

speed    from disk to disk, as a share of what the bare network does, for both presets
host     from disk to disk with a network that returns its input: what reading, scaling and writing
         cost
first    seconds from the start of `ciegan enhance` to its first image
large    20,000 x 20,000 pixels from disk to disk: time and memory
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import torch
from timing import heading

from cellqa.simulate import filaments
from cellqa.terminal import align
from ciegan.config import DEFAULT, PAPER, Config
from ciegan.enhancing.folder import enhance_files, make_runners
from ciegan.models import GENERATORS, Generator
from ciegan.network.checkpoint import BEST, Checkpoint, load, save
from ciegan.network.device import choose_device
from ciegan.network.normalisation import Normalisation, scaled
from ciegan.network.runner import Runner

Array = npt.NDArray[Any]

PRESETS = {"default": DEFAULT, "paper": PAPER}
TILE = {"default": 1024, "paper": 512}  # of the bare network
SETS = ((128, 256), (24, 1024), (2, 4096))  # images, and their side


class Identity(Generator):
    """A network that costs nothing."""

    channels, stride, radius = 1, 1, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images."""
        return images

    def bytes_of_a_pixel(self) -> float:
        """In and out."""
        return 8.0


def network(folder: Path, name: str) -> Path:
    """Untrained weights of a preset: they take as long as trained ones."""
    config: Config = PRESETS[name]
    torch.manual_seed(0)
    generator = GENERATORS[config.generator.name](1, **config.generator.options)
    for parameter in generator.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.01)
    folder.mkdir(parents=True, exist_ok=True)
    save(
        folder / BEST,
        generator.state_dict(),
        config=config,
        channels=1,
        normalisation=Normalisation("train", 0.0, 255.0),
        step=0,
        scores={},
        warnings=[],
    )
    return folder


def images(folder: Path, number: int, side: int) -> Path:
    """Simulated fields, 8 bits, each its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    field = filaments((min(side, 1024),) * 2, seed=1).image.astype(float)
    field = 255 * (field - field.min()) / np.ptp(field)
    times = -(-side // len(field))
    field = np.rint(field).astype(np.uint8)
    for k in range(number):
        whole = np.tile(np.roll(field, 7 * k, (0, 1)), (times, times))[:side, :side]
        tifffile.imwrite(folder / f"{k:03d}.tif", whole)
    return folder


def bare(checkpoint: Checkpoint, device: torch.device, pixels: list[Array], tile: int) -> float:
    """Seconds of the network alone on the same images, in memory, as the best loop does it.

    Channels last, 16 bits on CUDA; images beyond the window in squares of it, without margins.
    """
    generator = checkpoint.generator.to(device, memory_format=torch.channels_last)
    stride = generator.stride
    tile = tile // stride * stride
    parts = [
        torch.from_numpy(scaled(p[y : y + tile, x : x + tile], (0, 255))[None])
        for p in pixels
        for y in range(0, p.shape[0] - stride + 1, tile)
        for x in range(0, p.shape[1] - stride + 1, tile)
    ]
    start = time.perf_counter()
    with torch.inference_mode(), torch.autocast(device.type, torch.float16, device.type == "cuda"):
        for part in parts:
            generator(part.to(device, memory_format=torch.channels_last)).float().cpu()
    return time.perf_counter() - start


def speed(out: Path, device: str, presets: list[str], repeats: int) -> None:
    """In turns: the bare network, and files through `enhance_files`.

    The bare network is timed before, too: as PyTorch comes, and not in a process that keeps its
    memory (`ciegan.network.memory`).
    """
    names = ["preset", "images", "images/s", "MP/s"]
    rows = [[*names, "plain network, MP/s", "share", "in kept memory, MP/s", "share"]]
    place = choose_device(device)
    checkpoints = {name: load(network(out / name, name)) for name in presets}
    plain: dict[tuple[str, int], float] = {}
    for name, number, side in sets(presets):
        pixels = read(images(out / f"in-{side}", number, side), number)
        times = [bare(checkpoints[name], place, pixels, TILE[name]) for _ in range(repeats + 1)]
        plain[name, side] = median(times[1:])
    runners = {name: make_runners(checkpoints[name], device) for name in presets}
    for name, number, side in sets(presets):
        source = images(out / "in", number, side)
        pixels = read(source, number)

        def files(source: Path = source, name: str = name) -> float:
            shutil.rmtree(out / "out", ignore_errors=True)
            start = time.perf_counter()
            records = enhance_files(checkpoints[name], source, out / "out", runners=runners[name])
            assert all(record.status == "ok" for record in records)
            return time.perf_counter() - start

        def alone(pixels: list[Array] = pixels, name: str = name) -> float:
            return bare(checkpoints[name], place, pixels, TILE[name])

        first, second = in_turns(alone, files, repeats)
        size = number * side * side / 1e6
        row = [name, f"{number} of {side} x {side}", f"{number / second:.2f}"]
        row.append(f"{size / second:.3g}")
        for other in (plain[name, side], first):
            row += [f"{size / other:.3g}", f"{other / second:.2f}"]
        rows.append(row)
        print("  " + "  ".join(row), flush=True)
    print(align(rows))


def sets(presets: list[str]) -> list[tuple[str, int, int]]:
    """Presets, numbers of images and sides; fewer and smaller ones for the slow network."""
    chosen = []
    for name in presets:
        for number, side in SETS:
            if name != "paper":
                chosen.append((name, number, side))
            elif side <= 1024:
                chosen.append((name, max(1, number // 8), side))
    return chosen


def host(out: Path) -> None:
    """From disk to disk without a network, on the CPU."""
    checkpoint = load(network(out / "default", "default"))
    checkpoint = replace(checkpoint, generator=Identity().eval())
    runner = Runner(checkpoint.generator)
    rows = [["images", "images/s", "MP/s", "processor, ms/MP"]]
    for number, side in ((256, 256), (96, 1024), (8, 4096)):
        source = images(out / "in", number, side)
        walls, spent = [], []
        for _ in range(5):
            shutil.rmtree(out / "out", ignore_errors=True)
            start, used = time.perf_counter(), time.process_time()
            records = enhance_files(checkpoint, source, out / "out", runners=[runner])
            assert all(record.status == "ok" for record in records)
            walls.append(time.perf_counter() - start)
            spent.append(time.process_time() - used)
        wall, size = median(walls[1:]), number * side * side / 1e6
        row = [f"{number} of {side} x {side}", f"{number / wall:.0f}", f"{size / wall:.0f}"]
        rows.append([*row, f"{1000 * median(spent[1:]) / size:.2f}"])
    print(align(rows))


def read(folder: Path, number: int) -> list[Array]:
    """The first images of a folder."""
    return [tifffile.imread(path) for path in sorted(folder.glob("*.tif"))[:number]]


def in_turns(
    first: Callable[[], float], second: Callable[[], float], repeats: int
) -> tuple[float, float]:
    """Medians of two timings, taken one after the other, after one of each to warm up."""
    first(), second()
    pairs = [(first(), second()) for _ in range(repeats)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


def first_image(out: Path, device: str, presets: list[str]) -> None:
    """From the command to the first file that stands under its name."""
    rows = [["preset", "seconds to the first image of 256 x 256"]]
    source = images(out / "in-first", 4, 256)
    for name in presets:
        weights = network(out / name, name)
        times = []
        for _ in range(3):
            shutil.rmtree(out / "out", ignore_errors=True)
            command = [sys.executable, "-m", "ciegan", "enhance", str(weights), str(source)]
            start = time.perf_counter()
            process = subprocess.Popen([*command, str(out / "out"), "--device", device])
            while not list((out / "out").glob("*.tif")):
                assert process.poll() in (None, 0)
                time.sleep(0.005)
            times.append(time.perf_counter() - start)
            process.wait()
        rows.append([name, f"{median(times):.1f}"])
    print(align(rows))


def large(out: Path, device: str, side: int) -> None:
    """One large image, uncompressed, 16 bits, through the command."""
    weights = network(out / "default", "default")
    path = out / "large.tif"
    field = filaments((1024, 1024), seed=1).image.astype(np.uint16)
    rows = np.tile(field, (1, -(-side // 1024)))[:, :side]
    blocks = (rows[k % 1024 : k % 1024 + 1] for k in range(side))
    with path.open("wb") as file:  # header first, then row by row: never whole in memory
        tifffile.imwrite(file, shape=(side, side), dtype=np.uint16, data=None)
    mapped = tifffile.memmap(path, mode="r+")
    for k, row in enumerate(blocks):
        mapped[k] = row[0]
    mapped.flush()
    del mapped
    code = (
        "import sys\nfrom ciegan.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: assert not end.code\n"
        "print(next(x for x in open('/proc/self/status') if x.startswith('VmHWM')))"
    )
    for suffix in (".tif", ".zarr"):
        target = out / f"large-out{suffix}"
        arguments = ["enhance", str(weights), str(path), str(target), "--device", device]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--overwrite"],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - start
        memory = int(done.stdout.split()[-2]) / 2**20
        print(
            f"{side} x {side}, 16 bits, TIFF to {suffix}: {seconds:.0f} s, "
            f"{side**2 / seconds / 1e6:.2f} MP/s, {memory:.2f} GiB at most",
            flush=True,
        )
        if suffix == ".tif":
            check(target, weights, field)


def check(target: Path, weights: Path, field: Array) -> None:
    """A part of the large result against the same part enhanced alone: no seams within."""
    from cellqa.io import open_image
    from ciegan.network.windows import enhance_plane

    checkpoint = load(weights)
    radius = checkpoint.generator.radius
    top = 2048 - 8 * radius  # rows around a border of bands, wherever it is
    with open_image(target) as file:
        pixels = file.load_rows(file.planes[0], top, 2048 + 8 * radius)[:, :3000]
    whole = np.tile(field, (6, 4))
    start = top - 8 * (radius // 8 + 1)
    part = whole[start : 2048 + 10 * radius, : 3000 + 2 * radius]
    wanted = enhance_plane(Runner(checkpoint.generator), part, checkpoint.normalisation, tile=4096)
    wanted = wanted[top - start : top - start + len(pixels), :3000]
    print(f"largest difference from a part enhanced at once: {np.abs(pixels - wanted).max():.2f}")


def main() -> None:
    """Run what is asked for and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "host", "first", "large"])
    parser.add_argument("--out", type=Path, default=Path("bench-inference"))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--presets", default="default,paper")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", type=int, default=20_000)
    options = parser.parse_args()
    threads = f"{options.device}, {torch.get_num_threads()} threads"
    print(heading(f"Inference: {options.what}", threads))
    options.out.mkdir(parents=True, exist_ok=True)
    presets = options.presets.split(",")
    if options.what == "speed":
        speed(options.out, options.device, presets, options.repeats)
    elif options.what == "host":
        host(options.out)
    elif options.what == "first":
        first_image(options.out, options.device, presets)
    else:
        large(options.out, options.device, options.side)


if __name__ == "__main__":
    main()
