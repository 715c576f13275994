"""A scoring run: pairs to rows, on disk as they come, resumed after any end."""

from __future__ import annotations

import errno
import hashlib
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cellqa.engines import Engine, LocalEngine
from cellqa.errors import CellqaError
from cellqa.io import may_crash
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Image, Pairing
from cellqa.scoring.image import extremes, failed, file_states, score_image
from cellqa.scoring.journal import FinishedJournal, Journal
from cellqa.scoring.plane import ScoreOptions
from cellqa.scoring.ranges import median_place, row_at, sentence, under_ranges
from cellqa.tables.comparisons import Comparison, compare_all
from cellqa.tables.files import (
    scores_header,
    scores_line,
    versions,
    write_comparisons,
    write_csv,
    write_json,
    write_objects,
    write_summary,
)
from cellqa.tables.folder import (
    COMPARISONS,
    JOURNAL,
    MAPS,
    OBJECTS,
    RUN,
    SCORES,
    SUMMARY,
    alone,
    check_folder,
    link_maps,
    remove_results,
)
from cellqa.tables.rows import Row, Tally
from cellqa.tables.summary import Summary, summarise

Progress = Callable[[int, int], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes
    ----------
    tally : Tally
    summaries : list of Summary
    comparisons : list of Comparison
    warnings : list of str
    paths : list of Path
        The files written.
    """

    tally: Tally
    summaries: list[Summary]
    comparisons: list[Comparison]
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
    grouping: Grouping | None = None,
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
    grouping : Grouping, optional
        Which images are not independent.
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
    if options.maps is not None:
        options = replace(options, maps=str((out / MAPS).absolute()))
    images = pairing.images[shard[0] - 1 :: shard[1]]
    done = 0
    try:
        with alone(out):
            if overwrite and not resume:
                remove_results(out)
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
            tally = Tally(pairing.methods, options.metrics, _given(pairing, options), grouping)
            parts = [(image.name, journal) for image in images]
            settings = _settings(pairing, options, engine, command)
            settings["shard"] = list(shard)
            settings["group"] = grouping.source if grouping else None
            ranges = partial(
                _under_ranges,
                pairing=pairing,
                images=images,
                journal=journal,
                options=options,
                engine=engine,
            )
            return _finish(out, pairing, parts, tally, warnings, settings, start, ranges)
    except KeyboardInterrupt:
        raise Interrupted(done, len(images)) from None


def merge(parts: Sequence[Path], out: Path, *, overwrite: bool = False) -> Finished:
    """Join the parts of a run that `--shard` split, as if it had run in one.

    Raises
    ------
    CellqaError
        A part is missing, unfinished, of another run, or given twice.
    """
    from cellqa.scoring.shards import collect

    start = time.perf_counter()
    collected = collect(parts, out)
    check_folder(out, overwrite=overwrite, resume=False)
    source = collected.settings.get("group")
    grouping = Grouping.parse(source) if source else None
    tally = Tally(collected.pairing.methods, collected.metrics, collected.given, grouping)
    with alone(out):
        remove_results(out)
        for part in parts:
            link_maps(part, out)
        return _finish(
            out, collected.pairing, collected.parts, tally, [], dict(collected.settings), start
        )


def _given(pairing: Pairing, options: ScoreOptions) -> frozenset[str]:
    """What the run has of ground truth, input and mask."""
    given = {"gt", "input", "mask"} & pairing.folders.keys()
    return frozenset(given | ({"mask"} if options.foreground and "gt" in given else set()))


def _under_ranges(
    tally: Tally,
    *,
    pairing: Pairing,
    images: Sequence[Image],
    journal: FinishedJournal,
    options: ScoreOptions,
    engine: Engine,
) -> dict[str, Any] | None:
    """PSNR and SSIM of the median image under each data range."""
    place = median_place(tally)
    if place is None or tally.limits is None:
        return None
    image = images[place[1]]
    found = journal.get(image.name)
    row = row_at(found[1] if found else [], place[0], place[2])
    if row is None:
        return None
    folders = {name: path.absolute() for name, path in pairing.folders.items()}
    settings: dict[str, Any] = {"options": options, "limits": tally.limits}
    work = partial(under_ranges, row=row, folders=folders, **settings)
    return next(iter(_over_images(engine, work, [image], pairing, _no_ranges)))


def _no_ranges(image: Image, reason: str) -> None:
    return None  # the run's own rows tell what is wrong with it


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
        **_chosen(options),
        "value_range": value_range,
        "given": sorted(_given(pairing, options)),
        "versions": versions(),
    }


def _chosen(options: ScoreOptions) -> dict[str, Any]:
    """Options as JSON."""
    return {
        **{field.name: getattr(options, field.name) for field in fields(options)},
        "metrics": {m.name: m.definition for m in options.metrics},
        "maps": options.maps is not None,
    }


def _settings(
    pairing: Pairing, options: ScoreOptions, engine: Engine, command: Sequence[str]
) -> dict[str, Any]:
    return {
        "command": list(command),
        "settings": _chosen(options),
        "engine": engine.describe(),
        "folders": {name: str(path.absolute()) for name, path in pairing.folders.items()},
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
    parts: Sequence[tuple[str, FinishedJournal]],
    tally: Tally,
    warnings: list[str],
    settings: dict[str, Any],
    start: float,
    ranges: Callable[[Tally], dict[str, Any] | None] = lambda tally: None,
) -> Finished:
    """Write the final files from the journals, in the order of the images."""

    def lines() -> Iterator[list[str]]:
        for place, (name, journal) in enumerate(parts):
            for row in _rows(name, journal):
                tally.add(row, place)
                yield scores_line(row, tally.metrics)

    try:
        paths = [write_csv(out / SCORES, scores_header(tally.metrics), lines())]
        summaries = summarise(tally)
        paths.append(write_summary(out / SUMMARY, summaries))
        comparisons, tests = compare_all(tally)
        (out / COMPARISONS).unlink(missing_ok=True)  # of an earlier run
        if comparisons:
            paths.append(write_comparisons(out / COMPARISONS, comparisons, tests))
        (out / OBJECTS).unlink(missing_ok=True)  # of an earlier run
        if tally.objects:
            rows = (row for name, journal in parts for row in _rows(name, journal))
            paths.append(write_objects(out / OBJECTS, rows))
        warnings = warnings + tally.warnings(pairing)
        sensitivity = ranges(tally)
        if sensitivity is not None:
            warnings.append(sentence(sensitivity))
        run = {
            **settings,
            "rows": tally.rows,
            "failed": tally.failed.total(),
            "failures": [
                {"image": r.image, "method": r.method, "reason": r.reason} for r in tally.failures
            ],
            "warnings": warnings,
            "range_sensitivity": sensitivity,
            "friedman": [_finite(asdict(test)) for test in tests],
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
    if (out / MAPS).is_dir():
        paths.append(out / MAPS)
    return Finished(tally, summaries, comparisons, warnings, paths)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no nan."""
    return {k: None if isinstance(v, float) and v != v else v for k, v in values.items()}


def _rows(name: str, journal: FinishedJournal) -> list[Row]:
    found = journal.get(name)
    if found is None:
        raise CellqaError(f"{journal.path}: {name} is missing; score with --resume")
    return found[1]
