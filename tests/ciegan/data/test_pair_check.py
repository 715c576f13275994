"""Pairs that do not belong together, or do not lie on each other."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from cellqa.errors import CellqaError, ImageError
from cellqa.io import write_tiff
from cellqa.simulate import nuclei
from ciegan.data import TilingOptions, prepare_pairs, prepare_side_by_side
from ciegan.data.degrade import BrightfieldDefocus
from ciegan.data.levels import in_floats, levelled
from ciegan.data.pair_check import EXCHANGED, SMALL, check_pair
from ciegan.data.placement import displaced, placement
from ciegan.data.tiles import Pair

SIDE = 256


def sharp(seed: int) -> np.ndarray:
    return nuclei((SIDE, SIDE), cutoff=0.7, photons=4000, seed=seed, density=0.6).image


def blurred(image: np.ndarray, seed: int = 0, photons: float = 0.25) -> np.ndarray:
    smooth = ndimage.gaussian_filter(image.astype(float) - 100, 2).clip(0)
    noisy = np.random.default_rng(seed).poisson(smooth * photons) / photons + 100
    return np.rint(noisy).clip(0, 65535).astype(np.uint16)


def warped(image: np.ndarray, turn: float, scale: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), turn, scale)
    mode = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REFLECT}
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), **mode))


@pytest.mark.parametrize("seed", range(5))
def test_honest_pairs_pass(seed: int) -> None:
    target = sharp(seed)
    noisy = np.random.default_rng(seed).poisson((target - 100.0).clip(0) * 0.02) / 0.02 + 100
    for source in (blurred(target), noisy.astype(np.uint16)):
        pair, doubt = check_pair(Pair("", source, target))
        assert pair.input is source
        assert not doubt


@pytest.mark.parametrize("seed", range(5))
def test_what_is_wrong_is_named(seed: int) -> None:
    target = sharp(seed)
    source = blurred(target)
    wrong = {
        "same image": target,
        "no structure in common|another field": blurred(sharp(seed + 50)),
        "displaced by 5.0|displaced by 4.9": np.roll(source, (4, -3), (0, 1)),
        "turned by [12]": warped(source, 2.0, 1.0),
        "turned by [4567]": warped(source, 5.0, 1.0),
        "times as large": warped(source, 0.0, 1.03),
    }
    for words, image in wrong.items():
        with pytest.raises(ImageError, match=words):
            check_pair(Pair("", image, target))
    assert check_pair(Pair("", target, source))[1] == EXCHANGED


def test_what_is_too_small_or_too_long_to_be_looked_at_is_told(tmp_path: Path) -> None:
    small = blurred(sharp(1))[:60], sharp(1)[:60]
    assert check_pair(Pair("", *small))[1] == SMALL
    with pytest.raises(ImageError, match=r"smaller than 64 pixels a side.*leave --register out"):
        check_pair(Pair("", *small), register=True)
    long = np.zeros((64, 32767), np.uint16)
    long[:, ::7] = 9
    with pytest.raises(ImageError, match="more than 32766 pixels a side"):
        check_pair(Pair("", long // 2, long))
    where = folders(tmp_path, lambda s, t: (s[:60], t[:60]))
    done = prepare_pairs(*where, tmp_path / "out", tiling=TilingOptions(tile=48))
    assert any(line.startswith("4 pairs were not looked at") for line in done.warnings)


def test_levels_are_matched_where_float32_does_not_hold_them() -> None:
    target = sharp(1).astype(np.float64)
    source = (10 * target + 2**30).astype(np.uint32)
    pair = levelled(
        in_floats(Pair("", source, target)), match=True, types=(source.dtype, target.dtype)
    )
    assert pair.input.dtype == pair.target.dtype == np.float64
    assert np.abs(pair.input - pair.target).max() < 1
    narrow = in_floats(Pair("", sharp(1).astype(np.uint16), target))
    assert narrow.input.dtype == narrow.target.dtype == np.float32


@pytest.mark.parametrize(
    ("shift", "turn", "scale"),
    [((4, -3), 0, 1), ((0, 0), 2.0, 1), ((2, 1), -1.0, 1.02), ((0, 0), 5.0, 1)],
)
def test_registering_undoes_it(shift: tuple[int, int], turn: float, scale: float) -> None:
    target = sharp(1)
    moved = np.roll(warped(blurred(target), turn, scale), shift, (0, 1))
    pair, _ = check_pair(Pair("", moved, target), register=True)
    assert pair.input.shape == pair.target.shape
    assert min(pair.input.shape) > 0.75 * SIDE
    left = placement(pair.target.astype(np.float32), pair.input.astype(np.float32))
    assert left is not None
    assert np.hypot(*left.by) < 0.1
    assert not left.describe()


def few_cells(seed: int, turn: float, photons: float = 1.0) -> Pair:
    """Two photographs of 220 pixels a side with a handful of cells, the second turned."""
    rng = np.random.default_rng(seed)
    target = nuclei((300, 300), cutoff=0.7, photons=4000, seed=40 + seed, density=0.6).image
    source = ndimage.rotate(ndimage.gaussian_filter(target * 1.0, 1.5), turn, reshape=False)
    source = ndimage.shift(source, (4.3, -6.6) if turn else 0)
    inner = np.s_[40:260, 40:260]
    noisy = rng.poisson(source[inner].clip(0) * photons) / photons
    return Pair("", noisy.astype(np.float32), target[inner].astype(np.float32))


@pytest.mark.parametrize("turn", [-1.0, 1.0, 12.0])
@pytest.mark.parametrize("seed", range(3))
def test_turns_of_images_with_few_cells_are_told_and_undone(seed: int, turn: float) -> None:
    pair = few_cells(seed, turn)
    placed = placement(pair.target, pair.input)
    assert placed is not None
    assert placed.turn == pytest.approx(turn, abs=0.25)
    assert placed.scale == pytest.approx(1, abs=0.01)
    with pytest.raises(ImageError, match="turned by"):
        check_pair(pair)
    brought = check_pair(pair, register=True)[0]
    straight = few_cells(seed, 0.0)
    (y, x), (rows, columns) = brought.corner, brought.input.shape
    inner = np.s_[y : y + rows, x : x + columns]
    assert np.corrcoef(brought.input.ravel(), straight.input[inner].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("photons", [1.0, 0.01, 0.003])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_turned_passes_in_noise(seed: int, photons: float) -> None:
    check_pair(few_cells(seed, 0.0, photons))


@pytest.mark.parametrize("seed", range(4))
def test_cells_brought_onto_others_are_nothing_in_common(seed: int) -> None:
    first, second = (
        nuclei((500, 500), cutoff=0.7, photons=4000, seed=s, density=0.6).image
        for s in (seed + 1, seed + 50)
    )
    smooth = ndimage.gaussian_filter(second * 1.0, 2).astype(np.uint16)
    for register in (False, True):
        with pytest.raises(ImageError, match="no structure in common"):
            check_pair(Pair("", smooth, first), register=register)


def test_a_long_strip_is_looked_at() -> None:
    """Binned to 256 pixels of length, nothing would be left of its width."""
    strip = np.concatenate([sharp(seed)[:64] for seed in range(3)] * 22, axis=1)
    other = np.random.default_rng(0).poisson(900, strip.shape)
    with pytest.raises(ImageError, match="no structure in common"):
        check_pair(Pair("", other.astype(np.uint16), strip))


@pytest.mark.parametrize("distance", [-12.0, -6.0, 6.0, 12.0])
def test_inverted_contrast_is_no_displacement(distance: float) -> None:
    target = (2000 - 0.1 * sharp(3)).astype(np.float64)
    source = BrightfieldDefocus().apply(target, distance, 0.2)
    source += np.random.default_rng(0).normal(0, 1, source.shape)
    for by in ((0, 0), (3, -2)):
        found = displaced(target.astype(np.float32), np.roll(source, by, (0, 1)).astype(np.float32))
        assert found is not None
        assert found == pytest.approx(by, abs=0.5)


def test_unrelated_images_with_the_same_uneven_light_have_nothing_in_common() -> None:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    light = 2000 * np.exp(-3 * (y**2 + x**2))
    images = [sharp(seed) + light for seed in (1, 2)]
    assert displaced(*(image.astype(np.float32) for image in images)) is None


def folders(place: Path, change: object = None) -> tuple[Path, Path]:
    for seed in range(4):
        target = sharp(seed)
        source = blurred(target, seed)
        if change is not None:
            source, target = change(source, target)  # type: ignore[operator]
        write_tiff(place / "blurred" / f"f{seed}.tif", source, 0.3)
        write_tiff(place / "sharp" / f"f{seed}.tif", target, 0.3)
    return place / "blurred", place / "sharp"


def test_the_command_fails_what_is_wrong(tmp_path: Path) -> None:
    tiling = TilingOptions(tile=64)
    where = folders(tmp_path, lambda s, t: (np.roll(s, (4, -3), (0, 1)), t))
    with pytest.raises(CellqaError, match=r"displaced by .* --register undoes that"):
        prepare_pairs(*where, tmp_path / "out", tiling=tiling)
    done = prepare_pairs(*where, tmp_path / "out", tiling=tiling, register=True)
    assert done.tiles.total() > 20
    assert "4.0" in (tmp_path / "out/pairs.csv").read_text()
    done = prepare_pairs(*where, tmp_path / "as-is", tiling=tiling, check=False)
    assert done.tiles.total() > 20


def test_one_exchanged_pair_of_many_is_no_warning(tmp_path: Path) -> None:
    number = iter(range(4))
    where = folders(tmp_path, lambda s, t: (t, s) if next(number) == 0 else (s, t))
    done = prepare_pairs(*where, tmp_path / "out", tiling=TilingOptions(tile=64))
    assert not any(EXCHANGED in warning for warning in done.warnings)


def test_stacks_are_paired_plane_by_plane(tmp_path: Path) -> None:
    import tifffile

    for seed in range(3):
        truth = np.stack([sharp(10 * seed + k) for k in range(3)])
        source = np.stack([blurred(plane) for plane in truth])
        source[1] = blurred(sharp(99))  # of another field
        for name, stack in (("blurred", source), ("sharp", truth)):
            (tmp_path / name).mkdir(exist_ok=True)
            options = {"imagej": True, "metadata": {"axes": "TYX"}}
            tifffile.imwrite(tmp_path / name / f"f{seed}.tif", stack, **options)
    where = tmp_path / "blurred", tmp_path / "sharp"
    done = prepare_pairs(*where, tmp_path / "out", tiling=TilingOptions(tile=128, min_contrast=0))
    assert done.tiles.total() == 3 * 2 * 4
    assert {plane for _, plane, _ in done.failures} == {"t1c0z0"}
    assert all(len(names) == 1 for names in done.fields.values())
    tifffile.imwrite(tmp_path / "sharp/f0.tif", truth[:2], **options)
    done = prepare_pairs(*where, tmp_path / "o2", tiling=TilingOptions(tile=128, split="1,0,0"))
    assert any("3 planes and 2" in why for _, _, why in done.failures)


def test_exchanged_folders_are_told(tmp_path: Path) -> None:
    where = folders(tmp_path, lambda s, t: (t, s))
    done = prepare_pairs(*where, tmp_path / "out", tiling=TilingOptions(tile=64))
    assert sum("in 4 of 4 pairs the input holds more fine detail" in w for w in done.warnings) == 1
    for seed in range(4):
        both = np.hstack([blurred(sharp(seed)), sharp(seed)])
        write_tiff(tmp_path / "ab" / f"f{seed}.tif", both, None)
    done = prepare_side_by_side(tmp_path / "ab", tmp_path / "o2", tiling=TilingOptions(tile=64))
    assert any("is the sharp image on the right?" in w for w in done.warnings)


@pytest.mark.parametrize("dtype", [np.uint32, np.float64])
def test_levels_that_float32_does_not_hold_are_registered(dtype: type) -> None:
    target = sharp(1)
    moved = np.roll(blurred(target), 3, axis=0)
    plain = check_pair(Pair("", moved, target), register=True)[0]
    wide = Pair("", (moved + 2e9).astype(dtype), (target + 2e9).astype(dtype))
    found = check_pair(wide, register=True)[0]
    assert found.input.dtype == dtype
    np.testing.assert_allclose(found.input.astype(float) - 2e9, plain.input, atol=2)
