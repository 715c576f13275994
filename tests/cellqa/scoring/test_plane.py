"""What options of a run add to its rows: fit, masks, registration, scale, ranges."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage
import tifffile
from click.testing import CliRunner, Result
from images import blurred

import cellqa
from cellqa import simulate
from cellqa.cli import main
from cellqa.scoring.plane import Mask

Folders = Callable[..., Path]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def settings(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "run.json").read_text())
    return found


def test_affine_fit_adds_its_columns(folders: Folders, sharp8: np.ndarray, tmp_path: Path) -> None:
    dim = sharp8 // 2 + 20
    net, gt = folders("net", a=dim), folders("gt", a=sharp8)
    out = tmp_path / "run"
    result = run("--pred", net, "--gt", gt, "--out", out, "--fit", "affine")
    assert result.exit_code == 0, result.output
    row = table(out / "scores.csv")[0]
    assert float(row["gain"]) == cellqa.gain(sharp8, dim)
    for name in ("psnr_fit", "ssim_fit", "ms_ssim_fit"):
        expected = getattr(cellqa, name)(sharp8, dim, data_range=255)
        assert float(row[name]) == expected
        assert float(row[name]) > float(row[name.removesuffix("_fit")])
    assert float(row["si_psnr"]) == cellqa.si_psnr(sharp8, dim)
    plain = run("--pred", net, "--gt", gt, "--out", tmp_path / "plain", "--metrics", "psnr")
    assert plain.exit_code == 0
    assert "psnr_fit" not in table(tmp_path / "plain" / "scores.csv")[0]


def test_labels_give_foreground_scores_and_objects(
    folders: Folders, sharp8: np.ndarray, tmp_path: Path
) -> None:
    soft = blurred(sharp8, 2)
    labels = np.zeros(sharp8.shape, np.uint16)
    labels[20:70, 20:90] = 2
    labels[100:140, 100:150] = 5
    net, gt = folders("net", a=soft, b=soft), folders("gt", a=sharp8, b=sharp8)
    mask = folders("mask", ".tif", a=labels)
    out = tmp_path / "run"
    result = run("--pred", net, "--gt", gt, "--mask", mask, "--out", out)
    assert result.exit_code == 0, result.output
    rows = {(r["image"], r["method"]): r for r in table(out / "scores.csv")}
    expected = cellqa.ssim_fg(sharp8, soft, mask=labels > 0, data_range=255)
    assert float(rows["a.png", "net"]["ssim_fg"]) == pytest.approx(expected, rel=1e-12)
    other = rows["b.png", "net"]
    assert other["ssim_fg"] == ""
    assert "there is no --mask of this name" in other["reason"]
    assert other["status"] == "ok"
    objects = table(out / "objects.csv")
    assert [(o["image"], o["method"], o["label"], o["area"]) for o in objects] == [
        ("a.png", "net", "2", "3500"),
        ("a.png", "net", "5", "2000"),
    ]
    psnr = cellqa.psnr_fg(sharp8, soft, mask=labels == 5, data_range=255)
    assert float(objects[1]["psnr"]) == pytest.approx(psnr, rel=1e-9)
    assert any("mask: 1 without a partner" in w for w in settings(out)["warnings"])


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((192, 200), np.uint8), "the mask is empty"),
        (np.ones((50, 60), np.uint8), "size 50 x 60 differs from the ground truth's 192 x 200"),
        (np.full((192, 200), np.nan, np.float32), "NaN or infinity"),
    ],
)
def test_bad_masks_cost_the_foreground_scores_only(
    folders: Folders, sharp8: np.ndarray, tmp_path: Path, mask: np.ndarray, reason: str
) -> None:
    net, gt = folders("net", a=blurred(sharp8, 2)), folders("gt", a=sharp8)
    out = tmp_path / "run"
    masks = folders("mask", ".tif", a=mask)
    result = run("--pred", net, "--gt", gt, "--mask", masks, "--out", out)
    assert result.exit_code == 0, result.output
    row = table(out / "scores.csv")[0]
    assert row["psnr_fg"] == row["nrmse_fg"] == ""
    assert reason in row["reason"]
    assert float(row["psnr"]) > 0
    assert not (out / "objects.csv").exists()


def test_otsu_takes_what_stands_out(folders: Folders, tmp_path: Path) -> None:
    truth = simulate.nuclei((200, 200), photons=500, seed=1).image
    image = blurred(truth, 2)
    net, gt = folders("net", ".tif", a=image), folders("gt", ".tif", a=truth)
    out = tmp_path / "run"
    result = run("--pred", net, "--gt", gt, "--foreground", "otsu", "--out", out)
    assert result.exit_code == 0, result.output
    from skimage.filters import threshold_otsu

    options = {"mask": truth > threshold_otsu(truth), "data_range": float(np.ptp(truth))}
    expected = cellqa.psnr_fg(truth, image, **options)
    assert float(table(out / "scores.csv")[0]["psnr_fg"]) == pytest.approx(expected)


def moved_pair() -> tuple[np.ndarray, np.ndarray]:
    large = simulate.filaments((260, 250), cutoff=0.4, photons=2000, seed=3).image
    return large[20:-20, 20:-20], large[17:-23, 22:-18]  # 3 down, 2 to the left


def test_a_shift_is_warned_of_and_undone(folders: Folders, tmp_path: Path) -> None:
    truth, image = moved_pair()
    net, gt = folders("net", ".tif", a=image), folders("gt", ".tif", a=truth)
    out = tmp_path / "run"
    assert run("--pred", net, "--gt", gt, "--out", out).exit_code == 0
    plain = table(out / "scores.csv")[0]
    assert float(plain["shift_y"]) == pytest.approx(3, abs=0.1)
    assert float(plain["shift_x"]) == pytest.approx(-2, abs=0.1)
    assert any("displaced" in w and "--register" in w for w in settings(out)["warnings"])
    result = run("--pred", net, "--gt", gt, "--out", out, "--overwrite", "--register")
    assert result.exit_code == 0, result.output
    row = table(out / "scores.csv")[0]
    assert float(row["shift_y"]) == pytest.approx(3, abs=0.1)
    assert float(row["psnr"]) > float(plain["psnr"]) + 10
    assert float(row["ssim"]) > 0.95
    assert row["resolution"] == plain["resolution"]  # of the image as it is
    assert not any("displaced" in w for w in settings(out)["warnings"])


def test_what_cannot_be_registered_is_scored_as_it_is(
    folders: Folders, sharp8: np.ndarray, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, sharp8.shape, np.uint8)
    net, gt = folders("net", a=noise), folders("gt", a=sharp8)
    out = tmp_path / "run"
    assert run("--pred", net, "--gt", gt, "--out", out, "--register").exit_code == 0
    row = table(out / "scores.csv")[0]
    assert row["shift_y"] == ""
    assert float(row["psnr"]) == cellqa.psnr(sharp8, noise, data_range=255)
    assert any("could not be registered" in w for w in settings(out)["warnings"])


def test_enlarged_images_need_their_scale(folders: Folders, tmp_path: Path) -> None:
    truth = simulate.filaments((200, 240), cutoff=0.5, photons=2000, seed=3).image
    raw = truth.reshape(100, 2, 120, 2).mean(axis=(1, 3)).astype(np.uint16)
    roles = [
        "--pred",
        folders("net", ".tif", a=cv2.resize(raw, (240, 200))),
        "--gt",
        folders("gt", ".tif", a=truth),
        "--input",
        folders("raw", ".tif", a=raw),
    ]
    out = tmp_path / "run"
    result = run(*roles, "--out", out)
    assert result.exit_code == 3  # the input has another size than its ground truth
    row = next(r for r in table(out / "scores.csv") if r["method"] == "net")
    assert row["rsp"] == ""
    assert "if it is enlarged, say --scale 2" in row["reason"]
    assert float(row["psnr"]) > 0
    result = run(*roles, "--out", out, "--overwrite", "--scale", "2")
    assert result.exit_code == 0, result.output
    rows = {r["method"]: r for r in table(out / "scores.csv")}
    assert float(rows["net"]["rsp"]) > 0.9
    enlarged = cv2.resize(raw.astype(np.float32), (240, 200), interpolation=cv2.INTER_CUBIC)
    expected = cellqa.psnr(truth, np.rint(enlarged), data_range=float(np.ptp(truth)))
    assert float(rows["input"]["psnr"]) == pytest.approx(expected, abs=1e-3)
    assert float(rows["input"]["frc_resolution"]) > 2  # in pixels of the ground truth
    assert float(rows["input"]["entropy"]) > 0


def test_an_input_that_is_missing_or_damaged_costs_its_columns(
    folders: Folders, sharp8: np.ndarray, tmp_path: Path
) -> None:
    images = {"a": sharp8, "b": sharp8, "c": sharp8}
    net, gt, raw = folders("net", **images), folders("gt", **images), folders("raw", a=sharp8)
    (raw / "b.png").write_bytes(b"no image")
    out = tmp_path / "run"
    assert run("--pred", net, "--gt", gt, "--input", raw, "--out", out).exit_code == 3
    rows = {(r["image"], r["method"]): r for r in table(out / "scores.csv")}
    assert float(rows["a.png", "net"]["rsp"]) == pytest.approx(1)
    for image, reason in (("b.png", "b.png"), ("c.png", "none of this name")):
        row = rows[image, "net"]
        assert row["status"] == "ok"
        assert row["rsp"] == ""
        assert reason in row["reason"]
    assert rows["b.png", "input"]["status"] == "failed"


def test_the_data_range_is_told_apart(folders: Folders, tmp_path: Path) -> None:
    """12-bit data in 16-bit files: PSNR under the type's range is 20 log10(65535 / L) higher."""
    truths = {
        name: simulate.filaments((100, 100), photons=p, seed=k).image
        for k, (name, p) in enumerate({"a": 300, "b": 1000, "c": 2000}.items())
    }
    soft = {name: blurred(image, 2) for name, image in truths.items()}
    net, gt = folders("net", ".tif", **soft), folders("gt", ".tif", **truths)
    out = tmp_path / "run"
    result = run("--pred", net, "--gt", gt, "--out", out)
    assert result.exit_code == 0, result.output
    found = settings(out)["range_sensitivity"]
    assert (found["image"], found["method"]) == (
        sorted(table(out / "scores.csv")[::2], key=lambda r: float(r["psnr"]))[1]["image"],
        "net",
    )
    ranges = found["ranges"]
    name = found["image"][0]
    assert ranges["image"]["data_range"] == np.ptp(truths[name])
    every = list(truths.values())
    assert ranges["set"]["data_range"] == max(map(np.max, every)) - float(min(map(np.min, every)))
    assert ranges["dtype"]["data_range"] == 65535
    gap = 20 * math.log10(65535 / ranges["image"]["data_range"])
    assert ranges["dtype"]["psnr"] - ranges["image"]["psnr"] == pytest.approx(gap)
    assert "the data range decides PSNR and SSIM" in result.stderr


