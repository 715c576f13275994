"""A scoring run: pairs to rows, on disk as they come, resumed after any end."""

from __future__ import annotations

import errno
import hashlib
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cellqa.engines import Engine, LocalEngine
from cellqa.errors import CellqaError
from cellqa.io import may_crash
from cellqa.journal import FinishedJournal, Journal
from cellqa.pairing import Image, Pairing
from cellqa.rows import Row, Tally
from cellqa.score import ScoreOptions, extremes, failed, file_states, score_image
from cellqa.statistics import Summary, summarise
from cellqa.tables import (
    scores_header,
    scores_line,
    versions,
    write_csv,
    write_json,
    write_summary,
)

SCORES, SUMMARY, RUN, JOURNAL = "scores.csv", "summary.csv", "run.json", "journal.jsonl"
RESULTS = (SCORES, SUMMARY, RUN, JOURNAL)

Progress = Callable[[int, int], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes
    ----------
    tally : Tally
    summaries : list of Summary
    warnings : list of str
    paths : list of Path
        The files written.
    """

    tally: Tally
    summaries: list[Summary]
    warnings: list[str]
    paths: list[Path]


class Interrupted(Exception):  # noqa: N818 - not an error
    """The user stopped the run; `done` of `total` images are kept."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(done, total)
        self.done, self.total = done, total


def score_pairing(
    pairing: Pairing,
    *,
    options: ScoreOptions | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Row]:
    """Score paired images and return the rows, without writing anything.

    Parameters
    ----------
    pairing : Pairing
    options : ScoreOptions, optional
    jobs : int
        Processes; the result is the same for any number.
    progress : callable, optional
        Called with the number of images done and of all images.

    Returns
    -------
    list of Row
        Sorted by image, then methods in the order given. A file that cannot be scored is a row
        with status `failed`; nothing else is affected.

    Examples
    --------
    >>> from cellqa import pair_folders
    >>> pairing = pair_folders({"net": "out"}, gt="sharp")  # doctest: +SKIP
    >>> score_pairing(pairing)[0].values["ssim"]  # doctest: +SKIP
    0.91
    """
    options = options or ScoreOptions()
    engine = LocalEngine(jobs)
    value_range = _value_range(pairing, options, engine)
    rows: list[Row] = []
    scored = _scored(pairing, pairing.images, options, value_range, engine)
    for done, (_, _, found) in enumerate(scored, 1):
        rows += found
        if progress:
            progress(done, len(pairing.images))
    return rows


def score_to_folder(
    pairing: Pairing,
    out: Path,
    *,
    options: ScoreOptions | None = None,
    engine: Engine | None = None,
    resume: bool = False,
    overwrite: bool = False,
    shard: tuple[int, int] = (1, 1),
    command: Sequence[str] = (),
    progress: Progress | None = None,
) -> Finished:
    """Score paired images into a folder: scores.csv, summary.csv, run.json.

    Rows go to journal.jsonl as they come, and to the disk every two seconds. `resume` trusts a
    row of the journal only if it is not a failure, was made with the same settings and versions,
    and its files have the same names, sizes and modification times.

    Parameters
    ----------
    pairing : Pairing
    out : Path
    options : ScoreOptions, optional
    engine : Engine, optional
        What runs the work; default this machine, one process.
    resume, overwrite : bool
        Go on with, or replace, an earlier run in `out`.
    shard : (int, int)
        (I, N): every N-th image from the I-th on, for runs split over machines.
    command : sequence of str
        Stored in run.json.
    progress : callable, optional
        Called with the number of images done and of all images.

    Raises
    ------
    CellqaError
        `out` holds an earlier run, cannot be written, or the disk is full.
    Interrupted
        By the user (SIGINT). The journal is kept.
    """
    start = time.perf_counter()
    options = options or ScoreOptions()
    engine = engine or LocalEngine(1)
    check_folder(out, overwrite=overwrite, resume=resume)
    images = pairing.images[shard[0] - 1 :: shard[1]]
    done = 0
    try:
        with _alone(out):
            if overwrite and not resume:
                _remove_results(out)
            value_range = _value_range(pairing, options, engine)
            header = _header(pairing, options, value_range)
            journal = Journal(out / JOURNAL, header, resume=resume)
            warnings = [f"{journal.given_up}; all is scored again"] if journal.given_up else []
            try:
                journal.keep_only({image.name for image in images})
                todo = [image for image in images if not _trusted(journal, image, pairing)]
                done = len(images) - len(todo)
                if progress and done:
                    progress(done, len(images))
                for name, states, rows in _scored(pairing, todo, options, value_range, engine):
                    journal.add(name, states, rows)
                    done += 1
                    if progress:
                        progress(done, len(images))
            finally:
                journal.close()
            tally = Tally(tuple(pairing.folders), options.metrics)
            parts = ((image.name, journal) for image in images)
            settings = _settings(pairing, options, engine, command)
            settings["shard"] = list(shard)
            return _finish(out, pairing, parts, tally, warnings, settings, start)
    except KeyboardInterrupt:
        raise Interrupted(done, len(images)) from None


def merge(parts: Sequence[Path], out: Path, *, overwrite: bool = False) -> Finished:
    """Join the parts of a run that `--shard` split, as if it had run in one.

    Raises
    ------
    CellqaError
        A part is missing, unfinished, of another run, or given twice.
    """
    from cellqa.merging import collect

    start = time.perf_counter()
    collected = collect(parts, out)
    check_folder(out, overwrite=overwrite, resume=False)
    tally = Tally(tuple(collected.pairing.folders), collected.metrics)
    with _alone(out):
        _remove_results(out)
        return _finish(
            out, collected.pairing, collected.parts, tally, [], dict(collected.settings), start
        )


def check_folder(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Make the folder for a run's files, and see that it can be written.

    Raises
    ------
    CellqaError
        It holds an earlier run and neither is true, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
    for name in RESULTS:
        path = out / name
        if (path.exists() or path.is_symlink()) and not path.is_file():
            raise CellqaError(f"--out: {str(path)!r} is not a file; move it away")
    if any((out / name).exists() for name in RESULTS) and not (overwrite or resume):
        raise CellqaError(
            f"--out: {str(out)!r} holds an earlier run; give another folder, --resume to go on "
            "with it, or --overwrite"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass  # better now than after hours
    except OSError as error:
        raise CellqaError(f"--out: {str(out)!r} cannot be written: {error.strerror}") from None


def _remove_results(out: Path) -> None:
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other runs away from the folder, where the system has file locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = out / ".cellqa.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CellqaError(f"--out: another run is writing to {str(out)!r}") from None
        except OSError:
            pass  # a file system without locks
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _scored(
    pairing: Pairing,
    images: Sequence[Image],
    options: ScoreOptions,
    value_range: tuple[float, float] | None,
    engine: Engine,
) -> Iterator[tuple[str, dict[str, Any], list[Row]]]:
    folders = {name: path.absolute() for name, path in pairing.folders.items()}
    work = partial(_score_one, folders=folders, options=options, value_range=value_range)
    return _over_images(engine, work, images, pairing, _crashed)


def _over_images(
    engine: Engine,
    work: Callable[[Image], Result],
    images: Sequence[Image],
    pairing: Pairing,
    on_crash: Callable[[Image, str], Result],
) -> Iterator[Result]:
    """Run over images, isolated and sized by what their files are."""
    names = (name for image in images[:1000] for files in image.files.values() for name in files)
    some = images[:: max(1, len(images) // 20)]
    states = [file_states(image, pairing.folders) for image in some]
    sizes = [state[0] for each in states for files in each.values() for state in files if state]
    return engine.map(
        work,
        images,
        on_crash=on_crash,
        isolate=any(may_crash(name) for name in names),
        bytes_each=sum(sizes) / max(len(some), 1),
    )


def _score_one(image: Image, **settings: Any) -> tuple[str, dict[str, Any], list[Row]]:
    return image.name, *score_image(image, **settings)


def _crashed(image: Image, reason: str) -> tuple[str, dict[str, Any], list[Row]]:
    text = f"reading or scoring this image {reason}"
    return image.name, {}, [failed(image.name, method, text) for method in image.files]


def _value_range(
    pairing: Pairing, options: ScoreOptions, engine: Engine
) -> tuple[float, float] | None:
    """Smallest and largest value over all ground truths, where the data range asks for it."""
    if options.data_range != "set" or "gt" not in pairing.folders:
        return None
    folder = pairing.folders["gt"].absolute()
    work = partial(extremes, folder=folder, max_pixels=options.max_pixels)
    found = _over_images(engine, work, pairing.images, pairing, _no_extremes)
    limits = [pair for pair in found if pair is not None]
    if not limits:
        return None
    return min(low for low, _ in limits), max(high for _, high in limits)


def _no_extremes(image: Image, reason: str) -> None:
    return None  # its failure is reported when it is scored


def _trusted(journal: Journal, image: Image, pairing: Pairing) -> bool:
    found = journal.get(image.name)
    if found is None:
        return False
    states, rows = found
    return all(row.status == "ok" for row in rows) and states == file_states(image, pairing.folders)


def _header(
    pairing: Pairing, options: ScoreOptions, value_range: tuple[float, float] | None
) -> dict[str, Any]:
    """Everything that rows depend on, beside the files themselves."""
    return {
        "folders": {name: str(path.absolute()) for name, path in pairing.folders.items()},
        "metrics": {m.name: m.definition for m in options.metrics},
        "data_range": options.data_range,
        "value_range": value_range,
        "pixel_size": options.pixel_size,
        "compat": options.compat,
        "max_pixels": options.max_pixels,
        "versions": versions(),
    }


def _settings(
    pairing: Pairing, options: ScoreOptions, engine: Engine, command: Sequence[str]
) -> dict[str, Any]:
    return {
        "command": list(command),
        "settings": {
            "metrics": {m.name: m.definition for m in options.metrics},
            "data_range": options.data_range,
            "pixel_size": options.pixel_size,
            "compat": options.compat,
            "max_pixels": options.max_pixels,
        },
        "engine": engine.describe(),
        "folders": {name: str(path) for name, path in pairing.folders.items()},
        "pairing": {
            "images": len(pairing.images),
            "digest": _digest(pairing),
            "unpaired": {name: list(files) for name, files in pairing.unpaired.items()},
        },
    }


def _digest(pairing: Pairing) -> str:
    """Of the list of images, so that parts of other lists are not joined."""
    found = hashlib.sha256()
    for image in pairing.images:
        found.update(repr((image.name, sorted(image.files.items()))).encode("utf-8", "replace"))
    return found.hexdigest()


def _finish(
    out: Path,
    pairing: Pairing,
    parts: Iterable[tuple[str, FinishedJournal]],
    tally: Tally,
    warnings: list[str],
    settings: dict[str, Any],
    start: float,
) -> Finished:
    """Write the final files from the journals, in the order of the images."""

    def lines() -> Iterator[list[str]]:
        for name, journal in parts:
            found = journal.get(name)
            if found is None:
                raise CellqaError(f"{journal.path}: {name} is missing; score with --resume")
            for row in found[1]:
                tally.add(row)
                yield scores_line(row, tally.metrics)

    try:
        paths = [write_csv(out / SCORES, scores_header(tally.metrics), lines())]
        summaries = summarise(tally)
        paths.append(write_summary(out / SUMMARY, summaries))
        warnings = warnings + tally.warnings(pairing)
        run = {
            **settings,
            "rows": tally.rows,
            "failed": tally.failed.total(),
            "failures": [
                {"image": r.image, "method": r.method, "reason": r.reason} for r in tally.failures
            ],
            "warnings": warnings,
            "versions": versions(),
            "machine": platform.platform(),
            "seconds": round(time.perf_counter() - start, 3),
        }
        paths.append(write_json(out / RUN, run))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        free = f" ({shutil.disk_usage(out).free} bytes free); make room" if full else "; mend that"
        raise CellqaError(
            f"{error.filename or out}: {error.strerror}{free} and go on with --resume: every row "
            "is kept"
        ) from None
    return Finished(tally, summaries, warnings, paths)
