from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from cellqa import psnr
from cellqa.cli import main
from cellqa.enhance import (
    ENHANCERS,
    Bicubic,
    Clahe,
    Enhancer,
    Traditional,
    Unsharp,
    clahe,
    enhance_files,
    settings_of,
    unsharp_mask,
)
from cellqa.errors import CellqaError
from cellqa.io import open_image


def test_unsharp_masking_is_the_definition(sharp8: np.ndarray) -> None:
    image = sharp8.astype(float)
    offsets = np.arange(13) - 6
    window = np.exp(-(offsets**2) / (2 * 2.3**2))
    window /= window.sum()
    padded = np.pad(image, 6, mode="reflect")
    rows = np.stack([np.convolve(line, window, "valid") for line in padded])
    blurred = np.stack([np.convolve(line, window, "valid") for line in rows.T]).T
    expected = image + 0.7 * (image - blurred)
    assert unsharp_mask(image, amount=0.7) == pytest.approx(expected, abs=1e-9)
    # 8 bits are filtered in float32: about 1e-7 of 255
    assert unsharp_mask(sharp8, amount=0.7) == pytest.approx(expected, abs=1e-3)


def test_opencv_takes_sigma_2_3_for_13_pixels(sharp8: np.ndarray) -> None:
    by_default = cv2.GaussianBlur(sharp8, (13, 13), 0)
    assert np.array_equal(by_default, cv2.GaussianBlur(sharp8, (13, 13), 2.3))


def test_8_bits_go_through_opencvs_clahe(sharp8: np.ndarray) -> None:
    expected = cv2.createCLAHE(2, (16, 16)).apply(sharp8)
    assert np.array_equal(clahe(sharp8), expected)


def test_16_bits_look_as_8_bits(sharp8: np.ndarray) -> None:
    wide = clahe(sharp8.astype(np.uint16) * 257, value_range=(0, 65535)) / 257
    # OpenCV maps a level to its bin's upper edge and pads another margin: a few levels
    assert np.abs(wide - clahe(sharp8)).mean() < 3
    narrow_psnr = psnr(clahe(sharp8).astype(float), wide, data_range=255)
    assert narrow_psnr > psnr(clahe(sharp8).astype(float), sharp8.astype(float), data_range=255)


def test_compat_wraps_as_uint8_arithmetic_does(sharp8: np.ndarray) -> None:
    blurred = cv2.GaussianBlur(sharp8, (13, 13), 0).astype(int)
    wrapped = ((2 * sharp8.astype(int) - blurred) % 256).astype(np.uint8)
    expected = cv2.createCLAHE(2, (16, 16)).apply(wrapped)
    assert np.array_equal(Traditional(compat="ciegan")(sharp8), expected)
    assert not np.array_equal(Traditional()(sharp8), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (1, 1), (8, 8), (5, 70)])
