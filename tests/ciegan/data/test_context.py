"""Tiles that know their neighbours in time and focus, and crops of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from ciegan.config import DEFAULT, ConfigError, Context, Data, Network
from ciegan.data.crops import Crops
from ciegan.data.device_crops import DeviceCrops
from ciegan.data.tile_pairs import read_split
from ciegan.network.checkpoint import make_generator
from ciegan.network.neighbours import middle, stacked
from ciegan.training.starting import _widened

RNG = np.random.default_rng(3)


def tiles(folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    made = {}
    for name in names:
        made[name] = RNG.integers(0, 4000, (40, 48)).astype(np.uint16)
        write_tiff(folder / f"train/input/{name}.tif", made[name], None)
        write_tiff(folder / f"train/target/{name}.tif", made[name] // 2, None)
    return made


@pytest.mark.parametrize(
    ("name", "axis", "number"),
    [
        ("pos1_t07", "t", 7),
        ("T12_b", "t", 12),
        ("run-time3.rest", "t", 3),
        ("a_frame_004", "t", 4),
        ("p_z11_c1", "z", 11),
        ("slice2", "z", 2),
        ("a_t3c0z5_0_256", "t", 3),
        ("a_t3c0z5_0_256", "z", 5),
        ("a_s2t3c0z5", "t", 3),
        ("at3", "t", None),
        ("pos1", "t", None),
        ("T1000x", "t", None),
        ("p_z11_c1", "t", None),
    ],
)
def test_numbers_in_names(name: str, axis: str, number: int | None) -> None:
    place = Context(axis, 1).place(name)
    assert (place.number if place else None) == number


@pytest.mark.parametrize("text", ["t", "t:0", "x:1", "t:5", "t:-1", "t:1.5", "1"])
def test_what_is_no_context(text: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.context must be t:1"):
        Data(context=text)


def test_tiles_know_their_neighbours(tmp_path: Path) -> None:
    names = ["a_t0c0z0_0_0", "a_t1c0z0_0_0", "a_t3c0z0_0_0", "a_t1c0z0_0_48", "b_t2c0z0_0_0"]
    made = tiles(tmp_path, names)
    found = {t.name: t for t in read_split(tmp_path, "train", "t:2")}
    assert [p.stem for p in found["a_t1c0z0_0_0"].beside] == [
        "a_t0c0z0_0_0",
        "a_t1c0z0_0_0",  # t2 is missing: the tile itself is the nearest after it
        "a_t0c0z0_0_0",
        "a_t3c0z0_0_0",
    ]
    tile = found["a_t1c0z0_0_0"]
    seen = tile.seen(tile.load()[0])
    own, before, after = (made[f"a_t{k}c0z0_0_0"] for k in (1, 0, 3))
    assert (seen == stacked([own, before, own, before, after])).all()
    assert set(found["b_t2c0z0_0_0"].beside) == {found["b_t2c0z0_0_0"].input}


def test_names_without_a_time_are_refused(tmp_path: Path) -> None:
    tiles(tmp_path, ["a", "b"])
    with pytest.raises(CellqaError, match="no tile has a neighbour"):
        read_split(tmp_path, "train", "t:1")


def test_crops_of_neighbours_are_turned_together(tmp_path: Path) -> None:
    made = tiles(tmp_path, [f"p_t{t}" for t in range(4)])
    data = replace(DEFAULT.data, crop=16, context="t:1")
    crops = Crops(read_split(tmp_path, "train", "t:1"), data, 1)
    assert crops.channels == 1
    for k in range(20):
        drawn = crops.draw(k)
        t = int(crops.tiles[drawn.place].name[-1])
        source, _ = crops[k]
        low, high = crops.limits(drawn.place)
        for channel, frame in enumerate((t, max(t - 1, 0), min(t + 1, 3))):
            cut = made[f"p_t{frame}"][drawn.y : drawn.y + 16, drawn.x : drawn.x + 16]
            cut = np.rot90(cut, drawn.turns)
            cut = cut[:, ::-1] if drawn.flip else cut
            assert np.allclose(source[channel], (cut - low) / (high - low) * 2 - 1, atol=1e-5)


def test_crops_on_a_device_are_the_same(tmp_path: Path) -> None:
    tiles(tmp_path, [f"p_t{t}" for t in range(4)])
    data = replace(DEFAULT.data, crop=16, context="t:1", batch_size=6)
    crops = Crops(read_split(tmp_path, "train", "t:1"), data, 1)
    there = DeviceCrops(crops, torch.device("cpu"))
    for ours, theirs in zip(there.batch(there.drawn(0)), crops.__getitems__(range(6)), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("target", ["self", "other"])
def test_neighbours_without_truth_stay_as_they_are(tmp_path: Path, target: str) -> None:
    tiles(tmp_path, [f"p_t{t}" for t in range(3)])
    data = replace(DEFAULT.data, crop=16, context="t:1", target=target)
    crops = Crops(read_split(tmp_path, "train", "t:1"), data, 1)
    source, _ = crops.pair(1)
    seen, aimed = crops.learned(0, source, middle(source, 1) // 2, [0])
    assert seen.shape == source.shape
    assert aimed.ndim == 2
    assert (seen[:, :, 1:] == source[:, :, 1:]).all()


def test_generators_that_see_none_say_so() -> None:
    config = replace(DEFAULT, data=replace(DEFAULT.data, context="t:1"), generator=Network("unet"))
    with pytest.raises(ConfigError, match="unet sees no neighbours; resunet and nafnet do"):
        make_generator(config, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_without_neighbours_begin_with_those(channels: int, tmp_path: Path) -> None:
    from networks import weights

    from ciegan.network.checkpoint import load

    first = load(weights(tmp_path / "a.safetensors", channels))
    config = replace(first.config, data=replace(first.config.data, context="z:1"))
    wider = make_generator(config, channels).eval()
    wider.load_state_dict(_widened(first, wider))
    own = torch.rand(1, channels, 16, 16) * 2 - 1
    seen = torch.cat([own, torch.rand(1, 2 * channels, 16, 16)], dim=1)
    with torch.no_grad():
        assert torch.allclose(wider(seen), first.generator(own), atol=1e-6)
    back = make_generator(first.config, channels)
    seeing = load(weights(tmp_path / "b.safetensors", channels, context="z:1"))
    with pytest.raises(CellqaError, match=r"data\.context=z:1"):
        _widened(seeing, back)


def test_frames_of_a_file_are_beside_each_other_whatever_its_name_says() -> None:
    """As `ciegan enhance` takes them."""
    names = [f"pos0_time{k}_t{t}c0z0_y00000_x00000" for k in (1, 2) for t in range(3)]
    found = Context("t", 1).neighbours(names)
    assert found[names[1]] == (names[0], names[2])
    assert found[names[0]] == (names[0], names[1])
    assert found[names[3]] == (names[3], names[4])
    # stacks that are a frame each: the frames are files
    stacks = [f"pos0_t{t:02d}_t0c0z{z}_y00000_x00000" for t in range(2) for z in range(2)]
    assert Context("t", 1).neighbours(stacks)[stacks[0]] == (stacks[0], stacks[2])
    assert Context("z", 1).neighbours(stacks)[stacks[0]] == (stacks[0], stacks[1])
