"""Crops as functions of their number, and what they are scaled by."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fields import write_fields

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from ciegan.config import Data
from ciegan.data.crops import Crops, crops_of_steps
from ciegan.data.device_crops import DeviceCrops
from ciegan.data.tile_pairs import read_split, spread
from ciegan.network.normalisation import Normalisation, scaled, unscaled

DATA = Data(crop=32, batch_size=2)


def folder(tmp_path: Path, *images: tuple[np.ndarray, np.ndarray]) -> Path:
    for k, (source, target) in enumerate(images):
        write_tiff(tmp_path / f"train/input/{k}.tif", source, None)
        write_tiff(tmp_path / f"train/target/{k}.tif", target, None)
    return tmp_path


def noise(seed: int, dtype: type = np.uint16, shape: tuple[int, ...] = (48, 40)) -> np.ndarray:
    return np.random.default_rng(seed).integers(10, 250, shape).astype(dtype)


def test_a_crop_is_a_function_of_its_number(prepared: Path) -> None:
    tiles = read_split(prepared, "train")
    first, second = (Crops(tiles, DATA, seed=3) for _ in range(2))
    for k in (0, 7, 2**40):
        assert all(torch.equal(a, b) for a, b in zip(first[k], second[k], strict=True))
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], Crops(tiles, DATA, seed=4)[0][0])


def test_steps_go_on_where_they_stopped(prepared: Path) -> None:
    crops = Crops(read_split(prepared, "train"), DATA, 0)
    whole = [x for x, _ in crops_of_steps(crops, 0, 6)]
    parts = [x for a, b in ((0, 2), (2, 6)) for x, _ in crops_of_steps(crops, a, b)]
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_processes_share_the_crops_out(prepared: Path) -> None:
    tiles = read_split(prepared, "train")
    both = Crops(tiles, replace(DATA, batch_size=4), 0)
    each = Crops(tiles, DATA, 0)
    for whole, first, second in zip(
        crops_of_steps(both, 3, 5),
        crops_of_steps(each, 3, 5, rank=0, world=2),
        crops_of_steps(each, 3, 5, rank=1, world=2),
        strict=True,
    ):
        torch.testing.assert_close(whole[0][::2], first[0])
        torch.testing.assert_close(whole[0][1::2], second[0])


def test_workers_change_nothing(prepared: Path) -> None:
    tiles = read_split(prepared, "train")
    alone, helped = (Crops(tiles, replace(DATA, workers=n), 0) for n in (0, 1))
    pairs = zip(crops_of_steps(alone, 0, 3), crops_of_steps(helped, 0, 3), strict=True)
    assert all(torch.equal(a[0], b[0]) for a, b in pairs)


def test_input_and_target_turn_together(tmp_path: Path) -> None:
    image = noise(0)
    crops = Crops(read_split(folder(tmp_path, (image, image)), "train"), DATA, 0)
    views = [crops[k] for k in range(40)]
    assert all(torch.equal(x, y) for x, y in views)
    plain = Crops(crops.tiles, replace(DATA, augment=False), 0)
    assert any(not torch.equal(plain[k][0], views[k][0]) for k in range(10))


def test_little_memory_changes_nothing(prepared: Path) -> None:
    tiles = read_split(prepared, "train")
    kept, loaded = (Crops(tiles, replace(DATA, memory=gb), 0) for gb in (1.0, 0.0))
    assert (len(kept.kept), len(loaded.kept)) == (len(tiles), 0)
    assert torch.equal(kept[5][0], loaded[5][0])


@pytest.mark.parametrize("colour", [False, True])
def test_scaling_and_back(colour: bool) -> None:
    pixels = noise(1, shape=(20, 30, 3) if colour else (20, 30))
    planes = scaled(pixels, (10.0, 250.0))
    assert planes.shape == ((3, 20, 30) if colour else (1, 20, 30))
    assert planes.min() >= -1
    # float32
    assert unscaled(planes, (10.0, 250.0), colour) == pytest.approx(pixels, rel=1e-5)


def test_rules_of_normalisation(tmp_path: Path) -> None:
    dim, bright = noise(1), noise(2) * np.uint16(8)
    tiles = read_split(folder(tmp_path, (dim, dim), (bright, bright)), "train")
    found = {
        r: Crops(tiles, replace(DATA, normalize=r), 0).normalisation
        for r in ("image", "train", "range")
    }
    assert found["range"] == Normalisation("range", dim.min(), bright.max())
    everything = np.concatenate([dim.ravel(), bright.ravel()])
    expected = tuple(np.percentile(everything, (0.1, 99.9)))
    assert (found["train"].low, found["train"].high) == pytest.approx(expected)
    assert found["train"].limits(dim) == pytest.approx(expected)
    assert found["image"].limits(dim) == pytest.approx(np.percentile(dim, (0.1, 99.9)))
    assert found["image"].limits(dim, (3.0, 7.0)) == (3.0, 7.0)


def test_the_range_of_8_bits(tmp_path: Path) -> None:
    tiles = read_split(folder(tmp_path, (noise(1, np.uint8), noise(2, np.uint8))), "train")
    found = Crops(tiles, replace(DATA, normalize="range"), 0).normalisation
    assert (found.low, found.high) == (0, 255)


def test_whole_images_limits_come_from_the_table(prepared: Path) -> None:
    for tile in read_split(prepared, "train"):
        source, _, _ = tile.load()
        assert tile.limits == pytest.approx(tuple(np.percentile(source, (0.1, 99.9))))
        assert tile.field == tile.name.split("_")[0]


def test_spread() -> None:
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]  # type: ignore[arg-type]
    assert spread([1, 2], 5) == [1, 2]  # type: ignore[arg-type]


def test_what_cannot_be_trained_on(tmp_path: Path) -> None:
    small, flat = noise(0, shape=(20, 40)), np.full((48, 48), 3, np.uint16)
    rgb = noise(0, np.uint8, (48, 48, 3))
    labels = np.kron(np.arange(9).reshape(3, 3), np.ones((16, 16))).astype(np.uint16)
    good = noise(5, shape=(48, 48))
    for name, images, message in (
        ("small", [(small, small)], "smaller than a crop of 32"),
        ("flat", [(good, flat)], "the target is constant"),
        ("labels", [(good, labels)], "looks like labels"),
        ("mixed", [(good, good), (rgb, rgb)], "3 channels"),
        ("shapes", [(good, good[:40])], "differ in shape"),
    ):
        tiles = read_split(folder(tmp_path / name, *images), "train")
        with pytest.raises(CellqaError, match=message):
            Crops(tiles, DATA, 0)


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(CellqaError, match="there is no folder"):
        read_split(tmp_path / "none", "train")
    with pytest.raises(CellqaError, match="has no train/"):
        read_split(write_fields(tmp_path / "flat", 1), "train")
    write_fields(tmp_path / "half/train/input", 2)
    with pytest.raises(CellqaError, match="no folder"):
        read_split(tmp_path / "half", "train")
    write_fields(tmp_path / "half/train/target", 1)
    with pytest.raises(CellqaError, match="field1 has no partner in target/"):
        read_split(tmp_path / "half", "train")
    (tmp_path / "half/pairs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CellqaError, match="not as `ciegan prepare` writes it"):
        read_split(tmp_path / "half", "train")


@pytest.mark.parametrize("dtypes", [(np.uint8,), (np.uint16,), (np.uint8, np.uint16)])
@pytest.mark.parametrize("shape", [(50, 60), (50, 60, 3)])
def test_crops_of_a_device_are_the_same_to_the_bit(
    tmp_path: Path, dtypes: tuple[type, ...], shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    images = []
    for k in range(4):
        dtype = dtypes[k % len(dtypes)]
        largest = np.iinfo(dtype).max
        images.append(tuple(rng.integers(0, largest, shape).astype(dtype) for _ in "ab"))
    crops = Crops(read_split(folder(tmp_path, *images), "train"), DATA, 5)
    device = DeviceCrops(crops, torch.device("cpu"))
    drawn = {(crops.draw(k).turns, crops.draw(k).flip) for k in range(60)}
    assert len(drawn) == 8
    steps = device.steps(0, 30)
    assert len(steps) == 30
    for (source, target), (there, wanted) in zip(crops_of_steps(crops, 0, 30), steps, strict=True):
        assert torch.equal(source, there)
        assert torch.equal(target, wanted)
    assert steps.waited > 0


def test_a_device_keeps_what_it_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = torch.device("cuda", 0)
    crops = Crops(
        read_split(folder(tmp_path, (noise(0), noise(1)), (noise(2), noise(3))), "train"), DATA, 0
    )
    assert not DeviceCrops.fits(crops, torch.device("cpu"))
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (1e9, 1e9))
    assert DeviceCrops.fits(crops, cuda)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (1000, 1e9))
    assert not DeviceCrops.fits(crops, cuda)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (1e9, 1e9))
    crops.kept[1] = tuple(p[:40] for p in crops.kept[1])  # of another size
    assert not DeviceCrops.fits(crops, cuda)
    del crops.kept[1]  # beyond data.memory
    assert not DeviceCrops.fits(crops, cuda)


def test_accents_of_two_file_systems_are_the_same_name(tmp_path: Path) -> None:
    for role, name in (("input", "zelle_\u00e4"), ("target", "zelle_a\u0308")):
        write_tiff(tmp_path / f"train/{role}/{name}.tif", noise(0), None)
    (tile,) = read_split(tmp_path, "train")
    assert tile.name == "zelle_\u00e4"
    assert tile.load()[0].shape == (48, 40)
