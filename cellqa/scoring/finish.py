"""From the journals of a run to its tables, in the order of the images."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cellqa.disk import free_space, is_full
from cellqa.errors import CellqaError
from cellqa.pairs.pairing import Pairing
from cellqa.scoring.journal import Journal
from cellqa.scoring.ranges import sentence
from cellqa.tables.agreement import ObjectSums, object_doubts
from cellqa.tables.comparisons import compare_all
from cellqa.tables.files import (
    scores_header,
    scores_line,
    write_agreement,
    write_comparisons,
    write_csv,
    write_objects,
    write_places,
    write_summary,
)
from cellqa.tables.finished import Finished
from cellqa.tables.folder import (
    AGREEMENT,
    COMPARISONS,
    FRAMES,
    JOURNAL,
    MAPS,
    OBJECTS,
    PLANES,
    SCORES,
    SUMMARY,
    TIME,
    TYPED,
)
from cellqa.tables.measuring import doubts
from cellqa.tables.parquet import write_parquet
from cellqa.tables.record import RunRecord
from cellqa.tables.rows import Row
from cellqa.tables.summary import summarise, summarise_places
from cellqa.tables.tally import Tally
from cellqa.tables.time import FollowedSeries, time_doubts, unsteady, write_frames, write_time
from cellqa.tables.undefined import lacking_of, told as without
from cellqa.tables.versions import versions


def finish(
    out: Path,
    pairing: Pairing,
    parts: Sequence[tuple[str, Journal]],
    tally: Tally,
    record: RunRecord,
    start: float,
    *,
    warnings: Sequence[str] = (),
    ranges: Callable[[Tally], dict[str, Any] | None] = lambda tally: None,
    follow: Callable[[Tally], Sequence[FollowedSeries]] = lambda tally: (),
    parquet: bool = False,
) -> Finished:
    """Write the tables and run.json.

    Parameters
    ----------
    out : Path
    pairing : Pairing
    parts : sequence of (image, Journal)
        Where the rows of each image are, in the order of the tables.
    tally : Tally
        Empty; it takes the rows.
    record : RunRecord
        What was known before the rows.
    start : float
        When the run began, on `time.perf_counter`.
    warnings : sequence of str
        What is to be distrusted, beside what the tally finds.
    ranges : callable
        Of the tally: scores of the median image under each data range.
    follow : callable
        Of the tally: the time series of the run.
    parquet : bool
        Write scores.csv and objects.csv as Parquet too.

    Raises
    ------
    CellqaError
        A row is missing, or a file cannot be written.
    """
    objects = ObjectSums(tally.methods)

    def lines() -> Iterator[list[str]]:
        for place, (name, journal) in enumerate(parts):
            for row in _rows(name, journal):
                tally.add(row, place)
                objects.add(row, tally.scored[row.method] - 1)
                yield scores_line(row, tally.metrics)

    try:
        for name in TYPED:
            (out / name).unlink(missing_ok=True)  # of an earlier run
        paths = [write_csv(out / SCORES, scores_header(tally.metrics), lines())]
        summaries = summarise(tally)
        paths.append(write_summary(out / SUMMARY, summaries))
        (out / PLANES).unlink(missing_ok=True)  # of an earlier run
        if places := summarise_places(tally):
            paths.append(write_places(out / PLANES, places))
        comparisons, tests = compare_all(tally)
        (out / COMPARISONS).unlink(missing_ok=True)  # of an earlier run
        if comparisons:
            paths.append(write_comparisons(out / COMPARISONS, comparisons, tests))
        (out / OBJECTS).unlink(missing_ok=True)  # of an earlier run
        if tally.objects:
            rows = (row for name, journal in parts for row in _rows(name, journal))
            found = record.settings.get("objects") is not None
            paths.append(write_objects(out / OBJECTS, rows, found=found))
        (out / AGREEMENT).unlink(missing_ok=True)  # of an earlier run
        agreements = list(objects.agreements(tally))
        if agreements:
            paths.append(write_agreement(out / AGREEMENT, agreements))
        for name in (TIME, FRAMES):
            (out / name).unlink(missing_ok=True)  # of an earlier run
        followed = follow(tally)
        if any(series.measures for series in followed):
            paths.append(write_time(out / TIME, followed))
            paths.append(write_frames(out / FRAMES, followed))
        if parquet:
            paths += [write_parquet(path) for path in paths if path.name in (SCORES, OBJECTS)]
        told = [*warnings, *tally.warnings(pairing), *without(lacking_of(summaries, tally.metrics))]
        told += doubts(summaries, unsteady(followed))
        told += object_doubts(agreements)
        told += time_doubts(followed)
        sensitivity = ranges(tally)
        if sensitivity is not None:
            told.append(sentence(sensitivity))
        complete = replace(
            record,
            rows=tally.rows,
            failed=tally.failed.total(),
            failures=tally.named_failures(),
            warnings=told,
            range_sensitivity=sensitivity,
            friedman=[asdict(test) for test in tests],
            versions=versions(),
            machine=platform.platform(),
            seconds=round(time.perf_counter() - start, 3),
        )
        paths.append(complete.write(out))
    except OSError as error:
        room = f" ({free_space(out)} bytes free); make room"
        free = room if is_full(error) else "; mend that"
        kept = (
            "go on with --resume: every row is kept"
            if (out / JOURNAL).is_file()
            else f"score again: {JOURNAL}, which kept the rows, is gone"
        )
        raise CellqaError(f"{error.filename or out}: {error.strerror}{free} and {kept}") from None
    if (out / MAPS).is_dir():
        paths.append(out / MAPS)
    return Finished(tally, summaries, comparisons, told, paths, agreements)


def _rows(name: str, journal: Journal) -> list[Row]:
    entry = journal.get(name)
    if entry is None:
        raise CellqaError(f"{journal.path}: {name} is missing; score with --resume")
    return entry[1]
