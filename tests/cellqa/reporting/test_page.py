"""The report in a real browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import itertools
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from images import blurred

from cellqa.cli import main

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
NAMES = ("a", "b<b>bold", "c&amp;$x", "<script>alert(1)<", "e")

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium: apt-get install chromium runs the tests of the page"
)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run of five images and two methods, with names that are markup."""
    import cv2

    from cellqa import simulate

    top = tmp_path_factory.mktemp("page")
    for k, name in enumerate(NAMES):
        truth = simulate.filaments((220, 240), cutoff=0.6, photons=900, seed=k).image
        truth = np.clip(truth / truth.max() * 255, 0, 255).astype(np.uint8)
        roles = {"gt": truth, "one": blurred(truth, 1 + 0.2 * k), "two": blurred(truth, 2.5)}
        for role, image in roles.items():
            (top / role).mkdir(exist_ok=True)
            (top / role / f"{name}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    (top / "two" / "e.png").write_bytes(b"broken")
    line = [
        "score",
        "--pred",
        f"one={top / 'one'}",
        "--pred",
        f"<i>two={top / 'two'}",
        "--gt",
        str(top / "gt"),
        "--out",
        str(top / "run"),
        "--gallery",
        "3",
    ]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 3, result.output
    assert "report.html" in result.stdout
    return top / "run"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=quiet)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, run_folder: Path) -> Iterator[Any]:
    with visited(browser, run_folder) as opened:
        yield opened


@contextmanager
def visited(browser: Any, folder: Path) -> Iterator[Any]:
    """A page; afterwards, nothing was asked of any other place and no error was logged."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    requests: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("dialog", lambda dialog: errors.append("a name was run as a script"))
    opened.goto((folder / "report.html").as_uri())
    yield opened
    opened.close()
    assert errors == []
    here = folder.as_uri()
    assert [url for url in requests if not url.startswith((here, "data:"))] == []


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the page does in its own time (its policy allows no code in strings)."""
    for _ in range(100):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within 5 s")


def first_column(page: Any) -> list[str]:
    cells = page.locator("#table tbody tr td:first-child").all_inner_texts()
    return [text.replace("▣", "").strip() for text in cells]


def test_names_are_text(page: Any) -> None:
    assert set(first_column(page)) == {f"{name}.png" for name in NAMES}
    assert page.locator("h1").inner_text() == "How good are one, <i>two?"
    assert page.locator("b:text-is('bold')").count() == 0


def test_the_summary_says_who_leads_and_what_failed(page: Any) -> None:
    verdict = page.locator(".verdict").inner_text()
    assert verdict.startswith("Too few to say who is best: 4 images, 6 are needed")
    assert "<i>two" not in page.locator(".verdict .first").inner_text()
    text = page.locator("#summary").text_content()
    assert "one has the best ssim" in text
    assert "ahead of <i>two" in text
    assert "e.png" in page.locator("#distrust").inner_text()


def test_the_tests_count_images_in_whole_numbers(page: Any) -> None:
    counts = page.locator("#methods tbody td:nth-child(4)").all_inner_texts()
    assert set(counts) == {"4"}


def test_the_table_sorts_and_filters(page: Any) -> None:
    page.locator("#view").select_option("method")
    ssim = page.locator("#table th button", has_text="ssim ↑").first
    column = page.locator("#table th").all_inner_texts().index("ssim ↑") + 1

    def values() -> list[float]:
        cells = page.locator(f"#table tbody tr td:nth-child({column})").all_inner_texts()
        return [float(text) for text in cells]

    ssim.click()
    assert values() == sorted(values())
    ssim.click()
    assert values() == sorted(values(), reverse=True)
    assert page.locator("#table th[aria-sort=descending]").count() == 1
    page.locator("#filter").fill("<SCRIPT>")
    assert first_column(page) == ["<script>alert(1)<.png"]
    page.locator("#filter").fill("")
    page.locator("#table-method").select_option("<i>two")
    page.locator("#only-failed").check()
    assert "e.png" in first_column(page)


