"""What CZI files and OME-Zarr stores hold, and what they lack."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cellqa.errors import ImageError
from cellqa.io import PlaneIndex, open_image, write_image

zarr = pytest.importorskip("zarr")
czi = pytest.importorskip("pylibCZIrw.czi")
RNG = np.random.default_rng(2)


def picture(dtype: str = "uint16", low: int = 1) -> np.ndarray:
    return RNG.integers(low, np.iinfo(dtype).max, (96, 64), dtype)


def store(path: Path, transformations: list[dict[str, Any]], unit: str = "micrometer") -> Any:
    """Three times, one chunk each, none written."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    data = group.create_array("0", shape=(3, 96, 64), dtype="u2", chunks=(1, 96, 32))
    axes = [{"name": "t", "type": "time"}]
    axes += [{"name": name, "type": "space", "unit": unit} for name in "yx"]
    level = {"path": "0", "coordinateTransformations": transformations}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    return data


def test_channels_of_several_types_keep_their_values(tmp_path: Path) -> None:
    first, second = picture("uint8"), picture("uint16")
    with czi.create_czi(str(tmp_path / "a.czi")) as document:
        document.write(data=first[..., None], plane={"C": 0})
        document.write(data=second[..., None], plane={"C": 1})
    with open_image(tmp_path / "a.czi") as file:
        assert file.dtype == np.uint16
        found = [file.load(index) for index in file.planes]
    assert all(pixels.dtype == np.uint16 for pixels in found)
    assert np.array_equal(found[0], first)
    assert np.array_equal(found[1], second)


def test_planes_that_were_not_acquired_are_none_of_czi(tmp_path: Path) -> None:
    with czi.create_czi(str(tmp_path / "a.czi")) as document:
        for t, c in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1)):
            black = t == 2 and c == 0
            pixels = picture()[..., None] * (not black)
            document.write(data=pixels, plane={"T": t, "C": c})
    with open_image(tmp_path / "a.czi") as file:
        assert file.load(PlaneIndex(t=0, c=1)).any()
        assert not file.load(PlaneIndex(t=2, c=0)).any()  # black, and there
        with pytest.raises(ImageError, match="plane t1c1z0 was not acquired"):
            file.load(PlaneIndex(t=1, c=1))


def test_planes_without_a_chunk_are_none_of_zarr(tmp_path: Path) -> None:
    data = store(tmp_path / "a.zarr", [{"type": "scale", "scale": [1, 0.5, 0.25]}])
    data[0] = picture()
    data[1, :, 32:] = picture()[:, 32:]
    with open_image(tmp_path / "a.zarr") as file:
        assert file.load(PlaneIndex(t=0)).all()
        with pytest.raises(ImageError, match=r"t1c0z0 lacks 1 chunk beside"):
            file.load(PlaneIndex(t=1))
        with pytest.raises(ImageError, match=r"plane t2c0z0 is not in the store"):
            file.load(PlaneIndex(t=2))


def test_a_black_plane_that_is_written_is_one(tmp_path: Path) -> None:
    data = store(tmp_path / "a.zarr", [{"type": "scale", "scale": [1, 0.5, 0.25]}])
    for t in range(3):
        data[t] = picture()
    with open_image(tmp_path / "a.zarr") as file:
        planes = [file.load(index) * (index.t != 1) for index in file.planes]
        write_image(tmp_path / "b.zarr", planes, file, "one black", file.dtype)
        assert file.size_of(file.planes[0]) == (0.25, 0.5)
    with open_image(tmp_path / "b.zarr") as file:
        assert not file.load(PlaneIndex(t=1)).any()
        assert file.size_of(file.planes[0]) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("transformations", "unit", "known"),
    [
        ([], "micrometer", None),  # a unit without a scale says nothing
        ([{"type": "scale", "scale": [1, 1, 1]}], "micrometer", 1.0),
        ([{"type": "scale", "scale": [1, 500, 500]}], "nanometer", 0.5),
    ],
)
def test_a_scale_is_what_is_stated(
    tmp_path: Path, transformations: list[dict[str, Any]], unit: str, known: float | None
) -> None:
    store(tmp_path / "a.zarr", transformations, unit)[:] = np.stack([picture()] * 3)
    with open_image(tmp_path / "a.zarr") as file:
        assert file.pixel_size == known


