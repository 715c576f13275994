"""A scoring run: pairs to rows, on disk as they come, resumed after any end."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from cellqa.disk import StrPath, alone
from cellqa.engines import Engine, LocalEngine
from cellqa.errors import CellqaError, Interrupted
from cellqa.io.stores import absolute, tells_changes
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Image, Pairing
from cellqa.pairs.roles import GIVEN, Role
from cellqa.pairs.times import Times
from cellqa.scoring.control import AGREE, shared_pattern
from cellqa.scoring.finish import finish
from cellqa.scoring.image import file_states
from cellqa.scoring.journal import Journal
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.ranges import median_place, row_at, under_ranges
from cellqa.scoring.series import check_times, follow
from cellqa.scoring.shards import collect
from cellqa.scoring.work import nothing, over_images, range_of_all, scored
from cellqa.tables.finished import Finished
from cellqa.tables.folder import JOURNAL, MAPS, check_folder, link_maps, remove_results
from cellqa.tables.parquet import check_parquet
from cellqa.tables.record import Paired, RunRecord
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally
from cellqa.tables.time import read_followed
from cellqa.tables.versions import source_digest, versions
from cellqa.terminal import Progress

_log = logging.getLogger(__name__)
_UNSURE = (
    "all is scored again: a web server does not say which of its files changed; "
    "s3://, gs:// and az:// do"
)


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
        Processes; the result is the same for any number. One is the calling process itself, unless
        a format's reader may crash; for more, a script needs `if __name__ == "__main__":`.
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
    >>> pairing = pair_folders({"net": "out"}, reference="sharp")  # doctest: +SKIP
    >>> score_pairing(pairing)[0].values["ssim"]  # doctest: +SKIP
    0.91
    """
    options = options or ScoreOptions()
    engine = LocalEngine(jobs)
    value_range = range_of_all(pairing, options, engine)
    rows: list[Row] = []
    of_images = scored(pairing, pairing.images, options, value_range, engine)
    for done, (_, _, of_image) in enumerate(of_images, 1):
        rows += of_image
        if progress:
            progress(done, len(pairing.images))
    return rows


