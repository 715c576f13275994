from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from images import blurred

import cellqa
from cellqa import resolution, simulate
from cellqa.errors import CellqaError
from cellqa.metrics.registry import select
from cellqa.metrics.shared_noise import SHARED
from cellqa.metrics.table import METRICS
from cellqa.pairs.pairing import Pairing, pair_folders
from cellqa.pairs.roles import Role
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.run import score_pairing
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally

Folders = Callable[..., Path]


class Scores:
    def __init__(self, rows: list[Row], pairing: Pairing, options: ScoreOptions) -> None:
        self.rows = rows
        self.tally = Tally(tuple(pairing.folders), options.metrics)
        for row in rows:
            self.tally.add(row)
        self.warnings = self.tally.warnings(pairing)
        self.failures = self.tally.failures


def score(pred: dict[str, Path], gt: Path | None = None, **settings: object) -> Scores:
    raw = settings.pop("raw", None)
    jobs = settings.pop("jobs", 1)
    pairing = pair_folders(pred, reference=gt, raw=raw)  # type: ignore[arg-type]
    options = ScoreOptions(**settings)  # type: ignore[arg-type]
    return Scores(score_pairing(pairing, options=options, jobs=jobs), pairing, options)  # type: ignore[arg-type]


def only(scores: Scores, method: str) -> Row:
    (row,) = (row for row in scores.rows if row.method == method)
    return row


def test_rows_hold_what_the_public_functions_give(folders: Folders, sharp8: np.ndarray) -> None:
    soft = blurred(sharp8, 2)
    row = only(score({"net": folders("net", a=soft)}, folders("gt", a=sharp8)), "net")
    expected = {
        "psnr": cellqa.psnr(sharp8, soft, data_range=255),
        "nrmse": cellqa.nrmse(sharp8, soft),
        "ssim": cellqa.ssim(sharp8, soft, data_range=255),
        "ms_ssim": cellqa.ms_ssim(sharp8, soft, data_range=255),
        "mi": cellqa.mi(sharp8, soft),
        "nmi": cellqa.nmi(sharp8, soft),
        "entropy": cellqa.entropy(soft),
        "resolution": cellqa.resolution(soft),
        "frc_resolution": cellqa.frc_resolution(sharp8, soft),
        "supported": cellqa.supported(sharp8, soft),
        "shift_y": cellqa.shift_y(sharp8, soft),
        "shift_x": cellqa.shift_x(sharp8, soft),
    }
    assert dict(row.values) == expected
    told = f"frc_resolution: {SHARED}"  # one was made of the other
    assert (row.status, row.reason, row.data_range) == ("ok", told, 255)


def test_rows_are_sorted_and_roles_take_part(pair_of_folders: tuple[Path, Path]) -> None:
    net, gt = pair_of_folders
    scores = score({"one": net, "two": net}, gt, raw=net)
    assert [(r.image, r.method) for r in scores.rows] == [
        (f"{name}.png", method) for name in "abc" for method in ("input", "one", "two", "gt")
    ]
    truth = [r for r in scores.rows if r.method == "gt"]
    consistency = {m.name for m in METRICS.values() if m.needs == (Role.RAW,)}
    with_raw = {m.name for m in METRICS.values() if Role.RAW in m.needs}
    assert all(set(r.values) == {"entropy", "resolution"} | consistency for r in truth)
    untouched, same = scores.rows[:2]
    assert untouched.values.items() <= same.values.items()
    assert same.values.keys() - untouched.values.keys() == with_raw


def test_without_ground_truth_the_others_are_computed(folders: Folders, sharp8: np.ndarray) -> None:
    row = only(score({"net": folders("net", a=sharp8)}), "net")
    assert set(row.values) == {m.name for m in METRICS.values() if not m.needs and not m.option}
    assert row.data_range is None


def test_the_number_of_processes_changes_nothing(folders: Folders, sharp8: np.ndarray) -> None:
    images = {f"i{k}": np.roll(sharp8, k, axis=0) for k in range(17)}
    gt, net = (
        folders("gt", **images),
        folders("net", **{k: blurred(v, 1) for k, v in images.items()}),
    )
    assert score({"net": net}, gt).rows == score({"net": net}, gt, jobs=2).rows


