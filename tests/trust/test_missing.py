"""Planes that a file says it has, and has not: an error, or zeros where that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from cellqa.cli import main
from cellqa.errors import ImageError
from cellqa.io import open_image

RNG = np.random.default_rng(0)
STACK = RNG.integers(10, 4000, (3, 170, 190)).astype(np.uint16)


def ome(path: Path) -> Path:
    """A TIFF file that was stopped: three planes are stated, two there."""
    tifffile.imwrite(path, STACK[:2], metadata={"axes": "ZYX"})
    text = tifffile.tiffcomment(path).replace('SizeZ="2"', 'SizeZ="3"')
    tifffile.tiffcomment(path, text.encode())
    return path


def store(path: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("0", shape=STACK.shape, dtype=STACK.dtype, chunks=(1, 170, 190))
    array[:2] = STACK[:2]
    about = {"axes": ["z", "y", "x"], "datasets": [{"path": "0"}]}
    group.attrs["multiscales"] = [about]
    return path


def document(path: Path) -> Path:
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(path)) as file:
        for z in (0, 2):
            file.write(STACK[z][..., None], plane={"T": 0, "C": 0, "Z": z})
    return path


KINDS = {"a.ome.tif": (ome, 2), "a.ome.zarr": (store, 2), "a.czi": (document, 1)}


@pytest.mark.filterwarnings("ignore::UserWarning:zarr")
@pytest.mark.parametrize("name", KINDS)
def test_what_is_missing_fails_or_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write, lacking = KINDS[name]
    path = write(tmp_path / name)
    monkeypatch.delenv("CELLQA_MISSING", raising=False)
    with open_image(path) as file:
        assert (file.load(file.planes[0]) == STACK[0]).all()
        with pytest.raises(ImageError, match="--missing fill takes zeros"):
            file.load(file.planes[lacking])
        monkeypatch.setenv("CELLQA_MISSING", "fill")
        filled = file.load(file.planes[lacking])
        assert filled.shape == STACK[0].shape
        assert filled.dtype == STACK.dtype
        assert not filled.any()


def test_the_commands_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLQA_MISSING", "")  # so that it is put back
    for folder in ("in", "gt"):
        (tmp_path / folder).mkdir()
    ome(tmp_path / "in/a.ome.tif")
    tifffile.imwrite(tmp_path / "gt/a.ome.tif", STACK, metadata={"axes": "ZYX"})
    for rule, status in (("fail", 3), ("fill", 0)):
        more = ["--missing", rule, "--overwrite"]
        line = ["te-enhance", str(tmp_path / "in"), str(tmp_path / "out"), *more]
        assert CliRunner().invoke(main, line).exit_code == status
        score = ["score", "--pred", f"a={tmp_path / 'in'}", "--gt", str(tmp_path / "gt")]
        score += ["--out", str(tmp_path / "r"), "--metrics", "psnr", "--no-report", *more]
        assert CliRunner().invoke(main, score).exit_code == status


def chunked(path: Path, pixels: np.ndarray, lost: tuple[int, int], **options: object) -> Path:
    """A store of one plane in chunks of 64 x 64, of which one was lost."""
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(path, mode="w", zarr_format=3)
    y, x = lost
    pixels = pixels.copy()
    if options:  # within a shard: as it leaves out what is black
        pixels[64 * y : 64 * y + 64, 64 * x : 64 * x + 64] = 0
    array = group.create_array(
        "0", shape=pixels.shape, dtype=pixels.dtype, chunks=(64, 64), **options
    )
    array[:] = pixels
    if not options:
        (path / f"0/c/{y}/{x}").unlink(missing_ok=True)
    about = {"version": "0.5", "multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]}
    group.attrs["ome"] = about
    return path


@pytest.mark.parametrize("options", [{}, {"shards": (128, 128)}])
@pytest.mark.parametrize("lost", [(0, 0), (1, 1), (2, 2)])
def test_a_chunk_that_is_lost_fails_its_plane(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: tuple[int, int],
    options: dict[str, object],
) -> None:
    monkeypatch.delenv("CELLQA_MISSING", raising=False)
    path = chunked(tmp_path / "a.zarr", STACK[0], lost, **options)
    with open_image(path) as file:
        with pytest.raises(ImageError, match="lacks 1 chunk beside"):
            file.load(file.planes[0])
        monkeypatch.setenv("CELLQA_MISSING", "fill")
        filled = file.load(file.planes[0])
        assert not filled[64 * lost[0] : 64 * lost[0] + 64, 64 * lost[1]].any()


@pytest.mark.parametrize("options", [{}, {"shards": (128, 128)}])
def test_black_chunks_that_were_left_out_are_black(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.delenv("CELLQA_MISSING", raising=False)
    labels = np.zeros((170, 190), np.uint16)
    labels[130:150, 20:70] = 7  # one cell, and a corner of it in a chunk of its own
    labels[60:70, 100:120] = 8
    path = chunked(tmp_path / "a.zarr", labels, (0, 0), **options)
    with open_image(path) as file:
        assert (file.load(file.planes[0]) == labels).all()
