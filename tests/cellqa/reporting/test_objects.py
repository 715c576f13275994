"""The section of the page on objects, and its figure."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cellqa import report
from cellqa.cli import main
from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.reporting.charts import save_charts
from cellqa.reporting.load import load_run
from cellqa.reporting.objects import draw_objects, object_section


def nuclei(k: int, gain: float = 1.0, power: float = 1.0, without: int = 0) -> np.ndarray:
    rng = np.random.default_rng(k)
    y, x = np.indices((128, 128))
    image = np.zeros((128, 128))
    for n, (cy, cx) in enumerate((a, b) for a in (16, 48, 80, 112) for b in (20, 64, 108)):
        level = 100 + 8 * n + 5 * rng.random()
        if n >= without:
            image[np.hypot(y - cy, x - cx) < 7 + n % 3] = level
    noise = np.random.default_rng(100 + k).normal(0, 1, image.shape)
    return (10 + gain * 180 * (image / 180) ** power + noise).astype(np.float32)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("objects")
    for k in range(4):
        made = {"gt": nuclei(k), "te": nuclei(k, 1.2, 0.4), "<i>less": nuclei(k, without=4)}
        for folder, pixels in made.items():
            write_tiff(top / folder.strip("<>i") / f"{k}.tif", pixels, None)
    line = ["score", "--gt", str(top / "gt"), "--pred", f"te={top / 'te'}", "--gallery", "0"]
    line += ["--pred", f"<i>less={top / 'less'}", "--objects", "auto", "--metrics", "psnr"]
    done = CliRunner().invoke(main, [*line, "--out", str(top / "out")])
    assert done.exit_code == 0, done.output
    assert "objects, against those of the ground truth:\n  te: counts the same" in done.output
    assert "warning: <i>less: counts 33 % lower (33 % missed" in done.output
    return top / "out"


def test_the_page_says_what_not_to_quantify(scored: Path) -> None:
    page = (scored / "report.html").read_text()
    section = page[page.index('<section id="objects">') :]
    section = section[: section.index("</section>")]
    assert '<a href="#objects">' in page
    text = re.sub(r"\s+", " ", section)
    assert re.search(r"<b>te</b>: counts the same, .* compressed to \d+ %", text)
    assert "do not quantify intensities in it" in text
    assert "<b>&lt;i&gt;less</b>: counts 33 % lower (33 % missed, 0 % invented)" in text
    assert "<i>less" not in section
    assert "32 matched<small>16 missed, 0 invented" in text
    assert 'src="data:image/png;base64,' in section


def test_the_figure_has_a_row_for_each_method(scored: Path, tmp_path: Path) -> None:
    run = load_run(scored)
    figure = draw_objects(run)
    assert figure is not None
    titles = [axes.get_title("left") for axes in figure.axes]
    assert [t for t in titles if t] == ["te: 48 objects", "<i>less: 32 objects"]
    slope = next(a.get_title() for a in figure.axes if "slope" in a.get_title())
    with (scored / "agreement.csv").open() as file:
        rows = {(r["method"], r["quantity"]): r for r in csv.DictReader(file)}
    assert slope.startswith(f"slope {float(rows['te', 'mean']['slope']):.2f}")
    assert float(rows["te", "mean"]["proportion"]) < 0.7
    assert any(path.name == "objects.png" for path in save_charts(run, tmp_path / "figures"))


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("agreement.csv", lambda t: t.replace("te,area", "te,length"), "length"),
        ("agreement.csv", lambda t: t.replace("te,area", "other,area"), "other"),
        ("agreement.csv", lambda t: t.replace("te,area", "te,mean"), "twice|two"),
        ("agreement.csv", lambda t: t[: t.index("te,total")], "missing"),
        ("agreement.csv", lambda t: t[:-9], "cut short"),
        ("objects.csv", lambda t: t.replace("found_total", "f"), "not a table of a run"),
    ],
)
def test_tables_that_were_changed_are_refused(
    name: str, change: object, line: str, scored: Path, tmp_path: Path
) -> None:
    for path in scored.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / name).read_text()
    changed = change(text)  # type: ignore[operator]
    assert changed != text
    (tmp_path / name).write_text(changed)
    with pytest.raises(CellqaError, match=line):
        report(tmp_path, gallery=0)


def test_a_run_in_which_nothing_is_found_has_its_words(tmp_path: Path) -> None:
    for k in range(3):
        for folder in ("gt", "net"):
            write_tiff(tmp_path / folder / f"{k}.tif", np.full((64, 64), 9 + k, np.float32), None)
    line = ["score", "--gt", str(tmp_path / "gt"), "--pred", f"net={tmp_path / 'net'}"]
    line += ["--objects", "auto", "--metrics", "psnr", "--gallery", "0"]
    done = CliRunner().invoke(main, [*line, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "net: the ground truth has no objects" in done.output
    assert "the ground truth has no objects" in (tmp_path / "out/report.html").read_text()
    assert not (tmp_path / "out/objects.csv").exists()


def test_runs_without_objects_have_no_section(scored: Path, tmp_path: Path) -> None:
    for path in scored.iterdir():
        if path.is_file() and path.name != "agreement.csv":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert object_section(load_run(tmp_path)) is None
    assert draw_objects(load_run(tmp_path)) is None
