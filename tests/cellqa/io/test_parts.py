"""Planes in parts, how images were taken, OME-Zarr written, readers that crash."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cellqa.errors import ImageError
from cellqa.io import Acquisition, Channel, ImageFile, open_image, write_image
from cellqa.io.base import regrouped
from cellqa.io.isolated import _Reader, open_isolated

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 60000, (300, 500)).astype(np.uint16)
LAYOUTS: list[dict[str, Any]] = [
    {},
    {"rowsperstrip": 7},
    {"rowsperstrip": 64, "compression": "zlib", "predictor": True},
    {"rowsperstrip": 50, "compression": "zstd"},
    {"tile": (64, 128)},
    {"tile": (64, 128), "compression": "lzw"},
    {"bigtiff": True, "byteorder": ">"},
]


def copied(path: Path, source: ImageFile, step: int) -> None:
    """Write what is read, in blocks of some rows."""
    blocks = (
        source.load_rows(index, row, min(row + step, source.shape_of(index)[0]))
        for index in source.planes
        for row in range(0, source.shape_of(index)[0], step)
    )
    write_image(path, blocks, source, "a note", source.dtype)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("kind", ["grey", "colour", "float", "stack"])
def test_rows_are_those_of_the_plane(
    tmp_path: Path, layout: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = {
        "grey": IMAGE,
        "colour": np.stack([IMAGE, IMAGE // 2, IMAGE // 3], -1),
        "float": IMAGE.astype(np.float32) / 7,
        "stack": np.stack([IMAGE, IMAGE[::-1]]),
    }[kind]
    path = tmp_path / "a.tif"
    photometric = "rgb" if kind == "colour" else "minisblack"
    tifffile.imwrite(path, pixels, photometric=photometric, **layout)
    with open_image(path) as file:
        assert file.decode_rows is not None
        for index in file.planes:
            whole = file.load(index)
            for start, stop in ((0, 300), (13, 14), (60, 200), (290, 300)):
                found = file.load_rows(index, start, stop)
                assert found.dtype == whole.dtype
                assert (found == whole[start:stop]).all()
        monkeypatch.setattr("cellqa.io.tiff_write.LARGE", 1000)
        copied(tmp_path / "b.tif", file, 77)
        with open_image(tmp_path / "b.tif") as again, tifffile.TiffFile(tmp_path / "b.tif") as tif:
            assert tif.pages.first.is_tiled
            assert again.planes == file.planes
            for index in file.planes:
                assert (again.load(index) == file.load(index)).all()


def test_a_truncated_file_is_told_by_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, rowsperstrip=10)
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(ImageError, match="truncated"), open_image(path) as file:
        file.load_rows(file.planes[0], 0, 10)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_imagej_stack_is_written_in_its_order(tmp_path: Path, compression: str | None) -> None:
    stack = RNG.integers(0, 255, (2, 3, 4, 30, 40)).astype(np.uint8)  # T Z C Y X
    about = {"axes": "TZCYX", "unit": "um", "spacing": 0.5, "finterval": 3.0}
    tifffile.imwrite(
        tmp_path / "a.tif", stack, imagej=True, metadata=about, compression=compression
    )
    with open_image(tmp_path / "a.tif") as file:
        acquired = file.acquired()
        assert acquired.z_step == 0.5
        assert acquired.seconds == (0.0,) * 12 + (3.0,) * 12
        copied(tmp_path / "b.tif", file, 7)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.is_imagej
        assert (tif.asarray() == stack).all()
        assert tif.imagej_metadata["finterval"] == 3.0


OME = {
    "axes": "TCZYX",
    "PhysicalSizeX": 0.25,
    "PhysicalSizeY": 0.25,
    "PhysicalSizeZ": 1500.0,
    "PhysicalSizeZUnit": "nm",
    "Channel": {"Name": ["DAPI", "GFP & <co>"]},
    "Plane": {
        "DeltaT": [1000.0 * k for k in range(12)],
        "DeltaTUnit": ["ms"] * 12,
        "PositionX": [1.5] * 12,
        "PositionXUnit": ["mm"] * 12,
        "PositionY": [-20.0] * 12,
        "PositionYUnit": ["µm"] * 12,
    },
}


@pytest.mark.parametrize("suffix", [".ome.tif", ".tif"])
def test_how_an_image_was_taken_is_kept(tmp_path: Path, suffix: str) -> None:
    stack = RNG.integers(0, 255, (2, 2, 3, 30, 40)).astype(np.uint8)
    tifffile.imwrite(tmp_path / f"a{suffix}", stack, ome=True, metadata=OME)
    wanted = Acquisition(
        (Channel("DAPI"), Channel("GFP & <co>")),
        1.5,
        tuple(float(k) for k in range(12)),
        ((-20.0, 1500.0),),
        scene_names=("Image0",),
    )
    with open_image(tmp_path / f"a{suffix}") as file:
        assert file.acquired() == wanted
        copied(tmp_path / f"b{suffix}", file, 30)
        copied(tmp_path / "b.ome.zarr", file, 11)
        copied(tmp_path / f"c/b{suffix}", file, 30)
    with open_image(tmp_path / f"b{suffix}") as file:
        assert file.acquired() == wanted
        assert file.pixel_size == 0.25
    assert (tmp_path / f"b{suffix}").read_bytes() == (tmp_path / f"c/b{suffix}").read_bytes()
    with open_image(tmp_path / "b.ome.zarr") as file:
        assert file.acquired().channels == wanted.channels
        assert file.acquired().z_step == 1.5
        assert file.pixel_size == 0.25


def test_damaged_metadata_say_nothing(tmp_path: Path) -> None:
    about = {"axes": "YX", "Plane": {"DeltaT": [77.5], "DeltaTUnit": ["s"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, ome=True, metadata=about)
    data = (tmp_path / "a.ome.tif").read_bytes()
    for found, damaged in ((b'"77.5"', b'"what"'), (b'DeltaTUnit="s"', b'DeltaTUnit="?"')):
        assert found in data
        (tmp_path / "a.ome.tif").write_bytes(data.replace(found, damaged))
        with open_image(tmp_path / "a.ome.tif") as file:
            assert file.acquired().seconds == ()
            assert file.load(file.planes[0]).shape == IMAGE.shape


@pytest.mark.filterwarnings("ignore::UserWarning:zarr")
@pytest.mark.parametrize("version", [2, 3])
def test_zarr_is_written_as_it_was_read(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zarr

    monkeypatch.setattr("cellqa.io.zarr_write._CHUNK", 64)
    source = tmp_path / "a.ome.zarr"
    group = zarr.open_group(source, mode="w", zarr_format=version)
    stack = RNG.integers(0, 9999, (2, 2, 3, 201, 150)).astype(np.uint16)
    group.create_array("0", data=stack)
    axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
    axes += [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    scale = {"type": "scale", "scale": [30.0, 1.0, 0.5, 0.2, 0.2]}
    scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}]
    about = {"multiscales": scales, "omero": {"channels": [{"label": "A"}, {"label": "B"}]}}
    group.attrs.update({"ome": {"version": "0.5", **about}} if version == 3 else about)
    with open_image(source) as file:
        wanted = file.acquired()
        channels = (Channel("A"), Channel("B"))
        assert wanted == Acquisition(channels, 0.5, (0.0,) * 6 + (30.0,) * 6, axes="tczyx")
        assert (file.load_rows(file.planes[4], 20, 30) == stack[0, 1, 1, 20:30]).all()
        copied(tmp_path / "b.ome.zarr", file, 77)
    with open_image(tmp_path / "b.ome.zarr") as file:
        assert file.acquired() == wanted
        assert file.pixel_size == 0.2
        for index in file.planes:
            assert (file.load(index) == stack[index.t, index.c, index.z]).all()
    found = zarr.open_group(tmp_path / "b.ome.zarr", mode="r")
    assert found.metadata.zarr_format == version
    shown = dict(found.attrs).get("ome", dict(found.attrs))["multiscales"][0]
    assert [level["path"] for level in shown["datasets"]] == ["0", "1", "2"]
    assert shown["metadata"]["description"] == "a note"
    half = np.asarray(found["1"])
    assert half.shape == (2, 2, 3, 100, 75)
    mean = stack[..., :200, :].reshape(2, 2, 3, 100, 2, 75, 2).mean((4, 6))
    assert (half == np.rint(mean)).all()
    # an earlier one is replaced as a whole
    with open_image(source) as file:
        copied(tmp_path / "b.ome.zarr", file, 201)
    assert not list(tmp_path.glob(".cellqa-*"))


def test_what_does_not_fit_into_zarr(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    with open_image(tmp_path / "a.tif") as file, pytest.raises(ImageError, match="colour"):
        copied(tmp_path / "b.zarr", file, 30)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_blocks_must_end_with_the_plane() -> None:
    rows = np.arange(10)[:, None]
    assert [len(b) for b in regrouped(iter([rows[:3], rows[3:]]), 10, 4)] == [4, 4, 2]
    with pytest.raises(ImageError, match="ends before"):
        list(regrouped(iter([rows[:3]]), 10, 4))
    with pytest.raises(ImageError, match="beyond"):
        list(regrouped(iter([rows]), 9, 4))


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    from pylibCZIrw import czi

    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as document:
        for c in range(2):
            document.write(IMAGE[:100, :120, None] // (c + 1), plane={"C": c})
        document.write_metadata("a", channel_names={0: "DAPI", 1: "GFP"}, scale_x=2.5e-7)
    return path


def test_a_reader_in_another_process_reads_the_same(readable: Path) -> None:
    with open_isolated(readable) as file, open_image(readable) as here:
        assert (file.planes, file.shape, file.dtype) == (here.planes, here.shape, here.dtype)
        assert file.acquired() == here.acquired()
        assert file.acquired().names == ("DAPI", "GFP")
        for index in file.planes:
            assert (file.load(index) == here.load(index)).all()
            assert (file.load_rows(index, 7, 30) == here.load(index)[7:30]).all()


def test_a_reader_that_crashes_is_an_error_of_its_image(readable: Path) -> None:
    with open_isolated(readable) as file:
        os.kill(_Reader.get().process.pid, signal.SIGSEGV)
        with pytest.raises(ImageError, match=r"a\.czi: damaged, its reader crashed .*SIGSEGV"):
            file.load(file.planes[0])
    with open_isolated(readable) as file:  # by another process
        assert file.load(file.planes[0]).shape == (100, 120)


def test_errors_come_from_the_other_process_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.czi").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.czi: not a readable CZI file"):
        open_isolated(tmp_path / "a.czi")
    with pytest.raises(ImageError, match="No such file"):
        open_isolated(tmp_path / "b.czi")
