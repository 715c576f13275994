"""What files say of how their pixels are meant, against Pillow, which is independent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image, ImageOps

from cellqa.cli import main
from cellqa.io import LARGE, Channel, PlaneIndex, open_image, write_image
from cellqa.io.seen import orientation_of

RNG = np.random.default_rng(5)


def picture(shape: tuple[int, ...] = (24, 37), dtype: str = "uint8") -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def planes(path: Path) -> dict[str, np.ndarray]:
    with open_image(path) as file:
        found = {file.label(i): file.load(i) for i in file.planes}
        assert all(pixels.shape == file.shape for pixels in found.values())
        assert all(pixels.dtype == file.dtype for pixels in found.values())
    return found


def written(source: Path, target: Path) -> Path:
    with open_image(source) as file:

        def parts() -> Iterator[np.ndarray]:
            yield from (file.load(index) for index in file.planes)

        return write_image(target, parts(), file, "copied", file.dtype)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_pictures_are_read_and_written_upright(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[274] = orientation
    pixels = picture()
    if suffix == ".tif":
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(path, pixels, extratags=tags, photometric="minisblack", metadata=None)
    else:
        Image.fromarray(pixels).save(path, exif=exif, quality=95)
        with Image.open(path) as stored:
            pixels = np.asarray(stored)
    reference = Image.fromarray(pixels)  # Pillow's own TIFF reader takes rows for columns in some
    reference.getexif()[274] = orientation
    seen = np.asarray(ImageOps.exif_transpose(reference))
    assert np.array_equal(planes(path)[""], seen)
    copy = written(path, tmp_path / f"b{suffix}")
    with Image.open(copy) as result:
        assert result.getexif().get(274, 1) == 1
        difference = np.asarray(result).astype(int) - seen
    assert np.abs(difference).max() <= (8 if suffix == ".jpg" else 0)


def test_sides_of_pixels_turn_with_them(tmp_path: Path) -> None:
    tags = [(274, "H", 1, 6, True)]
    tifffile.imwrite(
        tmp_path / "a.tif", picture(), extratags=tags, resolution=(1e5, 5e4), resolutionunit=3
    )
    with open_image(tmp_path / "a.tif") as file:
        assert file.size_of(file.planes[0]) == (0.2, 0.1)


@pytest.mark.parametrize(
    "exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08" + 9 * b"\xff"]
)
def test_damaged_exif_says_nothing(exif: bytes) -> None:
    assert orientation_of(exif) == 1


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_palettes_give_their_colours(tmp_path: Path, compression: str | None) -> None:
    colours = Image.fromarray(picture((24, 37, 3))).quantize(200)
    path = tmp_path / "a.tif"
    colours.save(
        path, compression={"lzw": "tiff_lzw", "zlib": "tiff_adobe_deflate"}.get(compression or "")
    )
    seen = np.asarray(colours.convert("RGB"))
    assert np.array_equal(planes(path)[""], seen)
    assert np.array_equal(np.asarray(Image.open(written(path, tmp_path / "b.tif"))), seen)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_where_white_is_zero(tmp_path: Path, compression: str | None, dtype: str) -> None:
    pixels = picture(dtype=dtype)
    largest = np.iinfo(dtype).max
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, largest - pixels, photometric="miniswhite", compression=compression)
    assert np.array_equal(planes(path)[""], pixels)
    assert np.array_equal(planes(written(path, tmp_path / "b.tif"))[""], pixels)


def test_white_is_zero_in_rows(tmp_path: Path) -> None:
    pixels = picture((4100, 4100))
    assert pixels.size > LARGE
    tifffile.imwrite(tmp_path / "a.tif", 255 - pixels, photometric="miniswhite")
    with open_image(tmp_path / "a.tif") as file:
        assert file.is_large(file.planes[0])
        assert np.array_equal(file.load_rows(file.planes[0], 7, 99), pixels[7:99])


def test_palettes_of_imagej_are_for_display(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = picture()
    tifffile.imwrite(path, pixels, imagej=True, metadata={"LUTs": [picture((3, 256))]})
    assert np.array_equal(planes(path)[""], pixels)


@pytest.mark.parametrize("samples", [2, 4, 5])
@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_samples_that_are_no_alpha_are_channels(tmp_path: Path, samples: int, layout: str) -> None:
    channels = picture((samples, 24, 37), "uint16")
    stored = channels if layout == "separate" else np.moveaxis(channels, 0, -1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stored, photometric="minisblack", planarconfig=layout, metadata=None,
        extrasamples=["unspecified"] * (samples - 1),
    )  # fmt: skip
    for each in (path, written(path, tmp_path / "b.tif")):
        found = planes(each)
        assert list(found) == [f"t0c{c}z0" for c in range(samples)]
        assert np.array_equal(np.stack(list(found.values())), channels)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.pages.first.samplesperpixel == samples


def test_grey_with_alpha_stays_one_picture(tmp_path: Path) -> None:
    pixels = picture((24, 37, 2))
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="minisblack", planarconfig="contig",
        extrasamples=["unassalpha"], metadata=None,
    )  # fmt: skip
    assert np.array_equal(planes(tmp_path / "a.tif")[""], pixels)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_frames_written_one_by_one_are_a_stack(tmp_path: Path, compression: str | None) -> None:
    frames = picture((4, 24, 37), "uint16")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for frame in frames:
            writer.write(frame, compression=compression)
    found = planes(tmp_path / "a.tif")
    assert list(found) == [f"t0c0z{z}" for z in range(4)]
    assert np.array_equal(np.stack(list(found.values())), frames)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_each_scene_of_ome_has_its_own_pixels_sizes_and_names(
    tmp_path: Path, compression: str | None
) -> None:
    frames = picture((2, 24, 37), "uint16")
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for frame, size, name in zip(frames, (1.0, 0.1), ("overview", "zoom"), strict=True):
            about: dict[str, Any] = {"axes": "YX", "Channel": {"Name": [name]}}
            for axis in "XY":
                about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
            writer.write(frame, compression=compression, metadata=about)
    for each in (path, written(path, tmp_path / "b.ome.tif")):
        assert np.array_equal(np.stack(list(planes(each).values())), frames)
        with open_image(each) as file:
            assert [file.size_of(PlaneIndex(s=s)) for s in (0, 1)] == [(1.0, 1.0), (0.1, 0.1)]
            assert file.acquired().scene_channels == (
                (Channel("overview"),),
                (Channel("zoom"),),
            )


@pytest.mark.parametrize(
    ("size", "known"), [("0,325", 0.325), ("", None), ("about 1", None), ("0.5", 0.5)]
)
def test_sizes_as_programs_write_them(tmp_path: Path, size: str, known: float | None) -> None:
    path = tmp_path / "a.ome.tif"
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="37" SizeY="24" SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="{size}" '
        f'PhysicalSizeY="{size}"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        "<TiffData/></Pixels></Image></OME>"
    )
    tifffile.imwrite(path, picture(), description=text, metadata=None)
    for each in (path, written(path, tmp_path / "b.ome.tif")):
        with open_image(each) as file:
            assert file.pixel_size == known


@pytest.mark.parametrize(("unit", "density"), [("inch", 96), ("inch", 300), ("cm", 118.11)])
def test_print_settings_are_no_pixel_size(tmp_path: Path, unit: str, density: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, picture(), imagej=True, resolution=(density, density), metadata={"unit": unit}
    )
    with open_image(path) as file:
        assert file.pixel_size is None


def test_methods_that_turn_and_those_that_do_not_are_the_same_picture(tmp_path: Path) -> None:
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    gt.mkdir()
    pred.mkdir()
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(picture((64, 64))).save(gt / "a.jpg", exif=exif, quality=98)
    grey = np.asarray(cv2.imread(str(gt / "a.jpg"), cv2.IMREAD_GRAYSCALE))
    (pred / "a.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    options = [f"--out={tmp_path / 'run'}", "--jobs=1", "--metrics=psnr", "--no-report"]
    done = CliRunner().invoke(main, ["score", f"--pred={pred}", f"--gt={gt}", *options])
    assert "pixel for pixel" in done.output
