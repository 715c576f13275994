"""What was done in the folder of a comparison, and for which data: compare.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellqa.disk import LOCK, remove_folder
from cellqa.errors import CellqaError
from cellqa.io.stores import state
from cellqa.tables.files import write_json
from ciegan.data.prepare import PAIRS
from ciegan.data.tile_pairs import TilePair

STORE = "compare.json"


PARTS = ("networks", "enhanced", "data-egt", ".data-egt", "results")


COSTS, SEEDS = "cost.csv", "seeds.csv"


def is_started(out: Path) -> bool:
    """Whether there is a comparison in a folder.

    Raises
    ------
    CellqaError
        Something else is there.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
    there = {p.name for p in out.iterdir()} - {LOCK} if out.exists() else set()
    if there and STORE not in there:
        raise CellqaError(f"--out: {str(out)!r} is not empty; give another folder")
    return bool(there)


class Store:
    """What was done in a folder, and for which data: compare.json."""

    def __init__(
        self,
        out: Path,
        data: Path,
        tiles: Mapping[str, Sequence[TilePair]],
        *,
        overwrite: bool,
    ) -> None:
        self.path = out / STORE
        known = _fingerprint(data, tiles)
        self.content: dict[str, Any] = {"data": known, "networks": {}, "enhanced": {}}
        if is_started(out):
            try:
                stored = json.loads(self.path.read_text("utf-8"))
                if not all(type(stored[name]) is type(self.content[name]) for name in self.content):
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                raise CellqaError(
                    f"{self.path}: damaged, or not of a comparison; give another folder"
                ) from None
            if overwrite:
                _remove_parts(out)
            else:
                self.content = stored
        if self.content["data"] != known:
            raise CellqaError(
                f"--out: {str(out)!r} holds a comparison on other data; give another folder, or "
                "--overwrite"
            )
        self.save()

    def save(self) -> None:
        """Write it; an earlier one stays whole until then."""
        write_json(self.path, self.content)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """What is known of a network, or of enhanced images."""
        about: dict[str, Any] | None = self.content[kind].get(name)
        return about

    def drop(self, kind: str, name: str) -> None:
        """Forget it."""
        if self.content[kind].pop(name, None) is not None:
            self.save()

    def put(self, kind: str, name: str, about: dict[str, Any]) -> None:
        """Note what is begun or done."""
        self.content[kind][name] = about
        self.save()


def _remove_parts(out: Path) -> None:
    """Remove what a comparison made, and nothing else; its notes last, as they tell what it is."""
    for place in (*(out / name for name in PARTS), *out.glob("results-*")):
        remove_folder(place)
    for name in (COSTS, SEEDS, STORE):
        (out / name).unlink(missing_ok=True)


def _fingerprint(data: Path, tiles: Mapping[str, Sequence[TilePair]]) -> str:
    """What tells data from other data: names, sizes, times, and the table of pairs."""
    digest = hashlib.sha256()
    table = data / PAIRS
    digest.update(table.read_bytes() if table.exists() else b"")
    for split, of in tiles.items():
        for tile in of:
            for path in (tile.input, tile.target):
                size_and_time = " ".join(map(str, state(path)))
                digest.update(f"{split} {tile.name} {size_and_time}".encode())
    return digest.hexdigest()