def test_the_panel_compares_with_divider_blink_and_zoom(page: Any) -> None:
    page.locator(".thumb").first.click()
    panel = page.locator("#panel")
    assert panel.is_visible()
    assert page.locator("#left").input_value() == "one"
    assert page.locator("#right").input_value() == "gt"
    decoded = "e => e.decode().then(() => e.naturalWidth)"
    assert page.locator("#image-left").evaluate(decoded) == 240
    assert page.locator("#colours").is_hidden()
    handle = page.locator("#handle")
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 11, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] - 150, box["y"] + 50)
    page.mouse.up()
    assert int(handle.get_attribute("aria-valuenow")) < 45
    handle.press("ArrowRight")
    before = page.locator("#layer-left").evaluate("e => e.style.transform")
    page.locator("#viewer").hover(position={"x": 60, "y": 200})
    page.mouse.wheel(0, -400)
    until(lambda: page.locator("#layer-left").evaluate("e => e.style.transform") != before)
    after = [
        page.locator(f"#layer-{s}").evaluate("e => e.style.transform") for s in ("left", "right")
    ]
    assert after[0] == after[1] != before  # zoom is linked
    page.locator("#blink").click()
    for side in ("100%", "0%"):
        until(lambda s=side: page.locator("#clip").evaluate("e => e.style.width") == s)
    page.locator("#blink").click()
    page.locator("input[name=show][value='error:']").check()
    assert "error" in page.locator(".tag.left").inner_text()
    assert page.locator("#image-left").evaluate(decoded) == 240
    assert page.locator("#colours").is_visible()
    low, middle, high = page.locator("#colours-ticks span").all_inner_texts()
    assert (low[0], middle, low[1:]) == ("−", "0", high[1:])
    assert page.locator("#ruler").is_hidden()  # no pixel size
    assert page.locator("#whole").is_hidden()  # the crop is all of it
    assert "ssim" in page.locator("#numbers").inner_text()
    page.locator("#next").click()
    page.keyboard.press("Escape")
    assert not panel.is_visible()


def test_images_without_pictures_have_their_numbers(page: Any) -> None:
    row = page.locator("#table tbody tr", has_not_text="▣").first
    row.focus()
    row.press("Enter")
    assert page.locator("#nothing").is_visible()
    assert not page.locator("#viewer").is_visible()
    assert page.locator("#numbers tbody tr").count() > 5
    page.locator("#close").click()


def test_a_point_of_the_plot_leads_to_its_image(page: Any) -> None:
    x, y, name, _ = page.evaluate("points[0]")
    page.locator("#boxes").click(position={"x": x, "y": y})
    assert page.locator("#panel-title").inner_text() == name


def test_a_point_and_a_box_say_what_they_are(page: Any) -> None:
    x, y, name, _ = page.evaluate("points[0]")
    page.locator("#boxes").hover(position={"x": x, "y": y})
    assert page.locator("#tip").inner_text().startswith(name)
    x, _, top, bottom, _ = page.evaluate("boxed[0]")
    page.evaluate("points = []")
    page.locator("#boxes").hover(position={"x": x, "y": (top + bottom) / 2})
    assert "median" in page.locator("#tip").inner_text()
    assert "n = 5" in page.locator("#tip").inner_text()


def test_any_two_methods_are_subtracted_image_by_image(page: Any) -> None:
    page.locator("#first").select_option("<i>two")
    page.locator("#second").select_option("one")
    said = page.locator("#compared").inner_text()
    assert said.startswith("<i>two is better than one in ssim on ")
    assert "of 4 images" in said  # the fifth failed
    rows = page.locator("#table tbody tr.of").all_inner_texts()
    cells = [dict(zip(("name", "one", "two", "minus"), r.split("\t"), strict=False)) for r in rows]
    for row in cells[:4]:
        mark, minus = row["minus"].split()
        expected = float(row["two"]) - float(row["one"])
        assert float(minus.replace("−", "-")) == pytest.approx(expected, abs=2e-4)  # 4 decimals
        assert mark == ("▲" if expected > 0 else "▼")
    assert cells[4]["minus"] == "–"


def test_a_filter_that_finds_nothing_says_so(page: Any) -> None:
    page.locator("#filter").fill("<nothing>")
    page.locator("#only-failed").check()
    text = page.locator("#empty").inner_text()
    assert "the name or reason contains “<nothing>” and it failed or is undefined" in text
    page.locator("#clear").click()
    assert len(first_column(page)) == 5
    assert page.locator("#empty").is_hidden()


