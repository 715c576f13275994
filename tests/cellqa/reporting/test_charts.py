"""Figures and page of runs that are small, odd or broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from images import blurred

from cellqa.cli import main
from cellqa.reporting import montage, pictures
from cellqa.reporting.charts import CHARTS, save_charts
from cellqa.reporting.leaders import verdicts
from cellqa.reporting.load import choose, load_run
from cellqa.reporting.page import as_json
from cellqa.tables.external import run_of_table

Folders = Callable[..., Path]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.fixture(scope="module")
def scored_once(tmp_path_factory: pytest.TempPathFactory, sharp8: np.ndarray) -> Path:
    """Eight images and two methods, scored into `run`."""
    top = tmp_path_factory.mktemp("scored")
    for k in range(8):
        image = np.roll(sharp8, 11 * k, axis=0)
        versions = {"gt": image, "soft": blurred(image, 1 + k / 9), "softer": blurred(image, 3)}
        for folder, pixels in versions.items():
            (top / folder).mkdir(exist_ok=True)
            encoded = cv2.imencode(".png", pixels)[1]
            (top / folder / f"i{k}.png").write_bytes(encoded.tobytes())
    roles = ["--pred", top / "soft", "--pred", top / "softer"]
    roles += ["--gt", top / "gt", "--input", top / "softer"]
    run("score", *roles, "--out", top / "run", "--gallery", 5)
    return top


@pytest.fixture
def scored(scored_once: Path, tmp_path: Path) -> Path:
    """The run, with images of its own beside it."""
    shutil.copytree(scored_once, tmp_path, dirs_exist_ok=True)
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace(str(scored_once), str(tmp_path)))
    return tmp_path / "run"


def test_every_figure_is_drawn(scored: Path) -> None:
    paths = save_charts(load_run(scored), scored / "figures")
    drawn = CHARTS.keys() - {"objects", "time"}  # need --objects, and time series
    assert {p.name for p in paths} == {f"{n}{s}" for n in drawn for s in (".png", ".svg")}
    assert all(p.stat().st_size > 2000 for p in paths)


def test_pictures_are_of_what_was_chosen(scored: Path) -> None:
    chosen = choose(load_run(scored), 5)
    names = [name for images in chosen.values() for name in images]
    assert len(names) == len(set(names)) == 5
    assert "most disagreement" in chosen
    table = load_run(scored).values("ssim")[["soft", "softer"]].mean(axis=1)
    assert chosen["worst"][0] == table.idxmin()
    assert chosen["best"][0] == table.idxmax()
    run("report", scored, "--gallery", 5, "--files")
    # four roles, and error and SSIM of three of them; the crop is all of the image
    assert len(list((scored / "report_files").iterdir())) == 5 * (4 + 2 * 3)


def test_the_verdict_names_the_leader(scored: Path) -> None:
    found = {v["metric"]: v for v in verdicts(load_run(scored))}
    assert found["ssim"]["method"] == "soft"
    assert "ahead of softer, better on 100% of 8 images, p = " in found["ssim"]["against"]
    assert found["ssim"]["caution"] == ""


def test_a_leader_that_is_worse_than_the_input_is_said(
    folders: Folders, sharp8: np.ndarray, tmp_path: Path
) -> None:
    roles = [
        "--pred",
        folders("net", a=blurred(sharp8, 3)),
        "--gt",
        folders("gt", a=sharp8),
        "--input",
        folders("raw", a=blurred(sharp8, 1)),
    ]
    run("score", *roles, "--out", tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "But the untouched input is better" in page


def test_the_page_is_made_again_with_another_gallery(scored: Path) -> None:
    run("report", scored, "--gallery", 0)
    assert not (scored / "report_files").exists()
    assert "data:image/webp" not in (scored / "report.html").read_text().split("<script>")[0]
    assert "No pictures" in (scored / "report.html").read_text()
    run("report", scored, "--gallery", 2, "--files")
    assert len({p.name[:4] for p in (scored / "report_files").iterdir()}) == 2


def test_one_method_and_one_image(folders: Folders, sharp8: np.ndarray, tmp_path: Path) -> None:
    net, gt = folders("net", a=blurred(sharp8, 2)), folders("gt", a=sharp8)
    run("score", "--pred", net, "--gt", gt, "--out", tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Nothing was compared." in page
    assert "or the untouched images (--input)" in page
    run("figures", tmp_path / "run")
    assert (tmp_path / "run" / "figures" / "boxplots.png").exists()


def test_a_metric_that_failed_everywhere(
    folders: Folders, sharp8: np.ndarray, tmp_path: Path
) -> None:
    flat = {name: np.full_like(sharp8, 7) for name in "ab"}
    net, gt = folders("net", **flat), folders("gt", **flat)
    output = run("score", "--pred", net, "--gt", gt, "--out", tmp_path / "run")
    assert "Traceback" not in output
    run("figures", tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()


def test_folders_that_are_gone_cost_the_pictures_only(scored: Path, tmp_path: Path) -> None:
    (tmp_path / "soft").rename(tmp_path / "elsewhere")
    output = run("report", scored)
    assert "wrote" in output
    assert "No pictures" in (scored / "report.html").read_text()


def test_data_cannot_leave_its_element() -> None:
    text = str(as_json({"</script><script>": ["<!--", "&amp;", float("nan"), float("inf")]}))
    assert "<" not in text
    assert "&" not in text
    assert "NaN" not in text


def test_the_montage_is_drawn_at_a_crop(scored: Path) -> None:
    output = run("figures", scored, "--crop", 10, 20, 90, 100)
    assert "montage.png" in output
    assert "decorrelation.svg" in output
    assert (scored / "figures" / "montage.svg").stat().st_size > 10_000
    small = CliRunner().invoke(main, ["figures", str(scored), "--crop", "0", "0", "2", "2"])
    assert small.exit_code == 2
    assert "montage.png" not in run("figures", scored, "--crop", 9000, 9000, 20, 20)


@pytest.mark.parametrize("shape", [(320, 320), (90, 300), (300, 40), (9, 11)])
def test_panels_of_a_row_are_alike_and_the_inset_is_in_its_corner(
    scored: Path, shape: tuple[int, int]
) -> None:
    loaded = load_run(scored)
    image = np.tile(np.arange(shape[1], dtype=np.uint8), (shape[0], 1))
    square = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    shown = dict.fromkeys(["softer", "gt"], image)  # the first column has no image
    rows = [("best", "i0.png", shown), ("worst", "i1.png", dict.fromkeys(["soft", "gt"], square))]
    figure = montage._draw(loaded, rows, ["soft", "softer", "gt"])
    figure.draw_without_rendering()
    first, second = figure.axes[:3], figure.axes[3:]
    for panels in (first, second):
        drawn = [axes.get_window_extent().bounds for axes in panels if axes.images]
        assert len(drawn) == 2
        np.testing.assert_allclose(drawn[0][1:], drawn[1][1:], atol=0.5)  # half a pixel
    corner = (shape[1] - 0.5, shape[0] - 0.5)
    for axes in first[1:]:
        assert (axes.get_xlim()[1], axes.get_ylim()[0]) == corner
        left, right, bottom, top = axes.images[1].get_extent()
        assert (right, bottom) == corner
        assert left > -0.5
        assert top > -0.5
    assert first[1].get_xlabel().startswith("PSNR ")
    assert "SSIM 0." in first[1].get_xlabel()


def test_every_row_has_a_scale_bar_where_the_size_is_known(scored: Path) -> None:
    loaded = load_run(scored)
    loaded.scores["pixel_size"] = 0.1
    image = np.zeros((100, 100), np.uint8)
    rows = [("best", "i0.png", {"gt": image})]  # as where the first method lacks the image
    figure = montage._draw(loaded, rows, ["soft", "gt"])
    assert [text.get_text() for text in figure.axes[1].texts] == ["2 µm"]
    assert not figure.axes[0].texts


def test_infinite_values_are_not_left_out_of_the_verdict(
    folders: Folders, sharp8: np.ndarray, tmp_path: Path
) -> None:
    images = {f"i{k}": np.roll(sharp8, 9 * k, axis=0) for k in range(5)}
    roles = [
        "--pred",
        f"same={folders('same', **images)}",
        "--pred",
        f"soft={folders('soft', **{n: blurred(i, 2) for n, i in images.items()})}",
        "--gt",
        folders("gt", **images),
    ]
    run("score", *roles, "--out", tmp_path / "run")
    found = {v["metric"]: v for v in verdicts(load_run(tmp_path / "run"))}
    assert found["psnr"]["method"] == "same"
    assert "median psnr, inf" in found["psnr"]["text"]


def test_pictures_of_changed_files_are_not_shown(scored: Path, tmp_path: Path) -> None:
    import os
    import time

    later = time.time() + 60
    for path in (tmp_path / "soft").iterdir():
        os.utime(path, (later, later))
    run("report", scored)
    assert "No pictures" in (scored / "report.html").read_text()
    said = run("figures", scored)
    assert "no montage" in said
    assert "decorrelation" not in said


def ranked(tmp_path: Path, rows: dict[str, list[str]], metric: str) -> dict[str, str]:
    """The verdict of a table of scores, an empty cell where a method has no image."""
    table = tmp_path / "table.csv"
    lines = ["image," + ",".join(f"{metric}_{method}" for method in rows)]
    lines += [
        f"i{k}," + ",".join(cells) for k, cells in enumerate(zip(*rows.values(), strict=True))
    ]
    table.write_text("\n".join(lines))
    run_of_table(table, tmp_path / "run")
    (found,) = verdicts(load_run(tmp_path / "run"))
    return found


def test_who_leaves_out_the_hard_images_does_not_lead(tmp_path: Path) -> None:
    full = ["31", "32", "33", "9", "8", "9"]
    picky = ["30", "31", "32", "", "", ""]
    found = ranked(tmp_path, {"full": full, "picky": picky}, "psnr")
    assert found["method"] == "full"
    assert "on the 3 of 6 images that all methods have" in found["text"]
    assert "too few to test" in found["against"]


def test_a_tie_has_no_leader(tmp_path: Path) -> None:
    rows = {"one": ["inf", "inf", "3"], "two": ["inf", "2", "inf"], "three": ["inf"] * 3}
    found = ranked(tmp_path, rows, "frc_resolution")
    assert found["method"] == "one and two and three"
    assert found["tie"]


def test_pictures_lose_nothing_and_the_whole_is_behind_a_crop(
    folders: Folders, tmp_path: Path
) -> None:
    image = np.random.default_rng(3).integers(0, 256, (500, 640), dtype=np.uint8)
    soft = blurred(image, 1)
    run(
        "score",
        *("--pred", folders("soft", a=soft), "--gt", folders("gt", a=image)),
        *("--out", tmp_path / "run", "--no-report"),
    )
    loaded = load_run(tmp_path / "run")
    drawn = pictures.draw_pictures(loaded, ["a.png"], tmp_path / "drawn")["a.png"]
    top, left, height, width = drawn.crop
    assert (height, width) == (320, 320)
    shown = {k: cv2.imread(str(tmp_path / "drawn" / f), 0) for k, f in drawn.files.items()}
    assert set(shown) >= {"image:gt", "image:soft", "whole:gt", "whole:soft", "ssim:soft"}
    window = image[top : top + 320, left : left + 320].astype(float)
    low, high = np.percentile(window, [0.5, 99.5])
    assert drawn.span == pytest.approx(high - low)
    exact = np.rint(255 * np.clip((window - low) / (high - low), 0, 1))
    np.testing.assert_array_equal(shown["image:gt"], exact)
    assert shown["whole:gt"].shape == (375, 480)  # 480 at most, in the image's proportions


def test_violins_stand_for_too_many_points_and_the_reference_is_named(tmp_path: Path) -> None:
    values = np.random.default_rng(2).uniform(20, 40, 1001)
    lines = ["image,psnr_one,psnr_two,psnr_input"]
    lines += [f"i{k},{v:.3f},{v + 1:.3f},{v - 1:.3f}" for k, v in enumerate(values)]
    for n, name in ((1001, "many"), (1000, "few")):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines[: n + 1]))
        run_of_table(tmp_path / f"{name}.csv", tmp_path / name)
        axes = CHARTS["boxplots"](load_run(tmp_path / name)).axes[0]
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert (len(axes.collections), len(points)) == ((3, 0) if n > 1000 else (0, 3))
        assert sum(line.get_xdata().size for line in points) == (0 if n > 1000 else 3000)
        assert [t.get_text() for t in axes.texts] == ["ref.", "***", "***"]
        assert axes.get_title() == "psnr (dB) ▲"
        assert next(t.get_text() for t in axes.get_xticklabels()) == f"input\nn={n}"
