"""Files as they appear in a folder, each when it is complete."""

from __future__ import annotations

import logging
import math
import queue
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from cellqa.disk import leaves
from cellqa.enhance.files import Job
from cellqa.io import is_image_folder, split_suffix, written_name
from cellqa.io.stores import state
from cellqa.shown import one_line
from ciegan.enhancing.pool import Pool

_log = logging.getLogger(__name__)

_TICK = 0.2  # seconds between looks at what arrived


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
    hold : float
        Seconds that a complete file waits for those after it, where the network looks at these.
    """

    settle: float = 2.0
    rescan: float = 20.0
    idle: float | None = None
    polling: bool = False
    score: bool = False
    hold: float = 60.0

    __repr__ = one_line


@dataclass
class _Waiting:
    """A file that may still be written."""

    state: list[int]
    since: float
    closed: bool = False


class FolderWatcher(FileSystemEventHandler):
    """Jobs for files as they are complete, in the order in which they became so.

    Parameters
    ----------
    pool : Pool
        Its ledger says what is done.
    source, target : Path
        Folders.
    options : WatchOptions
    """

    def __init__(self, pool: Pool, source: Path, target: Path, options: WatchOptions) -> None:
        self.ledger, self.source, self.target = pool.ledger, source, target
        self.options, self.context = options, pool.context
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
                self._say_whether_it_is_there()
                self._look(self.source)
                looked = time.monotonic()
            self._take_events()
            if job := self._complete():
                return job
            if self.is_idle():
                break
            self.stopped.wait(_TICK)
        raise StopIteration

    def _say_whether_it_is_there(self) -> None:
        if self.source.is_dir():
            self.refused.pop(self.source, None)
        elif self.source not in self.refused:
            self.refused[self.source] = "the folder is gone"
            _log.warning(f"IN: {str(self.source)!r} is gone; watching until it comes back")

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
            elif _is_folder(path):
                self._look(path)  # a folder that was made or renamed: events within may be lost

    def _look(self, folder: Path) -> None:
        """Note all images below a folder."""
        places = [folder]
        while places:
            place = places.pop()
            try:
                entries = sorted(place.iterdir())
                self.refused.pop(place, None)
            except PermissionError:
                self.refused[place] = "the folder may not be entered"
                continue
            except OSError:  # renamed or removed meanwhile; another look follows
                continue
            for path in entries:
                if image := self._image_of(path):
                    self._note(image, False)
                elif not path.name.startswith(".") and _is_folder(path):
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
        return path if split_suffix(path.name)[1] and not _is_folder(path) else None

    def _note(self, path: Path, closed: bool) -> None:
        now = state(path, touched=True)
        if not now or self._taken.get(path) == now:
            return
        known = self._waiting.get(path)
        if known is None or known.state != now:
            self._waiting[path] = _Waiting(now, time.monotonic(), closed)
        elif closed:
            known.closed = True
        self._busy = time.monotonic()

    def _complete(self) -> Job | None:
        """The first file that is complete and not done before."""
        clock = time.monotonic()
        for path, known in list(self._waiting.items()):
            now = state(path, touched=True)
            if not now:
                del self._waiting[path]  # renamed or removed; under its new name it is found
                continue
            if now != known.state:
                self._waiting[path] = _Waiting(now, clock)
                continue
            if path in self._in_work:
                continue  # it changed while it was enhanced
            wait = _TICK if known.closed else self.options.settle
            if clock - known.since < wait or self._holds(path, known, clock):
                continue
            del self._waiting[path]
            self._taken[path] = now
            if job := self._job(path):
                self._in_work.add(path)
                return job
        return None

    def _holds(self, path: Path, known: _Waiting, clock: float) -> bool:
        """Whether those after a file, which the network looks at, may still come."""
        named = self.context.named(path.name)
        # complete where it no longer grows, though it waits for others itself
        there = [
            other in self._taken
            or (other in self._waiting and clock - self._waiting[other].since > self.options.settle)
            for other in (path.with_name(name) for offset, name in named.items() if offset > 0)
        ]
        return not all(there) and clock - known.since <= self.options.hold

    def _job(self, path: Path) -> Job | None:
        relative = path.relative_to(self.source)
        target = self.target / relative.parent / written_name(relative.name)
        job = Job(path, target)
        self.refused.pop(path, None)
        if self.ledger.seen(job):
            return None
        other = self._targets.setdefault(target, path)
        if other != path and other.exists():
            self.refused[path] = f"its result would have the name of that of {other.name}"
            return None
        self._targets[target] = path
        if leaves(target, self.target):
            self.refused[path] = "its result would lie outside OUT: a folder there is a link"
            return None
        if target.exists() and target not in self.ledger:
            self.refused[path] = f"{target.name} is there already and was not made by ciegan"
            return None
        return job


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder, and no link to one, as those may lead in circles."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:  # removed meanwhile, or in a folder that may not be entered
        return False
