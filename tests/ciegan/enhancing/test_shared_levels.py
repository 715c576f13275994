"""One black and white for a folder, and local brightness that is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from networks import run, weights

from cellqa import CellqaError, series_measures
from cellqa.enhance.filters import as_type
from cellqa.io import write_tiff
from cellqa.simulate import nuclei, timelapse
from ciegan.cli import main
from ciegan.enhancing.enhancer import EnhanceOptions
from ciegan.enhancing.flux import SIGMA, with_flux_kept
from ciegan.enhancing.watching import watch
from ciegan.network import percentiles as percentiles_module
from ciegan.network.checkpoint import load
from ciegan.network.percentiles import percentiles_of_bands
from ciegan.network.windows import Band, enhance_plane


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return weights(tmp_path / "best.safetensors")


def images() -> list[np.ndarray]:
    """Three fields, of other sizes and another brightness each."""
    shapes = ((96, 80), (64, 120), (130, 70))
    return [
        nuclei(shape, photons=100 * 3**k, seed=k).image.astype(np.uint16)
        for k, shape in enumerate(shapes)
    ]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_images_of_a_folder_share_black_and_white(tmp_path: Path, model: Path, dtype: type) -> None:
    fields = [image.astype(dtype) for image in images()]
    for k, image in enumerate(fields):
        write_tiff(tmp_path / f"in/sub{k % 2}/{k}.tif", image, None)
    (tmp_path / "in/broken.tif").write_bytes(b"II*\0 nothing")
    line = ("--normalize", "folder", "--device", "cpu")
    done = run(model, tmp_path / "in", tmp_path / "out", *line)
    assert done.exit_code == 3, done.output  # the broken one
    assert "1 of 4 failed" in done.output
    shared = np.percentile(np.concatenate([image.ravel() for image in fields]), (0.1, 99.9))
    assert f"black and white of channel 0, of all images: {shared[0]:.6g}, {shared[1]:.6g}" in (
        done.output
    )
    network = load(model)
    rule = replace(network.normalisation, rule="image")
    for k, image in enumerate(fields):
        made = tifffile.imread(tmp_path / f"out/sub{k % 2}/{k}.tif")
        both = (float(shared[0]), float(shared[1]))
        wanted = as_type(enhance_plane(network.generator, image, rule, whole=both), image.dtype)
        np.testing.assert_allclose(made, wanted, atol=1e-3 if dtype == np.float32 else 0)
    again = run(model, tmp_path / "in", tmp_path / "out", *line)
    assert "enhanced 0 images, 3 were done before" in again.output
    # another image changes the levels of all: nothing is done again unasked
    write_tiff(tmp_path / "in/more.tif", fields[0] * 2, None)
    more = run(model, tmp_path / "in", tmp_path / "out", *line)
    assert more.exit_code == 3
    assert "--overwrite" in more.output
    parallel = run(model, tmp_path / "in", tmp_path / "two", *line, "--jobs", "2")
    alone = run(model, tmp_path / "in", tmp_path / "one", *line)
    assert (parallel.exit_code, alone.exit_code) == (3, 3)
    for k in range(3):
        first, second = (
            tifffile.imread(tmp_path / out / f"sub{k % 2}/{k}.tif") for out in ("two", "one")
        )
        assert (first == second).all()


def test_each_channel_has_its_own_levels(tmp_path: Path, model: Path) -> None:
    for k, image in enumerate(images()):
        stack = np.stack([image, 5 * image + 1000])
        path = tmp_path / f"in/{k}.ome.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, stack, metadata={"axes": "CYX"}, ome=True)
    done = run(model, tmp_path / "in", tmp_path / "out", "--normalize", "folder", "--device", "cpu")
    assert done.exit_code == 0, done.output
    values = np.concatenate([image.ravel() for image in images()])
    for channel, pixels in enumerate((values, 5.0 * values + 1000)):
        low, high = np.percentile(pixels, (0.1, 99.9))
        assert f"channel {channel}, of all images: {low:.6g}, {high:.6g}" in done.output


def test_watching_cannot_know_all_images(tmp_path: Path, model: Path) -> None:
    (tmp_path / "in").mkdir()
    line = ["watch", str(model), str(tmp_path / "in"), str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*line, "--normalize", "folder"])
    assert done.exit_code == 2
    assert "they are yet to come: take train" in done.output
    with pytest.raises(CellqaError, match="yet to come"):
        watch(model, tmp_path / "in", tmp_path / "out", EnhanceOptions("folder"))


def test_percentiles_of_many_arrays_are_exact() -> None:
    rng = np.random.default_rng(0)
    wanted = (0.1, 30, 99.9)
    for kinds in (
        (np.uint8,),
        (np.uint16, np.uint8),
        (np.int16, np.uint16),
        (np.float32, np.uint8),
    ):
        parts = [
            rng.integers(0, 120, (k + 3, 5 * k + 7)).astype(kinds[k % len(kinds)]) for k in range(9)
        ]
        found = percentiles_of_bands(lambda p=parts: iter(p), wanted)  # type: ignore[misc]
        every = np.concatenate([part.ravel().astype(float) for part in parts])
        assert found == pytest.approx(np.percentile(every, wanted), rel=1e-12)


@pytest.mark.parametrize("far", [1e9, 1e20, -3.4028235e38])
@pytest.mark.parametrize("sorted_at", [1, 100, 2**20])
def test_a_value_far_out_leaves_the_others_exact(
    far: float, sorted_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(percentiles_module, "_SORTED", sorted_at)
    rng = np.random.default_rng(1)
    parts = [rng.gamma(2, 200, (90, 80)).astype(np.float32) for _ in range(2)]
    parts[0][:30] = 0  # most of them alike
    parts[1][5, 5] = far
    wanted = (0.1, 5.0, 50.0, 99.9)
    found = percentiles_of_bands(lambda: iter(parts), wanted)
    every = np.concatenate([part.ravel().astype(float) for part in parts])
    assert found == pytest.approx(np.percentile(every, wanted), rel=1e-12)


def plane_in_bands(raw: np.ndarray, made: np.ndarray, rows: int) -> np.ndarray:
    bands = (Band(raw[y : y + rows], made[y : y + rows], None, 0) for y in range(0, len(raw), rows))
    return np.concatenate([band.enhanced for band in with_flux_kept(bands)])


def local(pixels: np.ndarray) -> np.ndarray:
    """Means of surroundings twice as wide as those that are kept."""
    return cv2.GaussianBlur(np.float64(pixels), (0, 0), 2 * SIGMA, borderType=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("shape", [(300, 200), (40, 50), (500, 64, 3)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_local_means_are_the_raw_images(shape: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(0)
    raw = (1000 + 300 * cv2.GaussianBlur(rng.normal(0, 40, shape), (0, 0), 12)).clip(0)
    fine = rng.normal(0, 20, shape)
    raw, made = raw.astype(dtype), (0.7 * raw + 150 + fine).astype(dtype)
    whole = plane_in_bands(raw, made, len(raw))
    assert whole.dtype == dtype
    before, after = (np.abs(local(m) - local(raw)).max() for m in (made, whole))
    assert after < 0.04 * before  # of what lies near the scale, two rounds leave a part
    # what is fine is kept: it comes out as it went in
    plain = (made - fine).astype(np.float32)
    kept = whole - plane_in_bands(raw, plain, len(raw)).astype(float)
    assert np.std(kept - fine) < 0.05 * fine.std()
    for rows in (7, 64, 129):  # whatever the bands
        np.testing.assert_allclose(
            plane_in_bands(raw, made, rows), whole, atol=1 if dtype == np.uint16 else 1e-2
        )


def test_local_means_at_levels_that_float32_does_not_hold() -> None:
    rng = np.random.default_rng(0)
    raw = np.rint(1000 + 300 * cv2.GaussianBlur(rng.normal(0, 40, (300, 200)), (0, 0), 12))
    made = np.rint(0.7 * raw + 150 + rng.normal(0, 20, raw.shape))
    near = plane_in_bands(raw.astype(np.int32), made.astype(np.int32), 300)
    far = plane_in_bands((raw + 2e9).astype(np.int32), (made + 2e9).astype(np.int32), 300)
    np.testing.assert_allclose(far.astype(float) - 2e9, near, atol=1)


def test_enhanced_files_keep_flux_over_time(tmp_path: Path, model: Path) -> None:
    """A network that was never trained, with black and white of each frame: it flickers."""
    series = timelapse((6, 160, 160), photons=500, speed=3, flashes={2: 2.0}, seed=3)
    path = tmp_path / "in/a.ome.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, series.image, metadata={"axes": "TYX"}, ome=True)
    found = {}
    for name, more in {"plain": (), "kept": ("--keep-flux",)}.items():
        line = ("--normalize", "image", "--device", "cpu", *more)
        done = run(model, tmp_path / "in", tmp_path / name, *line)
        assert done.exit_code == 0, done.output
        made = tifffile.imread(tmp_path / name / "a.ome.tif")
        found[name] = series_measures(series.image, made)
    kept = found["kept"]
    assert kept.flicker_contrast < 0.02
    assert kept.flicker_level < 0.02
    assert kept.drift == pytest.approx(0, abs=0.02)
    with tifffile.TiffFile(tmp_path / "kept/a.ome.tif") as file:
        assert "local means of the raw image kept" in (file.ome_metadata or "")
    # a file that was made otherwise is not taken for this one
    other = run(
        model, tmp_path / "in", tmp_path / "kept", "--normalize", "image", "--device", "cpu"
    )
    assert other.exit_code == 3
    assert "--overwrite" in other.output
