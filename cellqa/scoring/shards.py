"""The parts of a run that `--shard` split, checked before they are joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellqa.errors import CellqaError
from cellqa.metrics.registry import Metric, select
from cellqa.pairs.pairing import Pairing
from cellqa.scoring.journal import FinishedJournal


@dataclass(frozen=True)
class Collected:
    """Parts that fit together.

    Attributes
    ----------
    parts : list of (image, FinishedJournal)
        In the order of the images.
    pairing : Pairing
        Without its images.
    metrics : tuple of Metric
    given : list of str
        What the run had of ground truth, input and mask.
    settings : dict
        Of run.json.
    """

    parts: list[tuple[str, FinishedJournal]]
    pairing: Pairing
    metrics: tuple[Metric, ...]
    given: list[str]
    settings: Mapping[str, Any]


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
    runs = [_run(part) for part in parts]
    journals = [FinishedJournal(part / "journal.jsonl") for part in parts]
    first = runs[0]
    for part, run, journal in zip(parts, runs, journals, strict=True):
        if journal.header != journals[0].header or run["shard"][1] != first["shard"][1]:
            raise CellqaError(f"{part}: settings or versions differ from {parts[0]}'s; not merged")
        if run.get("group") != first.get("group"):
            raise CellqaError(f"{part}: --group differs from {parts[0]}'s; score it again so")
        if run["pairing"]["digest"] != first["pairing"]["digest"]:
            raise CellqaError(
                f"{part}: made from another list of images than {parts[0]}; score it again with "
                "--resume"
            )
    _check_complete([run["shard"][0] for run in runs], first["shard"][1])
    images = [(name, journal) for journal in journals for name in journal.images()]
    images.sort(key=lambda pair: pair[0])
    names = {name for name, _ in images}
    if len(images) != len(names) or len(names) != first["pairing"]["images"]:
        raise CellqaError(
            f"the parts hold {len(images)} images, the run has {first['pairing']['images']}; "
            "score the parts again with --resume"
        )
    header = journals[0].header
    folders = {name: Path(path) for name, path in header["folders"].items()}
    unpaired = {name: tuple(files) for name, files in first["pairing"]["unpaired"].items()}
    kept = {k: first[k] for k in ("command", "settings", "engine", "folders", "pairing")}
    kept["group"] = first.get("group")
    return Collected(
        images,
        Pairing(folders, (), unpaired),
        select(header["metrics"]),
        header["given"],
        {**kept, "shard": [1, 1], "merged": len(parts)},
    )


def _check_complete(shards: Sequence[int], number: int) -> None:
    if len(set(shards)) != len(shards):
        raise CellqaError("a part is given twice")
    if len(shards) < number:
        missing = next(k for k in range(1, len(shards) + 2) if k not in shards)
        raise CellqaError(f"part {missing}/{number} is missing ({number - len(shards)} in all)")


def _run(part: Path) -> dict[str, Any]:
    path = part / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        fits = _fits(run)
    except OSError as error:
        raise CellqaError(f"{part}: not a finished part of a run ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        fits = False
    if not fits:
        raise CellqaError(f"{path}: not the run.json of a scoring run")
    found: dict[str, Any] = run
    return found


def _fits(run: Any) -> bool:
    """Whether everything that `collect` takes from it is there and of its type."""
    shard, pairing = run["shard"], run["pairing"]
    return (
        all(type(k) is int for k in shard)
        and len(shard) == 2
        and 1 <= shard[0] <= shard[1]
        and type(pairing["images"]) is int
        and isinstance(pairing["digest"], str)
        and all(isinstance(files, list) for files in pairing["unpaired"].values())
        and all(key in run for key in ("command", "settings", "engine", "folders"))
    )
