"""Tasks ready to run: bleaching, simulated scenes, one's own images."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from fields import write_fields

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.simulate import OFFSET
from ciegan.cli import main
from ciegan.data import TASKS, TilingOptions, prepare_blur, prepare_task
from ciegan.data.degrade import Gaussian, Noise

ALL = TilingOptions(tile=64, split="1,0,0", min_contrast=0)
THREE = TilingOptions(tile=64, split="1,1,1", min_contrast=0)
NO_BLUR = Gaussian((0, 0))


def tiles(out: Path) -> list[tuple[dict[str, str], np.ndarray, np.ndarray]]:
    """Row of pairs.csv, input and target of each tile."""
    with (out / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (
            row,
            *(
                tifffile.imread(out / row["split"] / role / f"{row['name']}.tif").astype(float)
                for role in ("input", "target")
            ),
        )
        for row in rows
    ]


def ramp(folder: Path) -> np.ndarray:
    """A field of all grey levels from the offset 100 to 40,100."""
    image = (100 + np.linspace(0, 40000, 64 * 64)).reshape(64, 64).round().astype(np.uint16)
    write_tiff(folder / "ramp.tif", image, 0.2)
    return image


def test_bleaching_takes_the_signal_from_both(tmp_path: Path) -> None:
    image = ramp(tmp_path / "sharp").astype(float)
    noise = Noise(photons=0, offset=100)
    prepare_blur(
        tmp_path / "sharp",
        tmp_path / "out",
        NO_BLUR,
        noise=noise,
        draws=3,
        bleaching=0.25,
        tiling=ALL,
    )
    found = tiles(tmp_path / "out")
    for (row, blurred, target), share in zip(found, (1, 0.5, 0.25), strict=True):
        # grey levels are rounded
        assert np.abs(target - 100 - share * (image - 100)).max() <= 0.5
        assert (blurred == target).all()
        assert row["degradation"].endswith("left") == (share < 1)
    assert found[1][0]["degradation"] == "gaussian 0.000 px, 0.500 of the signal left"


def test_photons_fall_with_the_signal(tmp_path: Path) -> None:
    ramp(tmp_path / "sharp")
    noise = Noise(photons=400, offset=100)
    prepare_blur(
        tmp_path / "sharp",
        tmp_path / "out",
        NO_BLUR,
        noise=noise,
        draws=2,
        bleaching=0.1,
        tiling=ALL,
    )
    for (_, blurred, target), photons in zip(tiles(tmp_path / "out"), (400, 40), strict=True):
        white = np.percentile(target, 99.9) - 100
        counted = (blurred - target) * photons / white
        expected = (target - 100) * photons / white
        # Poisson: the variance is the mean; of 4096 pixels, it is known to some 2 %
        assert np.mean(counted**2) == pytest.approx(np.mean(expected), rel=0.1)


def test_without_bleaching_nothing_changes(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "sharp", 1)
    prepare_blur(source, tmp_path / "a", Gaussian(), draws=2, tiling=ALL)
    prepare_blur(source, tmp_path / "b", Gaussian(), draws=2, bleaching=1, tiling=ALL)
    prepare_blur(source, tmp_path / "c", Gaussian(), draws=2, bleaching=0.5, tiling=ALL)
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    # the first copy has lost nothing yet
    first = tiles(tmp_path / "a")[0], tiles(tmp_path / "c")[0]
    assert all((a == c).all() for a, c in zip(first[0][1:], first[1][1:], strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bleaching", "0.3"], "give --draws 2 or more"),
        (["--bleaching", "0", "--draws", "2"], "--bleaching"),
        (["--bleaching", "1.5", "--draws", "2"], "--bleaching"),
        (["--bleaching", "nan", "--draws", "2"], "bleaching"),
    ],
)
def test_bleaching_that_cannot_be(tmp_path: Path, options: list[str], message: str) -> None:
    source = write_fields(tmp_path / "sharp", 1)
    found = CliRunner().invoke(
        main, ["prepare", "blur", str(source), str(tmp_path / "out"), *options]
    )
    assert found.exit_code == 2
    assert message in found.stderr
    assert not (tmp_path / "out").exists()


def detail_left(blurred: np.ndarray, target: np.ndarray) -> float:
    """Share of the target's fine detail that is in the input; noise is not counted as detail."""
    fine = [each - cv2.GaussianBlur(each, (0, 0), 2) for each in (blurred, target)]
    return float((fine[0] * fine[1]).sum() / (fine[1] ** 2).sum())


@pytest.mark.parametrize("name", TASKS)
def test_every_task_prepares_scenes(tmp_path: Path, name: str) -> None:
    task = TASKS[name]
    tiling = TilingOptions(tile=64, split=task.tiling().split, min_contrast=task.min_contrast)
    prepared = prepare_task(name, tmp_path, tiling=tiling, fields=6, side=128)
    assert not prepared.failures
    (warning,) = prepared.warnings  # what is degraded is the noisy target
    assert "share its noise" in warning
    assert [len(names) for names in prepared.fields.values()] == [4, 1, 1]
    splits = [set(names) for names in prepared.fields.values()]
    assert not set.intersection(*splits)
    found = tiles(tmp_path)
    assert len({row["name"] for row, *_ in found}) == len(found)
    for row, blurred, target in found:
        assert row["field"] in splits[("train", "val", "test").index(row["split"])]
        assert (blurred != target).mean() > 0.9
    seen = [(b, t) for _, b, t in found if np.ptp(t) > 2000]
    assert len(seen) > len(found) / 10
    # blurred, but not to nothing; in brightfield contrast may invert
    left = np.median([detail_left(b, t) for b, t in seen])
    assert (-0.5 if name == "brightfield" else 0.05) < left < 0.7
    source = tifffile.imread(tmp_path / "sharp" / f"{name}_00.tif")
    assert source.dtype == np.uint16
    with tifffile.TiffFile(tmp_path / "sharp" / f"{name}_00.tif") as file:
        assert file.pages[0].resolution[0] == pytest.approx(1e4 / task.pixel_size)


