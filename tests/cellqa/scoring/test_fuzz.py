"""Damaged files of every format: an error or an image, never anything else."""

from __future__ import annotations

import contextlib
import random
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellqa.errors import CellqaError
from cellqa.io import open_image

IMAGE = np.random.default_rng(0).integers(0, 4000, (40, 50), np.uint16)
OPTIONS = {
    "raw.tif": {},
    "deflate.tif": {"compression": "zlib", "tile": (16, 16)},
    "lzw.tif": {"compression": "lzw"},
    "zstd.tif": {"compression": "zstd"},
    "imagej.tif": {"imagej": True, "metadata": {"axes": "ZYX", "unit": "um"}},
    "ome.ome.tif": {"metadata": {"axes": "CYX", "PhysicalSizeX": 0.1}},
}
RASTERS = ("a.png", "a.jpg", "a.bmp")


def make(name: str, path: Path) -> bytes:
    if name in RASTERS:
        image = IMAGE if name == "a.png" else (IMAGE >> 4).astype(np.uint8)
        return cv2.imencode(Path(name).suffix, image)[1].tobytes()
    stack = np.stack([IMAGE] * 2) if name in ("imagej.tif", "ome.ome.tif") else IMAGE
    tifffile.imwrite(path, stack, **OPTIONS[name])
    return path.read_bytes()


def damaged(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    out = bytearray(data)
    # headers and directories are where it hurts: half of the bytes come from there
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        edge = rng.random() < 0.5
        at = rng.randrange(min(400, len(out))) if edge else rng.randrange(len(out))
        if rng.random() < 0.3:
            at = len(out) - 1 - at
        out[at] = rng.randrange(256)
    if kind == 3:
        out += bytes(rng.randrange(256) for _ in range(rng.randrange(50)))
    return bytes(out)


def error_of(path: Path) -> str | None:
    try:
        with open_image(path, max_pixels=10**6) as file:
            for index in file.planes[:4]:
                file.load(index)
    except CellqaError as error:
        return str(error)
    return None


def read_damaged(name: str, folder: Path, cases: range) -> int:
    data = make(name, folder / name)
    errors = 0
    for case in cases:
        path = folder / f"{case}-{name}"
        path.write_bytes(damaged(data, random.Random(f"{name}{case}")))
        message = error_of(path)
        errors += message is not None
        if message and "\n" in message:
            raise AssertionError(f"not one line: {message!r}")
        path.unlink()
    return errors


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*OPTIONS, *RASTERS])
def test_damaged_files(name: str, tmp_path: Path) -> None:
    """Sixty cases of each format, in a process of its own that may not hang or take memory."""
    run_in_process(name, tmp_path, range(60))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OPTIONS, *RASTERS])
def test_many_damaged_files(name: str, tmp_path: Path) -> None:
    run_in_process(name, tmp_path, range(1000, 3000))


def run_in_process(name: str, folder: Path, cases: range) -> None:
    line = [sys.executable, "-W", "ignore", __file__, name, str(folder)]
    done = subprocess.run(
        [*line, str(cases.start), str(cases.stop)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    assert int(done.stdout) > len(cases) // 20  # damage is noticed


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    import zlib

    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib", rowsperstrip=64)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.dataoffsets[0]
    bomb = zlib.compress(bytes(300_000_000), 9)
    data = path.read_bytes()[:offset] + bomb
    path.write_bytes(data)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["StripByteCounts"].overwrite(len(bomb))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_image(path) as file, contextlib.suppress(CellqaError):
        assert file.load(file.planes[0]).shape == (64, 64)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000  # kB; the bomb is 300 MB


@pytest.mark.parametrize("cases", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_damaged_czi_takes_only_its_own_row(tmp_path: Path, cases: int) -> None:
    """The C++ library crashes on some of them: each in its process, the run goes on."""
    from pylibCZIrw import czi

    from cellqa.engines import LocalEngine
    from cellqa.pairs.pairing import pair_folders
    from cellqa.scoring.run import score_to_folder

    whole = tmp_path / "whole.czi"
    with czi.create_czi(str(whole)) as document:
        document.write(IMAGE[..., None], plane={"T": 0, "C": 0, "Z": 0})
    (tmp_path / "in").mkdir()
    for case in range(cases):
        data = damaged(whole.read_bytes(), random.Random(f"czi{case}"))
        (tmp_path / "in" / f"{case:04}.czi").write_bytes(data)
    (tmp_path / "in" / "whole.czi").write_bytes(whole.read_bytes())
    pairing = pair_folders({"net": tmp_path / "in"})
    finished = score_to_folder(pairing, tmp_path / "out", engine=LocalEngine(2))
    assert finished.tally.rows >= cases + 1
    assert "whole.czi" not in {r.image for r in finished.tally.failures}
    assert finished.tally.failed["net"] > cases // 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cases", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_zarr(tmp_path: Path, cases: int) -> None:
    import zarr

    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("0", data=IMAGE, chunks=(20, 25))
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"multiscales": [image]}
    files = sorted(p for p in path.rglob("*") if p.is_file())
    errors = 0
    for case in range(cases):
        rng = random.Random(case)
        file = rng.choice(files)
        kept = file.read_bytes()
        file.write_bytes(damaged(kept, rng))
        errors += error_of(path) is not None
        file.write_bytes(kept)
    assert error_of(path) is None
    assert errors > cases // 10


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    print(read_damaged(sys.argv[1], Path(sys.argv[2]), range(int(sys.argv[3]), int(sys.argv[4]))))
