"""Black and white of series: the same in all frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from networks import RNG, run, weights

from cellqa.enhance.filters import as_type
from cellqa.simulate import nuclei
from ciegan.network.checkpoint import load
from ciegan.network.percentiles import percentiles
from ciegan.network.windows import enhance_plane

FRAMES = 4


def series(dtype: type = np.uint16) -> np.ndarray:
    """Nuclei that fade to half, and a cell that flashes up in one frame."""
    scene = nuclei((96, 80), photons=400, seed=1).image.astype(float)
    frames = np.stack([scene * (1 - 0.5 * t / (FRAMES - 1)) for t in range(FRAMES)])
    frames[2, 40:60, 30:50] *= 6
    return frames.astype(dtype)


def written(path: Path, frames: np.ndarray, axes: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, frames, metadata={"axes": axes}, ome=True)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return weights(tmp_path / "best.safetensors")


def wanted(model: Path, frames: np.ndarray, limits: list[tuple[float, float]]) -> np.ndarray:
    network = load(model)
    rule = replace(network.normalisation, rule="image")
    made = [
        enhance_plane(network.generator, frame, rule, whole=both)
        for frame, both in zip(frames, limits, strict=True)
    ]
    return np.stack([as_type(m, frames.dtype) for m in made])


def own(frames: np.ndarray) -> list[tuple[float, float]]:
    return [tuple(percentiles(frame, (0.1, 99.9))) for frame in frames]  # type: ignore[misc]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_frames_share_black_and_white(tmp_path: Path, model: Path, dtype: type) -> None:
    frames = series(dtype)
    written(tmp_path / "in/a.ome.tif", frames, "TYX")
    shared = [tuple(np.percentile(frames, (0.1, 99.9)))] * FRAMES
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    with tifffile.TiffFile(tmp_path / "out/a.ome.tif") as file:
        found = file.asarray()
        told = file.ome_metadata or ""
    np.testing.assert_allclose(found, wanted(model, frames, shared), atol=1e-3)
    assert "black and white of the whole series" in told
    for name, limits in (("image", own(frames)), ("stack", shared)):
        done = run(model, tmp_path / "in", tmp_path / name, "--normalize", name, "--device", "cpu")
        assert done.exit_code == 0, done.output
        again = tifffile.imread(tmp_path / name / "a.ome.tif")
        np.testing.assert_allclose(again, wanted(model, frames, limits), atol=1e-3)


def test_planes_of_a_focus_stack_have_their_own(tmp_path: Path, model: Path) -> None:
    frames = series()
    written(tmp_path / "in/a.ome.tif", frames, "ZYX")
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    found = tifffile.imread(tmp_path / "out/a.ome.tif")
    assert (found == wanted(model, frames, own(frames))).all()


def test_channels_have_their_own(tmp_path: Path, model: Path) -> None:
    frames = np.stack([series(), series()[::-1] // 3 + 7], axis=1)
    written(tmp_path / "in/a.ome.tif", frames, "TCYX")
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    found = tifffile.imread(tmp_path / "out/a.ome.tif")
    for c in range(2):
        shared = [tuple(np.percentile(frames[:, c], (0.1, 99.9)))] * FRAMES
        assert (found[:, c] == wanted(model, frames[:, c], shared)).all()


def test_series_without_anything_and_with_holes(tmp_path: Path, model: Path) -> None:
    blank = np.full((FRAMES, 96, 80), 7, np.uint16)
    holes = series(np.float32)
    holes[2, 3, 3] = np.nan
    for name, frames in (("blank", blank), ("holes", holes), ("good", series())):
        written(tmp_path / f"in/{name}.ome.tif", frames, "TYX")
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 3, done.output
    assert "holes.ome.tif (enhance): plane t2c0z0: NaN or infinity in the image" in done.output
    assert "1 of 3 failed" in done.output
    assert (tmp_path / "out/good.ome.tif").exists()


def test_parts_of_a_series_fit_together(tmp_path: Path, model: Path) -> None:
    written(tmp_path / "in/a.ome.tif", series(), "TYX")
    for name, times in (("whole", "0-3"), ("part", "2")):
        done = run(model, tmp_path / "in", tmp_path / name, "--t", times, "--device", "cpu")
        assert done.exit_code == 0, done.output
    whole, part = (tifffile.imread(tmp_path / n / "a.ome.tif") for n in ("whole", "part"))
    assert (whole[2] == part[2]).all()


def test_a_series_of_noise_does_not_flicker(tmp_path: Path, model: Path) -> None:
    frames = (series() + RNG.normal(0, 3, (FRAMES, 96, 80))).clip(0).astype(np.uint16)
    frames[1, 0, 0] = 60000  # a hot pixel, or two, in one frame
    frames[1, 5:7, 5:60] = 60000
    written(tmp_path / "in/a.ome.tif", frames, "TYX")
    levels = {}
    for name in ("auto", "image"):
        done = run(model, tmp_path / "in", tmp_path / name, "--normalize", name, "--device", "cpu")
        assert done.exit_code == 0, done.output
        made = tifffile.imread(tmp_path / name / "a.ome.tif").astype(float)
        change = made[:, 60:, 60:].mean((1, 2)) / frames[:, 60:, 60:].mean((1, 2))
        levels[name] = np.ptp(change) / change.mean()
    assert levels["auto"] < levels["image"]
