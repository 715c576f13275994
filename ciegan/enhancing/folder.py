"""A trained network on acquisitions: a file, or all that is below a folder."""

from __future__ import annotations

import copy
import json
import math
import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cellqa.enhance.files import Job, is_folder, plan, refuse_taken
from cellqa.errors import CellqaError
from cellqa.io import split_suffix
from cellqa.tables.files import write_csv
from ciegan.enhancing.enhancer import EnhanceOptions, Network
from ciegan.enhancing.ledger import JOURNAL, Ledger
from ciegan.enhancing.pipeline import Enhanced, Line, free_space
from ciegan.locking import alone
from ciegan.mosaic import run as mosaic
from ciegan.network.checkpoint import Checkpoint, choose_device, content_hash
from ciegan.network.windows import Runner

TABLE = "enhanced.csv"
_LOCK = ".ciegan-enhanced.lock"
COLUMNS = tuple(field.name for field in fields(Enhanced))
_DISAGREES = 0.9  # rsp below which --check lists an image


def enhance_files(
    checkpoint: Checkpoint,
    weights: Path,
    source: Path,
    target: Path,
    options: EnhanceOptions | None = None,
    *,
    runners: Sequence[Runner] = (),
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Enhanced]:
    """Enhance a file, or every image below a folder, plane by plane.

    Names, layout, formats, bit depth, pixel size and axes are kept (CZI and ND2 become OME-TIFF);
    metadata say that the image is enhanced, and by which weights. A file is done once: it is
    skipped where its content, the weights and the options are those it was made with. Reading,
    network and writing overlap; a file appears under its name when it is complete.

    Parameters
    ----------
    checkpoint : Checkpoint
    weights : Path
        The file or run that it was loaded from.
    source, target : Path
        Both files, or both folders.
    options : EnhanceOptions, optional
    runners : sequence of Runner
        The network on each device; by default on the CPU.
    overwrite : bool
        Replace files that were made from other content, by other weights, or by something else.
    progress : callable, optional
        Called with thousandths of files done and of all.

    Returns
    -------
    list of Enhanced
        One for each file, in order; those that failed say why.

    Raises
    ------
    CellqaError
        The source holds no image, the target is in use or within the source, the disk is too
        small.
    """
    options = options or EnhanceOptions()
    work = plan(source, target)
    root = source if is_folder(source) else source.parent
    folder = target if is_folder(source) else work[0].target.parent
    shop = Workshop(checkpoint, weights, options, runners, root, folder, overwrite=overwrite)
    if not overwrite:
        refuse_taken([job for job in work if job.target not in shop.ledger])
    _check_space(work, folder)
    order = {job: k for k, job in enumerate(work)}
    records: dict[int, Enhanced] = {}
    for found in shop.run(work):
        if found:
            records[order[found[0]]] = found[1]
        if progress:
            progress(int(1000 * (len(records) + shop.fraction)), 1000 * len(work))
    rows = [records[k] for k in sorted(records)]
    write_table(folder / TABLE, rows)
    return rows


def make_runners(
    checkpoint: Checkpoint,
    device: str = "auto",
    devices: int = 1,
    *,
    precision: str = "auto",
    compiled: bool = False,
) -> list[Runner]:
    """The network on each device.

    Raises
    ------
    CellqaError
        There are not so many devices.
    """
    first = choose_device(device)
    there = torch.cuda.device_count() if first.type == "cuda" else 1
    if devices > there:
        raise CellqaError(f"--devices {devices}: there is {there} {first.type} device here")
    places = [torch.device("cuda", k) for k in range(devices)] if first.type == "cuda" else [first]
    return [
        Runner(
            copy.deepcopy(checkpoint.generator) if k else checkpoint.generator,
            place,
            precision=precision,
            compiled=compiled,
        )
        for k, place in enumerate(places)
    ]


