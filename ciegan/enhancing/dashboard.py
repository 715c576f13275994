"""Table and page of a watched folder, kept while it is watched."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cellqa.disk import leaves
from cellqa.enhance.files import Job
from cellqa.errors import CellqaError, printable
from cellqa.io import ImageFile, luminance
from cellqa.io.isolated import open_safely
from cellqa.io.stores import state
from cellqa.lines import Lines
from cellqa.metrics.registry import select
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.planes.plane import Plane, as_plane
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.plane import Scorer
from cellqa.shown import one_line
from cellqa.tables.cells import cell
from cellqa.tables.files import write_csv
from ciegan.enhancing.enhanced import COLUMNS, Enhanced
from ciegan.enhancing.folder import CHECKED_TABLE, ENHANCED_TABLE, write_planes
from ciegan.enhancing.pool import Pool
from ciegan.enhancing.watch_page import PAGE, Shown, write_page
from ciegan.enhancing.watcher import FolderWatcher, WatchOptions
from ciegan.network.enlarging import enlarge

SCORED = ("resolution", "entropy")  # of the result, and of its raw image as input_NAME


_SCORES = ".ciegan-scores.jsonl"


_REST = 2.0  # seconds between tables, at least


_SHARE = 20  # of the time goes to tables, at most: one part in so many


_SHOWN = 12  # images with pictures on the page


_RATE = 60.0  # seconds that the rate is taken over


_MIDDLE = 2048  # pixels a side that a large image is scored by


@dataclass
class Watched:
    """What came of watching.

    Attributes
    ----------
    counts : Counter
        Files of this session by status.
    failures : dict
        Image to reason, of files that are still there.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    __repr__ = one_line


