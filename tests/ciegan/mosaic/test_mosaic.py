"""Mosaics: tiles cut from simulated wells at known places, and what goes wrong."""

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.ndimage
import tifffile
from click.testing import CliRunner, Result

from cellqa.errors import CellqaError
from cellqa.io import open_image, write_tiff
from cellqa.simulate import OFFSET, acquire, filaments, nuclei
from ciegan.cli import main
from ciegan.mosaic import Placing, assemble, find_scans, left_out, place

SIDE, OVERLAP, SHAKE = 240, 0.15, 6.0
PIXEL = 0.5  # micrometres
# Pixels. Noise in overlaps of 36 pixels leaves errors of 0.03 (root mean square), and 0.15 at most
# over eight seeds.
CLOSE = 0.2

Tiles = dict[tuple[int, int], np.ndarray]
Places = dict[tuple[int, int], tuple[float, float]]


@cache
def well(photons: float = 400.0) -> np.ndarray:
    """A well without noise: fibres above, nuclei below."""
    parts = filaments((460, 900), seed=5), nuclei((440, 900), seed=6)
    structure = np.concatenate([part.structure for part in parts])
    return acquire(structure, cutoff=0.35, photons=photons, seed=7).ideal


def sampled(scene: np.ndarray, y: float, x: float, height: int, width: int) -> np.ndarray:
    """Part of a scene between its pixels; what the optics pass, quintic splines keep."""
    top, left = int(y), int(x)
    margin = 12
    part = scene[top - margin : top + height + margin, left - margin : left + width + margin]
    moved = scipy.ndimage.shift(part, (top - y, left - x), order=5, mode="mirror")
    return moved[margin:-margin, margin:-margin]


@cache
def cut(number: int = 4, seed: int = 0) -> tuple[Tiles, Places]:
    """Tiles of the well, each shaken, with noise of its own, some under another light."""
    rng = np.random.default_rng(seed)
    scene, step = well(), SIDE * (1 - OVERLAP)
    tiles, places = {}, {}
    for row in range(1, number + 1):
        for col in range(1, number + 1):
            y, x = (20 + (k - 1) * step + rng.uniform(-SHAKE, SHAKE) for k in (row, col))
            ideal = sampled(scene, y, x, SIDE, SIDE)
            if (row + col) % 3 == 0:
                ideal = 1.1 * ideal + np.linspace(10, 40, SIDE)[:, None]
            counts = rng.poisson(np.maximum(ideal, 0)) + rng.normal(OFFSET, 1.5, ideal.shape)
            tiles[row, col] = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
            places[row, col] = (y, x)
    return tiles, places


def run(source: Path, target: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["mosaic", str(source), str(target), *more])


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "mosaic.csv").open(newline="") as file:
        return {row["tile"]: row for row in csv.DictReader(file)}


def error(found: dict[str, tuple[float, float]], truth: dict[str, tuple[float, float]]) -> float:
    """Largest distance from the truth along an axis, the common offset taken off."""
    away = np.array([np.subtract(found[name], truth[name]) for name in truth])
    return float(np.abs(away - np.median(away, axis=0)).max())


def found_in(out: Path) -> dict[str, tuple[float, float]]:
    return {name: (float(row["y"]), float(row["x"])) for name, row in table(out).items()}


def write_named(folder: Path, tiles: Tiles, name: str = "A01_r{:02d}_c{:02d}.tif") -> Path:
    for place_, pixels in tiles.items():
        write_tiff(folder / name.format(*place_), pixels, PIXEL)
    return folder


def staged(name: str, sign: tuple[int, int] = (1, 1)) -> Callable[[int, int], tuple[float, float]]:
    """Stage positions in micrometres of rows and columns, with the stage's own errors."""
    rng = np.random.default_rng(len(name))

    def at(row: int, col: int) -> tuple[float, float]:
        y, x = (s * k * SIDE * (1 - OVERLAP) for s, k in zip(sign, (row, col), strict=True))
        return (PIXEL * y + 5000 + rng.normal(0, 0.5), PIXEL * x - 300 + rng.normal(0, 0.5))

    return at


