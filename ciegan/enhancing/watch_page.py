"""The page of a watched folder: what was done, how fast, and how the latest images look."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np

from cellqa.disk import appearing_text
from cellqa.io import luminance
from cellqa.planes import Array

PAGE = "watch.html"
_SIDE = 160  # of the pictures: pixels of the images, not scaled
_ROWS = 30
_LATE, _GRACE = 3, 15  # times that a page is due, and seconds, from which it is not coming
_COLUMNS = ("planes", "clipped", "rsp", "spread", "seconds")  # where any image has them


@dataclass(frozen=True)
class Shown:
    """The middle of an image, raw and enhanced, at one contrast.

    Attributes
    ----------
    name : str
    raw, enhanced : str
        PNG, as data URIs.
    """

    name: str
    raw: str
    enhanced: str

    @classmethod
    def of(cls, name: str, raw: Array, enhanced: Array) -> Shown:
        """Draw two images of one shape."""
        top, left = (max(0, (n - _SIDE) // 2) for n in raw.shape[:2])
        crops = [
            np.asarray(luminance(p[top : top + _SIDE, left : left + _SIDE])).astype(np.float64)
            for p in (raw, enhanced)
        ]
        low, high = np.percentile(crops[0], (0.1, 99.9))
        pictures = [
            np.clip((crop - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)
            for crop in crops
        ]
        return cls(name, *map(_data_uri, pictures))


def _data_uri(picture: Array) -> str:
    data = cv2.imencode(".png", picture)[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def write_page(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    scores: Sequence[str],
    shown: Sequence[Shown],
    about: Mapping[str, Any],
) -> None:
    """Write the page; it appears when it is complete.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        Lines of enhanced.csv.
    scores : sequence of str
        Columns of scores among them.
    shown : sequence of Shown
        The latest first.
    about : dict
        `source`, `waiting`, `rate` (images in a minute), `watching`; `due`: seconds until the page
        is written again, by which it tells that its program is gone.
    """
    written = time.time()
    counts = Counter(str(row["status"]) for row in rows)
    failed = [row for row in rows if row["status"] == "failed"]
    by_name = {row["image"]: row for row in rows if row["status"] != "failed"}
    kept = [image for image in shown if image.name in by_name]  # others were renamed since
    latest = [by_name[image.name] for image in kept]
    told = [c for c in (*_COLUMNS, *scores) if any(_number(row.get(c, "")) for row in latest)]
    templates = files("ciegan.enhancing") / "templates"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["number"] = _number
    page = environment.from_string((templates / "watch.html").read_text(encoding="utf-8"))
    html = page.render(
        about=about,
        counts=counts,
        done=len(rows) - len(failed),
        failed=failed[:_ROWS],
        more=max(0, len(failed) - _ROWS),
        rows=latest,
        columns=told,
        shown=kept,
        now=datetime.fromtimestamp(written).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        written=f"{written:.3f}",
        late=_LATE * about["due"] + _GRACE,
    )
    with appearing_text(path) as file:
        file.write(html)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)