def test_type_shape_and_range_are_kept(dtype: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = (rng.random(shape) * 200).astype(dtype)
    out = Traditional()(image)
    assert (out.dtype, out.shape) == (image.dtype, image.shape)
    if dtype != "uint8":
        assert image.min() <= out.min()
        assert out.max() <= image.max()


def test_colour_keeps_its_differences() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(90, 150, (64, 64, 4), np.uint16)
    image[..., 3] = 7
    out = Traditional()(image)
    assert (out[..., 3] == 7).all()
    difference = image[..., 0].astype(int) - image[..., 1]
    inside = (out[..., :3] > 0).all(axis=-1)
    found = (out[..., 0].astype(int) - out[..., 1])[inside]
    assert np.abs(found - difference[inside]).max() <= 1  # each colour is rounded by itself


@pytest.mark.parametrize("flat", [np.full((64, 64), 9, np.uint16), np.full((64, 64), 0.5)])
def test_constant_images_stay(flat: np.ndarray) -> None:
    assert np.array_equal(Traditional()(flat), flat)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": 4}, "`kernel` must be odd"),
        ({"sigma": 0}, "`sigma` must be above 0"),
        ({"amount": -1}, "`amount` must be 0 to"),
        ({"compat": "x"}, "`compat` must be ciegan"),
        ({"compat": "ciegan", "amount": 2}, "`amount` must be 1"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Traditional(**options)


def test_files_keep_names_formats_depth_size_and_say_what_they_are(
    tmp_path: Path, sharp16: np.ndarray, sharp8: np.ndarray
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    size = {"resolution": (1e4 / 0.325, 1e4 / 0.325), "resolutionunit": 3}
    tifffile.imwrite(source / "plain.tif", sharp16, compression="zlib", metadata=None, **size)
    stack = np.stack([sharp16] * 6).reshape(1, 3, 2, *sharp16.shape)
    meta = {"axes": "TZCYX", "unit": "um"}
    tifffile.imwrite(
        source / "ij.tif", stack, imagej=True, resolution=(1 / 0.5, 1 / 0.5), metadata=meta
    )
    ome = {"axes": "TCYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(source / "sub" / "o.ome.tif", stack[0, :, :], metadata=ome)
    for name in ("a.png", "b.jpg", "c.bmp"):
        data = cv2.imencode(Path(name).suffix, sharp8)[1].tobytes()
        (source / name).write_bytes(data)
    before = {p: p.read_bytes() for p in source.rglob("*.*")}
    done, failures = enhance_files(source, target, ENHANCERS["egt"])
    assert failures == []
    names = {p.relative_to(source) for p in source.rglob("*.*")}
    assert {p.relative_to(target) for p in done} == names
    assert {p: p.read_bytes() for p in source.rglob("*.*")} == before
    for name in names:
        with open_image(source / name) as old, open_image(target / name) as new:
            assert (new.shape, new.dtype, new.planes) == (old.shape, old.dtype, old.planes)
            sizes = new.pixel_size, old.pixel_size
            assert sizes[0] == (None if sizes[1] is None else pytest.approx(sizes[1], rel=1e-6))
            expected = ENHANCERS["egt"](old.load(old.planes[-1]))
            if name.suffix != ".jpg":
                assert np.array_equal(new.load(new.planes[-1]), expected)
    for name in ("plain.tif", "ij.tif", "sub/o.ome.tif", "a.png"):
        text = (target / name).read_bytes()
        if name == "ij.tif":
            with tifffile.TiffFile(target / name) as tif:
                text = tif.imagej_metadata["Info"].encode()
        assert b"enhanced ground truth (EGT)" in text
        assert b"not raw data" in text
    with tifffile.TiffFile(target / "plain.tif") as tif:
        assert tif.pages.first.compression == 8
    with tifffile.TiffFile(target / "ij.tif") as tif:
        assert tif.is_imagej


def test_png_density_is_kept(tmp_path: Path, sharp8: np.ndarray) -> None:
    import zlib

    data = cv2.imencode(".png", sharp8)[1].tobytes()
    body = b"pHYs" + struct.pack(">IIB", 40000, 40000, 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    enhance_files(tmp_path / "a.png", tmp_path / "b.png", Traditional())
    assert chunk in (tmp_path / "b.png").read_bytes()
    with open_image(tmp_path / "b.png") as file:
        assert np.array_equal(file.load(file.planes[0]), Traditional()(sharp8))


def test_other_formats_become_ome_tiff(tmp_path: Path) -> None:
    from pylibCZIrw import czi

    image = np.random.default_rng(0).integers(0, 4000, (60, 50), np.uint16)
    (tmp_path / "in").mkdir()
    with czi.create_czi(str(tmp_path / "in" / "a.czi")) as document:
        document.write(image[..., None], plane={"T": 0, "C": 0, "Z": 0})
        document.write_metadata("a", scale_x=0.2e-6, scale_y=0.2e-6)
    done, _ = enhance_files(tmp_path / "in", tmp_path / "out", Traditional())
    assert [p.name for p in done] == ["a.ome.tif"]
    with open_image(done[0]) as file:
        assert file.pixel_size == pytest.approx(0.2)
        assert np.array_equal(file.load(file.planes[0]), Traditional()(image))


def test_input_is_never_written_over(tmp_path: Path, sharp8: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    image = tmp_path / "in" / "a.png"
    image.write_bytes(cv2.imencode(".png", sharp8)[1].tobytes())
    te = Traditional()
    for target in (tmp_path / "in", tmp_path / "in" / "sub", tmp_path / "in" / ".." / "in"):
        with pytest.raises(CellqaError, match="is or lies inside IN"):
            enhance_files(tmp_path / "in", target, te)
    with pytest.raises(CellqaError, match="is the input"):
        enhance_files(image, image, te, overwrite=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "a.png").hardlink_to(image)
    with pytest.raises(CellqaError, match="is or lies inside IN"):
        enhance_files(tmp_path / "in", tmp_path / "link", te, overwrite=True)
    enhance_files(tmp_path / "in", tmp_path / "out", te)
    with pytest.raises(CellqaError, match="exists; give another place, or --overwrite"):
        enhance_files(tmp_path / "in", tmp_path / "out", te)
    enhance_files(tmp_path / "in", tmp_path / "out", te, overwrite=True)


def test_bad_files_fail_alone(tmp_path: Path, sharp8: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"nothing")
    (tmp_path / "in" / "b.png").write_bytes(cv2.imencode(".png", sharp8)[1].tobytes())
    broken = np.full((8, 8), np.nan, np.float32)
    tifffile.imwrite(tmp_path / "in" / "c.tif", broken)
    done, failures = enhance_files(tmp_path / "in", tmp_path / "out", Traditional())
    assert [p.name for p in done] == ["b.png"]
    assert [name for name, _ in failures] == ["a.png", "c.tif"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.png"]


def test_a_target_inside_the_input_by_a_detour_is_refused(
    tmp_path: Path, sharp8: np.ndarray
) -> None:
    data = cv2.imencode(".png", sharp8)[1].tobytes()
    (tmp_path / "raw" / "raw").mkdir(parents=True)
    for name in ("raw/x.png", "raw/raw/x.png"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CellqaError, match="is or lies inside IN"):
        enhance_files(tmp_path / "raw", tmp_path, Traditional(), overwrite=True)
    assert (tmp_path / "raw" / "x.png").read_bytes() == data


@pytest.mark.parametrize(("dtype", "suffix"), [("float32", ".png"), ("uint16", ".jpg")])
def test_a_format_that_cannot_hold_the_type_is_refused(
    tmp_path: Path, dtype: str, suffix: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.arange(4096).reshape(64, 64).astype(dtype))
    target = tmp_path / f"b{suffix}"
    done, failures = enhance_files(tmp_path / "a.tif", target, Traditional())
    assert (done, target.exists()) == ([], False)
    assert "write a TIFF file" in failures[0][1]


def test_calibration_and_names_are_kept(tmp_path: Path, sharp16: np.ndarray) -> None:
    stack = np.stack([sharp16] * 4).reshape(2, 2, *sharp16.shape)
    ome = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "cTnT"]}}
    ome |= {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=ome)
    options = {"resolution": (10, 3), "imagej": True}
    meta = {"axes": "ZCYX", "unit": "um", "spacing": 0.7, "finterval": 30.0}
    tifffile.imwrite(tmp_path / "b.tif", stack, metadata=meta, **options)
    for name in ("a.ome.tif", "b.tif"):
        enhance_files(tmp_path / name, tmp_path / f"new-{name}", Traditional())
    with tifffile.TiffFile(tmp_path / "new-a.ome.tif") as tif:
        text = tif.ome_metadata
    for part in ('SizeX="0.1"', 'SizeY="0.2"', 'SizeZ="0.5"', "DAPI", "cTnT"):
        assert part in text
    with tifffile.TiffFile(tmp_path / "new-b.tif") as tif:
        assert tif.pages.first.resolution == pytest.approx((10, 3))
        assert tif.imagej_metadata["spacing"] == 0.7
        assert tif.imagej_metadata["finterval"] == 30.0


def test_long_names(tmp_path: Path, sharp8: np.ndarray) -> None:
    (tmp_path / "in").mkdir()
    name = "n" * 250 + ".png"
    (tmp_path / "in" / name).write_bytes(cv2.imencode(".png", sharp8)[1].tobytes())
    done, _ = enhance_files(tmp_path / "in", tmp_path / "out", Traditional())
    assert [p.name for p in done] == [name]


def test_jpeg_says_what_it_is(tmp_path: Path, sharp8: np.ndarray) -> None:
    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", sharp8)[1].tobytes())
    enhance_files(tmp_path / "a.jpg", tmp_path / "b.jpg", ENHANCERS["egt"])
    assert b"(EGT)" in (tmp_path / "b.jpg").read_bytes()
    with open_image(tmp_path / "b.jpg") as file:
        assert file.shape == sharp8.shape


def test_every_method_is_a_command(tmp_path: Path, sharp8: np.ndarray) -> None:
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), sharp8)
    for name, method in ENHANCERS.items():
        target = tmp_path / f"{name}.png"
        found = CliRunner().invoke(main, ["enhance", str(source), str(target), "--method", name])
        assert found.exit_code == 0, found.output
        assert method.describe() in found.stdout
        result = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
        assert (result == method(sharp8)).all()
        assert (result != sharp8).any()


def test_settings_of_methods(tmp_path: Path, sharp8: np.ndarray) -> None:
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    cv2.imwrite(str(source), sharp8)
    arguments = ["enhance", str(source), str(target), "--method", "unsharp"]
    found = CliRunner().invoke(main, [*arguments, "--set", "sigma=1.5", "--set", "amount=0.5"])
    assert found.exit_code == 0, found.output
    wanted = unsharp_mask(sharp8, sigma=1.5, amount=0.5)
    result = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert (result == np.clip(np.rint(wanted), 0, 255).astype(np.uint8)).all()
    help_ = CliRunner().invoke(main, ["enhance", "--help"]).stdout
    for name, method in ENHANCERS.items():
        assert name in help_
        assert all(setting in help_ for setting in settings_of(method))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "magic"], "is not one of te, egt, unsharp"),
        (["--method", "rl", "--set", "sigma"], "KEY=VALUE"),
        (["--method", "rl", "--set", "amount=1"], "has no setting 'amount'; it has sigma"),
        (["--method", "rl", "--set", "iterations=1.5"], "must be a whole number"),
        (["--method", "wiener", "--set", "sigma=nan"], "`sigma` must be"),
        (["--method", "bicubic", "--set", "scale=1"], "`scale` must be 2 to 8"),
        (["--method", "unsharp", "--set", "kernel=4"], "`kernel` must be odd"),
        (["--method", "clahe", "--set", "tiles=0"], "`tiles` must be above 0"),
        ([], "--method"),
    ],
)
def test_wrong_settings(tmp_path: Path, arguments: list[str], message: str) -> None:
    found = CliRunner().invoke(main, ["enhance", "in", "out", *arguments])
    assert found.exit_code == 2
    assert message in found.stderr


def test_bicubic_is_what_its_definition_says() -> None:
    image = np.arange(48, dtype=np.float32).reshape(6, 8) ** 1.5
    large = cv2.resize(image.astype(np.float64), (16, 12), interpolation=cv2.INTER_CUBIC)
    wanted = large.reshape(6, 2, 8, 2).mean((1, 3)).clip(image.min(), image.max())
    assert Bicubic(scale=2)(image) == pytest.approx(wanted, rel=1e-6)
    colour = np.stack([image] * 3, -1)
    assert Bicubic(scale=2)(colour)[..., 1] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("method", [Unsharp(), Clahe(), Bicubic()], ids=lambda m: m.name)
def test_simple_methods_keep_type_and_range(method: Enhancer, dtype: type) -> None:
    image = np.random.default_rng(0).integers(20, 200, (40, 50)).astype(dtype)
    found = method(image)
    assert found.dtype == dtype
    assert found.shape == image.shape
    if dtype != np.uint8:
        assert found.min() >= image.min()
        assert found.max() <= image.max()
    flat = np.full((9, 9), 7, dtype)
    if method.name != "clahe" or dtype != np.uint8:  # OpenCV's equalises even that
        assert (method(flat) == 7).all()