class Dashboard:
    """Keeps the table and the page."""

    def __init__(
        self,
        pool: Pool,
        watcher: FolderWatcher,
        source: Path,
        target: Path,
        options: WatchOptions,
        watched: Watched,
    ) -> None:
        self.pool, self.watcher, self.watched = pool, watcher, watched
        self.source, self.target, self.options = source.absolute(), target, options
        self.scores: dict[Path, dict[str, float]] = {}
        self.failed: dict[Path, Enhanced] = {}
        self.shown: deque[Shown] = deque(maxlen=_SHOWN)
        self.times: deque[float] = deque()
        self.next, self.pause = 0.0, _REST
        self.changed = True
        self.latest: list[Mapping[str, Any]] = []
        self.score_names = [role + m for m in SCORED for role in ("", "input_")] * options.score
        self.score_lines = Lines(target / _SCORES)
        self.unscored: deque[Job] = deque()
        if options.score:
            for _, entry in self.score_lines.read():
                place = self._scored(entry)
                # of the image that is there now, and not of one that a kill kept from being scored
                if place and entry.get("state") == state(place):
                    self.scores[place] = entry["scores"]
            for job in pool.ledger.jobs():
                if job.target not in self.scores and job.source.is_relative_to(self.source):
                    self.unscored.append(job)

    def _name(self, source: Path) -> str:
        return printable(source.absolute().relative_to(self.source).as_posix())

    def _scored(self, entry: Any) -> Path | None:
        """The result that a line of the scores is of; None for a line that is none of ours."""
        if not isinstance(entry, dict) or not isinstance(entry.get("target"), str):
            return None
        scores = entry.get("scores")
        if not isinstance(scores, dict) or not scores or "\0" in entry["target"]:
            return None
        if not all(isinstance(value, float | int) for value in scores.values()):
            return None
        target = self.target.absolute() / entry["target"]
        return None if leaves(target, self.target) else target

    def take(self, job: Job, record: Enhanced) -> None:
        """Note what became of a file; score and draw it."""
        self.changed = True
        self.watched.counts[record.status] += 1
        self.failed.pop(job.source, None)
        if record.status == "failed":
            self.failed[job.source] = record
        elif record.status in ("ok", "moved"):
            self.times.append(time.monotonic())
            self._look_at(job)
        self.watcher.done(job)

    def _look_at(self, job: Job) -> None:
        """Draw an image and its result, and score them."""
        try:
            scale = self.pool.scale
            with open_safely(job.source) as raw, open_safely(job.target) as image:
                before, after = _middle(raw, _MIDDLE // scale), _middle(image, _MIDDLE)
                size = image.pixel_size
            self.shown.appendleft(Shown.of(self._name(job.source), enlarge(before, scale), after))
            scores = _scores(before, after, size, scale) if self.options.score else {}
        except (CellqaError, OSError):  # moved away meanwhile, as microscopes' programs do
            scores = {}
        if self.options.score:
            self.scores[job.target.absolute()] = scores
            target = job.target.absolute()
            self.score_lines.append(
                {
                    "target": target.relative_to(self.target.absolute()).as_posix(),
                    "state": state(target),
                    "scores": scores,
                }
            )

    def write(self, *, last: bool = False) -> None:
        """Write table and page, when it is time."""
        now = time.monotonic()
        if self.unscored and not self.watcher.waiting and not last:
            self._look_at(self.unscored.popleft())
            self.changed = True
        if not last and now < self.next:
            return
        rows = self._rows() if self.changed or last else None
        while self.times and self.times[0] < now - _RATE:
            self.times.popleft()
        if rows is not None:
            names = [*COLUMNS, *self.score_names]
            lines = ([cell(row.get(name), 6) for name in names] for row in rows)
            write_csv(self.target / ENHANCED_TABLE, names, lines)
            write_planes(self.target / CHECKED_TABLE, rows)
            self.changed = False
            self.latest = rows
        write_page(
            self.target / PAGE,
            self.latest,
            self.score_names,
            list(self.shown),
            {
                "source": printable(str(self.source)),
                "waiting": self.watcher.waiting,
                "rate": len(self.times) * 60 / _RATE,
                "watching": not last,
                "due": self.pause,
            },
        )
        if last:
            self.score_lines.close()
        self.pause = max(_REST, _SHARE * (time.monotonic() - now))
        self.next = time.monotonic() + self.pause

    def _rows(self) -> list[Mapping[str, Any]]:
        """Everything in the folder of results, whenever it was made, and what failed."""
        rows: dict[str, dict[str, Any]] = {}
        for target, record in self.pool.ledger.records().items():
            own = self.scores.get(target, {})
            rows[str(record["image"])] = {**record, **own}
        failures = dict(self.failed)
        for path, reason in self.watcher.refused.items():
            failures[path] = Enhanced(self._name(path), "failed", reason=reason)
        self.watched.failures = {}
        for path, failure in failures.items():
            if path.exists():
                rows[failure.image] = asdict(failure)
                self.watched.failures[failure.image] = failure.reason
        return [rows[name] for name in sorted(rows)]


def _middle(file: ImageFile, side: int) -> Array:
    """The middle plane; of a large one, so many pixels in its middle."""
    index = file.planes[len(file.planes) // 2]
    height, width = file.shape_of(index)[:2]
    if not file.is_large(index):
        return file.load(index)
    top, left = (max(0, (n - side) // 2) for n in (height, width))
    return file.load_rows(index, top, min(top + side, height))[:, left : left + side]


def _scores(raw: Array, image: Array, pixel_size: float | None, scale: int) -> dict[str, float]:
    """What cellqa says without a reference, of the result and of its raw image.

    Lengths are in pixels of the result where their size is unknown.
    """
    planes = {
        role: Plane(as_plane(luminance(pixels), role), pixels.dtype)
        for role, pixels in ((Role.RAW, raw), ("image", image))
    }
    scores: dict[str, float] = {}
    options = ScoreOptions(select(SCORED), scale=scale)
    sizes = {"image": pixel_size, Role.RAW: pixel_size and scale * pixel_size}
    for role, prefix in (("image", ""), (Role.RAW, "input_")):
        scorer = Scorer(None, options, raw=planes[Role.RAW] if scale > 1 else None)
        values = scorer.score("", role, planes[role], sizes[role]).row.values
        scores |= {prefix + name: float(v) for name, v in values.items() if math.isfinite(v)}
    return scores
