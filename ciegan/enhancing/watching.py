"""Enhance files as they appear in a folder: each once, none lost, whatever ends the program."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from cellqa.enhance.files import Job, target_name
from cellqa.errors import CellqaError, printable
from cellqa.io import ImageFile, is_image_folder, luminance, split_suffix
from cellqa.io.isolated import open_safely
from cellqa.metrics.registry import select
from cellqa.planes.plane import Plane, as_plane
from cellqa.scoring.plane import ScoreOptions, Scorer
from cellqa.tables.files import write_csv
from ciegan.enhancing.folder import COLUMNS, TABLE, Workshop, cell
from ciegan.enhancing.ledger import Lines, source_state, state_of
from ciegan.enhancing.pipeline import Enhanced
from ciegan.enhancing.watch_page import PAGE, Shown, write_page

Array = npt.NDArray[Any]

METRICS = ("resolution", "entropy")  # of the result, and of its raw image as input_NAME
_SCORES = ".ciegan-scores.jsonl"
_TICK = 0.2  # seconds between looks at what arrived
_REST = 2.0  # seconds between tables, at least
_SHARE = 20  # of the time goes to tables, at most: one part in so many
_SHOWN = 12  # images with pictures on the page
_RATE = 60.0  # seconds that the rate is taken over
_MIDDLE = 2048  # pixels a side that a large image is scored by


@dataclass(frozen=True)
class WatchOptions:
    """How a folder is watched.

    Attributes
    ----------
    settle : float
        Seconds without growth after which a file counts as complete, unless its writer closed it.
    rescan : float
        Seconds between looks through the whole folder, for what no event told of.
    idle : float or None
        Seconds without anything to do after which watching ends; None goes on.
    polling : bool
        Look at the folder in intervals, where its file system tells no events (network drives).
    score : bool
        Score results without reference.
    """

    settle: float = 2.0
    rescan: float = 20.0
    idle: float | None = None
    polling: bool = False
    score: bool = False


@dataclass
class _Waiting:
    """A file that may still be written."""

    state: list[int]
    since: float
    closed: bool = False


class Arrivals(FileSystemEventHandler):
    """Jobs for files as they are complete, in the order in which they became so.

    Parameters
    ----------
    shop : Workshop
        Its ledger says what is done.
    source, target : Path
        Folders.
    options : WatchOptions
    """

    def __init__(self, shop: Workshop, source: Path, target: Path, options: WatchOptions) -> None:
        self.ledger, self.source, self.target = shop.ledger, source, target
        self.options = options
        self.stopped = threading.Event()
        self.refused: dict[Path, str] = {}
        self._events: queue.Queue[tuple[Path, bool]] = queue.Queue()
        self._waiting: dict[Path, _Waiting] = {}
        self._taken: dict[Path, list[int]] = {}  # at which state each was handed out
        self._targets: dict[Path, Path] = {}
        self._in_work: set[Path] = set()
        self._busy = time.monotonic()

    # events, from the thread of watchdog

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note the files that an event may be about."""
        closed = event.event_type in ("closed", "moved")
        for name in (event.src_path, event.dest_path):
            if name:
                path = Path(str(name))
                self._events.put((path, closed and not event.is_directory))

    # work, for the lines

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        """Wait for the next file."""
        looked = -math.inf
        while not self.stopped.is_set():
            if time.monotonic() - looked > self.options.rescan:
                self._look(self.source)
                looked = time.monotonic()
            self._take_events()
            if job := self._complete():
                return job
            if self.is_idle():
                break
            self.stopped.wait(_TICK)
        raise StopIteration

    def done(self, job: Job) -> None:
        """A job is through, whatever came of it."""
        self._in_work.discard(job.source)
        self._busy = time.monotonic()

    @property
    def waiting(self) -> int:
        """Files that are not complete, or not enhanced yet."""
        return len(self._waiting) + len(self._in_work)

    def is_idle(self) -> bool:
        """Whether nothing has been to do for as long as was asked for."""
        if self.options.idle is None or self.waiting:
            return False
        return time.monotonic() - self._busy > self.options.idle

    def _take_events(self) -> None:
        while True:
            try:
                path, closed = self._events.get_nowait()
            except queue.Empty:
                return
            if image := self._image_of(path):
                self._note(image, closed and image == path)
            elif path.is_dir():
                self._look(path)  # a folder that was made or renamed: events within may be lost

    def _look(self, folder: Path) -> None:
        """Note all images below a folder."""
        places = [folder]
        while places:
            place = places.pop()
            try:
                entries = sorted(place.iterdir())
            except OSError:  # renamed or removed meanwhile; another look follows
                continue
            for path in entries:
                if image := self._image_of(path):
                    self._note(image, False)
                elif path.is_dir() and not path.name.startswith("."):
                    places.append(path)

    def _image_of(self, path: Path) -> Path | None:
        """The image that a path is, or is within (OME-Zarr); hidden ones are passed over."""
        try:
            parts = path.relative_to(self.source).parts
        except ValueError:
            return None
        place = self.source
        for part in parts:
            place = place / part
            if part.startswith("."):
                return None
            if is_image_folder(part):
                return place
        return path if split_suffix(path.name)[1] and not path.is_dir() else None

    def _note(self, path: Path, closed: bool) -> None:
        state = _state(path)
        if not state or self._taken.get(path) == state:
            return
        known = self._waiting.get(path)
        if known is None or known.state != state:
            self._waiting[path] = _Waiting(state, time.monotonic(), closed)
        elif closed:
            known.closed = True
        self._busy = time.monotonic()

    def _complete(self) -> Job | None:
        """The first file that is complete and not done before."""
        now = time.monotonic()
        for path, known in list(self._waiting.items()):
            state = _state(path)
            if not state:
                del self._waiting[path]  # renamed or removed; under its new name it is found
                continue
            if state != known.state:
                self._waiting[path] = _Waiting(state, now)
                continue
            if path in self._in_work:
                continue  # it changed while it was enhanced
            wait = _TICK if known.closed else self.options.settle
            if now - known.since < wait:
                continue
            del self._waiting[path]
            self._taken[path] = state
            if job := self._job(path):
                self._in_work.add(path)
                return job
        return None

    def _job(self, path: Path) -> Job | None:
        relative = path.relative_to(self.source)
        target = self.target / relative.parent / target_name(relative.name)
        job = Job(path, target)
        self.refused.pop(path, None)
        if self.ledger.seen(job):
            return None
        other = self._targets.setdefault(target, path)
        if other != path and other.exists():
            self.refused[path] = f"its result would have the name of that of {other.name}"
            return None
        self._targets[target] = path
        if target.exists() and target not in self.ledger:
            self.refused[path] = f"{target.name} is there already and was not made by ciegan"
            return None
        return job


