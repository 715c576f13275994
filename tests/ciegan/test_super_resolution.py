"""From images of larger pixels to a network of super-resolution, and to its results."""

from __future__ import annotations

import csv
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner, Result
from fields import TINY_TOML, write_fields
from networks import image, run, table, weights

import ciegan
from cellqa.enhance.filters import as_type
from cellqa.io import open_image, write_tiff
from ciegan.cli import main
from ciegan.data.degrade import Gaussian, Noise, degrade
from ciegan.data.tile_pairs import read_split
from ciegan.network.checkpoint import load
from ciegan.network.enlarging import enlarged_rows
from ciegan.network.windows import enhance_plane

RNG = np.random.default_rng(5)


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def rows_of(pixels: np.ndarray, start: int, stop: int) -> np.ndarray:
    return pixels[start:stop]


def wanted(model: Path, pixels: np.ndarray) -> np.ndarray:
    """What becomes of a plane."""
    network = load(model)
    seen = ciegan.enlarge(pixels, network.scale)
    made = enhance_plane(network.generator, seen, network.normalisation)
    return as_type(made, pixels.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_images_are_enlarged_by_cubic_interpolation(dtype: type, scale: int) -> None:
    for shape in ((21, 34), (21, 34, 3), (40, 5, 1)):
        pixels = RNG.integers(0, 250, shape).astype(dtype)
        found = ciegan.enlarge(pixels, scale)
        assert found.dtype == dtype
        assert found.shape == (scale * shape[0], scale * shape[1], *shape[2:])
        single = cv2.resize(
            pixels[..., 0].astype(float) if pixels.ndim == 3 else pixels.astype(float),
            (scale * shape[1], scale * shape[0]),
            interpolation=cv2.INTER_CUBIC,
        )
        first = found[..., 0] if found.ndim == 3 else found
        low, high = (0, 255) if dtype == np.uint8 else (-1e9, 1e9)
        low = 0 if dtype == np.uint16 else low
        tolerance = 0.51 if np.dtype(dtype).kind in "iu" else 1e-3
        np.testing.assert_allclose(first, np.clip(single, low, high), atol=tolerance)
        for start, stop in ((0, 1), (7, 19), (0, len(found)), (len(found) - 3, len(found))):
            read = partial(rows_of, pixels)
            rows = enlarged_rows(read, len(pixels), scale, start, stop)
            tolerance = 1 if np.dtype(dtype).kind in "iu" else 1e-3  # rounding of sums
            np.testing.assert_allclose(rows, found[start:stop], atol=tolerance, rtol=0)
    with pytest.raises(ValueError, match="`scale` must be 1 to 4, a whole number, got 5"):
        ciegan.enlarge(pixels, 5)


@pytest.mark.parametrize(
    "pixels", [np.zeros((0, 4)), np.zeros((2, 2, 2, 2)), np.zeros((4, 4), bool), np.zeros(4) * 1j]
)
def test_what_is_no_image_is_not_enlarged(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="`pixels` must be numbers of shape"):
        ciegan.enlarge(pixels, 2)
    with pytest.raises(ValueError, match="a whole number, got 2"):
        ciegan.enlarge(np.eye(4), 2.0)  # type: ignore[arg-type]


def test_a_camera_of_larger_pixels() -> None:
    sharp = RNG.uniform(0, 1000, (33, 48, 3))
    seen = degrade(sharp, Gaussian(), 1.5, Noise(photons=0), np.random.default_rng(0), scale=2)
    fine = degrade(sharp, Gaussian(), 1.5, Noise(photons=0), np.random.default_rng(0))
    means = fine[:32].reshape(16, 2, 24, 2, 3).mean((1, 3))
    np.testing.assert_allclose(seen, means, rtol=1e-9)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sharp fields, what a camera of twice the pixel sees of them, and pairs of both."""
    folder = tmp_path_factory.mktemp("finer")
    write_fields(folder / "sharp", 6, side=96)
    for k, path in enumerate(sorted((folder / "sharp").iterdir())):
        with open_image(path) as file:
            sharp = file.load(file.planes[0])
        noise = Noise(photons=500)
        raw = degrade(sharp, Gaussian(), 1.0, noise, np.random.default_rng(k), scale=2)
        write_tiff(folder / "raw" / path.name, raw, 0.4)
    done = invoke(
        "prepare", "pairs", folder / "raw", folder / "sharp", folder / "data", "--scale", 2,
        "--tile", 64, "--split", "3,2,1", "--min-contrast", 0,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


def test_pairs_keep_the_pixels_that_were_taken(made: Path) -> None:
    with (made / "data/pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["scale"] for row in rows} == {"2"}
    for tile in read_split(made / "data", "train"):
        row = next(r for r in rows if r["name"] == tile.name)
        y, x = int(row["y"]), int(row["x"])
        stem = Path(row["source"]).stem
        with open_image(tile.input) as file:
            assert file.pixel_size == pytest.approx(0.4)
            stored = file.load(file.planes[0])
        raw = tifffile.imread(made / f"raw/{stem}.tif")
        assert (stored == raw[y // 2 : y // 2 + 32, x // 2 : x // 2 + 32]).all()
        source, target, size = tile.load()
        assert size == pytest.approx(0.2)
        sharp = tifffile.imread(made / f"sharp/{stem}.tif")
        assert (target == sharp[y : y + 64, x : x + 64]).all()
        assert (source == ciegan.enlarge(stored, 2)).all()


@pytest.mark.parametrize("split", [("1,1,1",), ("1,1,0", "--split-within")])
def test_degraded_images_have_larger_pixels(
    made: Path, tmp_path: Path, split: tuple[str, ...]
) -> None:
    done = invoke(
        "prepare", "blur", made / "sharp", tmp_path / "data", "--scale", 2, "--tile", 16,
        "--sigma", 0.5, "--photons", 0, "--split", *split,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for part in ("train", "val"):
        for tile in read_split(tmp_path / "data", part):
            source, target, _ = tile.load()
            assert source.shape == target.shape == (16, 16)
            with open_image(tile.input) as file:
                assert file.shape == (8, 8)
            # nothing is displaced: means of 2 x 2 pixels are what the camera saw
            both = [p.astype(float).reshape(8, 2, 8, 2).mean((1, 3)) for p in (source, target)]
            assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.7


def test_what_does_not_fit_is_told(made: Path, tmp_path: Path) -> None:
    pairs = ("prepare", "pairs", made / "raw", made / "sharp", tmp_path / "data", "--tile", 48)
    none = invoke(*pairs)
    assert none.exit_code == 1
    assert "48 x 48 pixels blurred and 96 x 96 sharp: not 1 times (--scale 2)" in none.output
    wrong = invoke(*pairs, "--scale", 3)
    assert "not 3 times (--scale 2)" in wrong.output
    odd = invoke(*pairs[:-1], 49, "--scale", 2)
    assert odd.exit_code == 2
    assert "--tile must be a multiple of --scale 2, got 49" in odd.output
    moved = invoke(*pairs, "--scale", 2, "--register")
    assert moved.exit_code == 2
    assert "--register moves pixels" in moved.output
    assert not (tmp_path / "data/pairs.csv").exists()


@pytest.fixture(scope="module")
def trained(made: Path) -> Path:
    (made / "tiny.toml").write_text(TINY_TOML, encoding="utf-8")
    done = invoke(
        "train", made / "data", made / "run", "--config", made / "tiny.toml", "--device", "cpu",
        "--steps", 4, "--every", 2,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return made / "run"


def test_from_pairs_to_judgement(made: Path, trained: Path, tmp_path: Path) -> None:
    network = load(trained)
    assert network.scale == 2
    assert network.intervals is not None
    judged = invoke("validate", trained, "--data", made / "data", "--out", tmp_path / "judged")
    assert judged.exit_code == 0, judged.output
    with (tmp_path / "judged/results/scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    untouched = [float(row["psnr"]) for row in rows if row["method"] == "input"]
    assert untouched  # as interpolation enlarges it
    assert all(row["status"] == "ok" for row in rows)
    enhanced = tmp_path / "judged/enhanced/run"
    assert {p.shape for p in map(tifffile.imread, enhanced.rglob("*.tif"))} == {(64, 64)}
    assert invoke("check", trained, "--data", made / "data").exit_code == 0
    assert invoke("calibrate", trained, "--data", made / "data", "--split", "test").exit_code == 0


def test_data_of_another_scale_are_refused(made: Path, trained: Path, tmp_path: Path) -> None:
    same = tmp_path / "same"
    done = invoke(
        "prepare", "blur", made / "sharp", same, "--tile", 64, "--split", "3,2,1",
        "--min-contrast", 0,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    for words in (
        ("validate", trained, "--data", same, "--out", tmp_path / "out"),
        ("check", trained, "--data", same),
        ("calibrate", trained, "--data", same),
    ):
        refused = invoke(*words)
        assert refused.exit_code == 1
        assert "its targets have 1 times the pixels of its inputs" in refused.output
    assert not (tmp_path / "out").exists()
    mixed = tmp_path / "mixed"
    shutil.copytree(made / "data", mixed)
    text = (mixed / "pairs.csv").read_text()
    lines = text.splitlines()
    at = next(k for k, line in enumerate(lines) if ",train," in line)
    lines[at] = lines[at].removesuffix("2") + "1"
    wrong = {"\n".join(lines): "1 and 2 times", text.replace(",2\n", ",9\n"): "`scale` must be"}
    for broken, said in wrong.items():
        (mixed / "pairs.csv").write_text(broken)
        refused = invoke("train", mixed, tmp_path / "run", "--device", "cpu")
        assert refused.exit_code == 1
        assert said in refused.output
    for setting, name in (("--target other", "target"), ("--context t:1", "context")):
        refused = invoke("train", made / "data", tmp_path / "run", *setting.split())
        assert refused.exit_code == 1, refused.output
        assert f"data.{name}" in refused.output


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_results_have_more_and_smaller_pixels(tmp_path: Path, scale: int, dtype: type) -> None:
    model = weights(tmp_path / "best.safetensors", scale=scale)
    pixels = image(dtype)
    write_tiff(tmp_path / "in/a.tif", pixels, 0.6)
    done = run(model, tmp_path / "in", tmp_path / "out", "--check")
    assert done.exit_code == 0, done.output
    assert f"with {scale} times the pixels along each side" in done.output
    with open_image(tmp_path / "out/a.tif") as file:
        assert file.pixel_size == pytest.approx(0.6 / scale)
        found = file.load(file.planes[0])
    tolerance = 1e-3 if dtype == np.float32 else 0
    np.testing.assert_allclose(found, wanted(model, pixels), atol=tolerance)
    with tifffile.TiffFile(tmp_path / "out/a.tif") as tiff:
        assert f"{scale} times the pixels" in tiff.pages.first.description
    assert -1 <= float(table(tmp_path / "out")["a.tif"]["rsp"]) <= 1
    again = run(model, tmp_path / "in", tmp_path / "out", "--check")
    assert "1 were done before" in again.output


def test_stacks_keep_their_axes_and_what_is_copied_is_enlarged(tmp_path: Path) -> None:
    model = weights(tmp_path / "best.safetensors", scale=2)
    stack = image(np.uint16, (3, 2, 40, 50))
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        stack,
        ome=True,
        metadata={"axes": "TCYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
    done = run(model, tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", "--channel", "1")
    assert done.exit_code == 0, done.output
    with open_image(tmp_path / "b.ome.tif") as file:
        assert (file.shape, len(file.planes)) == ((80, 100), 6)
        assert file.size_of(file.planes[0]) == (0.25, 0.25)
    found = tifffile.imread(tmp_path / "b.ome.tif")
    assert (found[2, 0] == ciegan.enlarge(stack[2, 0], 2)).all()
    assert not (found[2, 1] == ciegan.enlarge(stack[2, 1], 2)).all()


def test_zarr(tmp_path: Path) -> None:
    model = weights(tmp_path / "best.safetensors", scale=2)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="w", zarr_format=2)
    pixels = image(np.uint16, (1, 1, 1, 40, 50))
    group.create_array("0", data=pixels, chunks=(1, 1, 1, 40, 50))
    axes = [{"name": n, "type": "space"} for n in "zyx"]
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *axes]
    transform = [{"type": "scale", "scale": [1, 1, 1, 0.5, 0.5]}]
    for axis in axes[2:]:
        axis["unit"] = "micrometer"
    datasets = [{"path": "0", "coordinateTransformations": transform}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    done = run(model, tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr")
    assert done.exit_code == 0, done.output
    with open_image(tmp_path / "b.ome.zarr") as file:
        assert file.shape == (80, 100)
        # the middle of the first pixel lies a quarter of a raw pixel further out
        np.testing.assert_allclose(file.acquired().positions, [(-0.125, -0.125)])
        assert file.pixel_size == pytest.approx(0.25)
        assert (file.load(file.planes[0]) == wanted(model, pixels[0, 0, 0])).all()


def test_large_planes_are_enlarged_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cellqa.io.base", "cellqa.io.tiff_write"):
        monkeypatch.setattr(f"{module}.LARGE", 5000)
    model = weights(tmp_path / "best.safetensors", scale=2)
    pixels = image(np.uint8, (130, 90))
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    done = run(model, tmp_path / "a.tif", tmp_path / "b.tif", "--tile", "64", "--check")
    assert done.exit_code == 0, done.output
    found = tifffile.imread(tmp_path / "b.tif").astype(int)
    assert np.abs(found - wanted(model, pixels)).max() <= 1


def test_hot_pixels_are_found_before_they_are_enlarged(tmp_path: Path) -> None:
    model = weights(tmp_path / "best.safetensors", scale=2)
    clean = cv2.GaussianBlur(image(np.uint16, (80, 90)), (0, 0), 3)
    hot = clean.copy()
    hot[[20, 50], [30, 60]] = 60000
    tifffile.imwrite(tmp_path / "in.tif", hot)
    told = run(model, tmp_path / "in.tif", tmp_path / "kept.tif")
    assert "1 images have hot pixels (most in in.tif: 2)" in told.output
    done = run(model, tmp_path / "in.tif", tmp_path / "out.tif", "--hot-pixels", "remove")
    assert done.exit_code == 0, done.output
    assert tifffile.imread(tmp_path / "out.tif").max() < 1000


def test_intervals_levels_and_flux_are_those_of_the_results(
    made: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = invoke(
        "enhance", trained, made / "raw", out, "--interval", 90, "--normalize", "folder",
        "--device", "cpu",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    low, middle, high = (
        tifffile.imread(tmp_path / f"{name}/field0.tif").astype(float)
        for name in ("out-lower", "out", "out-upper")
    )
    assert low.shape == middle.shape == (96, 96)
    known = np.isfinite(low)
    assert known.mean() > 0.5
    assert (low <= high)[known].all()
    kept = invoke("enhance", trained, made / "raw", tmp_path / "flux", "--keep-flux")
    assert kept.exit_code == 0, kept.output


def test_watched_folders(made: Path, trained: Path, tmp_path: Path) -> None:
    words = ("watch", trained, made / "raw", tmp_path / "out", "--device", "cpu", "--score")
    done = invoke(*words, "--until-idle", "2s", "--settle", "0.1s")
    assert done.exit_code == 0, done.output
    assert tifffile.imread(tmp_path / "out/field0.tif").shape == (96, 96)
    assert (tmp_path / "out/watch.html").exists()
    for row in table(tmp_path / "out").values():
        assert float(row["input_resolution"] or "inf") >= 2 * 0.4  # of two raw pixels, in µm
        assert float(row["resolution"] or "inf") >= 2 * 0.4


def test_mosaics_of_results_are_refused_before_any_work(tmp_path: Path) -> None:
    model = weights(tmp_path / "best.safetensors", scale=2)
    write_tiff(tmp_path / "in/a.tif", image(), None)
    done = run(model, tmp_path / "in", tmp_path / "out", "--mosaic", "after")
    assert done.exit_code == 1
    assert "take --mosaic before" in done.output
    assert not (tmp_path / "out").exists()


def test_exports_say_what_they_take(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    done = invoke("export", trained, tmp_path / "a.onnx", "--to", "onnx")
    assert done.exit_code == 0, done.output
    assert "takes images that are enlarged 2 times" in done.output
    assert load(tmp_path / "a.onnx").scale == 2
    refused = invoke("export", trained, tmp_path / "a.zip", "--to", "bioimageio")
    assert refused.exit_code == 1
    assert "cannot enlarge images" in refused.output