@pytest.mark.parametrize(
    ("how", "expected"),
    [("auto", 3000), ("dtype", 65535), ("set", 4000), (1234.5, 1234.5)],
)
def test_data_ranges(
    folders: Folders, sharp16: np.ndarray, how: str | float, expected: float
) -> None:
    def spread(low: int, high: int) -> np.ndarray:
        unit = (sharp16 - sharp16.min()) / (sharp16.max() - sharp16.min())
        return np.rint(low + unit * (high - low)).astype(np.uint16)

    gt = folders("gt", ".tif", a=spread(1000, 4000), b=spread(0, 2000))
    scores = score({"net": gt}, gt, data_range=how)
    assert scores.rows[0].data_range == expected
    assert bool([w for w in scores.warnings if "beyond" in w]) is (how == 1234.5)


def test_entropy_uses_the_ground_truths_bins(folders: Folders, sharp16: np.ndarray) -> None:
    soft = blurred(sharp16, 3)
    row = only(score({"n": folders("n", ".tif", a=soft)}, folders("gt", ".tif", a=sharp16)), "n")
    limits = (float(sharp16.min()), float(sharp16.max()))
    assert row.values["entropy"] == cellqa.entropy(soft, value_range=limits)
    assert row.values["entropy"] != cellqa.entropy(soft)


def test_stacks_are_scored_plane_by_plane(folders: Folders, sharp16: np.ndarray) -> None:
    stack = np.stack([sharp16, blurred(sharp16, 1), blurred(sharp16, 2)])
    gt, net = folders("gt", ".tif", a=stack), folders("net", ".tif", a=stack[:, ::-1])
    scores = score({"net": net}, gt, metrics=select(["psnr"]))
    assert [r.image for r in scores.rows if r.method == "net"] == [
        f"a.tif#t0c0z{z}" for z in range(3)
    ]
    values = [r.values["psnr"] for r in scores.rows if r.method == "net"]
    assert len(set(values)) == 3


def test_missing_planes_fail(folders: Folders, sharp16: np.ndarray) -> None:
    gt, net = folders("gt", ".tif", a=np.stack([sharp16] * 2)), folders("net", ".tif", a=sharp16)
    rows = [r for r in score({"net": net}, gt).rows if r.method == "net"]
    assert [r.status for r in rows] == ["ok", "failed"]
    assert "this plane is not in the file" in rows[1].reason


def test_true_colour_is_scored_as_luminance(folders: Folders, sharp8: np.ndarray) -> None:
    colour = np.stack([sharp8, sharp8, np.roll(sharp8, 5, axis=0)], axis=-1)
    scores = score({"net": folders("net", a=colour)}, folders("gt", a=colour))
    assert only(scores, "net").values["psnr"] == math.inf
    assert any("luminance" in w for w in scores.warnings)