def test_eight_bits_need_no_word_on_their_range(
    pair_of_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    net, gt = pair_of_folders
    result = run("--pred", net, "--gt", gt, "--out", tmp_path / "run")
    assert settings(tmp_path / "run")["range_sensitivity"] is None
    assert "range" not in result.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--fit", "affine"], "--fit affine compares with the ground truth: give --gt"),
        (["--register"], "--register compares with the ground truth"),
        (["--foreground", "otsu"], "--foreground compares with the ground truth"),
        (["--scale", "2"], "--scale is the size of the images against --input"),
        (["--metrics", "psnr_fg"], "need --mask or --foreground"),
    ],
)
def test_options_that_miss_something(
    pair_of_folders: tuple[Path, Path], options: list[str], text: str
) -> None:
    result = run("--pred", pair_of_folders[0], *options)
    assert (result.exit_code, text in result.stderr) == (2, True), result.stderr


def test_both_kinds_of_foreground_are_too_many(pair_of_folders: tuple[Path, Path]) -> None:
    net, gt = pair_of_folders
    result = run("--pred", net, "--gt", gt, "--mask", gt, "--foreground", "otsu")
    assert result.exit_code == 2
    assert "give one" in result.stderr


def test_masks_of_stacks(folders: Folders, sharp8: np.ndarray, tmp_path: Path) -> None:
    """One mask serves all planes, as many masks as planes one each."""
    stack = np.stack([sharp8, sharp8[::-1], sharp8[:, ::-1]])
    labels = np.stack([np.eye(192, 200, dtype=np.uint8) * 0 + (stack[k] > 60) for k in range(3)])
    for name, images in (("gt", stack), ("net", stack // 2), ("m1", labels[0]), ("m3", labels)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", images, photometric="minisblack")
    for name, masks in (("m1", [labels[0]] * 3), ("m3", list(labels))):
        out = tmp_path / f"run-{name}"
        result = run(
            "--pred",
            tmp_path / "net",
            "--gt",
            tmp_path / "gt",
            "--mask",
            tmp_path / name,
            "--out",
            out,
        )
        assert result.exit_code == 0, result.output
        rows = [r for r in table(out / "scores.csv") if r["method"] == "net"]
        for row, truth, mask in zip(rows, stack, masks, strict=True):
            expected = cellqa.psnr_fg(truth, truth // 2, mask=mask, data_range=255)
            assert float(row["psnr_fg"]) == pytest.approx(expected)


def test_masks_beside_raw_stacks_of_another_axis(sharp8: np.ndarray, tmp_path: Path) -> None:
    stack = np.stack([sharp8, sharp8[::-1], sharp8[:, ::-1]])
    masks = (stack > 60).astype(np.uint8)
    for name, images in (("gt", stack), ("net", stack // 2), ("mask", masks), ("raw", stack)):
        (tmp_path / name).mkdir()
        axes = "TYX" if name == "raw" else "ZYX"
        tifffile.imwrite(tmp_path / name / "a.ome.tif", images, metadata={"axes": axes}, ome=True)
    places = {"--pred": "net", "--gt": "gt", "--input": "raw", "--mask": "mask", "--out": "run"}
    words = [w for option, name in places.items() for w in (option, tmp_path / name)]
    result = run(*words, "--jobs", "1")
    assert result.exit_code == 0, result.output
    rows = [r for r in table(tmp_path / "run/scores.csv") if r["method"] == "net"]
    for row, truth, mask in zip(rows, stack, masks, strict=True):
        expected = cellqa.psnr_fg(truth, truth // 2, mask=mask, data_range=255)
        assert float(row["psnr_fg"]) == pytest.approx(expected)


def test_registration_that_leaves_no_mask_costs_the_foreground_scores(
    folders: Folders, tmp_path: Path
) -> None:
    truth, image = moved_pair()
    mask = np.zeros(truth.shape, np.uint8)
    mask[:2] = 1  # the rows that registration cuts off
    roles = [
        "--pred",
        folders("net", ".tif", a=np.roll(image, 5, axis=0)),
        "--gt",
        folders("gt", ".tif", a=truth),
        "--mask",
        folders("mask", ".tif", a=mask[::-1].copy()),
    ]
    out = tmp_path / "run"
    result = run(*roles, "--register", "--out", out)
    assert result.exit_code == 0, result.output
    row = table(out / "scores.csv")[0]
    assert row["psnr_fg"] == ""
    assert "the mask is empty" in row["reason"]
    assert float(row["psnr"]) > 0


def test_registered_maps_and_objects_are_in_the_whole_image(
    folders: Folders, tmp_path: Path
) -> None:
    truth, image = moved_pair()
    image = image + np.random.default_rng(1).integers(0, 9, image.shape, np.uint16)
    labels = np.zeros(truth.shape, np.uint16)
    labels[100:120, 50:60], labels[30:40, 150:170] = 1, 4
    roles = [
        "--pred",
        folders("net", ".tif", a=image),
        "--gt",
        folders("gt", ".tif", a=truth),
        "--mask",
        folders("mask", ".tif", a=labels),
    ]
    out = tmp_path / "run"
    result = run(*roles, "--register", "--maps", "--fit", "affine", "--out", out)
    assert result.exit_code == 0, result.output
    row = table(out / "scores.csv")[0]
    error = tifffile.imread(out / "maps" / "net" / "a.tif.error.tif").astype(float)
    assert error.shape == truth.shape
    assert np.isnan(error[-3:]).all()  # 3 rows down, 2 columns left are not in both
    assert np.isnan(error[:, :2]).all()
    rms = math.sqrt(np.nanmean(error**2))
    assert 20 * math.log10(np.ptp(truth) / rms) == pytest.approx(float(row["psnr_fit"]), abs=0.01)
    objects = {o["label"]: o for o in table(out / "objects.csv")}
    assert (float(objects["1"]["y"]), float(objects["1"]["x"])) == (109.5, 54.5)
    assert (float(objects["4"]["y"]), float(objects["4"]["x"])) == (34.5, 159.5)


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (np.array([[1, 2], [2, 2]], np.uint8), [1, 2]),  # no background
        (np.array([[0, 7], [0, 0]], np.uint8), [7]),
        (np.array([[0, 1], [0, 0]], np.uint16), [1]),  # as labelling programs write one cell
        (np.array([[0, 2**31 + 5], [3, 0]], np.uint32), [3, 2**31 + 5]),
        (np.array([[0, 3.0], [2.0, 0]]), [2, 3]),
    ],
)
def test_labels_are_taken_as_such(mask: np.ndarray, names: list[int]) -> None:
    labels = Mask.of(mask).labels
    assert labels is not None
    assert labels.names.tolist() == names
    assert [mask[labels.labels == k + 1].tolist()[0] for k in range(len(names))] == names


@pytest.mark.parametrize(
    "mask",
    [
        np.array([[0, 1], [0, 0]], np.uint8),
        np.array([[0, 255], [255, 0]], np.uint16),
        np.array([[False, True], [True, True]]),
        np.array([[0.2, 0.0], [0.7, 0.0]]),
        np.dstack([np.array([[0, 255], [255, 0]], np.uint8)] * 3),
    ],
)
def test_true_and_false_masks_have_no_labels(mask: np.ndarray) -> None:
    labels = Mask.of(mask).labels
    assert labels is not None
    assert labels.names.tolist() == [1]


def test_masks_that_are_none() -> None:
    colour = np.dstack([np.eye(4), np.zeros((4, 4)), np.zeros((4, 4))]).astype(np.uint8)
    assert "in colour" in Mask.of(colour).missing
    assert "negative" in Mask.of(np.array([[-1, 2]])).missing


def test_merged_runs_have_the_maps_of_their_parts(
    pair_of_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    net, gt = pair_of_folders
    for k in (1, 2):
        options = ["--shard", f"{k}/2", "--maps", "--metrics", "psnr"]
        assert run("--pred", net, "--gt", gt, *options, "--out", tmp_path / f"s{k}").exit_code == 0
    line = ["merge", str(tmp_path / "s1"), str(tmp_path / "s2"), "--out", str(tmp_path / "all")]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "all" / "maps").rglob("*.ssim.tif"))) == 3


def test_saturation_is_warned_of(folders: Folders, sharp8: np.ndarray, tmp_path: Path) -> None:
    bright = np.clip(sharp8.astype(int) * 4, 0, 255).astype(np.uint8)
    net, gt = folders("net", a=bright), folders("gt", a=sharp8 // 2)
    assert run("--pred", net, "--gt", gt, "--out", tmp_path / "r", "--no-report").exit_code == 0
    warnings = settings(tmp_path / "r")["warnings"]
    (told,) = [w for w in warnings if "saturated" in w]
    assert told.startswith("net is saturated: over 0.5% of the pixels are at the type's largest")


def test_registration_is_against_the_raw_image_too(
    folders: Folders, sharp16: np.ndarray, tmp_path: Path
) -> None:
    raw, net = blurred(sharp16, 2), np.roll(sharp16, (3, -2), axis=(0, 1))
    roles = ["--pred", f"net={folders('net', '.tif', a=net)}"]
    roles += ["--gt", folders("gt", ".tif", a=sharp16), "--input", folders("raw", ".tif", a=raw)]
    found = []
    for options in ([], ["--register"]):
        run(*roles, *options, "--out", tmp_path / f"run{len(options)}")
        rows = table(tmp_path / f"run{len(options)}" / "scores.csv")
        found.append(next(float(r["rsp"]) for r in rows if r["method"] == "net"))
    assert found[1] > 0.995 > found[0]


def finer(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A truth, what a camera of twice the pixel sees, and that enlarged."""
    truth = simulate.filaments((200, 240), cutoff=0.3, photons=2000, seed=seed).image
    raw = np.rint(truth.reshape(100, 2, 120, 2).mean(axis=(1, 3))).astype(np.uint16)
    wide = cv2.resize(raw.astype(np.float32), (240, 200), interpolation=cv2.INTER_CUBIC)
    return truth, raw, np.clip(np.rint(wide), 0, 65535).astype(np.uint16)


def test_an_input_that_is_enlarged_scores_as_a_method_that_enlarges_it() -> None:
    truth, raw, _ = finer()
    raw[50, 60] = 65000  # hot: an error of both
    wide = cv2.resize(raw.astype(np.float32), (240, 200), interpolation=cv2.INTER_CUBIC)
    pred = np.clip(np.rint(wide), 0, 65535).astype(np.uint16)
    scores = cellqa.score({"net": pred}, truth, raw=raw, scale=2, metrics=["psnr", "ssim"])
    own, theirs = (scores.frame[scores.frame.method == m].iloc[0] for m in ("net", "input"))
    assert own.psnr == pytest.approx(theirs.psnr, abs=1e-6)
    assert own.ssim == pytest.approx(theirs.ssim, abs=1e-6)
    assert any("input has outliers" in w for w in scores.warnings)


def test_registration_knows_larger_pixels() -> None:
    truth, raw, wide = finer()
    moved = np.roll(wide, (3, 2), (0, 1))
    names = ["rsp", "photometry_slope", "unexplained", "invented", "psnr"]
    scores = cellqa.score(
        {"still": wide, "moved": moved}, truth, raw=raw, scale=2, metrics=names, register=True
    )
    still, other = (scores.frame[scores.frame.method == m].iloc[0] for m in ("still", "moved"))
    assert other.rsp == pytest.approx(still.rsp, abs=0.01)
    assert other.photometry_slope == pytest.approx(1, abs=0.02)
    assert other.invented == pytest.approx(still.invented, abs=0.02)
    assert not scores.frame.reason.fillna("").str.contains("input: ;").any()


@pytest.mark.parametrize("by", [0.03, 0.045])  # of which 0.012 and 0.017 are found
def test_small_displacements_are_not_doubled(by: float) -> None:
    truth = simulate.filaments((128, 128), cutoff=0.3, photons=5000, seed=1).ideal.astype(float)
    moved = scipy.ndimage.fourier_shift(np.fft.fft2(truth), (by, 0))
    image = np.fft.ifft2(moved).real
    found = []
    for register in (False, True):
        frame = cellqa.score(
            {"net": image}, truth, metrics=["shift_y", "shift_x", "psnr"], register=register
        ).frame
        found.append(frame[frame.method == "net"].iloc[0].shift_y)
    assert found[0] > 0.01
    assert found[1] == pytest.approx(found[0], abs=1e-3)


def test_maps_of_the_input_have_the_pixels_of_the_truth(folders: Folders, tmp_path: Path) -> None:
    truth, raw, wide = finer()
    for name, pixels, size in (("gt", truth, 0.2), ("net", wide, 0.2), ("raw", raw, 0.4)):
        cellqa.write_tiff(tmp_path / name / "a.tif", pixels, size)
    roles = [w for n in ("gt", "net", "raw") for w in (ROLES[n], tmp_path / n)]
    out = tmp_path / "run"
    assert run(*roles, "--scale", "2", "--maps", "--out", out).exit_code == 0
    for method in ("net", "input"):
        with cellqa.open_image(out / "maps" / method / "a.tif.error.tif") as file:
            assert file.shape == truth.shape
            assert file.pixel_size == pytest.approx(0.2)


def test_a_forgotten_scale_is_named(tmp_path: Path) -> None:
    truth, raw, wide = finer()
    scores = cellqa.score(wide, truth, raw=raw, metrics=["psnr", "rsp"])
    assert scores.frame.reason.fillna("").str.contains("--scale 2").all()
    assert any("of another size (--scale)" in w for w in scores.warnings)


ROLES = {"gt": "--gt", "net": "--pred", "raw": "--input"}