def score_to_folder(
    pairing: Pairing,
    out: StrPath,
    *,
    options: ScoreOptions | None = None,
    engine: Engine | None = None,
    grouping: Grouping | None = None,
    times: Times | None = None,
    resume: bool = False,
    overwrite: bool = False,
    shard: tuple[int, int] = (1, 1),
    command: Sequence[str] = (),
    parquet: bool = False,
    progress: Progress | None = None,
    following: Progress | None = None,
) -> Finished:
    """Score paired images into a folder: scores.csv, summary.csv, run.json.

    Rows go to journal.jsonl as they come, and to the disk every two seconds. `resume` trusts a
    row of the journal only if it is not a failure, was made with the same settings, versions and
    source, and its files have the same names, sizes and modification times.

    Parameters
    ----------
    pairing : Pairing
    out : path
    options : ScoreOptions, optional
    engine : Engine, optional
        What runs the work; default the calling process.
    grouping : Grouping, optional
        Which images are not independent.
    times : Times, optional
        What makes images the frames of a time series, which are one sample unless `grouping`
        says otherwise; files with a time axis are series anyway.
    resume, overwrite : bool
        Go on with, or replace, an earlier run in `out`. One whose tables are gone or never came
        to be is gone on with in any case.
    shard : (int, int)
        (I, N): every N-th image from the I-th on, for runs split over machines.
    command : sequence of str
        Stored in run.json.
    parquet : bool
        Write scores.parquet and objects.parquet too (extra `parquet`).
    progress : callable, optional
        Called with the number of images done and of all images.
    following : callable, optional
        Called with the number of time series that were followed, and of all, after the images.

    Raises
    ------
    CellqaError
        `out` holds an earlier run, lies in a folder of images, cannot be written, or the disk is
        full; a method's folder is that of the ground truth.
    MissingExtraError
        pyarrow is not installed.
    Interrupted
        By the user (SIGINT). The journal is kept.
    """
    start = time.perf_counter()
    out = Path(out)
    options = options or ScoreOptions()
    engine = engine or LocalEngine(1)
    if parquet:
        check_parquet()
    check_folder(out, overwrite=overwrite, resume=resume, leftovers=True)
    if not (resume or overwrite) and (out / JOURNAL).exists():
        resume = True  # what a pipeline left when it removed its outputs, or a run that was stopped
        _log.warning("%s holds a run that is not whole: what is still right of it is kept", out)
    check_places(pairing, out)
    check_times(times, pairing, shard)
    if times is not None and grouping is None:
        grouping = times.grouping(pairing.images)
    if options.maps is not None:
        options = replace(options, maps=str((out / MAPS).absolute()))
    images = pairing.images[shard[0] - 1 :: shard[1]]
    done = 0
    try:
        with alone(out, "--out"):
            if overwrite and not resume:
                remove_results(out)
            value_range = range_of_all(pairing, options, engine)
            header = header_of(pairing, options, value_range)
            journal, given_up = Journal.begin(out / JOURNAL, header, resume=resume)
            try:
                journal.keep_only({image.name for image in images})
                todo = [image for image in images if not _trusted(journal, image, pairing)]
                done = len(images) - len(todo)
                if progress and done:
                    progress(done, len(images))
                for name, states, rows in scored(pairing, todo, options, value_range, engine):
                    journal.add(name, states, rows)
                    done += 1
                    if progress:
                        progress(done, len(images))
            finally:
                journal.close()
            return finish(
                out,
                pairing,
                [(image.name, journal) for image in images],
                Tally(
                    pairing.methods, options.metrics, given_of(pairing.folders, options), grouping
                ),
                record_of(pairing, options, engine, command, shard, grouping),
                start,
                warnings=[
                    *([f"{given_up}; all is scored again"] if given_up else []),
                    *([_UNSURE] if resume and not _telling(pairing) else []),
                    *shared_pattern(pairing, options, engine, grouping),
                ],
                ranges=partial(
                    _under_ranges,
                    pairing=pairing,
                    images=images,
                    journal=journal,
                    options=options,
                    engine=engine,
                ),
                follow=partial(
                    follow,
                    pairing=pairing,
                    images=images,
                    times=times,
                    options=options,
                    engine=engine,
                    progress=following,
                ),
                parquet=parquet,
            )
    except KeyboardInterrupt:
        raise Interrupted(done, len(images)) from None


def merge(
    parts: Sequence[StrPath], out: StrPath, *, overwrite: bool = False, parquet: bool = False
) -> Finished:
    """Join the parts of a run that `--shard` split, as if it had run in one.

    Parameters
    ----------
    parts : sequence of path
        The folders of the parts.
    out : path
    overwrite : bool
        Replace an earlier run in `out`.
    parquet : bool
        Write scores.parquet and objects.parquet too (extra `parquet`).

    Raises
    ------
    CellqaError
        A part is missing, unfinished, of another run, or given twice.
    MissingExtraError
        pyarrow is not installed.
    """
    start = time.perf_counter()
    out, folders = Path(out), [Path(part) for part in parts]
    if parquet:
        check_parquet()
    collected = collect(folders, out)
    check_folder(out, overwrite=overwrite, resume=False)
    source = collected.record.group
    grouping = Grouping.parse(source) if source else None
    tally = Tally(collected.pairing.methods, collected.metrics, collected.given, grouping)
    with alone(out, "--out"):
        remove_results(out)
        for part in folders:
            link_maps(part, out)
        return finish(
            out,
            collected.pairing,
            collected.parts,
            tally,
            collected.record,
            start,
            warnings=[w for w in collected.record.warnings if w.startswith(AGREE)],
            follow=lambda _: [one for part in folders for one in read_followed(part)],
            parquet=parquet,
        )