def ome(place_: tuple[float, float] | None = None, **more: object) -> dict[str, object]:
    plane = {}
    for axis, value in zip("YX", place_ or (), strict=False):
        plane.update({f"Position{axis}": [value], f"Position{axis}Unit": ["µm"]})
    size = {f"PhysicalSize{axis}": PIXEL for axis in "XY"}
    return {"axes": "YX", **size, **({"Plane": plane} if plane else {}), **more}


@pytest.mark.parametrize("high", [0.25, 0.5, 1.0])
def test_rows_are_placed_by_the_height_of_pixels(tmp_path: Path, high: float) -> None:
    scene = nuclei((520, 520), cutoff=0.4, photons=500, seed=3, density=1.5).image
    (tmp_path / "in").mkdir()
    for y in (0, 160, 320):
        for x in (0, 160, 320):
            plane = {"PositionX": [0.5 * x], "PositionY": [high * y]}
            units = {"PositionXUnit": ["µm"], "PositionYUnit": ["µm"]}
            size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": high}
            about = {"axes": "YX", **size, "Plane": plane | units}
            path = tmp_path / f"in/p{y}-{x}.ome.tif"
            tifffile.imwrite(path, scene[y : y + 200, x : x + 200], metadata=about)
    found = run(tmp_path / "in", tmp_path / "out")
    assert found.exit_code == 0, found.output
    (made,) = (tmp_path / "out").glob("*.ome.tif")
    assert np.array_equal(tifffile.imread(made), scene)


@pytest.mark.parametrize("more", [[], ["--overlap", "0.1"]], ids=["unknown", "nominal"])
def test_tiles_are_found_where_they_were_cut(tmp_path: Path, more: list[str]) -> None:
    tiles, places = cut()
    out = tmp_path / "out"
    found = run(write_named(tmp_path / "in", tiles), out, *more)
    assert found.exit_code == 0, found.output
    assert found.stderr == ""
    rows = table(out)
    truth = {"A01_r{:02d}_c{:02d}.tif".format(*k): v for k, v in places.items()}
    assert error(found_in(out), truth) < CLOSE
    assert list(next(iter(rows.values()))) == [
        *("scan", "tile", "row", "col", "y", "x", "pairs", "correlation", "trusted")
    ]
    corner, middle = rows["A01_r01_c01.tif"], rows["A01_r02_c02.tif"]
    assert (corner["scan"], corner["row"], corner["pairs"], middle["pairs"]) == (
        *("A01", "1", "2", "4"),
    )
    assert corner["trusted"] == "2"
    assert 0.3 < float(corner["correlation"]) < 1


def test_the_mosaic_is_the_well(tmp_path: Path) -> None:
    _, places = cut()
    even = {}  # under one light, to be compared
    rng = np.random.default_rng(9)
    for key, (y, x) in places.items():
        ideal = np.maximum(sampled(well(), y, x, SIDE, SIDE), 0)
        even[key] = np.rint(rng.poisson(ideal) + OFFSET).astype(np.uint16)
    run(write_named(tmp_path / "in", even), tmp_path / "out")
    with open_image(tmp_path / "out/A01.ome.tif") as file:
        image = file.load(file.planes[0]).astype(float)
        assert file.pixel_size == pytest.approx(PIXEL)
        assert file.dtype == np.uint16
    found = found_in(tmp_path / "out")
    offset = np.median(
        [np.subtract(v, found["A01_r{:02d}_c{:02d}.tif".format(*k)]) for k, v in places.items()],
        axis=0,
    )
    truth = sampled(well(), *offset, *image.shape)
    inner = (slice(16, -16),) * 2  # all of it lies within tiles
    away = (image - OFFSET - truth)[inner] / np.sqrt(truth[inner])
    # in units of the photon noise: 1 in a tile, less where tiles or splines average, never more
    assert 0.5 < away.std() < 1.02
    assert abs(away.mean()) < 0.02
    step = SIDE * (1 - OVERLAP)
    for axis in (0, 1):  # no line of the image is further off than noise lets it be
        lines = away.mean(axis=axis)
        assert np.abs(lines).max() < 6 / np.sqrt(away.shape[axis])
    assert image.shape == pytest.approx((3 * step + SIDE,) * 2, abs=2 * SHAKE + 1)


