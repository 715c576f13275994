"""What files and tables state of pairs is believed, or told where it contradicts itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from cellqa.io import open_image, write_tiff
from cellqa.simulate import nuclei
from ciegan.cli import main
from ciegan.data.levels import relative_gain
from ciegan.data.pixels import check_pixels, load_image, looks_like_labels
from ciegan.data.tile_pairs import read_split


def invoke(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(map(str, words)))
    return done.exit_code, done.output


def scene(seed: int, side: int = 200) -> np.ndarray:
    return nuclei(
        (side, side), cutoff=0.7, photons=4000, seed=100 + seed, density=0.6
    ).image.astype(float)


@pytest.mark.parametrize(("dtype", "more"), [(np.uint16, "--match-levels"), (np.float32, "")])
def test_levels_are_compared_once_the_images_lie_on_each_other(
    tmp_path: Path, dtype: type, more: str
) -> None:
    """Displaced by 24 pixels, blocks at the same place show other cells."""
    for k in range(3):
        sharp = scene(k)
        blurred = cv2.GaussianBlur(sharp, (0, 0), 1.5)
        write_tiff(tmp_path / f"b/{k}.tif", np.rint(blurred[8:168, 32:192]).astype(np.uint16), None)
        target = sharp[32:192, 8:168]
        if more:  # another scale
            target = (target - 100) / 1000
        write_tiff(tmp_path / f"s/{k}.tif", target.astype(np.float32), None)
    line = ["prepare", "pairs", tmp_path / "b", tmp_path / "s", tmp_path / "d", "--tile", 64]
    line += ["--split", "1,0,0", "--register", *more.split()]
    code, said = invoke(*line)
    assert code == 0, said
    for tile in read_split(tmp_path / "d", "train"):
        source, target, _ = tile.load()
        slope = np.polyfit(cv2.GaussianBlur(target, (0, 0), 1.5).ravel(), source.ravel(), 1)[0]
        assert slope == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize(
    ("own", "sharp", "wanted", "told"),
    [
        (0.2, None, 0.1, False),
        (None, 0.1, 0.1, False),
        (0.2, 0.1, 0.1, False),
        (0.65, 0.1, 0.1, True),
    ],
)
def test_pixel_sizes_of_a_pair(
    tmp_path: Path, own: float | None, sharp: float | None, wanted: float, told: bool
) -> None:
    for k in range(2):
        fine = np.rint(scene(k, 128)).astype(np.uint16)
        small = cv2.resize(fine, (64, 64), interpolation=cv2.INTER_AREA)
        write_tiff(tmp_path / f"b/{k}.tif", small, own)
        write_tiff(tmp_path / f"s/{k}.tif", fine, sharp)
    line = ["prepare", "pairs", tmp_path / "b", tmp_path / "s", tmp_path / "d", "--tile", 64]
    code, said = invoke(*line, "--scale", 2, "--split", "1,0,0")
    assert code == 0, said
    assert ("contradict each other" in said) == told
    for role, size in (("target", wanted), ("input", 2 * wanted)):
        for path in (tmp_path / f"d/train/{role}").glob("*.tif"):
            with open_image(path) as file:
                assert file.pixel_size == pytest.approx(size, rel=1e-3)


def test_the_step_that_a_stack_states(tmp_path: Path) -> None:
    sharp = scene(0, 128)
    planes = [cv2.GaussianBlur(sharp, (0, 0), 1.5 * abs(k - 2) + 0.01) for k in range(5)]
    known = {"axes": "ZYX", "PhysicalSizeZ": 500, "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(tmp_path / "z.ome.tif", np.array(planes).astype(np.uint16), metadata=known)
    line = ["prepare", "zstack", tmp_path / "z.ome.tif", tmp_path / "d", "--tile", 64]
    code, said = invoke(*line, "--distances", "1,-1", "--split", "1,0,0")
    assert code == 0, said
    tiles = read_split(tmp_path / "d", "train")
    table = (tmp_path / "d/pairs.csv").read_text().splitlines()
    column = table[0].split(",").index("distance")
    assert {float(line.split(",")[column]) for line in table[1:]} == {1.0, -1.0}
    assert {tile.name.split("_y")[0][-2:] for tile in tiles} == {"z0", "z4"}


def test_tiles_of_one_name_are_refused(tmp_path: Path) -> None:
    planes = np.stack([np.rint(scene(k, 128)).astype(np.uint16) for k in range(3)])
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", planes[:2], imagej=True, metadata={"axes": "ZYX"})
    write_tiff(tmp_path / "in/a_t0c0z1.tif", planes[2], None)
    line = ["prepare", "noisy", tmp_path / "in", tmp_path / "d", "--tile", 64]
    code, said = invoke(*line, "--split", "1,0,0")
    assert code == 1
    assert "make tiles of one name" in said
    assert not (tmp_path / "d/pairs.csv").exists()


def test_a_field_in_two_splits_is_refused(tmp_path: Path) -> None:
    for k in range(2):
        write_tiff(tmp_path / f"in/{k}.tif", np.rint(scene(k, 128)).astype(np.uint16), None)
    lines = ["field,split", "0.tif,train", "1.tif,val", "0.tif,test"]
    (tmp_path / "split.csv").write_text("\n".join(lines))
    line = ["prepare", "blur", tmp_path / "in", tmp_path / "d", "--tile", 64, "--sigma", 1]
    code, said = invoke(*line, "--split", tmp_path / "split.csv")
    assert code == 1
    assert "stands in train and in test" in said


def test_half_floats_are_prepared_as_floats(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", (scene(0, 64) / 1000).astype(np.float16))
    assert load_image(tmp_path / "a.tif")[0].dtype == np.float32


@pytest.mark.parametrize(("sigma", "peak"), [(6, 10), (10, 20), (3, 5)])
def test_dim_and_blurred_images_are_no_labels(sigma: float, peak: int) -> None:
    dim = cv2.GaussianBlur(scene(0, 512), (0, 0), sigma)
    dim = (dim - dim.min()) / np.ptp(dim) * peak
    check_pixels(np.rint(dim).astype(np.uint8), "input")


def test_labels_are_labels() -> None:
    mask = np.zeros((64, 64), np.uint16)
    for k in range(8):
        mask[7 * k : 7 * k + 5, 10:50] = k + 1
    classes = np.zeros((64, 64), np.uint8)
    classes[10:50, 10:50] = 1
    classes[20:40, 20:40] = 2
    for labels in (mask, (mask > 0).astype(np.uint8), classes):
        assert looks_like_labels(labels)


def test_contrast_of_noisy_captures() -> None:
    rng = np.random.default_rng(0)
    sharp = scene(0, 256) - 100
    first, same, twice = (rng.poisson(sharp * 0.02) * gain + 100.0 for gain in (50, 50, 100))
    assert relative_gain(first, same) == pytest.approx(1, abs=0.05)
    assert relative_gain(first, twice) == pytest.approx(2, abs=0.1)
    assert relative_gain(np.zeros((64, 64)), sharp) == 1


def test_other_captures_of_another_gain_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(3):
        sharp = np.maximum(scene(k, 128) - 100, 0)
        for folder, gain in (("a", 1), ("b", 1), ("c", 2)):
            noisy = rng.poisson(sharp * 0.02) / 0.02 * gain + 100
            write_tiff(tmp_path / f"{folder}/{k}.tif", np.rint(noisy).astype(np.uint16), None)
    for second, told in (("b", False), ("c", True)):
        data = tmp_path / f"data-{second}"
        line = ["prepare", "pairs", tmp_path / "a", tmp_path / second, data, "--tile", 64]
        assert invoke(*line, "--split", "2,1,0")[0] == 0
        line = ["train", data, tmp_path / f"run-{second}", "--target", "other", "--steps", 2]
        line += ["--crop", 32, "--batch-size", 1, "--device", "cpu", "--set", "monitor.samples=0"]
        code, said = invoke(*line)
        assert code == 0, said
        assert ("times the contrast of the first" in said) == told


def stretched(path: Path, pixels: np.ndarray, axes: str = "YX", **more: object) -> None:
    """An OME-TIFF of pixels of .2 by .4 micrometres."""
    path.parent.mkdir(exist_ok=True)
    sides = {"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.4}
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": axes, **sides, **more})


@pytest.mark.parametrize("command", ["pairs", "blur", "noisy"])
def test_pixels_that_are_not_square_are_told_once(tmp_path: Path, command: str) -> None:
    for k in range(3):
        stretched(tmp_path / f"s/{k}.ome.tif", np.rint(scene(k)).astype(np.uint16))
        soft = np.rint(cv2.GaussianBlur(scene(k), (0, 0), 1.5)).astype(np.uint16)
        stretched(tmp_path / f"b/{k}.ome.tif", soft)
    folders = [tmp_path / "b", tmp_path / "s"] if command == "pairs" else [tmp_path / "s"]
    line = ["prepare", command, *folders, tmp_path / "d", "--tile", 64, "--split", "1,0,0"]
    code, said = invoke(*line)
    assert code == 0, said
    assert said.count("not square") == 1
    assert "planes: 3" in said
    code, said = invoke(*line, "--overwrite", "--pixel-size", 0.2)
    assert code == 0, said
    assert "not square" not in said


def test_stacks_of_other_axes_are_not_paired_in_order(tmp_path: Path) -> None:
    planes = np.stack([np.rint(scene(k)).astype(np.uint16) for k in range(6)])
    soft = np.stack([cv2.GaussianBlur(p, (0, 0), 1.5) for p in planes])
    kinds = {"apart": ((2, 3, 200, 200), "CZYX"), "together": ((6, 200, 200), "TYX")}
    for name, (shape, axes) in kinds.items():
        for folder, stack, a, s in (("s", planes, "ZYX", planes.shape), ("b", soft, axes, shape)):
            place = tmp_path / name / folder
            place.mkdir(parents=True)
            tifffile.imwrite(place / "a.ome.tif", stack.reshape(s), ome=True, metadata={"axes": a})
    line = ["--tile", 64, "--split", "1,0,0"]
    code, said = invoke(
        "prepare", "pairs", tmp_path / "apart/b", tmp_path / "apart/s", tmp_path / "d", *line
    )
    assert code != 0
    assert "2 x 3 planes and 6" in said
    code, said = invoke(
        "prepare", "pairs", tmp_path / "together/b", tmp_path / "together/s", tmp_path / "d", *line
    )
    assert code == 0, said
