"""A trained network on acquisitions: files and folders, stacks and time series, plane by plane."""

from __future__ import annotations

import hashlib
import json
import math
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cellqa.enhance.files import Job, plan, refuse_taken
from cellqa.enhance.filters import as_type
from cellqa.errors import CellqaError, ImageError, first_line, printable
from cellqa.io import ImageFile, PlaneIndex, luminance, open_image, split_suffix, write_image
from cellqa.metrics.consistency import consistency
from cellqa.tables import write_csv
from ciegan.checkpoint import BEST, Checkpoint
from ciegan.data import Normalisation
from ciegan.inference import enhance_plane

Array = npt.NDArray[Any]

TABLE, JOURNAL = "enhanced.csv", ".ciegan-enhanced.jsonl"
NORMALISATIONS = ("auto", "train", "image", "none")
_AHEAD = 2  # planes that are read before, and written after, the one that is computed
_DISAGREES = 0.9  # rsp below which --check lists an image


@dataclass(frozen=True)
class EnhanceOptions:
    """What is enhanced, and how.

    Attributes
    ----------
    normalize : str
        What becomes black and white: `auto`: as in training; `train`: the training set's levels;
        `image`: the 0.1st and 99.9th percentile of each plane; `none`: 0 and 1, for images that
        are scaled already.
    channels, planes, times : frozenset of int or None
        Which are enhanced, from 0; others are copied. None enhances all.
    check : bool
        Measure whether each result still explains its raw image (`rsp`, `rse`).
    tile : int or None
        Side of the tiles, in pixels; None lets memory decide. Results do not depend on it.
    """

    normalize: str = "auto"
    channels: frozenset[int] | None = None
    planes: frozenset[int] | None = None
    times: frozenset[int] | None = None
    check: bool = False
    tile: int | None = None

    def __post_init__(self) -> None:
        if self.normalize not in NORMALISATIONS:
            raise ValueError(
                f"`normalize` must be one of {', '.join(NORMALISATIONS)}, got {self.normalize!r}"
            )
        if self.tile is not None and not 16 <= self.tile <= 65536:
            raise ValueError(f"`tile` must be 16 to 65536 pixels, got {self.tile}")

    def chosen(self, index: PlaneIndex) -> bool:
        """Whether a plane is enhanced."""
        return all(
            wanted is None or place in wanted
            for wanted, place in (
                (self.channels, index.c),
                (self.planes, index.z),
                (self.times, index.t),
            )
        )


@dataclass
class Enhanced:
    """A line of enhanced.csv.

    Attributes
    ----------
    image : str
    status : str
        `ok`, `skipped` (done before) or `failed`.
    planes, copied : int
        Planes that were enhanced, and that were copied.
    clipped : float
        Share of values beyond the range of the image's type, which were clipped.
    rsp, rse : float
        With `check`, of the plane that agrees least with its raw image; nan otherwise.
    seconds : float
    reason : str
    """

    image: str
    status: str = "ok"
    planes: int = 0
    copied: int = 0
    clipped: float = 0.0
    rsp: float = math.nan
    rse: float = math.nan
    seconds: float = 0.0
    reason: str = ""


COLUMNS = ("image", "status", "planes", "copied", "clipped", "rsp", "rse", "seconds", "reason")


@dataclass
class _File:
    """A file on its way through: read, enhanced, written."""

    job: Job
    key: str
    record: Enhanced
    source: ImageFile | None = None
    planes: queue.Queue[Array | None] = field(default_factory=lambda: queue.Queue(_AHEAD))
    error: str = ""


class Network:
    """A trained generator as an enhancer of planes.

    Parameters
    ----------
    checkpoint : Checkpoint
    options : EnhanceOptions
    device : torch.device
    """

    def __init__(self, checkpoint: Checkpoint, options: EnhanceOptions, device: torch.device):
        self.checkpoint, self.options = checkpoint, options
        self.generator = checkpoint.generator.to(device)
        own = checkpoint.normalisation
        self.normalisation = {
            "auto": own,
            "train": replace(own, rule="train"),
            "image": replace(own, rule="image"),
            "none": Normalisation("train", 0.0, 1.0),
        }[options.normalize]

    def describe(self, model: str) -> str:
        """One line for the metadata of enhanced images."""
        config = self.checkpoint.config
        return (
            f"enhanced by ciegan {version('cellqa')}, not raw data: generator "
            f"{config.generator.name}, preset {config.preset}, step {self.checkpoint.step}, "
            f"weights sha256 {model[:16]}, normalize {self.options.normalize}"
        )

    def __call__(self, pixels: Array) -> tuple[Array, int]:
        """Enhance a plane; returns it in its own type, and how many values were clipped.

        Raises
        ------
        ImageError
            The network was trained on other channels, or a value is NaN or infinite.
        """
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        if channels != self.generator.channels:
            raise ImageError(
                f"{channels} samples a pixel, but the network was trained on "
                f"{self.generator.channels}"
            )
        if pixels.dtype.kind not in "uif":
            raise ImageError(f"of type {pixels.dtype}: not an image")
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise ImageError("NaN or infinity in the image")
        found = enhance_plane(self.generator, pixels, self.normalisation, tile=self.options.tile)
        clipped = 0
        if pixels.dtype.kind in "iu":
            limits = np.iinfo(pixels.dtype)
            clipped = int(((found < limits.min - 0.5) | (found > limits.max + 0.5)).sum())
        return as_type(found, pixels.dtype), clipped


