"""Levels and intervals are of the pixels that the network was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from networks import run, weights

from cellqa.io import write_tiff
from cellqa.simulate import nuclei
from ciegan.network.checkpoint import add
from ciegan.network.intervals import fit

CPU = ("--device", "cpu")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Weights with intervals that grow with level and change."""
    path = weights(tmp_path / "best.safetensors")
    rng = np.random.default_rng(0)
    level, change = rng.uniform(-0.2, 1.5, 200_000), rng.exponential(0.3, 200_000)
    found = fit([(level, change, (0.01 + 0.1 * level**2 + change) * rng.normal(0, 1, 200_000))])
    assert found is not None
    add(path, found)
    return path


def field(seed: int = 0, dtype: type = np.uint16) -> np.ndarray:
    return nuclei((96, 80), photons=300, seed=seed).image.astype(dtype)


def hot(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """With one pixel in a thousand far out, none beside another or at the border."""
    made = image.copy()
    rng = np.random.default_rng(seed)
    for y, x in zip(rng.choice(30, 7, False), rng.choice(25, 7, False), strict=True):
        made[3 * y + 3, 3 * x + 2] = 60000
    return made


def read(folder: Path, name: str) -> np.ndarray:
    return tifffile.imread(folder / name)


def near(first: np.ndarray, second: np.ndarray, grey: float) -> bool:
    """Whether nearly all pixels agree: the medians in place of hot ones are not what was there."""
    return bool((np.abs(first.astype(float) - second) <= grey).mean() > 0.9)


def test_intervals_know_that_hot_pixels_were_removed(tmp_path: Path, model: Path) -> None:
    write_tiff(tmp_path / "in/a.tif", field(), None)
    write_tiff(tmp_path / "in/b.tif", hot(field()), None)
    line = ("--interval", "90", "--hot-pixels", "remove", *CPU)
    assert run(model, tmp_path / "in", tmp_path / "out", *line).exit_code == 0
    width = {
        name: np.nanmedian(read(tmp_path / "out-upper", name) - read(tmp_path / "out-lower", name))
        for name in ("a.tif", "b.tif")
    }
    assert width["b.tif"] == pytest.approx(width["a.tif"], rel=0.05)


@pytest.mark.parametrize("rule", ["auto", "stack", "folder"])
def test_levels_know_that_hot_pixels_were_removed(tmp_path: Path, model: Path, rule: str) -> None:
    frames = np.stack([(field() * g).astype(np.uint16) for g in (1, 0.6, 0.3)])
    spoilt = np.stack([hot(frame, k) for k, frame in enumerate(frames)])
    for name, planes in (("clean", frames), ("hot", spoilt)):
        place = tmp_path / name / "a.ome.tif"
        place.parent.mkdir()
        tifffile.imwrite(place, planes, metadata={"axes": "TYX"})
        line = ("--hot-pixels", "remove", "--normalize", rule, *CPU)
        done = run(model, tmp_path / name, tmp_path / f"{name}-out", *line)
        assert done.exit_code == 0, done.output
        assert "60000" not in done.output
    clean, made = (read(tmp_path / f"{name}-out", "a.ome.tif") for name in ("clean", "hot"))
    assert near(clean, made, 1)
    assert not near(frames, made, 1)  # the network does something


def test_a_grey_picture_in_colour_has_the_intervals_of_the_picture(
    tmp_path: Path, model: Path
) -> None:
    image = field()
    green = np.dstack([np.zeros_like(image), image, np.zeros_like(image)])
    write_tiff(tmp_path / "in/grey.tif", image, None)
    write_tiff(tmp_path / "in/green.tif", green, None)
    assert run(model, tmp_path / "in", tmp_path / "out", "--interval", "90", *CPU).exit_code == 0
    for end in ("lower", "upper"):
        grey, colour = (read(tmp_path / f"out-{end}", f"{n}.tif") for n in ("grey", "green"))
        np.testing.assert_array_equal(colour[..., 1], grey)
        assert np.isnan(colour[..., ::2]).all()  # nothing was enhanced there


@pytest.mark.parametrize("rule", ["auto", "stack"])
def test_a_series_in_colour_has_the_levels_of_the_series(
    tmp_path: Path, model: Path, rule: str
) -> None:
    frames = np.stack([(field() * g).astype(np.uint16) for g in (1, 0.6, 0.3)])
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/grey.ome.tif", frames, metadata={"axes": "TYX"})
    rgb = np.stack([frames] * 3, axis=-1)
    tifffile.imwrite(tmp_path / "in/rgb.ome.tif", rgb, photometric="rgb", metadata={"axes": "TYXS"})
    done = run(model, tmp_path / "in", tmp_path / "out", "--normalize", rule, *CPU)
    assert done.exit_code == 0, done.output
    grey, colour = (read(tmp_path / "out", f"{n}.ome.tif") for n in ("grey", "rgb"))
    np.testing.assert_array_equal(colour[..., 0], grey)


def test_maps_of_what_failed_are_left_alone(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(source / "a.tif", field(0), None)
    assert run(model, source, out, "--interval", "90", *CPU).exit_code == 0
    before = (tmp_path / "out-lower/a.tif").read_bytes()
    write_tiff(source / "a.tif", field(1), None)
    done = run(model, source, out, "--interval", "90", *CPU)
    assert done.exit_code == 3
    assert "--overwrite" in done.output
    assert "intervals of 0 images" in done.output
    assert (tmp_path / "out-lower/a.tif").read_bytes() == before


@pytest.mark.parametrize(("dtype", "offset"), [(np.float64, 1e9), (np.uint32, 4e9)])
def test_maps_hold_large_values(tmp_path: Path, model: Path, dtype: type, offset: float) -> None:
    image = field().astype(np.float64)
    for name, values in (("plain", image), ("far", image + offset)):
        tifffile.imwrite(_made(tmp_path / f"in/{name}.tif"), values.astype(dtype))
    assert run(model, tmp_path / "in", tmp_path / "out", "--interval", "90", *CPU).exit_code == 0
    lower, upper = (
        {n: read(tmp_path / f"out-{end}", f"{n}.tif") for n in ("plain", "far")}
        for end in ("lower", "upper")
    )
    width = np.nanmedian(upper["plain"] - lower["plain"])
    assert np.nanmedian(upper["far"] - lower["far"]) == pytest.approx(width, rel=0.05)


def test_values_beyond_squares_end_one_file(tmp_path: Path, model: Path) -> None:
    for name, factor in (("a", 1.0), ("huge", 1e300), ("z", 1.0)):
        tifffile.imwrite(_made(tmp_path / f"in/{name}.tif"), field().astype(np.float64) * factor)
    tifffile.imwrite(tmp_path / "in/half.tif", field().astype(np.float16))
    done = run(model, tmp_path / "in", tmp_path / "out", *CPU)
    assert "Traceback" not in done.output
    assert done.exit_code == 3, done.output
    assert "float16: convert it to float32" in done.output
    for name in "az":
        assert (tmp_path / f"out/{name}.tif").exists()
    assert (tmp_path / "out/enhanced.csv").exists()


def _made(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path
