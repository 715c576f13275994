"""The parts of a run that `--shard` split, checked before they are joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellqa.errors import CellqaError
from cellqa.journal import Journal
from cellqa.pairing import Pairing
from cellqa.registry import Metric, select


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
    settings : dict
        Of run.json.
    """

    parts: list[tuple[str, Journal]]
    pairing: Pairing
    metrics: tuple[Metric, ...]
    settings: Mapping[str, Any]


def collect(parts: Sequence[Path]) -> Collected:
    """Read the parts and see that they are all of one run.

    Raises
    ------
    CellqaError
        A part is missing, unfinished, of another run, or given twice.
    """
    runs = [_run(part) for part in parts]
    journals = [Journal.of_finished(part / "journal.jsonl") for part in parts]
    first, number = runs[0], runs[0]["shard"][1]
    for part, run, journal in zip(parts, runs, journals, strict=True):
        if journal.header != journals[0].header or run["shard"][1] != number:
            raise CellqaError(f"{part}: settings or versions differ from {parts[0]}'s; not merged")
    shards = [run["shard"][0] for run in runs]
    missing = sorted(set(range(1, number + 1)) - set(shards))
    if missing:
        raise CellqaError(f"part {missing[0]}/{number} is missing ({len(missing)} in all)")
    if len(shards) != number:
        raise CellqaError("a part is given twice")
    images = sorted((name, journal) for journal in journals for name in journal.images())
    if len(images) != first["pairing"]["images"]:
        raise CellqaError(f"{len(images)} images of {first['pairing']['images']} are in the parts")
    folders = {name: Path(path) for name, path in first["folders"].items()}
    unpaired = {name: tuple(files) for name, files in first["pairing"]["unpaired"].items()}
    settings = {k: first[k] for k in ("command", "settings", "engine", "folders", "pairing")}
    return Collected(
        images,
        Pairing(folders, (), unpaired),
        select(first["settings"]["metrics"]),
        {**settings, "shard": [1, 1], "merged": number},
    )


def _run(part: Path) -> dict[str, Any]:
    path = part / "run.json"
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        run["shard"][1], run["pairing"]["images"], run["folders"]
    except OSError as error:
        raise CellqaError(f"{part}: not a finished part of a run ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise CellqaError(f"{path}: not the run.json of a scoring run") from None
    return run
