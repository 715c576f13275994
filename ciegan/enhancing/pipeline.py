"""Three at work on a sequence of files: a thread that reads, the network, a thread that writes."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cellqa.disk import free_space
from cellqa.enhance.files import Job
from cellqa.errors import CellqaError, ImageError, first_line, printable
from cellqa.io import ImageFile, PlaneIndex, check_room, lost
from cellqa.io.isolated import open_safely
from cellqa.io.stores import is_there
from cellqa.planes import Array
from ciegan.enhancing.beside import Beside
from ciegan.enhancing.enhanced import Enhanced, take_over
from ciegan.enhancing.enhancer import NetworkEnhancer, levels_of_series
from ciegan.enhancing.hot_pixels import cleaned
from ciegan.enhancing.ledger import Ledger
from ciegan.enhancing.looks import agree, check_part, look
from ciegan.enhancing.opening import as_seen
from ciegan.enhancing.output import _AHEAD, _File, _Output
from ciegan.network.device import DeviceError

_REST = 0.02  # seconds without a next file after which the last one is waited for
_ROWS = 1024  # of a large plane that is copied


@dataclass
class _Plane:
    """A plane on its way: its pixels, or where to read them from where they are many."""

    index: PlaneIndex
    pixels: Array | None
    seen: Array | None  # with neighbours, if the network looks at any
    beside: Beside
    used: threading.Event = field(default_factory=threading.Event)


class Pipeline:
    """Reads, enhances and writes files, one after the other; the three overlap.

    Parameters
    ----------
    network : NetworkEnhancer
    ledger : Ledger
    name_of : callable
        What a source is called in tables.
    note : str
        For the metadata of results.
    overwrite : bool
        Replace targets that were made from other content, weights or options.
    spread_of : callable, optional
        Where the spread of a target goes; needed where the network takes several samples.

    Attributes
    ----------
    fraction : float
        Of the file in work that is done.
    """

    def __init__(
        self,
        network: NetworkEnhancer,
        ledger: Ledger,
        name_of: Callable[[Path], str],
        note: str,
        *,
        overwrite: bool = False,
        spread_of: Callable[[Path], Path] | None = None,
    ) -> None:
        self.network, self.ledger, self.name_of, self.note = network, ledger, name_of, note
        self.overwrite = overwrite
        self.spread_of = spread_of if network.options.samples > 1 else None
        self.fraction = 0.0
        self._read: queue.Queue[tuple[_File, _Plane | None] | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._fault: Exception | None = None

    def run(self, work: Iterable[Job]) -> Iterator[tuple[Job, Enhanced]]:
        """Yield what became of each file, in order; `work` is taken from as room is there."""
        reader = threading.Thread(target=self._read_all, args=(iter(work),), daemon=True)
        reader.start()
        # the last file is still written while the next one is enhanced
        writing: deque[tuple[Job, Callable[[], Enhanced]]] = deque()
        try:
            while True:
                try:
                    item = self._read.get(timeout=_REST if writing else None)
                except queue.Empty:
                    item = None
                else:
                    if item is None:
                        if self._fault:
                            raise self._fault
                        break
                    writing.append((item[0].job, self._enhance(item[0])))
                while writing and (item is None or len(writing) > 1):
                    job, written = writing.popleft()
                    yield job, written()
            while writing:
                job, written = writing.popleft()
                yield job, written()
        finally:
            for _, written in writing:  # of files that are computed, whatever happened to the next
                written()
            self.stop()
            while reader.is_alive():  # it may wait for room
                try:
                    self._read.get(timeout=0.05)
                except queue.Empty:
                    continue
            reader.join()

    def stop(self) -> None:
        """End after the file in work."""
        self._stopped.set()

    # the thread that reads

    def _read_all(self, work: Iterator[Job]) -> None:
        try:
            self._read_each(work)
        except Exception as error:  # of who finds the work
            self._fault = error
        finally:
            self._read.put(None)

    def _read_each(self, work: Iterator[Job]) -> None:
        for job in work:
            if self._stopped.is_set():
                break
            file = _File(job, Enhanced(printable(self.name_of(job.source))))
            try:
                self._read_file(file)
            except Exception as error:  # whatever a damaged file brings up
                file.error = file.error or first_line(error)
                self._read.put((file, None))

    def _read_file(self, file: _File) -> None:
        """Put the file, then its planes, then the file again; or the file alone."""
        job, record = file.job, file.record
        if not is_there(job.source):  # reading a pipe would never end
            file.error = "not a regular file, or a link to nothing"
            self._read.put((file, None))
            return
        if self.ledger.seen(job):
            self._skip(file)
            return
        file.key = self.ledger.key(job.source)
        done = self.ledger.is_done(job.target, file.key)
        if done and not self.ledger.unchecked(job.target):
            self._skip(file)
            return
        known = done or self.overwrite or self.ledger.given(job.target)
        if job.target.exists() and not known:
            file.error = (
                f"{job.target.name} was made from other content, weights or options; --overwrite"
            )
        elif not done and (earlier := self.ledger.moved(file.key)):
            self._move(file, earlier)
        if file.error or record.status != "ok":
            self._read.put((file, None))
            return
        network, options = self.network.checkpoint, self.network.options
        opened = open_safely(job.source)
        source = as_seen(opened, network.scale, options, file.hot)
        with source, contextlib.ExitStack() as files:
            check_room(str(job.target), len(source.planes))
            if not any(map(options.chosen, source.planes)):
                t, c, z = (1 + n for n in source.planes[-1][1:])
                raise ImageError(
                    f"no plane of it was asked for: it has channels 0 to {c - 1}, focus planes "
                    f"0 to {z - 1}, times 0 to {t - 1}"
                )
            _check_room(job, source, bool(self.spread_of), network.scale)
            whole = as_seen(opened, network.scale, options, every=True)
            file.levels = levels_of_series(whole, network, options)
            if file.levels:
                file.note = ", black and white of the whole series"
            self.ledger.begin(job, file.key)
            # while the file is open: the one who writes asks later
            record.checked = options.check
            record.not_kept = ", ".join(lost(job.target, source, source.dtype))
            file.source = source  # from here on, the one who enhances waits for planes
            self._read.put((file, None))
            beside = self._beside(file, files)
            for index in source.planes:
                if self._stopped.is_set() or file.error:
                    break
                if source.is_large(index):
                    plane = _Plane(index, None, None, beside)
                    self._read.put((file, plane))
                    while not plane.used.wait(0.1) and not self._stopped.is_set():
                        continue
                    continue
                try:
                    # a copy, read here: some readers map the file, which is read when touched
                    pixels = np.array(source.load(index))
                    seen = None
                    if beside.context.axis and options.chosen(index):
                        seen = beside.seen(index, pixels, ImageFile.load)
                except CellqaError as error:
                    file.error = file.error or str(error)
                    break
                self._read.put((file, _Plane(index, pixels, seen, beside)))
            self._read.put((file, None))

    def _beside(self, file: _File, files: contextlib.ExitStack) -> Beside:
        """Where the neighbours of its planes are; that there are none is told."""
        assert file.source is not None
        beside = Beside(file.source, file.job.source, self.network.checkpoint.context, files)
        if beside.alone:
            axis = beside.context.axis
            file.record.without = f"neighbours in {axis}"
            file.note += f", without the neighbours in {axis} that the network looks for"
        return beside

    def _skip(self, file: _File) -> None:
        """What is known of a file that was done before."""
        known = self.ledger.record(file.job.target)
        if known is None:  # killed before it could be noted
            file.record.planes = file.record.copied = None
        take_over(file.record, known or {})
        file.record.status, file.record.reason = "skipped", "done before"
        self._read.put((file, None))

    def _move(self, file: _File, earlier: Path) -> None:
        """The source was renamed: so is its result."""
        target = file.job.target
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.spread_of and self.spread_of(earlier).exists():
            spread = self.spread_of(target)
            spread.parent.mkdir(parents=True, exist_ok=True)
            self.spread_of(earlier).replace(spread)
        known = self.ledger.record(earlier) or {}
        earlier.replace(target)
        with contextlib.suppress(OSError):  # others may be there still
            earlier.parent.rmdir()
        take_over(file.record, known)
        file.record.status, file.record.reason = "moved", "done before, under another name"
        self.ledger.finish(file.job, file.key, vars(file.record))

    # the network

    def _enhance(self, file: _File) -> Callable[[], Enhanced]:
        """Enhance the planes of one file, and hand them over to be written.

        Returns what waits until they are, and says what became of the file.
        """
        start = time.perf_counter()
        record = file.record
        if file.source is None:
            if file.error:
                record.status, record.reason = "failed", printable(file.error)
            return lambda: record
        spread = None
        if self.spread_of:
            target = self.spread_of(file.job.target)
            note = f"standard deviation of what was {self.note}"
            spread = _Output(file, target, note, np.dtype(np.float32))
        result = _Output(file, file.job.target, self.note, file.source.dtype)
        done = 0
        while True:
            item = self._read.get()
            plane = item[1] if item else None
            if plane is None:
                break
            try:
                if not file.error:
                    self._plane(file, plane, result, spread, done)
            except DeviceError as error:  # nothing else can be computed either
                file.error = str(error)
                self._give_up(result, spread)
                raise
            except (CellqaError, RuntimeError, MemoryError, ValueError, ArithmeticError) as error:
                file.error = f"plane {plane.index.label()}: {first_line(error)}"
            finally:
                plane.used.set()
            done += 1
        self.fraction = 0.0
        record.planes, record.copied = file.planes, file.copied
        record.hot = sum(file.hot.values()) if file.hot else None
        if file.values:
            record.clipped = file.clipped / file.values
        if file.spread_values:
            record.spread = file.spread / file.spread_values
        if spread:  # the result last: where it is there, everything is
            spread.put(None)
        else:
            result.put(None)

        def written() -> Enhanced:
            if spread:
                spread.thread.join()
                result.put(None)
            result.thread.join()
            record.seconds = time.perf_counter() - start
            if file.error:
                record.status, record.reason = "failed", printable(file.error)
            else:
                self.ledger.finish(file.job, file.key, vars(record))
            return record

        return written

    def _give_up(self, *outputs: _Output | None) -> None:
        """End files that cannot be written to the end; nothing appears under their names."""
        self.stop()
        for output in outputs:
            if output is not None:
                output.put(None)
                output.thread.join()

    def _plane(
        self, file: _File, plane: _Plane, result: _Output, spread: _Output | None, done: int
    ) -> None:
        source = file.source
        assert source is not None
        index, whole = plane.index, plane.pixels
        shape = source.shape_of(index)

        def read(start: int, stop: int) -> Array:
            return whole[start:stop] if whole is not None else source.load_rows(index, start, stop)

        def seen(start: int, stop: int) -> Array:
            if plane.seen is not None:
                return plane.seen[start:stop]
            own = read(start, stop)
            return plane.beside.seen(index, own, lambda f, i: f.load_rows(i, start, stop))

        if not self.network.options.chosen(index):
            file.copied += 1
            for row in range(0, shape[0], _ROWS):
                block = read(row, min(row + _ROWS, shape[0]))
                result.put(block)
                if spread:
                    spread.put(np.zeros(block.shape, np.float32))
            return
        limits = file.levels.get((index.s, index.c))
        if whole is not None:
            if self.network.options.hot_pixels == "remove" and plane.seen is not None:
                plane.seen, _ = cleaned(plane.seen)  # neighbours of other files
            limits = limits or self.network.limits(whole)
            look(file, index, whole, limits, self.network)
        results: list[Array] = []
        row = 0
        for part in self.network.parts(seen, shape, source.dtype, limits):
            file.clipped += part.clipped
            file.values += part.enhanced.size
            row += len(part.enhanced)
            self.fraction = (done + row / shape[0]) / len(source.planes)
            result.put(part.enhanced)
            if spread and part.spread is not None:
                spread.put(part.spread)
                file.spread += float(part.spread.sum(dtype=np.float64))
                file.spread_values += part.spread.size
            if self.network.options.check:
                if whole is None:
                    check_part(file, index, part)
                else:
                    results.append(part.enhanced)
            if file.error:  # of writing
                return
        if results and whole is not None:
            agree(file, index, whole, np.concatenate(results))
        file.planes += 1


def _check_room(job: Job, source: ImageFile, spread: bool, scale: int) -> None:
    """Refuse to begin a file for which the disk has no room."""
    values = sum(math.prod(map(float, source.shape_of(i))) for i in source.planes)
    needed = values * source.dtype.itemsize
    if job.source.is_file() and job.target.suffix == job.source.suffix:
        needed = min(needed, job.source.stat().st_size * scale**2)  # compressed as it is
    needed += spread * values * 4
    free = free_space(job.target.parent)
    if free < needed:
        raise ImageError(
            f"not enough room: some {needed / 2**30:.1f} GiB are needed, "
            f"{free / 2**30:.1f} GiB are free there"
        )
