from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import tifffile

from cellqa.errors import ImageError, MissingExtraError
from cellqa.io import base, luminance, open_image, split_suffix, write_image


def read(path: Path) -> dict[str, np.ndarray]:
    with open_image(path) as file:
        return {file.label(i): file.load(i) for i in file.planes}


def pixel_size(path: Path) -> float | None:
    with open_image(path) as file:
        return file.pixel_size


def random(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("colour", [(), (3,), (4,)])
def test_8_bit_files_keep_their_values(tmp_path: Path, suffix: str, colour: tuple) -> None:
    image = random((17, 23, *colour), "uint8")
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, image, photometric="rgb" if colour else "minisblack")
    else:
        order = [2, 1, 0, *range(3, *colour)] if colour else slice(None)
        bgr = np.ascontiguousarray(image[..., order]) if colour else image
        path.write_bytes(cv2.imencode(suffix, bgr)[1].tobytes())
    assert np.array_equal(read(path)[""], image)


def test_16_bit_png_is_not_reduced(tmp_path: Path) -> None:
    image = random((9, 11), "uint16")
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    assert np.array_equal(read(path)[""], image)


@pytest.mark.parametrize(
    "dtype",
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)],
)
def test_tiff_of_every_depth(tmp_path: Path, dtype: str) -> None:
    image = random((12, 13), dtype)
    tifffile.imwrite(tmp_path / "a.tif", image)
    found = read(tmp_path / "a.tif")[""]
    assert found.dtype == image.dtype
    assert np.array_equal(found, image)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "packbits"])
