"""Rows that are known, as the folder of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from cellqa.disk import alone
from cellqa.engines import LocalEngine
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Pairing, without_plane
from cellqa.scoring.finish import finish
from cellqa.scoring.image import file_states
from cellqa.scoring.journal import Journal
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.run import check_places, given_of, header_of, record_of
from cellqa.scoring.work import range_of_all
from cellqa.tables.finished import Finished
from cellqa.tables.folder import JOURNAL, check_folder, remove_results
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally


def rows_to_folder(
    pairing: Pairing | Callable[[], Pairing],
    rows: Sequence[Row],
    out: Path,
    options: ScoreOptions,
    grouping: Grouping | None = None,
    *,
    overwrite: bool = False,
) -> Finished:
    """Write rows as `score_to_folder` writes those that it scores.

    Parameters
    ----------
    pairing : Pairing, or callable
        Of the files that the rows are of; or what writes them into `out`, when that is ready.
    rows : sequence of Row
        In the order of the images; those of an image together.
    out : Path
    options : ScoreOptions
    grouping : Grouping, optional
    overwrite : bool

    Raises
    ------
    CellqaError
        `out` holds an earlier run, lies in a folder of images, or cannot be written.
    """
    start = time.perf_counter()
    check_folder(out, overwrite=overwrite, resume=False)
    if isinstance(pairing, Pairing):
        check_places(pairing, out)
    engine = LocalEngine(1)
    with alone(out, "the folder"):
        remove_results(out)
        paired = pairing if isinstance(pairing, Pairing) else pairing()
        header = header_of(paired, options, range_of_all(paired, options, engine))
        journal, _ = Journal.begin(out / JOURNAL, header, resume=False)
        images = {image.name: image for image in paired.images}
        try:
            for name, of_image in groupby(rows, lambda row: without_plane(row.image)):
                states = file_states(images[name], paired.folders)
                journal.add(name, states, list(of_image))
        finally:
            journal.close()
        given = given_of(paired.folders, options)
        return finish(
            out,
            paired,
            [(name, journal) for name in journal.images()],
            Tally(paired.methods, options.metrics, given, grouping),
            record_of(paired, options, engine, (), (1, 1), grouping),
            start,
        )