@pytest.mark.parametrize("sign", [(1, 1), (1, -1), (-1, 1)])
def test_stage_positions(tmp_path: Path, sign: tuple[int, int]) -> None:
    tiles, places = cut()
    at = staged("a", sign)
    (tmp_path / "in/well3").mkdir(parents=True)
    truth = {}
    for number, (key, pixels) in enumerate(tiles.items()):
        name = f"well3/image_{number:03d}.ome.tif"
        tifffile.imwrite(tmp_path / "in" / name, pixels, metadata=ome(at(*key)))
        truth[name] = places[key]
    found = run(tmp_path / "in", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert error(found_in(tmp_path / "out"), truth) < CLOSE
    rows = table(tmp_path / "out")
    assert {row["scan"] for row in rows.values()} == {"well3/image"}
    assert {row["row"] for row in rows.values()} == {""}
    assert (tmp_path / "out/well3/image.ome.tif").is_file()


def test_scenes_of_one_file(tmp_path: Path) -> None:
    tiles, places = cut()
    at = staged("scenes")
    chosen = [key for key in tiles if key != (2, 3)]  # one is missing
    with tifffile.TiffWriter(tmp_path / "scan.ome.tif", ome=True) as writer:
        for key in chosen:
            writer.write(tiles[key], metadata=ome(at(*key)))
    found = run(tmp_path / "scan.ome.tif", tmp_path / "out")
    assert found.exit_code == 0, found.output
    truth = {f"scan.ome.tif#s{k}": places[key] for k, key in enumerate(chosen)}
    assert error(found_in(tmp_path / "out"), truth) < CLOSE


def test_tiles_are_read_in_another_process_where_readers_may_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellqa.io.isolated.may_crash", lambda name: True)
    tiles, places = cut()
    chosen = {key: tiles[key] for key in tiles if max(key) < 3}
    found = run(write_named(tmp_path / "in", chosen), tmp_path / "out")
    assert found.exit_code == 0, found.output
    truth = {"A01_r{:02d}_c{:02d}.tif".format(*key): places[key] for key in chosen}
    assert error(found_in(tmp_path / "out"), truth) < CLOSE


def test_distant_parts_are_scans_of_their_own(tmp_path: Path) -> None:
    tiles, _ = cut()
    at = staged("parts")
    for number, (key, far) in enumerate([((1, 1), 0), ((1, 2), 0), ((1, 1), 9e9), ((1, 2), 9e9)]):
        y, x = at(*key)
        path = tmp_path / f"in_{number}.ome.tif"
        tifffile.imwrite(path, tiles[key], metadata=ome((y, x + far)))
    assert [scan.name for scan in find_scans(tmp_path)] == ["in_1", "in_2"]


def test_an_empty_tile_and_a_missing_one(tmp_path: Path) -> None:
    tiles, places = cut()
    rng = np.random.default_rng(3)
    tiles = {**tiles, (2, 2): rng.poisson(108, (SIDE, SIDE)).astype(np.uint16)}
    del tiles[4, 4]
    found = run(write_named(tmp_path / "in", tiles), tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert "A01_r02_c02.tif hangs on no trusted pair" in found.stderr
    assert "no tile for row 4 col 4" in found.stderr
    truth = {"A01_r{:02d}_c{:02d}.tif".format(*k): v for k, v in places.items() if k in tiles}
    empty = truth.pop("A01_r02_c02.tif")
    positions = found_in(tmp_path / "out")
    assert error(positions, truth) < CLOSE
    some = "A01_r01_c01.tif"
    away = np.subtract(positions["A01_r02_c02.tif"], positions[some])
    assert np.abs(away - np.subtract(empty, truth[some])).max() < 2.5 * SHAKE
    assert table(tmp_path / "out")["A01_r02_c02.tif"]["trusted"] == "0"


def test_a_pair_that_others_contradict_loses(tmp_path: Path) -> None:
    tiles, places = cut()
    # what the right border of one tile shows appears on its neighbour 9 pixels too far down
    liar = tiles[2, 2].copy()
    width = round(SIDE * OVERLAP)
    liar[9:, -width:] = tiles[2, 2][:-9, -width:]
    found = run(write_named(tmp_path / "in", {**tiles, (2, 2): liar}), tmp_path / "out")
    assert found.exit_code == 0, found.output
    truth = {"A01_r{:02d}_c{:02d}.tif".format(*k): v for k, v in places.items()}
    assert error(found_in(tmp_path / "out"), truth) < CLOSE
    assert table(tmp_path / "out")["A01_r02_c02.tif"]["trusted"] == "3"


def test_every_plane_follows_the_reference(tmp_path: Path) -> None:
    tiles, places = cut()
    for key in [(1, 1), (1, 2), (2, 1), (2, 2)]:
        stack = np.zeros((2, 2, 3, SIDE, SIDE), np.uint16)  # T C Z
        for t in range(2):
            for z in range(3):
                stack[t, 0, z] = 1000 + 10 * t + z  # nothing to see
                stack[t, 1, z] = tiles[key] + 100 * z + 1000 * t
        about = ome(axes="TCZYX", PhysicalSizeZ=2.0, Channel={"Name": ["BF", "GFP"]})
        path = tmp_path / "in" / "w_x{1}y{0}.ome.tif".format(*key)
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, stack, metadata=about)
    assert run(tmp_path / "in", tmp_path / "none").exit_code == 3
    found = run(tmp_path / "in", tmp_path / "out", "--reference", "1")
    assert found.exit_code == 0, found.output
    truth = {"w_x{1}y{0}.ome.tif".format(*k): places[k] for k in [(1, 1), (1, 2), (2, 1), (2, 2)]}
    assert error(found_in(tmp_path / "out"), truth) < CLOSE
    with open_image(tmp_path / "out/w.ome.tif") as file:
        assert len(file.planes) == 12
        acquired = file.acquired()
        planes = {(i.t, i.c, i.z): file.load(i).astype(int) for i in file.planes}
    assert acquired.names == ("BF", "GFP")
    assert acquired.z_step == pytest.approx(2)
    assert acquired.positions == ()
    covered = planes[0, 0, 0] > 0
    assert set(np.unique(planes[1, 0, 2])) == {0, 1012}
    assert (np.abs(planes[1, 1, 2] - planes[0, 1, 0] - 1200)[covered] <= 1).all()
    assert not planes[0, 1, 0][~covered].any()
    with tifffile.TiffFile(tmp_path / "out/w.ome.tif") as tif:
        assert tif.is_ome
        assert "assembled from 4 tiles by ciegan" in (tif.ome_metadata or "")


def test_whole_pixels_come_back_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    scene = cv2.GaussianBlur(rng.random((300, 420, 3)), (0, 0), 1.5)
    scene = np.rint(255 * (scene - scene.min()) / np.ptp(scene)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    for row, letter in enumerate("AB"):
        for col in range(3):
            y, x = 130 * row + 2 * col, 130 * col
            name = f"img-B2-{letter}.{col}.png"
            cv2.imwrite(str(tmp_path / "in" / name), scene[y : y + 160, x : x + 160])
    pattern = r"(?P<row>[A-Z])\.(?P<col>\d)$"
    found = run(tmp_path / "in", tmp_path / "out", "--pattern", pattern)
    assert found.exit_code == 0, found.output
    with open_image(tmp_path / "out/img-B2.ome.tif") as file:
        image = file.load(file.planes[0])
    assert image.shape == (294, 420, 3)
    inside = image.any(axis=2)
    assert (image[inside] == scene[:294, :, ::-1][inside]).all()
    assert inside.mean() > 0.97


def test_other_files_in_place_of_the_tiles(tmp_path: Path) -> None:
    tiles, _ = cut()
    write_named(tmp_path / "in", {k: v for k, v in tiles.items() if max(k) < 3})
    (scan,) = find_scans(tmp_path / "in")
    placement = place(scan, Placing(overlap=OVERLAP))
    other = {}
    for tile in scan.tiles:
        other[tile.path] = tmp_path / "enhanced" / tile.name
        write_tiff(other[tile.path], np.full((SIDE, SIDE), 0.25, np.float32), PIXEL)
    assemble(scan, placement, tmp_path / "m.ome.tif", other)
    with open_image(tmp_path / "m.ome.tif") as file:
        assert file.dtype == np.float32
        values = np.unique(file.load(file.planes[0]))
    assert values[values > 0] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("names", "scans"),
    [
        (["r01_c02.tif", "r01_c03.tif"], {"in": [(1, 2), (1, 3)]}),
        (["a_row1_col2.tif", "a_row2_col2.tif"], {"a": [(1, 2), (2, 2)]}),
        (["w/z_y1_x3.tif", "w/z_y1_x4.tif"], {"w/z": [(1, 3), (1, 4)]}),
        (["s [0 x 2]_C0.tif", "s [1 x 2]_C0.tif"], {"s_C0": [(0, 2), (1, 2)]}),
        (["R1C3.tif", "R1C4.tif", "b_R1C3.tif", "b_R1C4.tif"], 2 * [(1, 3), (1, 4)]),
        (["A01_x10y2.tif", "A01_x11y2.tif", "note_A02.tif"], {"A01": [(2, 10), (2, 11)]}),
    ],
)
def test_names_of_tiles(tmp_path: Path, names: list[str], scans: object) -> None:
    for name in names:
        write_tiff(tmp_path / "in" / name, np.zeros((4, 4), np.uint8), None)
    found = find_scans(tmp_path / "in")
    grid = {scan.name: [(tile.row, tile.col) for tile in scan.tiles] for scan in found}
    if isinstance(scans, list):
        assert sum(grid.values(), []) == scans  # noqa: RUF017 - two
    else:
        assert grid == scans
    assert left_out(tmp_path / "in", found) == [n for n in names if "note" in n]


def test_a_plates_rows_and_columns_are_no_scan(tmp_path: Path) -> None:
    for name in ("r01c01f01p01-ch1.tif", "r01c02f01p01-ch1.tif"):
        write_tiff(tmp_path / name, np.zeros((4, 4), np.uint8), None)
    with pytest.raises(CellqaError, match="no scan"):
        find_scans(tmp_path)


def test_one_bad_scan_does_not_stop_the_rest(tmp_path: Path) -> None:
    tiles, _ = cut()
    two = {k: v for k, v in tiles.items() if k in ((1, 1), (1, 2))}
    folder = tmp_path / "in"
    for name in ("good", "size", "type", "pixel", "cut", "twice", "far", "nan", "apart", "flat"):
        write_named(folder, two, name + "_r{}_c{}.tif")
    write_tiff(folder / "size_r1_c2.tif", tiles[1, 2][:-1], PIXEL)
    write_tiff(folder / "type_r1_c2.tif", tiles[1, 2].astype(np.float32), PIXEL)
    write_tiff(folder / "pixel_r1_c2.tif", tiles[1, 2], 2 * PIXEL)
    data = (folder / "cut_r1_c2.tif").read_bytes()
    (folder / "cut_r1_c2.tif").write_bytes(data[: len(data) // 2])
    write_tiff(folder / "twice_r01_c2.tif", tiles[1, 2], PIXEL)
    (folder / "far_r1_c2.tif").rename(folder / "far_r900000000_c900000000.tif")
    (folder / "apart_r1_c2.tif").rename(folder / "apart_r2_c2.tif")
    for name in ("nan_r1_c1.tif", "nan_r1_c2.tif"):
        write_tiff(folder / name, np.full((SIDE, SIDE), np.nan, np.float32), PIXEL)
    for name in ("flat_r1_c1.tif", "flat_r1_c2.tif"):
        write_tiff(folder / name, np.full((SIDE, SIDE), 7, np.uint16), PIXEL)
    found = run(folder, tmp_path / "out")
    assert found.exit_code == 3, found.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["good.ome.tif", "mosaic.csv"]
    for line in (
        "size (mosaic): size_r1_c2.tif: its shape (239, 240) is not (240, 240)",
        "type (mosaic): type_r1_c2.tif: its type float32 is not uint16",
        "pixel (mosaic): pixel_r1_c2.tif: its pixel size",
        "cut (mosaic): cut_r1_c2.tif: ",
        "twice (mosaic): twice_r01_c2.tif and twice_r1_c2.tif are both row 1, col 2",
        "far (mosaic): its 2 tiles are spread over",
        "nan (mosaic): nan_r1_c1.tif: ",
        "apart (mosaic): no two of its tiles are neighbours",
        "flat (mosaic): no overlap of its tiles was found; give --overlap",
        "9 of 10 failed",
    ):
        assert line in found.stderr
    assert "Traceback" not in found.output
    assert list({row["scan"] for row in table(tmp_path / "out").values()}) == ["good"]
    alone = run(folder / "flat_r1_c1.tif", tmp_path / "one")
    assert alone.exit_code == 1


def test_a_broken_file_among_staged_tiles_is_told(tmp_path: Path) -> None:
    tiles, _ = cut()
    at = staged("broken")
    for number, key in enumerate([(1, 1), (1, 2), (2, 1)]):
        tifffile.imwrite(tmp_path / f"t{number}.ome.tif", tiles[key], metadata=ome(at(*key)))
    (tmp_path / "t3.ome.tif").write_bytes(b"II*\0")
    found = run(tmp_path, tmp_path.with_name("out"))
    assert found.exit_code == 3
    assert "t3" in found.stderr
    assert len(table(tmp_path.with_name("out"))) == 3


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["none", "out"], "does not exist", 1),
        (["empty", "out"], "no images", 1),
        (["plain", "out"], "no scan in 'plain'; looked for names as in r01_c02", 1),
        (["in", "out", "--pattern", r"(?P<row>\d)z(?P<col>\d)"], "looked for names that match", 1),
        (["in", "out", "--pattern", "("], "is no regular expression", 1),
        (["in", "out", "--pattern", r"(?P<row>\d)"], "lacks a group (?P<col>...)", 1),
        (["in", "out", "--pattern", r"(?P<row>_)r1_c(?P<col>\d)"], "neither a number nor", 1),
        (["in", "in/out"], "lies inside IN", 1),
        (["in", "in"], "lies inside IN", 1),
        (["in", "plain/a.tif"], "is not a folder", 1),
        (["in", "taken"], "--overwrite", 1),
        (["in", "out", "--overlap", "1"], "`overlap` must be", 2),
        (["in", "out", "--max-shift", "0.5"], "`max_shift` must be", 2),
        (["in", "out", "--reference", "-1"], "is not in the range", 2),
        (["in", "out", "--reference", "1"], "its tiles have 1 channels", 3),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    pixels = np.zeros((20, 20), np.uint8)
    for name in ("plain/a.tif", "in/_r1_c1.tif", "in/_r1_c2.tif", "taken/in.ome.tif"):
        write_tiff(tmp_path / name, pixels, None)
    found = CliRunner().invoke(main, ["mosaic", *arguments])
    assert found.exit_code == status, found.output
    assert message in found.stderr
    assert "Traceback" not in found.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from networks import weights

    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


def enhance(model: Path, source: Path, target: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["enhance", str(model), str(source), str(target), *more])


@pytest.mark.parametrize("when", ["before", "after"])
def test_scans_are_enhanced(tmp_path: Path, model: Path, when: str) -> None:
    """Either way the mosaic is of the enhanced well, and what is done is not done again."""
    tiles, _ = cut()
    source, out = write_named(tmp_path / "in", tiles), tmp_path / "out"
    for again in (False, True):
        found = enhance(model, source, out, "--mosaic", when, "--overlap", str(OVERLAP))
        assert found.exit_code == 0, found.output
        assert ("enhanced 0 images" in found.stdout) == again
        assert "24 of 24 pairs trusted" in found.stdout
    place = tmp_path / ("out-raw" if when == "before" else "out-mosaic")
    assert len(table(place)) == 16
    whole = tifffile.imread((out if when == "before" else place) / "A01.ome.tif")
    raw = tmp_path / "plain"
    CliRunner().invoke(main, ["mosaic", str(source), str(raw), "--overlap", str(OVERLAP)])
    plain = tifffile.imread(raw / "A01.ome.tif")
    assert whole.shape == plain.shape
    assert (whole != plain).any()
    assert np.corrcoef(whole.ravel(), plain.ravel())[0, 1] > 0.9
    assert len(list(out.glob("*.tif"))) == (1 if when == "before" else 16)


def test_options_of_scans_need_scans(tmp_path: Path, model: Path) -> None:
    tiles, _ = cut()
    source = write_named(tmp_path / "in", tiles)
    found = enhance(model, source, tmp_path / "out", "--overlap", "0.1")
    assert found.exit_code == 2
    assert "go with --mosaic" in found.stderr
    one = next(source.glob("*.tif"))
    found = enhance(model, one, tmp_path / "o.tif", "--mosaic", "after")
    assert found.exit_code == 1
    assert "must be a folder" in found.stderr
    write_tiff(tmp_path / "out-mosaic/mine.tif", np.zeros((4, 4), np.uint8), None)
    found = enhance(model, source, tmp_path / "out", "--mosaic", "after")
    assert found.exit_code == 1
    assert "holds something else" in found.stderr