def _state(path: Path) -> list[int]:
    """Size and time; of a folder (OME-Zarr), of all its files together."""
    if not path.is_dir():
        return source_state(path)
    states = [state_of(p) for p in path.rglob("*")]
    return [len(states), *(sum(s[k] for s in states if s) for k in range(2))]


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


def watch(
    shop: Workshop,
    source: Path,
    target: Path,
    options: WatchOptions | None = None,
    *,
    stop: threading.Event | None = None,
) -> Watched:
    """Enhance what is in a folder and what appears there, until told to stop.

    A file is taken when its writer closes it or it no longer grows; one that fails is taken again
    when it changes. Results, enhanced.csv and watch.html are as after `enhance_files`; the same
    call goes on after any end. A result moves with its source when that is renamed.

    Parameters
    ----------
    shop : Workshop
        From `source` into `target`; it must replace what it made before.
    source, target : Path
        Folders.
    options : WatchOptions, optional
    stop : threading.Event, optional
        Ends watching when it is set, after the files in work.

    Raises
    ------
    CellqaError
        The source is not a folder, or the target lies within it.
    """
    options = options or WatchOptions()
    if not source.is_dir() or is_image_folder(source.name):
        raise CellqaError(f"IN: {str(source)!r} is not a folder")
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise CellqaError(f"OUT: {str(target)!r} is or lies inside IN; give another folder")
    target.mkdir(parents=True, exist_ok=True)
    arrivals = Arrivals(shop, source, target, options)
    if stop:
        arrivals.stopped = stop
    found = Watched()
    desk = _Desk(shop, arrivals, source, target, options, found)
    observer: Any = (PollingObserver if options.polling else Observer)()
    observer.schedule(arrivals, str(source), recursive=True)
    observer.start()
    try:
        for item in shop.run(arrivals):
            if item:
                desk.take(*item)
            desk.write()
    finally:
        arrivals.stopped.set()
        observer.stop()
        observer.join()
        desk.write(last=True)
    return found


