"""Images that are like those that a network was trained on, and others."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from fields import write_fields
from networks import run, table, weights

from cellqa.errors import CellqaError
from cellqa.simulate import filaments
from ciegan.cli import main
from ciegan.config import Config
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.degrade import Gaussian
from ciegan.data.tile_pairs import read_split
from ciegan.judging.nulls import OTHERS, check_nothing, check_others, nothings
from ciegan.network.checkpoint import add, load
from ciegan.network.familiar import Familiar, features, learn
from ciegan.network.percentiles import percentiles
from ciegan.training.run import train


def field(seed: int) -> np.ndarray:
    return filaments((256, 256), photons=500, seed=seed).image


def limits(pixels: np.ndarray) -> tuple[float, float]:
    low, high = percentiles(pixels, (0.1, 99.9))
    return float(low), float(high)


@pytest.fixture(scope="module")
def familiar() -> Familiar:
    fields = [field(k) for k in range(12)]
    made = learn([features(f, limits(f)) for f in fields], [str(k) for k in range(12)])
    assert made is not None
    return made


def test_white_noise_has_the_same_power_at_all_scales() -> None:
    noise = np.random.default_rng(0).normal(100, 10, (512, 512))
    growth = features(noise, (0, 200))[1:6]
    assert np.abs(growth).max() < 0.4
    # on the scale of black and white: 0.05 squared, of which blocks of two hold three quarters
    finest = 2 * features(noise, (0, 200))[0]
    assert finest == pytest.approx(np.log2(0.75 * 0.05**2), abs=0.05)
    median, mean, skewness = features(noise, (0, 200))[6:]
    assert (median / 4, mean / 4) == pytest.approx((0.5, 0.5), abs=0.01)
    assert abs(skewness) < 0.05
    # of an image smoothed by 4 pixels nearly all power is at coarser scales
    smooth = features(cv2.GaussianBlur(noise, (0, 0), 4), (0, 200))[1:4]
    assert (smooth > 1).all()


def test_levels_and_scale_do_not_depend_on_type_or_gain() -> None:
    pixels = field(0)
    first = features(pixels, limits(pixels))
    other = pixels * 3.0 + 50
    assert features(other, limits(other)) == pytest.approx(first, abs=1e-3)
    colour = np.stack([pixels] * 3, axis=-1)
    assert features(colour, limits(pixels)) == pytest.approx(first, abs=1e-2)
    tall = np.tile(pixels, (40, 1))  # of which bands are looked at
    assert features(tall, limits(pixels)) == pytest.approx(first, abs=0.3)


def test_others_are_told(familiar: Familiar) -> None:
    own = [familiar.unlike(f, limits(f)) for f in map(field, range(100, 140))]
    assert np.mean(np.array(own) > 1) <= 0.05
    pixels = field(200)
    rng = np.random.default_rng(0)
    changed: dict[str, np.ndarray] = {
        "noise": rng.normal(100, 10, (256, 256)),
        "inverted": pixels.max() - pixels.astype(float),
        "dim": rng.poisson(pixels / 100).astype(float),
        "coarse": cv2.resize(pixels, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC),
        "blurred": cv2.GaussianBlur(pixels, (0, 0), 8),
        "blank": np.full((256, 256), 7),
    }
    for name, image in changed.items():
        assert familiar.unlike(image, limits(image) if np.ptp(image) else (7, 8)) > 1, name


def test_what_cannot_be_looked_at_is_unknown(familiar: Familiar) -> None:
    small = field(0)[:63]
    assert np.isnan(familiar.unlike(small, limits(small)))
    holes = field(0).astype(np.float32)
    holes[3, 3] = np.nan
    assert np.isnan(familiar.unlike(holes, (100, 200)))
    assert np.isnan(familiar.unlike(holes, (np.nan, np.nan)))
    assert learn([np.zeros(9)] * 7, list("abcdefg")) is None


def test_one_field_is_enough_to_begin_with() -> None:
    tiles = [field(0)[y : y + 64, x : x + 64] for y in range(0, 256, 64) for x in range(0, 256, 64)]
    made = learn([features(t, limits(field(0))) for t in tiles], ["a"] * len(tiles))
    assert made is not None
    assert made.unlike(field(0), limits(field(0))) < 1
    noise = np.random.default_rng(0).normal(100, 10, (256, 256))
    assert made.unlike(noise, limits(noise)) > 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t["examples"].append([1.0]),
        lambda t: t.update(examples=[]),
        lambda t: t["scale"].pop(),
        lambda t: t.update(scale=[0.0] * 9),
        lambda t: t.update(limit=0),
        lambda t: t.update(limit=float("nan")),
        lambda t: t["examples"][0].__setitem__(0, float("inf")),
        lambda t: t.pop("limit"),
    ],
)
def test_damaged_examples_are_refused(
    familiar: Familiar, spoil: Callable[[dict[str, object]], object]
) -> None:
    made = json.loads(json.dumps(familiar.as_lists()))
    again = Familiar.from_lists(made)
    pixels = field(3)
    near = pytest.approx(familiar.unlike(pixels, limits(pixels)), abs=0.05)
    assert again.unlike(pixels, limits(pixels)) == near
    spoil(made)
    with pytest.raises((ValueError, KeyError)):
        Familiar.from_lists(made)


def test_an_image_that_is_unlike_is_told(tmp_path: Path, familiar: Familiar) -> None:
    model = weights(tmp_path / "best.safetensors")
    add(model, familiar)
    noise = np.random.default_rng(0).normal(1000, 30, (128, 128)).astype(np.uint16)
    for name, pixels in (("known.tif", field(300)), ("other.tif", noise)):
        (tmp_path / "in").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "in" / name, pixels)
    done = run(model, tmp_path / "in", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "1 of 2 images are unlike those that the network was trained on" in done.output
    rows = table(tmp_path / "out")
    assert float(rows["known.tif"]["unlike"]) < 1 < float(rows["other.tif"]["unlike"])
    for name, told in (("known.tif", False), ("other.tif", True)):
        with tifffile.TiffFile(tmp_path / "out" / name) as file:
            assert ("unlike the images" in file.pages[0].tags["ImageDescription"].value) is told


def test_weights_of_before_know_nothing(tmp_path: Path) -> None:
    model = weights(tmp_path / "best.safetensors")
    tifffile.imwrite(tmp_path / "a.tif", field(0))
    done = run(model, tmp_path / "a.tif", tmp_path / "b.tif")
    assert done.exit_code == 0, done.output
    assert table(tmp_path)["a.tif"]["unlike"] == ""
    assert "unlike" not in done.output


def test_training_looks_at_its_images(tmp_path: Path, tiny: Config) -> None:
    data = tmp_path / "data"
    sharp = write_fields(tmp_path / "sharp", 6, side=128)
    prepare_blur(sharp, data, Gaussian((1.5, 1.5)), tiling=TilingOptions(tile=64, split="3,2,1"))
    train(data, tmp_path / "run", tiny)
    network = load(tmp_path / "run")
    assert network.familiar is not None
    assert network.intervals is not None
    tiles = read_split(data, "train")
    assert len(tiles) >= 8
    for tile in tiles:
        assert network.familiar.unlike(tile.load()[0], tile.limits or (0, 255)) < 1
    line = ["check", str(tmp_path / "run"), "--data", str(data), "--split", "val"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    for name in (*nothings(), *OTHERS):
        assert name in done.output


def test_nothing_and_others_are_measured(tmp_path: Path, prepared: Path) -> None:
    model = weights(tmp_path / "best.safetensors")
    network = load(model)
    for parameter in network.generator.parameters():
        parameter.detach().zero_()  # gives back what it gets
    for null in check_nothing(network):
        assert null.made == pytest.approx(1, abs=1e-3)
        assert not null.warning
        assert np.isnan(null.unlike)
    first = check_others(network, read_split(prepared, "test"))[0]
    assert first.name == "as they are"
    assert first.rsp == pytest.approx(1, abs=1e-3)
    invents = load(model)
    for parameter in invents.generator.parameters():
        parameter.detach().mul_(3)
    assert any(null.warning for null in check_nothing(invents))


def test_bad_input_of_check(tmp_path: Path, prepared: Path) -> None:
    model = weights(tmp_path / "best.safetensors", channels=3)
    colour = CliRunner().invoke(main, ["check", str(model)])
    assert colour.exit_code == 0
    assert "do not know what they were trained on" in colour.output
    for line, told in (
        ([str(tmp_path / "none")], "there is no such file"),
        ([str(model), "--data", str(tmp_path)], "test"),
        ([str(model), "--data", str(prepared)], "channels"),
    ):
        done = CliRunner().invoke(main, ["check", *line])
        assert done.exit_code != 0
        assert isinstance(done.exception, CellqaError | SystemExit)
        assert told in done.output
