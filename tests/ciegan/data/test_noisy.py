"""Learning without ground truth: the noise is known, halves are independent, and it works."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.simulate import filaments, nuclei
from ciegan.cli import main
from ciegan.config import DEFAULT, Config, Data, Monitor, read_config
from ciegan.data import TilingOptions, prepare_noisy
from ciegan.data.crops import Crops
from ciegan.data.noisy import NoiseModel, Noises, noise_model, recorrupted
from ciegan.data.tile_pairs import read_split
from ciegan.training.monitor import Judge
from ciegan.training.run import train
from ciegan.training.starting import without_truth


def clean(seed: int, scene: object = nuclei) -> np.ndarray:
    """Photons, 3 to 63."""
    image = np.asarray(scene((192, 192), photons=4000, seed=seed).image, float)  # type: ignore[operator]
    smooth = cv2.GaussianBlur(image, (0, 0), 1.5)
    return (smooth - smooth.min()) / np.ptp(smooth) * 60 + 3


def noisy(seed: int, gain: float = 4.0, read: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.poisson(clean(seed)) * gain + rng.normal(0, read, (192, 192)) + 100
    return np.asarray(image.clip(0).round().astype(np.uint16))


@pytest.mark.parametrize("scene", [nuclei, filaments])
@pytest.mark.parametrize("gain", [1.0, 4.0, 20.0])
def test_the_noise_of_a_camera(scene: object, gain: float) -> None:
    rng = np.random.default_rng(1)
    image = rng.poisson(clean(1, scene)) * gain + rng.normal(0, 3, (192, 192)) + 100
    found = noise_model([image])
    assert found.gain == pytest.approx(gain, rel=0.15)
    assert found.gain * 100 + found.constant == pytest.approx(9, abs=12 * gain)
    assert abs(found.neighbours) < 0.05
    assert not found.warnings()


def test_correlated_noise_is_told_and_drawn_alike() -> None:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(0, 30, (384, 384)), (0, 0), 0.7)
    image = noise + 200 + 0.5 * nuclei((384, 384), cutoff=0.2, photons=300, seed=1).ideal
    found = noise_model([image])
    assert found.neighbours > 0.3
    assert "correlated" in found.warnings()[0]
    drawn = found.drawn(image.astype(np.float32), rng)
    assert drawn.std() == pytest.approx(noise.std(), rel=0.15)
    for lag in (1, 2, 3):
        alike = [(v[:, lag:] * v[:, :-lag]).mean() / v.var() for v in (noise, drawn.astype(float))]
        assert alike[1] == pytest.approx(alike[0], abs=0.1)


def test_noise_of_less_than_a_photon() -> None:
    rng = np.random.default_rng(0)
    photons = clean(1, filaments) / 60
    image = rng.poisson(photons) * 25.0 + 10
    assert noise_model([image]).gain == pytest.approx(25, rel=0.15)


def test_both_halves_are_the_image_with_noise_of_their_own() -> None:
    truth = clean(2)
    rng = np.random.default_rng(0)
    image = rng.poisson(truth) * 4.0 + 100
    first, second = recorrupted(image, NoiseModel(4.0, -400.0, 1.0, 0.0), rng)
    off = [half - (truth * 4 + 100) for half in (first, second)]
    assert abs(np.corrcoef(off[0].ravel(), off[1].ravel())[0, 1]) < 0.03
    noise = np.var(image - truth * 4 - 100)
    assert np.var(off[0]) == pytest.approx(1.25 * noise, rel=0.05)
    assert np.var(off[1]) == pytest.approx(5 * noise, rel=0.05)


def test_noise_that_differs_between_images_is_measured_in_each() -> None:
    one = Noises([noisy(seed) for seed in range(6)])
    assert not one.differs
    assert one.of("a", lambda: noisy(9, gain=40)) is one.common
    assert not one.warnings()
    several = Noises([noisy(seed, gain=(1, 40)[seed % 2]) for seed in range(6)])
    assert several.differs
    for gain in (1, 40):
        own = several.of(f"gain {gain}", partial(noisy, 9, gain=gain))
        assert own.gain == pytest.approx(gain, rel=0.2)
        assert several.of(f"gain {gain}", partial(noisy, 8, gain=7)) is own  # once for each name
    assert "are not of one camera" in several.warnings()[0]
    assert "measured in each image" in several.describe()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("noisy")
    for seed in range(5):
        write_tiff(place / "in" / f"f{seed}.tif", noisy(seed), 0.2)
    prepare_noisy(place / "in", place / "data", tiling=TilingOptions(tile=64, min_contrast=0))
    return place / "data"


def test_what_is_drawn(data: Path) -> None:
    tiles = read_split(data, "train")
    crops = Crops(tiles, Data(crop=32, target="self"), 3)
    assert crops.noise is not None
    assert crops.noise.common.gain == pytest.approx(4, rel=0.2)
    source, target = crops[7]
    assert not (source == target).all()
    again = Crops(tiles, Data(crop=32, target="self"), 3)[7]
    assert (again[0] == source).all()
    assert (again[1] == target).all()
    first, second, _ = crops.loaded(tiles[0])
    assert (first == crops.loaded(tiles[0])[0]).all()
    assert (first != second).any()


def test_a_network_that_gives_noise_back_is_vetoed(data: Path) -> None:
    tiles = read_split(data, "train")
    crops = Crops(tiles, Data(crop=32, target="self"), 0)
    judge = Judge(Monitor(metrics={"psnr": 1.0}), added=True)
    rows: dict[str, list[dict[str, float]]] = {"honest": [], "thief": []}
    for place, tile in enumerate(tiles):
        source, target, _ = crops.loaded(tile)
        y, x = (int(part[1:]) for part in tile.name.split("_")[-2:])
        truth = clean(int(tile.field[1:]))[y : y + 64, x : x + 64] * 4 + 100
        added = (source - target) / 2.5
        made = {
            "honest": truth + 0.1 * (source - truth),
            "thief": source - 0.5 * added - added,  # it tells what was added from what was there
        }
        for name, image in made.items():
            values = judge.values(place, image.astype(np.float32), source, target, None)
            rows[name].append(values)
    honest, thief = (judge.summarise(each) for each in rows.values())
    assert thief.score > honest.score  # the noisy target likes it
    assert honest.echo > 0 > thief.echo
    assert not judge.vetoes(honest)
    assert judge.vetoes(thief)
    assert Judge(Monitor()).summarise([]).echo == 0


def test_the_same_image_twice_teaches_nothing(data: Path) -> None:
    with pytest.raises(CellqaError, match="--target self"):
        Crops(read_split(data, "train"), Data(crop=32), 0).check_targets()


def test_other_captures_are_exchanged(prepared: Path) -> None:
    tiles = read_split(prepared, "train")
    plain = Crops(tiles, Data(crop=32), 0)
    other = Crops(tiles, Data(crop=32, target="other"), 0)
    exchanged = 0
    for k in range(30):
        source, target = plain[k]
        first, second = other[k]
        assert (first == source).all() == (second == target).all()
        exchanged += bool((first == target).all() and (second == source).all())
    assert 5 < exchanged < 25


def test_losses_and_metrics_without_truth() -> None:
    config = replace(DEFAULT, data=replace(DEFAULT.data, target="self"))
    found = without_truth(config)
    assert found.losses.weights == {"l2": 1.0}
    assert found.monitor.metrics == {"psnr": 1.0}
    own = replace(config, losses=replace(config.losses, weights={"l1": 1.0}))
    assert without_truth(own).losses.weights == {"l1": 1.0}
    assert without_truth(DEFAULT) is DEFAULT


def test_a_network_removes_noise_that_nobody_showed_it(data: Path, tmp_path: Path) -> None:
    settings = ["--steps", "150", "--every", "75", "--crop", "32", "--batch-size", "8"]
    settings += [
        "--set",
        "generator.options.widths=[8,16]",
        "--set",
        "generator.options.blocks=[1,1]",
    ]
    settings += ["--set", "optimizer.average=0.95", "--rate", "3e-3"]
    run = tmp_path / "run"
    line = ["train", str(data), str(run), "--target", "self", *settings]
    found = CliRunner().invoke(main, line)
    assert found.exit_code == 0, found.output
    assert read_config(run / "config.toml").data.target == "self"
    source = data.parent / "in"
    found = CliRunner().invoke(main, ["enhance", str(run), str(source), str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    for seed in range(5):
        truth = clean(seed) * 4 + 100
        result = tifffile.imread(tmp_path / "out" / f"f{seed}.tif").astype(float)
        before, after = (np.mean((image - truth) ** 2) for image in (noisy(seed), result))
        assert after < 0.4 * before


def test_resuming_learns_from_the_same_noise(data: Path, tmp_path: Path, tiny: Config) -> None:
    config = replace(tiny, data=replace(tiny.data, target="self"))
    for name in ("one", "two"):
        train(data, tmp_path / name, config)
    same = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("one", "two")]
    assert same[0] == same[1]


@pytest.mark.parametrize("photons", [0.2, 2.0, 200.0])
def test_photons_are_thinned_to_independent_halves(photons: float) -> None:
    """Squares, too, say nothing of the other: normal noise, added to so few photons, does not."""
    rng = np.random.default_rng(0)
    image = rng.poisson(photons, (600, 600)) * 20.0 + 3.5
    noise = NoiseModel(20.0, -70.0, 1e-9, 0.0)
    first, second = (p.astype(float) for p in recorrupted(image, noise, rng))
    mean, variance = 20 * photons + 3.5, 400 * photons
    for half, share in ((first, 1.25), (second, 5.0)):
        assert half.mean() == pytest.approx(mean, abs=4 * (share * variance) ** 0.5 / 600)
        assert half.var() == pytest.approx(share * variance, rel=0.03)
    for power in (1, 2):
        moved = (first - mean) ** power
        assert abs(np.corrcoef(moved.ravel(), second.ravel())[0, 1]) < 0.015


def test_where_read_noise_hides_the_photons_normal_noise_is_added() -> None:
    rng = np.random.default_rng(0)
    dark = rng.poisson(0.05, (400, 400)) * 10 + rng.normal(0, 5, (400, 400)) + 100
    noise = NoiseModel(10.0, 25 - 1000, 1e-9, 0.0)
    assert noise.photons(dark) is None
    assert NoiseModel(0.0, 25.0, 1e-9, 0.0).photons(dark) is None
    bright = rng.poisson(9, (400, 400)) * 10 + rng.normal(0, 5, (400, 400)) + 100
    found = noise.photons(bright)
    assert found is not None
    assert found.mean() == pytest.approx(9.25, rel=0.01)  # read noise counts as a quarter of one
    for image in (dark, bright):
        first, second = recorrupted(image, noise, rng)
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.01


def test_dark_images_of_8_bits_are_thinned(tmp_path: Path) -> None:
    """Of less than a photon a pixel: with normal noise added, networks gave their own back."""
    for number in range(2):
        rng = np.random.default_rng(number)
        image = rng.poisson(clean(number) / 60) * 20.0 + 4
        write_tiff(tmp_path / "in" / f"{number}.tif", image.clip(0, 255).astype(np.uint8), None)
    tiling = TilingOptions(tile=64, within=True, split="0.6,0.4,0", min_contrast=0)
    prepare_noisy(tmp_path / "in", tmp_path / "data", tiling=tiling)
    crops = Crops(read_split(tmp_path / "data", "train"), Data(crop=64, target="self"), seed=0)
    assert crops.noise is not None
    source, _ = crops.pair(0)
    assert crops.noise.common.photons(source) is not None


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_each_colour_has_its_own_noise(dtype: type) -> None:
    """Of luminance it would be less than half, and what is made of it would not be independent."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 10, (256, 256, 3)).clip(0, 255).astype(dtype)
    found = noise_model([image])
    assert found.variance(100) == pytest.approx(100, rel=0.1)
    first, second = recorrupted(image, found, rng)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.03


def test_neighbours_of_whole_numbers_are_validated_with(tmp_path: Path) -> None:
    for number in range(3):
        for frame in range(3):
            name = f"pos{number}_t{frame:02d}.tif"
            write_tiff(tmp_path / "in" / name, noisy(10 * number + frame), None)
    tiling = TilingOptions(tile=96, split="0.4,0.3,0.3", min_contrast=0)
    prepare_noisy(tmp_path / "in", tmp_path / "data", tiling=tiling)
    data = Data(crop=32, target="self", context="t:1")
    crops = Crops(read_split(tmp_path / "data", "train", data.context), data, seed=0)
    tile = read_split(tmp_path / "data", "val", data.context)[0]
    source, _, _ = crops.loaded(tile)
    seen = crops.seen(tile, source)
    assert seen.shape == (96, 96, 3)
    assert seen.dtype == source.dtype == np.float32
    np.testing.assert_array_equal(seen[:, :, 0], source)
    np.testing.assert_array_equal(seen[:, :, 1:], tile.seen(tile.load()[0])[:, :, 1:])