@pytest.mark.parametrize(
    "options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 5}, {"bigtiff": True}]
)
def test_compressed_tiff(tmp_path: Path, compression: str, options: dict) -> None:
    image = random((40, 50), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", image, compression=compression, **options)
    assert np.array_equal(read(tmp_path / "a.tif")[""], image)


def test_planar_colour(tmp_path: Path) -> None:
    image = random((3, 12, 14), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read(tmp_path / "a.tif")[""], np.moveaxis(image, 0, -1))


def test_pages_count_as_focus(tmp_path: Path) -> None:
    stack = random((3, 8, 9), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None)
    found = read(tmp_path / "a.tif")
    assert list(found) == ["t0c0z0", "t0c0z1", "t0c0z2"]
    assert np.array_equal(found["t0c0z2"], stack[2])


@pytest.mark.parametrize("flavour", ["imagej", "ome"])
def test_hyperstacks(tmp_path: Path, flavour: str) -> None:
    stack = random((2, 3, 4, 10, 12), "uint16")  # T, Z, C, Y, X
    path = tmp_path / ("a.ome.tif" if flavour == "ome" else "a.tif")
    if flavour == "imagej":
        tifffile.imwrite(
            path,
            stack,
            imagej=True,
            resolution=(1 / 0.325, 1 / 0.325),
            metadata={"axes": "TZCYX", "unit": "um"},
        )
    else:
        metadata = {"axes": "TZCYX", "PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm"}
        tifffile.imwrite(path, stack, metadata=metadata)
    found = read(path)
    assert len(found) == 24
    assert np.array_equal(found["t1c2z0"], stack[1, 0, 2])
    assert np.array_equal(found["t0c3z2"], stack[0, 2, 3])
    assert pixel_size(path) == pytest.approx(0.325, rel=1e-6)


@pytest.mark.parametrize(
    ("per_unit", "unit", "expected"),
    [(1e4 / 0.1625, 3, 0.1625), (25400 / 0.5, 2, 0.5), (72, 2, None), (300, 2, None), (1, 1, None)],
)
def test_resolution_tags(
    tmp_path: Path, per_unit: float, unit: int, expected: float | None
) -> None:
    options = {"resolution": (per_unit, per_unit), "resolutionunit": unit, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", random((8, 8), "uint8"), **options)
    found = pixel_size(tmp_path / "a.tif")
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_czi(tmp_path: Path) -> None:
    from pylibCZIrw import czi

    stack = random((2, 2, 3, 30, 20), "uint16")  # T, C, Z, Y, X
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as document:
        for t, c, z in np.ndindex(2, 2, 3):
            document.write(stack[t, c, z][..., None], plane={"T": t, "C": c, "Z": z})
        document.write_metadata("a", scale_x=0.2e-6, scale_y=0.2e-6)
    found = read(path)
    assert list(found)[:4] == ["t0c0z0", "t0c0z1", "t0c0z2", "t0c1z0"]
    assert all(
        np.array_equal(found[f"t{t}c{c}z{z}"], stack[t, c, z]) for t, c, z in np.ndindex(2, 2, 3)
    )
    assert pixel_size(path) == pytest.approx(0.2)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore::UserWarning:zarr")
def test_ome_zarr(tmp_path: Path, version: int) -> None:
    import zarr

    stack = random((2, 3, 10, 12), "uint16")  # C, Z, Y, X
    path = tmp_path / "a.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.create_array("0", data=stack, chunks=(1, 1, 10, 12))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    scale = [{"type": "scale", "scale": [1, 500, 162.5, 162.5]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    attributes = {"multiscales": [image]}
    group.attrs.update(attributes if version == 2 else {"ome": attributes})
    found = read(path)
    assert np.array_equal(found["t0c1z2"], stack[1, 2])
    assert pixel_size(path) == pytest.approx(0.1625)


def test_nd2_planes_outlive_their_file(tmp_path: Path) -> None:
    from cellqa.io import nd2

    mapped = np.arange(2 * 2 * 6, dtype=np.uint16).reshape(2, 2, 2, 3)  # Z C Y X

    class Mapped:
        """What the package gives: views of the mapped file, which crash once it is closed."""

        sizes: ClassVar[dict[str, int]] = {"Z": 2, "C": 2, "Y": 2, "X": 3}
        dtype = mapped.dtype

        def voxel_size(self) -> Any:
            return SimpleNamespace(x=0.5, y=0.5)

        def read_frame(self, number: int) -> np.ndarray:
            return mapped[number]

        def close(self) -> None:
            pass

    with (tmp_path / "a.nd2").open("wb") as handle:
        file = nd2._open(tmp_path / "a.nd2", Mapped(), handle, 100)
        for index in file.planes:
            pixels = file.load(index)
            assert (pixels == mapped[index.z, index.c]).all()
            assert not np.shares_memory(pixels, mapped)


def test_nd2_of_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "a.nd2").write_bytes(b"\xda\xce\xbe\x0a" + bytes(200))
    with pytest.raises(ImageError, match="not a readable ND2 file"):
        read(tmp_path / "a.nd2")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylibCZIrw", None)
    monkeypatch.delitem(sys.modules, "cellqa.io.czi", raising=False)
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE")
    with pytest.raises(MissingExtraError, match=r"pip install -c .*\[czi\]'"):
        open_image(tmp_path / "a.czi")


def encoded(suffix: str, tmp_path: Path) -> bytes:
    image = random((64, 64), "uint8")
    if suffix.startswith("."):
        return cv2.imencode(suffix, image)[1].tobytes()
    path = tmp_path / "whole.tif"
    tifffile.imwrite(path, image, compression=None if suffix == "raw" else suffix)
    return path.read_bytes()


@pytest.mark.parametrize("kind", [".png", ".jpg", ".bmp", "raw", "zlib", "lzw", "zstd"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.95])
def test_truncated_files(tmp_path: Path, kind: str, share: float) -> None:
    data = encoded(kind, tmp_path)
    path = tmp_path / f"a{kind if kind.startswith('.') else '.tif'}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=r"^a"):
        read(path)


def test_a_header_that_claims_too_much(tmp_path: Path) -> None:
    data = bytearray(encoded(".png", tmp_path))
    data[16:24] = (2**20).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match="more than the limit"):
        read(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", shape=(64, 64), dtype="uint8")
    with tifffile.TiffFile(tmp_path / "b.tif", mode="r+") as tif:
        for name in ("ImageWidth", "ImageLength"):
            tif.pages.first.tags[name].overwrite(2**20)
    with pytest.raises(ImageError, match="more than the limit"):
        read(tmp_path / "b.tif")


def test_unknown_formats_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not an image format"):
        open_image(tmp_path / "a.txt")
    with pytest.raises(ImageError, match="No such file"):
        open_image(tmp_path / "a.tif")


def test_luminance() -> None:
    red, green, blue = np.eye(3) * 200
    colour = np.stack([red, green, blue])[None].astype(np.uint8)
    assert luminance(colour).tolist() == [[60, 117, 23]]  # 0.299, 0.587, 0.114 of 200
    grey = random((5, 6), "uint8")
    assert np.array_equal(luminance(np.stack([grey] * 3, axis=-1)), grey)
    assert np.array_equal(luminance(np.stack([grey, grey * 0], axis=-1)), grey)


def test_suffixes() -> None:
    assert split_suffix("x.OME.TIFF") == ("x", ".OME.TIFF")
    assert split_suffix(".png") == (".png", "")


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", random((8, 8), "uint8"))

    def planes() -> object:
        raise RuntimeError("stopped")
        yield

    with open_image(tmp_path / "a.tif") as like, pytest.raises(RuntimeError):
        write_image(tmp_path / "out" / "a.tif", planes(), like, "", np.dtype("uint8"))
    assert list((tmp_path / "out").iterdir()) == []


def test_units() -> None:
    assert base.in_micrometres("2.5E-07", "m") == 0.25
    assert base.in_micrometres(3, "\\u00B5m") == 3
    assert base.in_micrometres("0", "m") is None
    assert base.in_micrometres("x", "m") is None
    assert base.in_micrometres(1, "pixel") is None


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match="a regular file, this is not"):
        open_image(tmp_path / "a.png")