class _Desk:
    """Keeps the table and the page."""

    def __init__(
        self,
        shop: Workshop,
        arrivals: Arrivals,
        source: Path,
        target: Path,
        options: WatchOptions,
        found: Watched,
    ) -> None:
        self.shop, self.arrivals, self.found = shop, arrivals, found
        self.source, self.target, self.options = source.absolute(), target, options
        self.scores: dict[Path, dict[str, float]] = {}
        self.failed: dict[Path, Enhanced] = {}
        self.shown: deque[Shown] = deque(maxlen=_SHOWN)
        self.times: deque[float] = deque()
        self.next = 0.0
        self.changed = True
        self.latest: list[Mapping[str, Any]] = []
        self.score_names = [role + m for m in METRICS for role in ("", "input_")] * options.score
        self.score_lines = Lines(target / _SCORES)
        self.unscored: deque[Job] = deque()
        if options.score:
            for entry in self.score_lines.read():
                target = Path(str(entry.get("target")))
                # of the image that is there now, and not of one that a kill kept from being scored
                if entry.get("scores") and entry.get("state") == state_of(target):
                    self.scores[target] = entry["scores"]
            for job in shop.ledger.jobs():
                if job.target not in self.scores and job.source.is_relative_to(self.source):
                    self.unscored.append(job)

    def _name(self, source: Path) -> str:
        return printable(source.absolute().relative_to(self.source).as_posix())

    def take(self, job: Job, record: Enhanced) -> None:
        """Note what became of a file; score and draw it."""
        self.changed = True
        self.found.counts[record.status] += 1
        self.failed.pop(job.source, None)
        if record.status == "failed":
            self.failed[job.source] = record
        elif record.status in ("ok", "moved"):
            self.times.append(time.monotonic())
            self._look_at(job)
        self.arrivals.done(job)

    def _look_at(self, job: Job) -> None:
        """Draw an image and its result, and score them."""
        try:
            with open_safely(job.source) as raw, open_safely(job.target) as image:
                planes, size = (_middle(raw), _middle(image)), raw.pixel_size
            self.shown.appendleft(Shown.of(self._name(job.source), *planes))
            scores = _scores(*planes, size) if self.options.score else {}
        except (CellqaError, OSError):  # moved away meanwhile, as microscopes' programs do
            scores = {}
        if self.options.score:
            self.scores[job.target.absolute()] = scores
            target = job.target.absolute()
            self.score_lines.append(
                {"target": str(target), "state": state_of(target), "scores": scores}
            )

    def write(self, *, last: bool = False) -> None:
        """Write table and page, when it is time."""
        now = time.monotonic()
        if self.unscored and not self.arrivals.waiting and not last:
            self._look_at(self.unscored.popleft())
            self.changed = True
        if not last and now < self.next:
            return
        rows = self._rows() if self.changed or last else None
        while self.times and self.times[0] < now - _RATE:
            self.times.popleft()
        if rows is not None:
            names = [*COLUMNS, *self.score_names]
            lines = ([cell(row.get(name, "")) for name in names] for row in rows)
            write_csv(self.target / TABLE, names, lines)
            self.changed = False
            self.latest = rows
        write_page(
            self.target / PAGE,
            self.latest,
            self.score_names,
            list(self.shown),
            {
                "source": printable(str(self.source)),
                "waiting": self.arrivals.waiting,
                "rate": len(self.times) * 60 / _RATE,
                "watching": not last,
            },
        )
        if last:
            self.score_lines.close()
        self.next = time.monotonic() + max(_REST, _SHARE * (time.monotonic() - now))

    def _rows(self) -> list[Mapping[str, Any]]:
        """Everything in the folder of results, whenever it was made, and what failed."""
        rows: dict[str, dict[str, Any]] = {}
        for target, record in self.shop.ledger.records().items():
            own = self.scores.get(target, {})
            rows[str(record["image"])] = {**record, **own}
        failures = dict(self.failed)
        for path, reason in self.arrivals.refused.items():
            failures[path] = Enhanced(self._name(path), "failed", reason=reason)
        self.found.failures = {}
        for path, failure in failures.items():
            if path.exists():
                rows[failure.image] = asdict(failure)
                self.found.failures[failure.image] = failure.reason
        return [rows[name] for name in sorted(rows)]


def _middle(file: ImageFile) -> Array:
    """The middle plane; of a large one, its middle."""
    index = file.planes[len(file.planes) // 2]
    height, width = file.shape_of(index)[:2]
    if not file.is_large(index):
        return file.load(index)
    top, left = (max(0, (n - _MIDDLE) // 2) for n in (height, width))
    return file.load_rows(index, top, min(top + _MIDDLE, height))[:, left : left + _MIDDLE]


def _scores(raw: Array, image: Array, pixel_size: float | None) -> dict[str, float]:
    """What cellqa says without a reference, of the result and of its raw image."""
    planes = {
        role: Plane(as_plane(luminance(pixels), role), pixels.dtype)
        for role, pixels in (("input", raw), ("image", image))
    }
    scores: dict[str, float] = {}
    for role, prefix in (("image", ""), ("input", "input_")):
        scorer = Scorer(None, ScoreOptions(select(METRICS)), None)
        values = scorer.row("", role, planes[role], pixel_size, []).values
        scores |= {prefix + name: float(v) for name, v in values.items() if math.isfinite(v)}
    return scores