class Workshop:
    """A network and its lines, which enhance what comes from `source` into `target`.

    Parameters
    ----------
    checkpoint : Checkpoint
    weights : Path
    options : EnhanceOptions
    runners : sequence of Runner
    source, target : Path
        Folders.
    overwrite : bool

    Attributes
    ----------
    ledger : Ledger
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        weights: Path,
        options: EnhanceOptions,
        runners: Sequence[Runner],
        source: Path,
        target: Path,
        *,
        overwrite: bool = False,
    ) -> None:
        model = content_hash(weights)
        settings = f"{model} {json.dumps(options.as_settings(), sort_keys=True)}"
        self.ledger = Ledger(target / JOURNAL, f"{settings} {version('cellqa')}")
        runners = runners or [Runner(checkpoint.generator, torch.device("cpu"))]
        self.lines = []
        for runner in runners:
            network = Network(checkpoint, options, runner)
            for _ in range(runner.lines):
                self.lines.append(
                    Line(
                        network,
                        self.ledger,
                        lambda path: path.relative_to(source).as_posix(),
                        network.describe(model),
                        overwrite=overwrite,
                        spread_of=lambda path: spread_path(path, target),
                    )
                )

    @property
    def fraction(self) -> float:
        """Of the files in work that is done, summed over the lines."""
        return sum(line.fraction for line in self.lines)

    def run(self, work: Iterable[Job]) -> Iterator[tuple[Job, Enhanced] | None]:
        """Yield what became of each file as it is done, and None from time to time.

        Raises
        ------
        CellqaError
            Another process is at work in the target.
        """
        with self._alone():
            yield from self._run(work)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out of the target: each would do what the other does."""
        folder = self.ledger.path.parent
        with alone(folder / _LOCK, "OUT"):
            for place in self.ledger.begun():  # what a kill left
                if folder.absolute() not in (place, *place.parents):
                    continue  # of the journal of a folder that was moved
                spread = spread_path(place / "any.tif", folder.absolute()).parent
                for half in (*place.glob(".cellqa-*"), *spread.glob(".cellqa-*")):
                    if half.is_dir():
                        shutil.rmtree(half, ignore_errors=True)
                    else:
                        half.unlink(missing_ok=True)
            yield

    def _run(self, work: Iterable[Job]) -> Iterator[tuple[Job, Enhanced] | None]:
        shared = _Shared(work)
        found: queue.Queue[tuple[Job, Enhanced] | BaseException | None] = queue.Queue()

        def serve(line: Line) -> None:
            try:
                for item in line.run(shared):
                    found.put(item)
            except BaseException as error:  # belongs to the one who waits
                found.put(error)
            found.put(None)

        threads = [threading.Thread(target=serve, args=(line,), daemon=True) for line in self.lines]
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                try:
                    item = found.get(timeout=0.5)
                except queue.Empty:
                    yield None
                    continue
                if item is None:
                    left -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            shared.stop()
            for line in self.lines:
                line.stop()
            for thread in threads:
                thread.join()
            self.ledger.close()


class _Shared:
    """Work that several lines take from."""

    def __init__(self, work: Iterable[Job]) -> None:
        self._work = iter(work)
        self._lock = threading.Lock()
        self._stopped = False

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._work)

    def stop(self) -> None:
        """Give no more out."""
        self._stopped = True


def spread_path(target: Path, folder: Path) -> Path:
    """Where the spread of a target goes: beside the folder of results, or beside a lone file.

    Examples
    --------
    >>> from pathlib import Path
    >>> print(spread_path(Path("out/well1/a.png"), Path("out")).as_posix())
    out-spread/well1/a.tif
    """
    stem, suffix = split_suffix(target.name)
    kept = suffix if "tif" in suffix.lower() or "zarr" in suffix.lower() else ".tif"
    return beside(folder, "spread") / target.parent.relative_to(folder) / f"{stem}{kept}"


def beside(folder: Path, what: str) -> Path:
    """A folder beside that of the results, for what else comes of them."""
    return folder.with_name(f"{folder.name}-{what}") if folder.name else folder / what


def mosaics_beside(folder: Path, what: str, *, overwrite: bool = False) -> Path:
    """A folder for mosaics beside the results: new, or of mosaics.

    Raises
    ------
    CellqaError
        It holds something else.
    """
    place = beside(folder, what)
    known = (place / mosaic.TABLE).exists()
    if place.exists() and not known and not overwrite and any(place.iterdir()):
        raise CellqaError(f"{str(place)!r} is needed for mosaics and holds something else")
    return place


def write_table(path: Path, records: Sequence[Enhanced]) -> None:
    """Write enhanced.csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, list(COLUMNS), ([cell(v) for v in asdict(r).values()] for r in records))


def disagreeing(records: Sequence[Enhanced]) -> list[str]:
    """A line for each image whose result does not explain its raw image, the worst first."""
    worst = sorted((r for r in records if r.rsp < _DISAGREES), key=lambda r: r.rsp)
    return [f"{r.image} does not explain its raw image: rsp {r.rsp:.3f}" for r in worst]


def _check_space(work: list[Job], folder: Path) -> None:
    """Refuse to begin where not even the size of the sources is free."""
    needed = sum(job.source.stat().st_size for job in work if job.source.is_file())
    free = free_space(folder)
    if free < needed:
        raise CellqaError(
            f"OUT: {needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free there"
        )


def cell(value: Any) -> str:
    """A value in a table; undefined is empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