def test_absurd_numbers_of_planes(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, random((2, 8, 8), "uint8"), metadata={"axes": "ZYX"}, ome=True)
    with tifffile.TiffFile(path, mode="r+") as tif:
        text = tif.ome_metadata.replace('SizeZ="2"', 'SizeZ="200000000"')
        tif.pages.first.tags["ImageDescription"].overwrite(text)
    with pytest.raises(ImageError, match="more than 1000000 planes"):
        open_image(path)


def test_missing_pages_fail_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    image = random((2, 8, 8), "uint8")
    tifffile.imwrite(path, image, metadata={"axes": "ZYX"}, ome=True)
    path.write_bytes(path.read_bytes().replace(b'SizeZ="2"', b'SizeZ="3"'))
    with open_image(path) as file:
        assert len(file.planes) == 3
        assert np.array_equal(file.load(file.planes[1]), image[1])
        with pytest.raises(ImageError, match="missing from the file"):
            file.load(file.planes[2])


@pytest.mark.parametrize("flavour", ["imagej", "ome", "plain"])
def test_stacks_cut_short_are_not_taken_as_fewer_planes(tmp_path: Path, flavour: str) -> None:
    path = tmp_path / ("a.ome.tif" if flavour == "ome" else "a.tif")
    options = {} if flavour == "plain" else {flavour: True}
    stack = random((6, 64, 64), "uint16")
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, photometric="minisblack", **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError):
        read(path)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_jpeg_in_tiff_cut_short(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random((256, 256), "uint8"), compression="jpeg")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageError):
        read(path)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_values_do_not_depend_on_compression(tmp_path: Path, compression: str | None) -> None:
    image = random((20, 30), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", image, compression=compression)
    assert np.array_equal(read(tmp_path / "a.tif")[""], image)


def test_pages_of_different_size_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(random((8, 8), "uint8"))
        writer.write(random((8, 9), "uint8"))
    with pytest.raises(ImageError, match="different sizes or types"):
        open_image(tmp_path / "a.tif")


def test_cmyk_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", random((8, 8, 4), "uint8"), photometric="separated")
    with pytest.raises(ImageError, match="CMYK"):
        open_image(tmp_path / "a.tif")


def test_luminance_does_not_depend_on_the_layout() -> None:
    image = random((40, 40, 3), "uint16")
    planar = np.moveaxis(np.ascontiguousarray(np.moveaxis(image, -1, 0)), 0, -1)
    assert np.array_equal(luminance(image), luminance(planar))


def test_scenes_of_different_size(tmp_path: Path) -> None:
    from pylibCZIrw import czi

    from cellqa.enhance import Traditional, enhance_files

    images = [random((30, 20), "uint16", 1), random((25, 40), "uint16", 2)]
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as document:
        for scene, image in enumerate(images):
            place = {"location": (100 * scene, 0), "scene": scene}
            document.write(image[..., None], plane={"T": 0, "C": 0, "Z": 0}, **place)
    found = read(path)
    assert list(found) == ["s0t0c0z0", "s1t0c0z0"]
    assert all(np.array_equal(a, b) for a, b in zip(found.values(), images, strict=True))
    done, failures = enhance_files(path, tmp_path / "b.ome.tif", Traditional())
    assert failures == []
    again = read(done[0])
    expected = [Traditional()(image) for image in images]
    assert all(np.array_equal(a, b) for a, b in zip(again.values(), expected, strict=True))
