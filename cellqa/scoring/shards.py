"""The parts of a run that `--shard` split, checked before they are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cellqa.errors import CellqaError
from cellqa.metrics.metric import Metric
from cellqa.pairs.naming import Naming
from cellqa.pairs.pairing import Pairing
from cellqa.scoring.journal import Journal
from cellqa.tables.folder import JOURNAL
from cellqa.tables.record import RunRecord


@dataclass(frozen=True)
class Collected:
    """Parts that fit together.

    Attributes
    ----------
    parts : list of (image, Journal)
        In the order of the images.
    pairing : Pairing
        Without its images.
    metrics : tuple of Metric
    given : list of str
        What the run had of reference, raw images and masks.
    record : RunRecord
        As if it had run in one.
    """

    parts: list[tuple[str, Journal]]
    pairing: Pairing
    metrics: tuple[Metric, ...]
    given: list[str]
    record: RunRecord


def collect(parts: Sequence[Path], out: Path) -> Collected:
    """Read the parts and see that they are all of one run, and that `out` is none of them.

    Raises
    ------
    CellqaError
        A part is missing, unfinished, of another run, or given twice.
    """
    for part in parts:
        if out.exists() and part.exists() and part.samefile(out):
            raise CellqaError(f"--out: {str(out)!r} is one of the parts; give another folder")
    runs = [_record(part) for part in parts]
    journals = [Journal.read(part / JOURNAL) for part in parts]
    first = runs[0]
    for part, run, journal in zip(parts, runs, journals, strict=True):
        if journal.header != journals[0].header or run.shard[1] != first.shard[1]:
            raise CellqaError(f"{part}: settings or versions differ from {parts[0]}'s; not merged")
        if run.group != first.group:
            raise CellqaError(f"{part}: --group differs from {parts[0]}'s; score it again so")
        if run.pairing.digest != first.pairing.digest:
            raise CellqaError(
                f"{part}: made from another list of images than {parts[0]}; score it again with "
                "--resume"
            )
    _check_complete([run.shard[0] for run in runs], first.shard[1])
    images = [(name, journal) for journal in journals for name in journal.images()]
    images.sort(key=lambda pair: pair[0])
    names = {name for name, _ in images}
    if len(images) != len(names) or len(names) != first.pairing.images:
        raise CellqaError(
            f"the parts hold {len(images)} images, the run has {first.pairing.images}; "
            "score the parts again with --resume"
        )
    folders = {name: Path(path) for name, path in first.folders.items()}
    paired = first.pairing
    unpaired = {name: tuple(files) for name, files in paired.unpaired.items()}
    return Collected(
        images,
        Pairing(folders, (), unpaired, Naming.of(paired.naming), tuple(paired.notes)),
        first.known_metrics(),
        journals[0].header["given"],
        replace(first, shard=[1, 1], merged=len(parts)),
    )


def _check_complete(shards: Sequence[int], number: int) -> None:
    if len(set(shards)) != len(shards):
        raise CellqaError("a part is given twice")
    if len(shards) < number:
        missing = next(k for k in range(1, len(shards) + 2) if k not in shards)
        raise CellqaError(f"part {missing}/{number} is missing ({number - len(shards)} in all)")


def _record(part: Path) -> RunRecord:
    if not part.is_dir():
        raise CellqaError(f"{part}: not a finished part of a run (no such folder)")
    return RunRecord.read(part)