def test_what_was_read_is_known_when_the_file_is_closed(tmp_path: Path) -> None:
    with czi.create_czi(str(tmp_path / "a.czi")) as document:
        document.write(data=picture()[..., None], plane={"C": 0}, location=(90, 0))
        document.write_metadata("a", scale_x=2e-7, scale_y=3e-7, channel_names={0: "DAPI"})
    with open_image(tmp_path / "a.czi") as file:
        planes = [file.load(index) for index in file.planes]
        file.acquired()
    write_image(tmp_path / "b.ome.tif", planes, file, "copied", file.dtype)
    with open_image(tmp_path / "b.ome.tif") as copy:
        assert copy.acquired().names == ("DAPI",)
        assert copy.acquired().positions == ((0.0, 18.0),)
        assert copy.size_of(copy.planes[0]) == (0.2, 0.3)


@pytest.mark.parametrize("axis", ["P", "R", "V"])
def test_positions_and_angles_of_tiff_are_scenes(tmp_path: Path, axis: str) -> None:
    pixels = RNG.integers(0, 99, (2, 3, 4, 24, 32), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, metadata={"axes": f"T{axis}ZYX"}, photometric="minisblack")
    with open_image(path) as file:
        planes = [file.load(index) for index in file.planes]
        write_image(tmp_path / "b.tif", planes, file, "copied", file.dtype)
    for each in (path, tmp_path / "b.tif"):
        with open_image(each) as file:
            assert len(file.planes) == 24
            assert file.planes[-1] == PlaneIndex(2, 1, 0, 3)
            for s, t, c, z in file.planes:
                assert np.array_equal(file.load(PlaneIndex(s, t, c, z)), pixels[t, s, z])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_sets_of_ome_files_are_read_from_each_file(tmp_path: Path, compression: str | None) -> None:
    channels = [picture(), picture()]
    names = ["a_ch0.ome.tif", "a_ch1.ome.tif"]
    ids = ["urn:uuid:00000000-0000-0000-0000-00000000000" + str(k) for k in (1, 2)]
    parts = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{names[c]}">{ids[c]}</UUID></TiffData>'
        for c in (0, 1)
    )
    for own, name, pixels in zip(ids, names, channels, strict=True):
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{own}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
            'Type="uint16" SizeX="64" SizeY="96" SizeC="2" SizeZ="1" SizeT="1">'
            '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            f'<Channel ID="Channel:0:1" SamplesPerPixel="1"/>{parts}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            tmp_path / name, pixels, description=text.encode(), metadata=None,
            compression=compression, software=False, ome=False,
        )  # fmt: skip
    for name in names:
        with open_image(tmp_path / name) as file:
            for index, pixels in zip(file.planes, channels, strict=True):
                assert np.array_equal(file.load(index), pixels)
                assert np.array_equal(file.load_rows(index, 5, 60), pixels[5:60])


def hostile(path: Path, chunks: tuple[int, int], **more: object) -> Path:
    """A store of 200 x 200 pixels of 8 bits, without a chunk yet."""
    (path / "0").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    scales = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]
    (path / ".zattrs").write_text(json.dumps({"multiscales": scales}))
    array = {"zarr_format": 2, "shape": [200, 200], "chunks": list(chunks), "dtype": "|u1"}
    array |= {"compressor": None, "fill_value": 0, "order": "C", "filters": None, **more}
    (path / "0/.zarray").write_text(json.dumps(array))
    return path


def test_chunks_that_never_end_or_swell_are_refused(tmp_path: Path) -> None:
    pipe = hostile(tmp_path / "pipe.zarr", (200, 200))
    os.mkfifo(pipe / "0/0.0")
    device = hostile(tmp_path / "device.zarr", (200, 200))
    (device / "0/0.0").symlink_to("/dev/zero")
    bomb = hostile(tmp_path / "bomb.zarr", (200, 200), compressor={"id": "zlib", "level": 1})
    (bomb / "0/0.0").write_bytes(zlib.compress(bytes(2**28), 9))
    for path, why in ((pipe, "no file"), (device, "no file"), (bomb, "more than its pixels")):
        with open_image(path) as file, pytest.raises(ImageError, match=why):
            file.load(file.planes[0])
    for number, chunks in enumerate(((2**20, 2**20), (0, 0))):
        path = hostile(tmp_path / f"{number}.zarr", chunks)
        with pytest.raises(ImageError), open_image(path) as file:
            file.load(file.planes[0])