def test_brightfield_loses_detail_far_from_focus(tmp_path: Path) -> None:
    tiling = TilingOptions(tile=128, split="1,0,0", min_contrast=0)
    prepare_task("brightfield", tmp_path, tiling=tiling, fields=3, side=128)
    far = [(b, t) for row, b, t in tiles(tmp_path) if abs(float(row["distance"])) > 4]
    assert far
    assert all(abs(detail_left(b, t)) < 0.5 for b, t in far)


def test_near_black_tiles_of_nuclei_stay(tmp_path: Path) -> None:
    tiling = TilingOptions(tile=64, split="1,0,0", min_contrast=TASKS["nuclei"].min_contrast)
    prepared = prepare_task("nuclei", tmp_path, tiling=tiling, fields=3, side=256)
    assert prepared.empty == 0
    white = [np.percentile(t, 99.9) for _, _, t in tiles(tmp_path)]
    assert np.mean(np.array(white) < 0.1 * max(white)) > 0.25


def test_fibres_bleach(tmp_path: Path) -> None:
    prepare_task("fibres", tmp_path, tiling=ALL, fields=1, side=64)
    signal = [t.mean() - OFFSET for _, _, t in tiles(tmp_path)]
    expected = [0.3 ** (k / 3) for k in range(4)]
    assert np.array(signal) / signal[0] == pytest.approx(expected, rel=1e-3)  # rounded grey levels


def test_one_seed_is_one_task(tmp_path: Path) -> None:
    tiling = TilingOptions(tile=64, split="1,0,0", min_contrast=0, seed=4)
    other = TilingOptions(tile=64, split="1,0,0", min_contrast=0, seed=5)
    for name, each in (("a", tiling), ("b", tiling), ("c", other)):
        prepare_task("nuclei", tmp_path / name, tiling=each, fields=2, side=64)
    a, b, c = ((tmp_path / n / "sharp/nuclei_00.tif").read_bytes() for n in "abc")
    assert a == b != c


def test_images_of_ones_own(tmp_path: Path) -> None:
    source = write_fields(tmp_path / "mine", 3)
    prepared = prepare_task("fibres", tmp_path / "out", sharp=source, tiling=THREE)
    assert prepared.tiles.total() == 12
    assert not (tmp_path / "out/sharp").exists()
    # no offset was said: all of an 8-bit image is signal
    means = [t.mean() for row, _, t in tiles(tmp_path / "out") if row["field"] == "field0"]
    assert means[3] / means[0] == pytest.approx(0.3, abs=0.01)


def test_images_without_a_pixel_size_need_one(tmp_path: Path) -> None:
    for k in range(3):
        image = tifffile.imread(write_fields(tmp_path / "sized", 3) / f"field{k}.tif")
        write_tiff(tmp_path / "mine" / f"{k}.tif", image, None)
    arguments = ["prepare", "task", "nuclei", str(tmp_path / "out"), "--tile", "64"]
    arguments += ["--sharp", str(tmp_path / "mine"), "--jobs", "1"]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 1
    assert "give --pixel-size" in found.stderr
    assert found.stderr.count("\n") == 1
    found = CliRunner().invoke(main, [*arguments, "--pixel-size", "0.32"])
    assert found.exit_code == 0, found.output
    assert "train: 3 tiles" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "NAME must be one of brightfield, nuclei, fibres"),
        (["nuclei", "--pixel-size", "0.2"], "--pixel-size does nothing without --sharp"),
        (["nuclei", "--offset", "3"], "--offset does nothing without --sharp"),
        (["nuclei", "--tile", "3"], "`tile` must be"),
    ],
)
def test_wrong_options(tmp_path: Path, arguments: list[str], message: str) -> None:
    name, *options = arguments
    found = CliRunner().invoke(main, ["prepare", "task", name, str(tmp_path / "out"), *options])
    assert found.exit_code == 2
    assert message in found.stderr
    assert not (tmp_path / "out").exists()


def test_help_names_every_task() -> None:
    found = CliRunner().invoke(main, ["prepare", "task", "--help"], terminal_width=200).stdout
    for task in TASKS.values():
        assert f"{task.name} " in found
        assert task.description in found


def test_nothing_of_anybody_elses_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    mine = write_fields(out / "sharp", 3)
    with pytest.raises(CellqaError, match="was not made by ciegan"):
        prepare_task("nuclei", out, tiling=THREE, fields=3, side=64, overwrite=True)
    assert len(list(mine.iterdir())) == 3
    again = tmp_path / "again"
    prepare_task("nuclei", again, tiling=THREE, fields=3, side=64)
    with pytest.raises(CellqaError, match="use --overwrite"):
        prepare_task("nuclei", again, tiling=THREE, fields=3, side=64)
    prepare_task("fibres", again, tiling=THREE, fields=4, side=64, overwrite=True)
    assert sorted(p.name for p in (again / "sharp").glob("*.tif")) == [
        f"fibres_{k:02d}.tif" for k in range(4)
    ]
