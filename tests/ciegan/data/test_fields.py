"""Fields: which images are one, how one is split, which stand in two splits all the same."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.simulate import nuclei
from ciegan.config import Data
from ciegan.data import TilingOptions, prepare_blur
from ciegan.data.crops import Crops
from ciegan.data.degrade import Gaussian, Noise
from ciegan.data.splits import fields_by_name
from ciegan.data.tile_pairs import read_split
from ciegan.data.tiles import GAP

GAUSS = Gaussian((1.5, 1.5))


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "pairs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scene(seed: int, shape: tuple[int, int] = (160, 160)) -> np.ndarray:
    return nuclei(shape, photons=4000, seed=seed, density=0.6).image


def test_frames_planes_and_channels_are_one_field() -> None:
    names = [f"pos{k}_t{t:02}.tif" for k in range(2) for t in range(3)]
    names += ["a/w1_z01_ch1.tif", "a/w1_z02_ch1.tif", "single_t07.tif", "T1000.tif", "well3.tif"]
    fields = fields_by_name(names, TilingOptions(), {})
    assert len(set(fields.values())) == 6
    assert fields["pos0_t01.tif"] == fields["pos0_t02.tif"] == "pos0"
    assert fields["a/w1_z01_ch1.tif"] == "a/w1"
    assert fields["single_t07.tif"] == "single_t07.tif"  # alone: its name stays


def test_frames_of_too_few_fields_are_refused(tmp_path: Path) -> None:
    for k in range(2):
        for t in range(5):
            write_tiff(tmp_path / f"tl/pos{k}_t{t:02}.tif", scene(k), None)
    with pytest.raises(CellqaError, match=r"there are 2 .*--split-within"):
        prepare_blur(tmp_path / "tl", tmp_path / "out", GAUSS, tiling=TilingOptions(tile=64))
    # an expression has the last word
    tiling = TilingOptions(tile=64, field=r"pos\d+_t\d+")
    done = prepare_blur(tmp_path / "tl", tmp_path / "out", GAUSS, tiling=tiling)
    assert any("look like one that is trained on" in w for w in done.warnings)


def test_numbered_frames_without_a_word_are_told(tmp_path: Path) -> None:
    for k in range(4):
        for t in range(2):
            write_tiff(tmp_path / f"in/img{2 * k + t:04}.tif", np.roll(scene(k), t, 0), None)
    done = prepare_blur(tmp_path / "in", tmp_path / "out", GAUSS, tiling=TilingOptions(tile=64))
    assert any("look like one that is trained on" in w for w in done.warnings)
    for k in range(8):
        write_tiff(tmp_path / f"other/img{k:04}.tif", scene(10 + k), None)
    done = prepare_blur(tmp_path / "other", tmp_path / "o2", GAUSS, tiling=TilingOptions(tile=64))
    assert not any("look like" in w for w in done.warnings)


@pytest.mark.parametrize("shape", [(160, 700), (700, 160)])
def test_a_field_is_cut_into_parts(tmp_path: Path, shape: tuple[int, int]) -> None:
    write_tiff(tmp_path / "in/f.tif", scene(1, shape), None)
    tiling = TilingOptions(tile=64, within=True, min_contrast=0)
    prepare_blur(tmp_path / "in", tmp_path / "out", GAUSS, tiling=tiling)
    rows = rows_of(tmp_path / "out")
    along = "x" if shape[1] > shape[0] else "y"
    places = {
        split: [int(row[along]) for row in rows if row["split"] == split]
        for split in ("train", "val", "test")
    }
    assert all(places.values())
    assert min(places["val"]) - (max(places["train"]) + 64) >= GAP
    assert min(places["test"]) - (max(places["val"]) + 64) >= GAP
    assert {row["field"] for row in rows} == {"f train", "f val", "f test"}
    assert len(places["train"]) > len(places["val"])


def test_a_part_smaller_than_a_tile_is_told(tmp_path: Path) -> None:
    write_tiff(tmp_path / "in/f.tif", scene(1), None)
    tiling = TilingOptions(tile=64, within=True)
    with pytest.raises(CellqaError, match="fewer than a tile of 64"):
        prepare_blur(tmp_path / "in", tmp_path / "out", GAUSS, tiling=tiling)


def test_hot_pixels_are_part_of_the_degradation() -> None:
    rng = np.random.default_rng(0)
    plane = np.full((200, 200), 500.0)
    found = Noise(photons=0, hot=0.01).add(plane, rng)
    assert (found > 500).mean() == pytest.approx(0.01, rel=0.3)
    assert found.max() <= 1000
    assert (Noise(photons=0).add(plane, rng) == plane).all()


def test_one_overlong_name_fails_alone(tmp_path: Path) -> None:
    for k in range(3):
        write_tiff(tmp_path / f"in/f{k}.tif", scene(k), None)
    write_tiff(tmp_path / "in" / f"{'n' * 246}.tif", scene(5), None)
    done = prepare_blur(tmp_path / "in", tmp_path / "out", GAUSS, tiling=TilingOptions(tile=64))
    assert [why for _, _, why in done.failures] == ["its name is too long for its tiles' names"]


def test_what_lies_below_the_offset_stays(tmp_path: Path) -> None:
    for k in range(3):
        write_tiff(tmp_path / f"in/f{k}.tif", scene(k).astype(np.float32) - 400, None)
    prepare_blur(tmp_path / "in", tmp_path / "out", GAUSS, tiling=TilingOptions(tile=64))
    for tile in read_split(tmp_path / "out", "train"):
        source, target, _ = tile.load()
        assert np.median(source) == pytest.approx(np.median(target), abs=12)


@pytest.mark.parametrize("samples", [2, 4])
def test_channels_are_not_dropped(tmp_path: Path, samples: int) -> None:
    import tifffile

    (tmp_path / "in").mkdir()
    for k in range(3):
        pixels = np.dstack([scene(k + j) for j in range(samples)])
        options = {"photometric": "minisblack", "planarconfig": "contig"}
        if samples == 4:
            options = {"photometric": "rgb", "extrasamples": ["unspecified"]}
        tifffile.imwrite(tmp_path / f"in/f{k}.tif", pixels, **options)
    with pytest.raises(CellqaError, match=f"{samples} (samples|planes)"):
        prepare_blur(tmp_path / "in", tmp_path / "out", GAUSS, tiling=TilingOptions(tile=64))


def test_grey_among_colour_is_prepared_in_colour(tmp_path: Path) -> None:
    for k in range(4):
        grey = (scene(k) // 16).clip(0, 255).astype(np.uint8)
        write_tiff(tmp_path / f"in/f{k}.tif", np.dstack([grey, grey // (1 + (k != 2)), grey]), None)
    tiling = TilingOptions(tile=64, min_contrast=0)
    done = prepare_blur(tmp_path / "in", tmp_path / "out", GAUSS, tiling=tiling)
    assert any("1 of 4 images are grey" in w for w in done.warnings)
    tiles = [t for s in ("train", "val", "test") for t in read_split(tmp_path / "out", s)]
    assert {tile.load()[0].shape[-1] for tile in tiles} == {3}
    assert Crops(tiles, Data(crop=32), 0).channels == 3


def test_frames_in_a_folder_for_each_position_are_one_field() -> None:
    names = [f"pos{p}/t{t:02d}_c{c}.tif" for p in range(3) for t in range(4) for c in range(2)]
    found = fields_by_name(names, TilingOptions(), {})
    assert {name: name.split("/")[0] for name in names} == found
    lone = ["a/t1.tif", "b/x.tif"]  # of one image, the name is the field's
    assert fields_by_name(lone, TilingOptions(), {}) == dict(zip(lone, lone, strict=True))