def enhance_files(
    checkpoint: Checkpoint,
    weights: Path,
    source: Path,
    target: Path,
    options: EnhanceOptions | None = None,
    *,
    device: torch.device | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Enhanced]:
    """Enhance a file, or every image below a folder, plane by plane.

    Names, layout, formats, bit depth, pixel size and axes are kept (CZI, ND2 and OME-Zarr become
    OME-TIFF); metadata say that the image is enhanced, and by which weights. A file is done once:
    it is skipped where its content, the weights and the options are those it was made with.
    Reading, network and writing overlap; a file appears under its name when it is complete.

    Parameters
    ----------
    checkpoint : Checkpoint
    weights : Path
        The file or run that it was loaded from.
    source, target : Path
        Both files, or both folders.
    options : EnhanceOptions, optional
    device : torch.device, optional
    overwrite : bool
        Replace files that were made from other content, by other weights, or by something else.
    progress : callable, optional
        Called with the number of files done and of all.

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
    folder = target if source.is_dir() and not split_suffix(source.name)[1] else target.parent
    known = _read_journal(folder / JOURNAL)
    if not overwrite:
        refuse_taken([job for job in work if str(job.target.absolute()) not in known])
    _check_space(work, folder)
    path = weights / BEST if weights.is_dir() else weights
    model = hashlib.sha256(path.read_bytes()).hexdigest()
    network = Network(checkpoint, options, device or torch.device("cpu"))
    line = _Line(network, model, known, folder / JOURNAL, overwrite)
    records = []
    for record in line.run(work):
        records.append(record)
        if progress:
            progress(len(records), len(work))
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(
        folder / TABLE, list(COLUMNS), ([_cell(v) for v in asdict(r).values()] for r in records)
    )
    return records


class _Line:
    """Three at work: a thread that reads, the network, a thread that writes."""

    def __init__(
        self,
        network: Network,
        model: str,
        known: Mapping[str, dict[str, Any]],
        journal: Path,
        overwrite: bool,
    ) -> None:
        self.network, self.model, self.known = network, model, known
        self.journal, self.overwrite = journal, overwrite
        self.read: queue.Queue[tuple[_File, PlaneIndex | None, Array | None] | None] = queue.Queue(
            _AHEAD
        )
        self.stopped = threading.Event()
        settings = json.dumps(_plain(network.options), sort_keys=True)
        self.settings = f"{model} {settings} {version('cellqa')}"

    def run(self, work: list[Job]) -> Iterator[Enhanced]:
        """What became of each file."""
        reader = threading.Thread(target=self._read, args=(work,), daemon=True)
        reader.start()
        try:
            while (item := self._next()) is not None:
                yield self._file(item[0])
        finally:
            self.stopped.set()
            while reader.is_alive():  # it may wait for room
                try:
                    self.read.get(timeout=0.05)
                except queue.Empty:
                    continue
            reader.join()

    def _next(self) -> Any:
        return self.read.get()

    def _file(self, file: _File) -> Enhanced:
        """Enhance and write the planes of one file."""
        start = time.perf_counter()
        record = file.record
        if file.error or record.status == "skipped" or file.source is None:
            if file.error:
                record.status, record.reason = "failed", printable(file.error)
            return record
        writer = threading.Thread(target=self._write, args=(file,), daemon=True)
        writer.start()
        values = 0
        while True:
            _, index, pixels = self._next()
            if index is None:
                break
            if file.error or pixels is None:
                continue
            try:
                found, clipped, size = self._plane(file, index, pixels)
            except (CellqaError, RuntimeError, MemoryError) as error:
                file.error = f"plane {index.label()}: {first_line(error)}"
                continue
            record.clipped += clipped
            values += size
            self._hand_over(file, found, writer)
        self._hand_over(file, None, writer)
        writer.join()
        record.clipped /= max(1, values)
        record.seconds = time.perf_counter() - start
        if file.error:
            record.status, record.reason = "failed", printable(file.error)
        else:
            self._note(file, state=_state(file.job.target))
        return record

    def _plane(self, file: _File, index: PlaneIndex, pixels: Array) -> tuple[Array, int, int]:
        record = file.record
        if not self.network.options.chosen(index):
            record.copied += 1
            return pixels, 0, 0
        found, clipped = self.network(pixels)
        record.planes += 1
        if self.network.options.check:
            raw, image = (np.asarray(luminance(p)) for p in (pixels, found))
            if np.ptp(raw) and np.ptp(image):
                agreed = consistency(raw, image)
                if not record.rsp <= agreed.rsp:  # nan at first
                    record.rsp, record.rse = agreed.rsp, agreed.rse
        return found, clipped, found.size

    def _hand_over(self, file: _File, pixels: Array | None, writer: threading.Thread) -> None:
        while writer.is_alive():
            try:
                file.planes.put(pixels, timeout=0.1)
            except queue.Full:
                continue
            return

    def _write(self, file: _File) -> None:
        """Write planes as they come; nothing appears where one fails."""

        def planes() -> Iterator[Array]:
            while (pixels := file.planes.get()) is not None:
                yield pixels
            if file.error:
                raise ImageError(file.error)

        assert file.source is not None
        note = self.network.describe(self.model)
        try:
            write_image(file.job.target, planes(), file.source, note, file.source.dtype)
        except StopIteration:
            file.error = file.error or "no plane could be enhanced"
        except (CellqaError, ValueError, TypeError) as error:
            file.error = file.error or first_line(error)
        except OSError as error:
            file.error = f"{error.filename or file.job.target}: cannot be written " + (
                f"({error.strerror or first_line(error)})"
            )
        except Exception as error:  # a library's own
            file.error = file.error or f"cannot be written ({first_line(error)})"

    def _read(self, work: list[Job]) -> None:
        for job in work:
            if self.stopped.is_set():
                return
            file = _File(job, "", Enhanced(printable(job.source.name)))
            try:
                self._read_file(file)
            except Exception as error:  # whatever a damaged file brings up
                if not file.error:
                    file.error = first_line(error)
                self.read.put((file, None, None))
        self.read.put(None)

    def _read_file(self, file: _File) -> None:
        job = file.job
        file.key = hashlib.sha256(f"{_content(job.source)} {self.settings}".encode()).hexdigest()
        if _done(self.known.get(str(job.target.absolute()), {}), file.key, _state(job.target)):
            file.record.status = "skipped"
            file.record.reason = "done before"
            self.read.put((file, None, None))
            return
        if job.target.exists() and not self.overwrite:
            file.error = (
                f"{job.target.name} was made from other content, weights or options; --overwrite"
            )
            self.read.put((file, None, None))
            return
        with open_image(job.source) as source:
            file.source = source
            self._note(file, before=_state(job.target))
            if len(source.planes) > 1 and "tif" not in split_suffix(job.target.name)[1].lower():
                file.error = f"{len(source.planes)} planes only fit into a TIFF file"
            self.read.put((file, None, None))
            if file.error:
                return
            for index in source.planes:
                if self.stopped.is_set() or file.error:
                    break
                try:
                    # a copy, read here: some readers map the file, which is read when touched
                    pixels: Array | None = np.array(source.load(index))
                except CellqaError as error:
                    file.error, pixels = str(error), None
                self.read.put((file, index, pixels))
            self.read.put((file, None, None))

    def _note(self, file: _File, **states: list[int]) -> None:
        """Remember what is begun, with the state of the target before, and what is done."""
        line = {"target": str(file.job.target.absolute()), "key": file.key, **states}
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with self.journal.open("a", encoding="utf-8", errors="surrogateescape") as journal:
            journal.write(json.dumps(line) + "\n")


def _done(entry: Mapping[str, Any], key: str, state: list[int]) -> bool:
    """Whether a target is what the journal says it was made to be.

    Files appear when they are complete: one that was begun, and is there, and is not what was there
    before, is done, even if the program was killed before it could say so.
    """
    if entry.get("key") != key or not state:
        return False
    return entry["state"] == state if "state" in entry else entry.get("before") != state


def disagreeing(records: Sequence[Enhanced]) -> list[str]:
    """A line for each image whose result does not explain its raw image, the worst first."""
    worst = sorted((r for r in records if r.rsp < _DISAGREES), key=lambda r: r.rsp)
    return [f"{r.image} does not explain its raw image: rsp {r.rsp:.3f}" for r in worst]


def _plain(options: EnhanceOptions) -> dict[str, Any]:
    """Options that change pixels, as JSON."""
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in asdict(options).items()
        if name not in ("check", "tile")
    }


def _content(path: Path) -> str:
    """Hash of a file's content; of a folder (OME-Zarr), of all its files."""
    found = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for each in files:
        found.update(str(each.relative_to(path)).encode("utf-8", "surrogateescape"))
        with each.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _state(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """The last line of each target; lines that were cut off are passed over."""
    found: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return found
    for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        try:
            entry = json.loads(line)
            found[entry["target"]] = entry
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _check_space(work: list[Job], folder: Path) -> None:
    """Refuse to begin where not even the size of the sources is free."""
    needed = sum(job.source.stat().st_size for job in work if job.source.is_file())
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise CellqaError(
            f"OUT: {needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free there"
        )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)