@pytest.mark.parametrize("colours", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_a_grey_picture_in_pseudo_colour_is_scored_as_it_is(
    folders: Folders, sharp8: np.ndarray, colours: tuple[int, ...]
) -> None:
    def coloured(plane: np.ndarray) -> np.ndarray:
        out = np.zeros((*plane.shape, 3), np.uint8)
        out[..., colours] = plane[..., None]
        return out[..., ::-1]  # OpenCV writes blue, green, red

    soft = blurred(sharp8, 2)
    plain = score({"net": folders("net", a=soft)}, folders("gt", a=sharp8))
    gt = folders("gt-colour", a=coloured(sharp8))
    shown = score({"net": folders("net-colour", a=coloured(soft))}, gt)
    mixed = score({"net": folders("net", a=soft)}, gt)
    expected = only(plain, "net").values
    for scores in (shown, mixed):
        assert only(scores, "net").values == expected
    said = [w for w in shown.warnings if "colour" in w]
    assert bool(said) == (len(colours) < 3)


def test_what_is_compared_is_of_the_colour_of_the_truth(
    folders: Folders, sharp8: np.ndarray
) -> None:
    """A network that gives all three colours, against a truth in blue."""
    rng = np.random.default_rng(1)
    other = rng.integers(0, 255, sharp8.shape, np.uint8)
    gt = folders("gt", a=np.stack([sharp8, 0 * sharp8, 0 * sharp8], axis=-1))  # blue first
    net = folders("net", a=np.stack([sharp8, other, other], axis=-1))
    assert only(score({"net": net}, gt), "net").values["psnr"] == math.inf


def test_colours_one_by_one(folders: Folders, sharp8: np.ndarray) -> None:
    colour = np.stack([sharp8, np.roll(sharp8, 5, 0), np.roll(sharp8, 9, 1)], axis=-1)
    net = colour.copy()
    net[..., 0] = blurred(sharp8, 2)  # blue
    pair = {"net": folders("net", a=net)}, folders("gt", a=colour)
    scores = score(*pair, colour="channels", data_range="set")
    rows = {r.image: r.values["psnr"] for r in scores.rows if r.method == "net"}
    assert list(rows) == [f"a.png#{name}" for name in ("red", "green", "blue")]
    assert rows["a.png#red"] == rows["a.png#green"] == math.inf
    assert rows["a.png#blue"] < 50


def test_types_that_differ_are_told(folders: Folders, sharp8: np.ndarray) -> None:
    net = folders("net", ".tif", a=sharp8.astype(np.uint16))
    scores = score({"net": net}, folders("gt", a=sharp8))
    assert only(scores, "net").values["psnr"] == math.inf
    assert any("net is uint16 but its ground truth uint8" in w for w in scores.warnings)


def test_pixel_sizes(folders: Folders, sharp16: np.ndarray, tmp_path: Path) -> None:
    gt = folders("gt", ".tif", b=sharp16)
    options = {"resolution": (1e4 / 0.5, 1e4 / 0.5), "resolutionunit": 3, "metadata": None}
    tifffile.imwrite(gt / "a.tif", sharp16, **options)
    scores = score({"net": gt}, gt)
    a, b = (r for r in scores.rows if r.method == "net")
    assert (a.pixel_size, b.pixel_size) == (0.5, None)
    assert a.values["resolution"] == pytest.approx(0.5 * b.values["resolution"])
    assert any("give --pixel-size" in w for w in scores.warnings)
    summary = {s.metric: s for s in cellqa.summarise(scores.tally) if s.method == "net"}
    assert summary["resolution"].n == 0
    given = score({"net": gt}, gt, pixel_size=0.25)
    assert {r.pixel_size for r in given.rows} == {0.25}


# --- bad input -------------------------------------------------------------------------------


def test_bad_files_fail_alone(pair_of_folders: tuple[Path, Path], sharp8: np.ndarray) -> None:
    net, gt = pair_of_folders
    (net / "a.png").write_bytes((net / "a.png").read_bytes()[:500])
    (net / "c.png").write_bytes(b"")
    scores = score({"net": net, "twin": gt}, gt)
    status = {(r.image, r.method): r.status for r in scores.rows}
    assert [k for k, s in status.items() if s == "failed"] == [("a.png", "net"), ("c.png", "net")]
    reasons = [r.reason for r in scores.failures]
    assert "damaged or truncated" in reasons[0]
    assert "empty (0 bytes)" in reasons[1]
    assert all(not r.values for r in scores.failures)


def test_a_bad_ground_truth_fails_its_image(pair_of_folders: tuple[Path, Path]) -> None:
    net, gt = pair_of_folders
    (gt / "b.png").write_bytes(b"nothing")
    rows = [r for r in score({"net": net}, gt).rows if r.image == "b.png"]
    assert [(r.method, r.status) for r in rows] == [("net", "failed"), ("gt", "failed")]
    assert rows[0].reason.startswith("ground truth: b.png: not a readable")


def test_sizes_that_differ_fail(folders: Folders, sharp8: np.ndarray) -> None:
    net = folders("net", a=sharp8[:, :-1])
    row = only(score({"net": net}, folders("gt", a=sharp8)), "net")
    assert row.reason == "size 192 x 199 differs from the ground truth's 192 x 200"


def test_ambiguous_names_fail(folders: Folders, sharp8: np.ndarray) -> None:
    net = folders("net", a=sharp8)
    folders("net", ".tif", a=sharp8)
    row = only(score({"net": net}, folders("gt", a=sharp8)), "net")
    assert row.reason == "ambiguous name: a.png and a.tif differ only in their suffix"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_fail(folders: Folders, bad: float) -> None:
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    broken = image.copy()
    broken[3, 4] = bad
    scores = score({"n": folders("n", ".tif", a=broken)}, folders("gt", ".tif", a=image))
    assert re.search("1 pixels (that are NaN or infinite|of NaN)", only(scores, "n").reason)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_constant_images(folders: Folders, dtype: str) -> None:
    flat = np.full((200, 200), 9).astype(dtype)
    row = only(score({"n": folders("n", ".tif", a=flat)}, folders("gt", ".tif", a=flat)), "n")
    assert row.status == "ok"
    assert (row.values["nrmse"], row.values["mi"], row.values["entropy"]) == (0, 0, 0)
    assert math.isnan(row.values["nmi"])
    assert math.isnan(row.values["resolution"])
    if dtype == "uint8":
        assert (row.values["psnr"], row.values["ssim"]) == (math.inf, 1)
    else:
        assert math.isnan(row.values["psnr"])
        assert "the ground truth is constant" in row.reason


@pytest.mark.parametrize(("side", "undefined"), [(1, {"ssim", "ms_ssim", "resolution"}), (8, None)])
def test_tiny_images(folders: Folders, side: int, undefined: set[str] | None) -> None:
    image = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    other = 255 - image
    row = only(score({"n": folders("n", a=other)}, folders("gt", a=image)), "n")
    found = {name for name, value in row.values.items() if math.isnan(value)}
    assert found >= {"ssim", "ms_ssim", "resolution"}
    assert "psnr" not in found
    assert row.status == "ok"
    assert "below 11 pixels" in row.reason


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "float16"])
def test_unusual_types(folders: Folders, dtype: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((64, 64)) > 0.5 if dtype == "bool" else rng.integers(-99, 99, (64, 64))
    image = image.astype(dtype)
    gt = folders("gt", ".tif", a=image)
    row = only(score({"n": folders("n", ".tif", a=image[::-1])}, gt), "n")
    expected = 1 if dtype == "bool" else float(image.max()) - float(image.min())
    assert row.data_range == expected
    error = image.astype(float) - image[::-1]
    assert row.values["psnr"] == pytest.approx(10 * np.log10(expected**2 / (error**2).mean()))


def test_rgba_and_grey_alpha(folders: Folders, sharp8: np.ndarray) -> None:
    rgba = np.dstack([sharp8, sharp8, sharp8, sharp8 * 0 + 128])
    scores = score({"n": folders("n", a=rgba)}, folders("gt", a=sharp8))
    assert only(scores, "n").values["psnr"] == math.inf


@pytest.mark.parametrize("name", ["a b", "zelle-ä-細胞", "a,b", "<script>alert(1)</script>"])
def test_unusual_names(tmp_path: Path, sharp8: np.ndarray, name: str) -> None:
    for folder in ("gt", "net"):
        path = tmp_path / folder / f"{name}.png"  # the last name holds a folder
        path.parent.mkdir(parents=True)
        path.write_bytes(cv2.imencode(".png", sharp8)[1].tobytes())
    row = only(score({"net": tmp_path / "net"}, tmp_path / "gt"), "net")
    assert (row.image, row.status) == (f"{name}.png", "ok")


def test_reserved_names() -> None:
    with pytest.raises(CellqaError, match="cannot be called 'gt'"):
        pair_folders({"gt": "x"})


@pytest.mark.parametrize(
    "bad",
    [
        {"data_range": "max"},
        {"data_range": 0},
        {"data_range": math.nan},
        {"pixel_size": -1.0},
        {"compat": "x"},
    ],
)
def test_bad_options(bad: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        ScoreOptions(**bad)


def test_compat_uses_the_authors_definitions(folders: Folders, sharp8: np.ndarray) -> None:
    soft = blurred(sharp8, 1)
    scores = score({"n": folders("n", a=soft)}, folders("gt", a=sharp8), compat="ciegan")
    values = only(scores, "n").values
    assert values["ssim"] == cellqa.ssim(sharp8, soft, data_range=255, compat=True)
    assert values["entropy"] == cellqa.entropy(soft, compat=True)
    assert values["resolution"] == cellqa.resolution(soft, compat=True)
    assert values["ms_ssim"] == cellqa.ms_ssim(sharp8, soft, data_range=255)


def test_planes_that_only_a_prediction_has_fail(folders: Folders, sharp16: np.ndarray) -> None:
    gt, net = folders("gt", ".tif", a=sharp16), folders("net", ".tif", a=np.stack([sharp16] * 3))
    rows = [r for r in score({"net": net}, gt).rows if r.method == "net"]
    assert [r.status for r in rows] == ["ok", "failed", "failed"]
    assert rows[1].reason.startswith("ground truth: ")


def test_stacks_with_other_axes_pair_by_order(tmp_path: Path, sharp16: np.ndarray) -> None:
    stack = np.stack([sharp16, sharp16 // 2])
    for folder, axes in (("gt", "ZYX"), ("net", "TYX")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "a.tif"
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": axes})
    rows = [r for r in score({"net": tmp_path / "net"}, tmp_path / "gt").rows if r.method == "net"]
    assert [r.values["psnr"] for r in rows] == [math.inf, math.inf]


def test_a_float_ground_truth_has_no_dtype_range(folders: Folders, sharp16: np.ndarray) -> None:
    gt = folders("gt", ".tif", a=sharp16.astype(np.float32), b=sharp16)
    a, b = (r for r in score({"n": gt}, gt, data_range="dtype").rows if r.method == "n")
    assert math.isnan(a.values["psnr"])
    assert "means nothing for float32" in a.reason
    assert (a.values["nrmse"], b.values["psnr"]) == (0, math.inf)


def test_a_constant_ground_truth_leaves_the_entropy(folders: Folders, sharp16: np.ndarray) -> None:
    flat = np.full_like(sharp16, 7)
    row = only(score({"n": folders("n", ".tif", a=sharp16)}, folders("gt", ".tif", a=flat)), "n")
    assert row.values["entropy"] == cellqa.entropy(sharp16)
    assert (row.values["mi"], row.values["nmi"]) == (0, 0)  # a constant shares nothing


@pytest.mark.parametrize("factor", [1e-200, 1e160])
def test_extreme_values_are_undefined_not_errors(folders: Folders, factor: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((200, 200))
    net = folders("n", ".tif", a=(image + rng.normal(0, 0.1, image.shape)) * factor)
    row = only(score({"n": net}, folders("gt", ".tif", a=image * factor)), "n")
    assert row.status == "ok"
    assert all(-1 <= row.values[m] <= 1 or math.isnan(row.values[m]) for m in ("ssim", "ms_ssim"))
    assert row.values["resolution"] > 2 or "no peak" in row.reason


def test_other_pixel_sizes_are_told(tmp_path: Path, sharp16: np.ndarray) -> None:
    for folder, size in (("gt", 0.2), ("net", 0.1)):
        (tmp_path / folder).mkdir()
        options = {"resolution": (1e4 / size,) * 2, "resolutionunit": 3, "metadata": None}
        tifffile.imwrite(tmp_path / folder / "a.tif", sharp16, **options)
    scores = score({"net": tmp_path / "net"}, tmp_path / "gt")
    assert {r.pixel_size for r in scores.rows} == {0.2}
    assert any("net states another pixel size" in w for w in scores.warnings)


def test_names_on_one_line(tmp_path: Path, sharp8: np.ndarray) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "a\r\nb.png").write_bytes(cv2.imencode(".png", sharp8)[1].tobytes())
    row = score({"n": tmp_path / "gt"}, tmp_path / "gt").rows[0]
    assert row.image == "a\\x0d\\x0ab.png"
    assert row.status == "ok"


def written(folder: Path, image: np.ndarray, x: float, y: float | None = None) -> None:
    """As OME-TIFF, with the size of its pixels."""
    folder.mkdir(exist_ok=True)
    sizes = {"PhysicalSizeX": x, "PhysicalSizeY": y or x}
    units = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(folder / "a.ome.tif", image, metadata={"axes": "YX", **sizes, **units})


@pytest.mark.parametrize("stated", [None, 0.1])
def test_the_input_has_pixels_of_its_own(tmp_path: Path, stated: float | None) -> None:
    """With --scale 2, those of the input are twice as large."""
    truth = simulate.filaments((256, 256), cutoff=0.3, photons=1000, seed=1).image
    small = truth.reshape(128, 2, 128, 2).mean(axis=(1, 3)).astype(np.float32)
    large = small.repeat(2, 0).repeat(2, 1)
    for name, image, size in (("gt", truth, 0.1), ("net", large, 0.1), ("raw", small, 0.2)):
        written(tmp_path / name, image, size)
    options = ScoreOptions(scale=2, pixel_size=stated)
    folders = {"net": tmp_path / "net"}
    pairing = pair_folders(folders, reference=tmp_path / "gt", raw=tmp_path / "raw")
    rows = {row.method: row for row in score_pairing(pairing, options=options)}
    assert {m: r.pixel_size for m, r in rows.items()} == {"net": 0.1, "gt": 0.1, "input": 0.2}
    expected = resolution(small, pixel_size=0.2)
    assert rows["input"].values["resolution"] == pytest.approx(expected)
    assert not any("pixel size" in note for row in rows.values() for note in row.notes)


def test_pixels_that_are_not_square_are_told(tmp_path: Path, sharp16: np.ndarray) -> None:
    for name in ("gt", "net"):
        written(tmp_path / name, sharp16, 0.1, 0.3)
    scores = score({"net": tmp_path / "net"}, tmp_path / "gt")
    assert any("not square (0.1 x 0.3 µm)" in w for w in scores.warnings)
