"""Preparation: splits, tiles, what is dropped, what is refused."""

import csv
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from fields import write_fields

from cellqa import frc_resolution
from cellqa.disk import LOCK
from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.simulate import acquire, filaments, optical_blur
from ciegan.cli import main
from ciegan.data import (
    TilingOptions,
    ZStack,
    prepare_blur,
    prepare_pairs,
    prepare_side_by_side,
    prepare_zstack,
)
from ciegan.data.degrade import Gaussian, Noise
from ciegan.data.prepare import prepare_sources
from ciegan.data.splits import SPLITS, assign
from ciegan.data.tile_pairs import read_split
from ciegan.data.tiles import Pair

GAUSS = Gaussian((1.5, 1.5))
ALL = TilingOptions(tile=64, split="1,0,0")


def table(out: Path) -> list[dict[str, str]]:
    with (out / "pairs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_no_field_stands_in_two_splits(tmp_path: Path) -> None:
    source = tmp_path / "sharp"
    for k in range(24):
        image = filaments((64, 64), seed=k).image
        write_tiff(source / f"well{k // 4}_site{k % 4}.tif", image, 0.2)
    tiling = TilingOptions(tile=32, field=r"well\d+")
    found = prepare_blur(source, tmp_path / "out", GAUSS, tiling=tiling)
    rows = table(tmp_path / "out")
    splits = {row["field"]: row["split"] for row in rows}
    assert len(splits) == 6
    assert all(splits[row["field"]] == row["split"] for row in rows)
    assert {len(found.fields[s]) for s in SPLITS} == {4, 1}
    for split in SPLITS:
        assert len(read_split(tmp_path / "out", split)) == found.tiles[split]


def test_tiles_are_where_the_table_says(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 1, side=100)
    prepare_blur(source, tmp_path / "out", GAUSS, tiling=TilingOptions(tile=64, split="1,0,0"))
    rows = table(tmp_path / "out")
    whole = tifffile.imread(source / "field0.tif")
    assert {(row["y"], row["x"]) for row in rows} <= {
        (a, b) for a in ("0", "36") for b in ("0", "36")
    }
    for row in rows:
        y, x = int(row["y"]), int(row["x"])
        tile = tifffile.imread(tmp_path / f"out/train/target/{row['name']}.tif")
        assert (tile == whole[y : y + 64, x : x + 64]).all()
        assert row["degradation"].startswith("gaussian 1.500 px")


def test_empty_tiles_are_dropped_and_counted(tmp_path: Path) -> None:
    image = np.full((128, 128), 10, np.uint16)
    rng = np.random.default_rng(0)
    image[:64, :64] = rng.integers(10, 4000, (64, 64))
    image[64:, 64:] = rng.integers(10, 14, (64, 64))  # noise of the background
    write_tiff(tmp_path / "sharp/a.tif", image, 0.2)
    out = tmp_path / "out"
    found = prepare_blur(tmp_path / "sharp", out, GAUSS, noise=Noise(0), tiling=ALL)
    assert (found.tiles["train"], found.empty) == (1, 3)
    assert "dropped as empty: 3 of 4" in found.describe()
    keep = TilingOptions(tile=64, split="1,0,0", min_contrast=0)
    found = prepare_blur(
        tmp_path / "sharp", out, GAUSS, noise=Noise(0), tiling=keep, overwrite=True
    )
    assert found.tiles["train"] == 2  # constant ones never


def test_jobs_and_order_change_nothing(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 9)
    for jobs in (1, 2):
        prepare_blur(
            source, tmp_path / f"out{jobs}", Gaussian(), tiling=TilingOptions(tile=32), jobs=jobs
        )
    files = [
        sorted(p.relative_to(tmp_path / f"out{jobs}") for p in (tmp_path / f"out{jobs}").rglob("*"))
        for jobs in (1, 2)
    ]
    assert files[0] == files[1]
    for file in files[0]:
        first, second = (tmp_path / f"out{jobs}" / file for jobs in (1, 2))
        assert first.is_dir() or first.read_bytes() == second.read_bytes()


def test_another_image_in_the_folder_changes_no_draw(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 2)
    prepare_blur(source, tmp_path / "a", Gaussian(), tiling=ALL)
    write_fields(tmp_path / "sharp", 5)
    prepare_blur(source, tmp_path / "b", Gaussian(), tiling=ALL)
    before = {row["name"]: row["degradation"] for row in table(tmp_path / "a")}
    after = {row["name"]: row["degradation"] for row in table(tmp_path / "b")}
    assert before.items() <= after.items()
    assert len(set(before.values())) == 2


@pytest.mark.parametrize(("shares", "counts"), [("0.7,0.15,0.15", (7, 2, 1)), ("5,2,3", (5, 2, 3))])
def test_shares(shares: str, counts: tuple[int, ...]) -> None:
    found = list(assign(map(str, range(10)), TilingOptions(split=shares)).values())
    assert sorted(found.count(split) for split in SPLITS) == sorted(counts)


def test_a_table_of_splits(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("field,split\na,train\nb,test\n")
    assert assign("ab", TilingOptions(split=str(file))) == {"a": "train", "b": "test"}
    with pytest.raises(CellqaError, match="field 'c' needs a line"):
        assign("abc", TilingOptions(split=str(file)))


def stack_of(seed: int, shifts: bool = False) -> np.ndarray:
    """Seven planes, sharpest in the fourth."""
    sharp = filaments((96, 96), cutoff=0.9, photons=2000, seed=seed).ideal
    rng = np.random.default_rng(seed)
    planes = []
    for k in range(7):
        plane = optical_blur(sharp, 0.9 - 0.22 * abs(k - 3))
        if shifts and k == 4:
            plane = np.roll(plane, (2, -1), (0, 1))
        if shifts and k == 2:
            plane = np.roll(plane, (12, 0), (0, 1))
        planes.append(rng.poisson(np.maximum(plane, 0)))
    return np.array(planes, np.uint16)


def test_a_stack_is_paired_with_its_sharpest_plane(tmp_path: Path) -> None:
    for k in range(3):
        tifffile.imwrite(tmp_path / f"s{k}.tif", stack_of(k), imagej=True, metadata={"axes": "ZYX"})
    options = ZStack(distances=(-1.0, 0.5, 1.0), step=0.5)
    tiling = TilingOptions(tile=48, split="1,1,1", min_contrast=0)
    paths = [tmp_path / f"s{k}.tif" for k in range(3)]
    found = prepare_zstack(paths, tmp_path / "out", options, tiling=tiling)
    assert not found.failures
    rows = table(tmp_path / "out")
    assert {float(row["distance"]) for row in rows} == {-1.0, 0.5, 1.0}
    assert {row["plane"] for row in rows} == {"t0c0z1", "t0c0z4", "t0c0z5"}
    row = next(r for r in rows if r["source"] == "s0.tif")
    target = tifffile.imread(tmp_path / f"out/{row['split']}/target/{row['name']}.tif")
    y, x = int(row["y"]), int(row["x"])
    dy, dx = (abs(float(row[f"shift_{a}"] or 0)) for a in "yx")
    assert max(dy, dx) < 0.2
    assert (target == stack_of(0)[3][y : y + 48, x : x + 48]).all()


def test_channels_of_a_file_are_one_field(tmp_path: Path) -> None:
    planes = np.stack([stack_of(0), stack_of(1)], axis=1)
    for k in range(2):
        path = tmp_path / f"plates/plate{k}/cells.tif"
        path.parent.mkdir(parents=True)
        tifffile.imwrite(path, planes, imagej=True, metadata={"axes": "ZCYX"})
    tiling = TilingOptions(tile=48, split="1,1,0", min_contrast=0)
    prepare_zstack([tmp_path / "plates"], tmp_path / "out", ZStack(), tiling=tiling)
    rows = table(tmp_path / "out")
    assert {row["field"] for row in rows} == {"plate0/cells.tif", "plate1/cells.tif"}
    for field in ("plate0/cells.tif", "plate1/cells.tif"):
        assert len({row["split"] for row in rows if row["field"] == field}) == 1
        assert len({row["source"] for row in rows if row["field"] == field}) == 2


def test_displacements_are_undone_or_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", stack_of(1, True), imagej=True, metadata={"axes": "ZYX"})
    tiling = TilingOptions(tile=48, split="1,0,0", min_contrast=0)
    found = prepare_zstack([tmp_path / "s.tif"], tmp_path / "out", ZStack(), tiling=tiling)
    shifts = {r["plane"]: (r["shift_y"], r["shift_x"]) for r in table(tmp_path / "out")}
    y, x = map(float, shifts["t0c0z4"])
    assert (y, x) == pytest.approx((2, -1), abs=0.15)  # of a noisy, blurred plane
    assert any("displaced by" in reason for _, _, reason in found.failures)
    assert "t0c0z2" not in shifts


def test_planes_displaced_otherwise_are_cut_at_the_same_places(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", stack_of(1, True), imagej=True, metadata={"axes": "ZYX"})
    tiling = TilingOptions(tile=24, split="0.5,0.5,0", within=True, min_contrast=0)
    prepare_zstack([tmp_path / "s.tif"], tmp_path / "out", ZStack(), tiling=tiling)
    rows = table(tmp_path / "out")
    places: dict[str, set[tuple[str, str, str]]] = {}
    for row in rows:
        places.setdefault(row["plane"], set()).add((row["split"], row["y"], row["x"]))
        y, x = int(row["y"]), int(row["x"])
        part = stack_of(1, True)[3][y : y + 24, x : x + 24]
        target = tifffile.imread(tmp_path / f"out/{row['split']}/target/{row['name']}.tif")
        assert (target == part).all()
        assert 8 <= y <= 96 - 8 - 24
    assert len(places) == 5
    assert all(each == places["t0c0z4"] for each in places.values())
    tiles = read_split(tmp_path / "out", "train", "z:1")
    tile = next(t for t in tiles if "z4" in t.name)
    assert [re.sub("z[0-9]", "", p.name) for p in tile.beside] == [
        re.sub("z[0-9]", "", tile.input.name)
    ] * 2


def test_the_parts_of_a_field_do_not_move_with_what_registration_cuts_off(tmp_path: Path) -> None:
    sharp = filaments((96, 200), cutoff=0.9, photons=2000, seed=3).image.astype(np.uint16)
    soft = optical_blur(sharp.astype(float), 0.6)
    for name, by in (("near", (1, 0)), ("far", (0, 22))):
        write_tiff(tmp_path / f"sharp/{name}.tif", sharp, 0.2)
        moved = np.roll(soft, by, (0, 1)).astype(np.uint16)
        write_tiff(tmp_path / f"blurred/{name}.tif", moved, 0.2)
    tiling = TilingOptions(tile=32, split="0.4,0.6,0", within=True, min_contrast=0)
    made = prepare_pairs(
        tmp_path / "blurred", tmp_path / "sharp", tmp_path / "out", tiling=tiling, register=True
    )
    assert not made.failures
    ends = {"train": 0, "val": 0}
    starts = {"train": 200, "val": 200}
    for row in table(tmp_path / "out"):
        x, split = int(row["x"]), row["split"]
        starts[split], ends[split] = min(starts[split], x), max(ends[split], x + 32)
    assert ends["train"] <= 67
    assert starts["val"] >= 99


def test_positions_from_names(tmp_path: Path) -> None:
    for z, plane in zip((10.0, 11, 13, 14, 15, 18, 20), stack_of(2), strict=True):
        write_tiff(tmp_path / f"cells/a_z{z:.2f}um.tif", plane, 0.2)
    tiling = TilingOptions(tile=48, split="1,0,0", min_contrast=0)
    options = ZStack(pattern=r"z([\d.]+)")
    prepare_zstack([tmp_path / "cells"], tmp_path / "out", options, tiling=tiling)
    assert {float(r["distance"]) for r in table(tmp_path / "out")} == {-4, -3, -1, 1, 4, 6}


def test_pairs_of_two_folders_and_side_by_side(tmp_path: Path) -> None:
    sharp = write_fields(tmp_path / "sharp", 3)
    for path in sharp.iterdir():
        image = tifffile.imread(path)
        write_tiff(tmp_path / "blurred" / path.name, image // 2, 0.2)
        write_tiff(tmp_path / "ab" / path.name, np.hstack([image, image // 2]), 0.2)
    tiling = TilingOptions(tile=64, split="1,1,1")
    prepare_pairs(tmp_path / "blurred", sharp, tmp_path / "a", tiling=tiling)
    prepare_side_by_side(tmp_path / "ab", tmp_path / "b", tiling=tiling)
    for row in table(tmp_path / "a"):
        for role in ("input", "target"):
            name = f"{row['split']}/{role}/{row['name']}.tif"
            first, second = (tifffile.imread(tmp_path / out / name) for out in "ab")
            assert (first == second).all()


def test_egt_targets(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 1)
    prepare_blur(
        source, tmp_path / "out", GAUSS, tiling=TilingOptions(tile=64, split="1,0,0", target="egt")
    )
    (row,) = table(tmp_path / "out")
    assert row["target"] == "egt"
    from cellqa.enhance import ENHANCERS

    expected = ENHANCERS["egt"](tifffile.imread(source / "field0.tif"))
    found = tifffile.imread(tmp_path / f"out/train/target/{row['name']}.tif")
    assert (found == expected).all()


def test_colour_and_float(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_tiff(tmp_path / "rgb/a.tif", rng.integers(0, 255, (64, 64, 3), np.uint8), None)
    write_tiff(tmp_path / "real/a.tif", rng.random((64, 64)).astype(np.float32), None)
    for kind, shape in (("rgb", (64, 64, 3)), ("real", (64, 64))):
        prepare_blur(tmp_path / kind, tmp_path / f"out-{kind}", GAUSS, tiling=ALL)
        (tile,) = read_split(tmp_path / f"out-{kind}", "train")
        assert tile.load()[0].shape == shape


def bad(folder: Path, kind: str) -> None:
    """One good image and one that is not."""
    write_fields(folder, 1)
    image = tifffile.imread(folder / "field0.tif")
    labels = np.kron(np.arange(16).reshape(4, 4), np.ones((16, 16))).astype(np.uint16)
    images = {
        "constant": np.full((64, 64), 7, np.uint8),
        "labels": labels,
        "smaller than a tile": image[:40, :40],
        "NaN": np.where(image > 90, np.nan, image).astype(np.float32),
    }
    if kind == "cannot be decoded":
        data = (folder / "field0.tif").read_bytes()
        (folder / "bad.tif").write_bytes(data[: len(data) // 2])
    else:
        write_tiff(folder / "bad.tif", images[kind], 0.2)


@pytest.mark.parametrize("kind", ["constant", "labels", "smaller than a tile", "NaN"])
def test_a_bad_image_leaves_the_others(tmp_path: Path, kind: str) -> None:
    bad(tmp_path / "sharp", kind)
    arguments = ["prepare", "blur", str(tmp_path / "sharp"), str(tmp_path / "out")]
    found = CliRunner().invoke(main, [*arguments, "--tile", "64", "--split", "1,0,0"])
    assert found.exit_code == 3, found.output
    assert kind in found.stderr
    assert "train: 1 tiles" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["blur", "none", "out"], "there is no folder", 1),
        (["blur", "empty", "out"], "no images", 1),
        (["blur", "sharp", "sharp/out"], "lies inside sharp", 1),
        (["blur", "sharp", "out"], "3 splits need 3 fields", 1),
        (["blur", "sharp", "out", "--split", "x"], "neither three shares", 1),
        (["blur", "sharp", "out", "--split", "none.csv"], "none.csv", 1),
        (["blur", "sharp", "out", "--sigma", "3:1"], "LOW to HIGH", 2),
        (["blur", "sharp", "out", "--sigma", "x"], "is not LOW:HIGH", 2),
        (["blur", "sharp", "out", "--set", "sigma"], "is not KEY=VALUE", 2),
        (["blur", "sharp", "out", "--set", "kernel=4"], "odd and 3 to 255", 2),
        (["blur", "sharp", "out", "--set", "kernel=x"], "kernel must be a whole number", 2),
        (["blur", "sharp", "out", "--set", "sigma=1:2:3"], "sigma must be LOW:HIGH", 2),
        (["blur", "sharp", "out", "--set", "colour=1"], "has no setting 'colour'", 2),
        (["blur", "sharp", "out", "--slope", "1"], "--slope does nothing with gaussian", 2),
        (["blur", "sharp", "out", "--na", "0.5", "--sigma", "1"], "--sigma does nothing", 2),
        (["blur", "sharp", "out", "--na", "0.5", "--phase", "1"], "--phase does nothing", 2),
        (["blur", "sharp", "out", "--preset", "paper", "--sigma", "1"], "does nothing", 2),
        (["blur", "sharp", "out", "--preset", "paper", "--set", "kernel=3"], "does nothing", 2),
        (["blur", "sharp", "out", "--degradation", "fog"], "'fog' is not one of gaussian", 2),
        (["blur", "sharp", "out", "--tile", "3"], "`tile` must be", 2),
        (["blur", "sharp", "out", "--na", "2"], "`na` must be", 2),
        (["zstack", "sharp", "out", "--z-pattern", "z"], "needs a group", 2),
        (["zstack", "sharp", "out"], "no stack could be used", 1),
        (["pairs", "sharp", "empty", "out"], "no images", 1),
        (["side-by-side", "sharp", "out", "--tile", "64", "--split", "1,0,0"], "smaller", 1),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str, status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_fields(tmp_path / "sharp", 1)
    (tmp_path / "empty").mkdir()
    if "--na" in arguments:
        arguments = [*arguments, "--degradation", "defocus-fluorescence"]
    found = CliRunner().invoke(main, ["prepare", *arguments])
    assert found.exit_code == status, found.output
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_an_earlier_preparation_is_not_overwritten_unasked(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 1)
    prepare_blur(source, tmp_path / "out", GAUSS, tiling=ALL)
    with pytest.raises(CellqaError, match="use --overwrite"):
        prepare_blur(source, tmp_path / "out", GAUSS, tiling=ALL)
    (tmp_path / "other/train").mkdir(parents=True)
    with pytest.raises(CellqaError, match="was not prepared by ciegan"):
        prepare_blur(source, tmp_path / "other", GAUSS, tiling=ALL, overwrite=True)


def test_earlier_data_stay_until_new_ones_are_done(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 1)
    out = tmp_path / "out"
    prepare_blur(source, out, GAUSS, tiling=ALL)
    before = (out / "pairs.csv").read_bytes()
    with pytest.raises(CellqaError, match="no tile was made"):
        prepare_blur(
            source, out, GAUSS, tiling=TilingOptions(tile=512, split="1,0,0"), overwrite=True
        )
    assert (out / "pairs.csv").read_bytes() == before
    assert {p.name for p in out.iterdir()} == {
        "train",
        "pairs.csv",
        ".made-by-ciegan-prepare",
        LOCK,
    }


def test_sources_are_never_removed(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 1)
    out = tmp_path / "out"
    prepare_blur(source, out, GAUSS, tiling=ALL)
    with pytest.raises(CellqaError, match="lies where tiles go"):
        prepare_blur(out / "train/target", out, GAUSS, tiling=ALL, overwrite=True)
    with pytest.raises(CellqaError, match="is or lies inside"):
        prepare_pairs(source, source, source / "out", tiling=ALL)
    assert list((out / "train/target").iterdir())


def test_names_that_differ_in_their_suffix_stay_apart(tmp_path: Path) -> None:
    for k, suffix in enumerate(("tif", "tiff")):
        path = tmp_path / f"in/s.{suffix}"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, stack_of(k), imagej=True, metadata={"axes": "ZYX"})
    tiling = TilingOptions(tile=48, split="1,0,0", min_contrast=0)
    found = prepare_zstack([tmp_path / "in"], tmp_path / "out", ZStack(), tiling=tiling)
    names = [row["name"] for row in table(tmp_path / "out")]
    assert len(set(names)) == len(names) == found.tiles["train"]
    assert len(list((tmp_path / "out/train/input").iterdir())) == len(names)


def test_distances_without_a_plane_are_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", stack_of(0), imagej=True, metadata={"axes": "ZYX"})
    tiling = TilingOptions(tile=48, split="1,0,0", min_contrast=0)
    options = ZStack(distances=(3.0, 100.0))
    found = prepare_zstack([tmp_path / "s.tif"], tmp_path / "out", options, tiling=tiling)
    assert {row["distance"] for row in table(tmp_path / "out")} == {"3.0"}
    assert any("1 planes for 2 distances" in warning for warning in found.warnings)


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 1)
    for options in (["--preset", "paper", "--photons", "5"], ["--na", "0.5"]):
        arguments = ["prepare", "blur", str(source), str(tmp_path / "out"), *options]
        found = CliRunner().invoke(main, arguments)
        assert found.exit_code == 2
        assert "does nothing with" in found.stderr


def test_shared_noise_is_told_and_can_be_avoided(tmp_path: Path) -> None:
    """An input made of its noisy target agrees with it beyond what the optics pass."""
    how, tiling = Gaussian((1.0, 1.0)), TilingOptions(tile=256, split="2,1,1")
    for k in range(4):
        scene = filaments((256, 256), cutoff=0.3, photons=100, seed=k)
        again = acquire(scene.structure, cutoff=0.3, photons=100, seed=k + 50)
        for folder, image in (
            ("sharp", scene.image),
            ("again", again.image),
            ("clean", scene.ideal),
        ):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_tiff(tmp_path / folder / f"f{k}.tif", image.astype(np.float32), None)

    def agreement(out: Path) -> float:
        rows = [row for row in table(out) if row["split"] == "train"]
        pairs = [
            [tifffile.imread(out / "train" / role / f"{row['name']}.tif") for role in ROLES]
            for row in rows
        ]
        return float(np.median([frc_resolution(target, source) for source, target in pairs]))

    noise = Noise(0, 1)
    shared = prepare_blur(tmp_path / "sharp", tmp_path / "a", how, noise=noise, tiling=tiling)
    assert any("share its noise" in line for line in shared.warnings)
    assert all("shares its target's noise" in row["degradation"] for row in table(tmp_path / "a"))
    for name in ("again", "clean"):
        apart = prepare_blur(
            tmp_path / "sharp", tmp_path / name[0:2], how, noise=noise, tiling=tiling,
            of=tmp_path / name,
        )  # fmt: skip
        assert not apart.warnings
        assert agreement(tmp_path / name[0:2]) > 6.2  # the optics end at 6.67 pixels
    assert agreement(tmp_path / "a") < 5.5
    of_clean = prepare_blur(tmp_path / "clean", tmp_path / "d", how, noise=noise, tiling=tiling)
    assert not of_clean.warnings
    (tmp_path / "again" / "f0.tif").unlink()
    with pytest.raises(CellqaError, match="no image for 1 of GT, such as f0"):
        prepare_blur(tmp_path / "sharp", tmp_path / "e", how, tiling=tiling, of=tmp_path / "again")


ROLES = ("input", "target")


def test_what_is_degraded_is_one_file(tmp_path: Path) -> None:
    sharp = write_fields(tmp_path / "sharp", 1)
    image = tifffile.imread(sharp / "field0.tif")
    for name in ("field0.tif", "field0.tiff"):
        write_tiff(tmp_path / "of" / name, image, None)
    with pytest.raises(CellqaError, match=r"ambiguous name: field0.*differ only in their suffix"):
        prepare_blur(sharp, tmp_path / "out", GAUSS, of=tmp_path / "of", tiling=ALL)


def test_a_stack_of_one_tile_that_nothing_displaced_is_taken_whole(tmp_path: Path) -> None:
    sharp = stack_of(1)[3].astype(float)
    planes = np.array([optical_blur(sharp, c) for c in (0.7, 0.6, 1.0, 0.6)], np.float32)
    tifffile.imwrite(tmp_path / "s.tif", planes, imagej=True, metadata={"axes": "ZYX"})
    tiling = TilingOptions(tile=96, split="1,0,0", min_contrast=0)
    made = prepare_zstack([tmp_path / "s.tif"], tmp_path / "out", ZStack(), tiling=tiling)
    assert not made.failures
    assert {(row["y"], row["x"]) for row in table(tmp_path / "out")} == {("0", "0")}


def test_stacks_whose_names_differ_in_time_or_channel_are_one_field(tmp_path: Path) -> None:
    for position in range(2):
        for word in ("c0", "c1"):
            path = tmp_path / f"in/pos{position}_{word}.tif"
            path.parent.mkdir(exist_ok=True)
            tifffile.imwrite(path, stack_of(position), imagej=True, metadata={"axes": "ZYX"})
    tiling = TilingOptions(tile=48, split="1,1,0", min_contrast=0)
    made = prepare_zstack([tmp_path / "in"], tmp_path / "out", ZStack(), tiling=tiling)
    assert {row["field"] for row in table(tmp_path / "out")} == {"pos0", "pos1"}
    assert any("4 images are 2 fields" in line for line in made.warnings)


def test_why_too_few_stacks_are_left_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k in range(3):
        stack = stack_of(k) if k else np.ones((7, 96, 96), np.uint16)
        tifffile.imwrite(tmp_path / f"in/s{k}.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(CellqaError, match=r"3 splits need 3 fields.* 1 failed.*s0\.tif"):
        prepare_zstack([tmp_path / "in"], tmp_path / "out", tiling=TilingOptions(tile=48))


def killed(name: str, source: float) -> Iterator[Pair]:
    pixels = filaments((64, 64), seed=1).image.astype(np.float32)
    yield Pair("a", pixels, pixels)
    if name == "bad":
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_ends_leaves_no_tiles_behind(tmp_path: Path) -> None:
    tiling = TilingOptions(tile=32, split="1,0,0", min_contrast=0)
    made = prepare_sources(
        {"bad": 1.0, "good": 1.0}, killed, tmp_path / "out", tiling, isolate=True
    )
    assert [name for name, _, _ in made.failures] == ["bad"]
    files = {path.stem for path in (tmp_path / "out/train/input").iterdir()}
    assert files == {row["name"] for row in table(tmp_path / "out")}
    assert len(read_split(tmp_path / "out", "train")) == 4


def test_a_grey_plane_of_a_stack_in_colour(tmp_path: Path) -> None:
    frames = np.stack([np.stack([stack_of(k)[3]] * 3, -1) for k in range(3)])
    frames[[0, 2], ..., 0] //= 2
    for role in ("blurred", "sharp"):
        (tmp_path / role).mkdir()
        shown = frames if role == "sharp" else frames // 2
        tifffile.imwrite(
            tmp_path / role / "s.tif", shown.astype(np.uint8), photometric="rgb",
            metadata={"axes": "TYXS"},
        )  # fmt: skip
    tiling = TilingOptions(tile=48, split="1,0,0", min_contrast=0)
    made = prepare_pairs(
        tmp_path / "blurred", tmp_path / "sharp", tmp_path / "out", tiling=tiling, check=False
    )
    assert any("colour" in line for line in made.warnings)
    shapes = {tifffile.imread(p).shape for p in (tmp_path / "out/train").rglob("*.tif")}
    assert shapes == {(48, 48, 3)}