def test_columns_out_of_sight_are_told_and_printed(page: Any) -> None:
    page.set_viewport_size({"width": 700, "height": 900})
    page.locator("#view").select_option("method")
    hint = page.locator("#images .beyond")
    assert "more columns to the right: scroll or swipe" in hint.inner_text()
    page.locator("#rows-box").evaluate("e => { e.scrollLeft = 1e6; }")
    until(lambda: hint.is_hidden())
    names = page.locator("#table thead th").all_inner_texts()
    page.evaluate("apart_for_paper()")
    printed = page.locator("#images .paper table")
    assert printed.count() > 1
    heads = [t.locator("thead th").all_text_contents() for t in printed.all()]
    assert all(head[0].startswith("image") for head in heads)
    assert [name for head in heads for name in head[1:]] == names[1:]
    assert page.locator("thead button").count() == 0  # which are not repeated on each sheet
    page.evaluate("together()")
    assert page.locator("#table thead button").count() == len(names)
    assert printed.count() == 0


def test_it_is_one_file(page: Any, run_folder: Path, tmp_path: Path, browser: Any) -> None:
    assert not (run_folder / "report_files").exists()
    assert not (run_folder / "report.zip").exists()
    (tmp_path / "mailed").mkdir()
    shutil.copy(run_folder / "report.html", tmp_path / "mailed")
    with visited(browser, tmp_path / "mailed") as mailed:
        first = mailed.locator(".thumb img").first
        first.scroll_into_view_if_needed()
        until(lambda: bool(first.get_attribute("src")))
        assert first.evaluate("e => e.decode().then(() => e.naturalWidth)") == 240


