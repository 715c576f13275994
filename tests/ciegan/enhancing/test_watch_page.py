"""The page of a watched folder in a real browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ciegan.enhancing import watch_page
from ciegan.enhancing.watch_page import Shown, write_page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        errors: list[str] = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
        assert errors == []


def written(path: Path, monkeypatch: pytest.MonkeyPatch, ago: float, watching: bool = True) -> str:
    now = time.time()
    monkeypatch.setattr(watch_page.time, "time", lambda: now - ago)
    image = np.arange(40_000, dtype=np.uint16).reshape(200, 200)
    about = {"source": "/in", "waiting": 0, "rate": 1.0, "watching": watching, "due": 2.0}
    rows = [{"image": "a.tif", "status": "ok", "planes": 1}]
    write_page(path, rows, [], [Shown.of("a.tif", image, image)], about)
    return path.as_uri()


@pytest.mark.parametrize(
    ("ago", "watching", "dead"),
    [(0, True, False), (15, True, False), (60, True, True), (86400, False, False)],
)
def test_it_tells_that_its_program_is_gone(
    tab: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ago: float,
    watching: bool,
    dead: bool,
) -> None:
    tab.goto(written(tmp_path / "watch.html", monkeypatch, ago, watching))
    warning = tab.locator("#dead")
    assert (warning.count() and warning.is_visible()) == dead
    if dead:
        assert "Nothing was written for 60 s: the program has died or hangs" in warning.inner_text()
    assert " ago)" in tab.locator("#age").inner_text()
    assert tab.locator("img").first.evaluate("e => e.naturalWidth") == 160


def test_it_grows_old_while_it_is_looked_at_whatever_the_clocks(
    tab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = written(tmp_path / "watch.html", monkeypatch, -300)  # the writer's clock is ahead
    tab.clock.install()
    tab.goto(uri)
    assert tab.locator("#dead").is_hidden()
    tab.clock.fast_forward("00:04")
    assert tab.locator("#dead").is_hidden()
    tab.clock.fast_forward("02:00")
    tab.wait_for_selector("#dead:not([hidden])")
