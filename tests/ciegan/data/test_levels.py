"""Pairs whose types, or scales of grey levels, differ."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy import ndimage

from cellqa.errors import ImageError
from cellqa.io import write_tiff
from cellqa.simulate import nuclei
from ciegan.cli import main
from ciegan.data.levels import fitted_levels, levelled
from ciegan.data.tiles import Pair


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy, blurred image of 16 bits, and the truth in the same grey levels, as floats."""
    target = nuclei((128, 128), cutoff=0.6, photons=2000, seed=seed).image.astype(np.float32)
    smooth = ndimage.gaussian_filter(target - 100, 2).clip(0)
    source = np.random.default_rng(seed).poisson(smooth * 0.2) / 0.2 + 100
    return source.astype(np.uint16), target


def test_floats_on_one_scale_are_taken_as_they_are() -> None:
    source, target = scene()
    pair = levelled(Pair("", source, target))
    assert (pair.input.dtype, pair.target.dtype) == (np.float32, np.float32)
    assert (pair.input == source).all()
    assert (pair.target == target).all()


def test_one_type_is_left_alone() -> None:
    source, target = scene()
    pair = Pair("", source, (target / 50).astype(np.uint16))
    assert levelled(pair) is pair


@pytest.mark.parametrize(("gain", "offset"), [(1 / 65535, 0.0), (1 / 300, -0.3), (10.0, 500.0)])
def test_other_scales_are_refused_or_matched(gain: float, offset: float) -> None:
    source, target = scene()
    pair = Pair("", source, gain * target + np.float32(offset))
    with pytest.raises(ImageError, match="--match-levels"):
        levelled(pair)
    matched = levelled(pair, match=True)
    found = np.polyfit(target.ravel(), matched.target.ravel(), 1)
    assert found[0] == pytest.approx(1, abs=0.03)  # blur takes some of it at the borders
    assert np.polyval(found, target.mean()) == pytest.approx(target.mean(), rel=0.01)


def test_inverted_and_flat_targets_are_refused() -> None:
    source, target = scene()
    with pytest.raises(ImageError, match="gets darker"):
        levelled(Pair("", source, -target), match=True)
    with pytest.raises(ImageError, match="is flat"):
        levelled(Pair("", source, np.full_like(target, 3)))


def test_noise_of_the_input_does_not_lower_the_gain() -> None:
    _, target = scene()
    noisy = target + np.random.default_rng(1).normal(0, 500, target.shape)
    assert fitted_levels(noisy, target)[0] == pytest.approx(1, abs=0.06)


def test_the_command(tmp_path: Path) -> None:
    for seed in range(3):
        source, target = scene(seed)
        write_tiff(tmp_path / f"raw/{seed}.tif", source, None)
        write_tiff(tmp_path / f"true/{seed}.tif", (target / 65535).astype(np.float32), None)
    words = [str(tmp_path / n) for n in ("raw", "true", "data")]
    more = ["--tile", "64", "--split", "1,0,0"]
    refused = CliRunner().invoke(main, ["prepare", "pairs", *words, *more])
    assert refused.exit_code == 1
    assert "--match-levels" in refused.output
    done = CliRunner().invoke(main, ["prepare", "pairs", *words, *more, "--match-levels"])
    assert done.exit_code == 0, done.output
    tile = next((tmp_path / "data/train/target").glob("*.tif"))
    level = tifffile.imread(tile).mean()
    assert tifffile.imread(tmp_path / f"data/train/input/{tile.name}").mean() == pytest.approx(
        level, rel=0.05
    )