def test_a_page_too_large_for_mail_is_whole_in_an_archive(
    run_folder: Path, tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellqa.reporting import page as module

    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    of_two = [len(part) for part in _pictures((folder / "report.html").read_text())][:2]
    numbers = (folder / "report.html").stat().st_size - sum(
        len(part) for part in _pictures((folder / "report.html").read_text())
    )
    monkeypatch.setattr(module, "MAILED", numbers + sum(of_two))
    module.report(folder, gallery=3)
    with zipfile.ZipFile(folder / "report.zip") as archive:
        assert archive.namelist() == ["report.html"]
        (tmp_path / "unpacked").mkdir()
        archive.extractall(tmp_path / "unpacked")
    assert (folder / "report.html").stat().st_size <= numbers + sum(of_two) + 1000
    with visited(browser, folder) as small:
        told = small.locator("#gallery > .hint").inner_text()
        assert "of 3 images are in this file" in told
        assert 0 < small.locator(".thumb").count() < 3
        missing = small.evaluate("Object.keys(D.pictures).find(n => !pictured(n))")
        small.evaluate("name => open(name)", missing)
        assert small.locator("#nothing").is_visible()
    with visited(browser, tmp_path / "unpacked") as whole:
        assert whole.locator(".thumb").count() == 3
    module.report(folder, gallery=0)
    assert not (folder / "report.zip").exists()


def _pictures(html: str) -> list[str]:
    return re.findall(r'<script type="application/json" id="p\d+">.*?</script>', html)


def test_many_images_scroll_without_being_made(browser: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(1).uniform(0.2, 0.9, 3000)
    lines = ["image,ssim_one,ssim_two", *(f"i{k:04d},{v:.4f},0.5" for k, v in enumerate(values))]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "run"
    result = CliRunner().invoke(main, ["report", str(tmp_path / "table.csv"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    with visited(browser, out) as many:
        made = many.locator("#table tbody tr.of")
        assert made.count() < 100
        assert "3000 of 3000 images" in many.locator("#count").inner_text()
        many.locator("#table th button", has_text="one").click()
        assert made.first.inner_text().split("\t")[1] == f"{values.min():.4f}"
        many.locator("#rows-box").evaluate("e => { e.scrollTop = 1e9; }")
        until(lambda: f"{values.max():.4f}" in made.last.inner_text())
        assert many.evaluate("points.length") <= 400  # violins, with outliers alone
        assert "Violins" in many.locator("#plot-key").inner_text()


@pytest.mark.parametrize("width", [2560, 1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_phone_laptop_and_wall_in_both_colours(
    page: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 20_000
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


# --- plates ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two plates of three rows and columns, two fields a well; in the middle one has failed."""
    top = tmp_path_factory.mktemp("plate")
    lines = ["image,method,ssim,nrmse,status"]
    for plate, well, field in itertools.product("pq", range(9), range(2)):
        if (plate, well) == ("p", 8):
            continue
        name = f"{plate}/{'ABC'[well // 3]}/{well % 3 + 1}/{field}"
        lines.append(f"{name},one,0.{well}{field},0.{9 - well},ok")
        failed = well == 4 or (well, field) == (5, 0)
        lines.append(f"{name},two,{',,failed' if failed else '0.3,0.2,ok'}")
    (top / "table.csv").write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(main, ["report", str(top / "table.csv"), "--out", str(top / "run")])
    assert result.exit_code == 0, result.output
    return top / "run"


@pytest.fixture
def plate(browser: Any, plate_folder: Path) -> Iterator[Any]:
    with visited(browser, plate_folder) as opened:
        yield opened


def well(page: Any, name: str) -> Any:
    return page.locator(f"#wells button[title^='{name}:']")


def test_wells_have_colours_marks_and_values(plate: Any) -> None:
    assert plate.locator("#wells tbody tr").count() == 3  # 12 wells hold them
    assert plate.locator("#wells thead th").count() == 4
    assert plate.locator("#wells .blank").count() == 12 - 8
    assert well(plate, "A2").get_attribute("title") == "A2: 0.105, mean of 2 fields"
    colour = "e => getComputedStyle(e).backgroundColor"
    assert well(plate, "A1").evaluate(colour) != well(plate, "A2").evaluate(colour)
    assert "ssim, higher is better" in plate.locator("#bar-name").inner_text()
    assert plate.locator("#bar-ticks span").all_inner_texts() == ["0.2", "0.4", "0.6", "0.8"]
    plate.locator("#plate-method").select_option("two")
    assert well(plate, "B2").inner_text() == "×"
    assert well(plate, "B2").get_attribute("title") == "B2: no value; 2 failed"
    assert well(plate, "B3").get_attribute("class") == "well part"
    plate.locator("#plate-name").select_option("1")
    assert well(plate, "C3").count() == 1


def test_a_difference_is_of_the_same_fields(plate: Any) -> None:
    plate.locator("#plate-metric").select_option("nrmse")
    plate.locator("#plate-minus").select_option("two")
    assert plate.locator("#bar-name").inner_text().startswith("nrmse of one - two, blue: one is")
    assert well(plate, "A1").get_attribute("title") == "A1: 0.7, mean of 2 fields"
    assert "not of the same fields" in well(plate, "B3").get_attribute("title")
    red, _, blue = (
        int(part) for part in well(plate, "A1").evaluate("e => e.style.background.match(/\\d+/g)")
    )
    assert red > blue  # a larger error is worse


def test_a_well_lists_its_images(plate: Any) -> None:
    well(plate, "B1").click()
    assert first_column(plate) == ["p/B/1/0", "p/B/1/1"]
    assert "B1 of p" in plate.locator("#only").inner_text()
    assert well(plate, "B1").get_attribute("aria-pressed") == "true"
    plate.locator("#only").click()
    assert len(first_column(plate)) == 34
    assert not plate.locator("#only").is_visible()


def test_keys_move_from_well_to_well(plate: Any) -> None:
    assert plate.locator("#wells button[tabindex='0']").count() == 1
    well(plate, "A1").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowRight"):  # C3 is blank
        plate.keyboard.press(key)
    assert plate.locator("#well").inner_text().startswith("C2: ")
    plate.keyboard.press("Enter")
    assert first_column(plate) == ["p/C/2/0", "p/C/2/1"]


@pytest.mark.parametrize("width", [1200, 420])
def test_plates_fit_two_widths(plate: Any, width: int) -> None:
    plate.set_viewport_size({"width": width, "height": 900})
    assert plate.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