def check_places(pairing: Pairing, out: Path) -> None:
    """Refuse an `out` among the images: the next run would score the pictures of the page."""
    places = {role: path.resolve() for role, path in pairing.folders.items()}
    for role, place in places.items():
        if place == out.resolve() or place in out.resolve().parents:
            where = "is" if place == out.resolve() else "lies inside"
            raise CellqaError(
                f"--out: {str(out)!r} {where} the folder of {role} "
                f"({pairing.folders[role]}), whose images are read; give a folder outside it"
            )


def given_of(roles: Collection[str], options: ScoreOptions) -> frozenset[str]:
    """What a run has of reference, raw images and masks."""
    given = {role for role in GIVEN if role in roles and role != Role.VALID}
    if options.foreground and Role.REFERENCE in given:
        given.add(Role.MASK)
    return frozenset(given)


def _under_ranges(
    tally: Tally,
    *,
    pairing: Pairing,
    images: Sequence[Image],
    journal: Journal,
    options: ScoreOptions,
    engine: Engine,
) -> dict[str, Any] | None:
    """PSNR and SSIM of the median image under each data range."""
    place = median_place(tally)
    if place is None or tally.limits is None:
        return None
    image = images[place[1]]
    entry = journal.get(image.name)
    row = row_at(entry[1] if entry else [], place[0], place[2])
    if row is None:
        return None
    folders = {name: absolute(path) for name, path in pairing.folders.items()}
    settings: dict[str, Any] = {"options": options, "limits": tally.limits}
    work = partial(under_ranges, row=row, folders=folders, **settings)
    return next(iter(over_images(engine, work, [image], pairing, nothing)))


def _trusted(journal: Journal, image: Image, pairing: Pairing) -> bool:
    entry = journal.get(image.name)
    if entry is None:
        return False
    states, rows = entry
    return (
        _telling(pairing)
        and {row.method for row in rows} == set(image.methods)
        and all(row.status == "ok" for row in rows)
        and states == file_states(image, pairing.folders)
    )


def _telling(pairing: Pairing) -> bool:
    """Whether it can be known of all files that they did not change."""
    return all(map(tells_changes, pairing.folders.values()))


def header_of(
    pairing: Pairing, options: ScoreOptions, value_range: tuple[float, float] | None
) -> dict[str, Any]:
    """Everything that rows depend on, beside the files themselves."""
    return {
        "folders": {name: str(absolute(path)) for name, path in pairing.folders.items()},
        **options.chosen(),
        "value_range": value_range,
        "given": sorted(given_of(pairing.folders, options)),
        **({"naming": asdict(pairing.naming)} if pairing.naming else {}),
        "versions": versions(),
        "source": source_digest(options.metrics),
    }


def record_of(
    pairing: Pairing,
    options: ScoreOptions,
    engine: Engine,
    command: Sequence[str],
    shard: tuple[int, int],
    grouping: Grouping | None,
) -> RunRecord:
    """What is known of a run before its rows."""
    return RunRecord(
        command=list(command),
        settings=options.chosen(),
        metrics=[m.facts() for m in options.metrics],
        folders={name: str(absolute(path)) for name, path in pairing.folders.items()},
        engine=engine.describe(),
        pairing=Paired(
            len(pairing.images),
            _digest(pairing),
            {name: list(files) for name, files in pairing.unpaired.items()},
            asdict(pairing.naming) if pairing.naming else {},
            list(pairing.notes),
        ),
        shard=list(shard),
        group=grouping.source if grouping else None,
    )


def _digest(pairing: Pairing) -> str:
    """Of the list of images, so that parts of other lists are not joined."""
    digest = hashlib.sha256()
    for image in pairing.images:
        digest.update(repr((image.name, sorted(image.files.items()))).encode("utf-8", "replace"))
    return digest.hexdigest()
