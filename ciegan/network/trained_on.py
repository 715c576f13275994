"""What weights were trained on, so that they are not judged on it without a word."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cellqa.planes import Array
from cellqa.shown import one_line


class Tile(Protocol):
    """A pair of images of a field; see `ciegan.data.crops.TilePair`."""

    @property
    def field(self) -> str:
        """Its name."""

    def load(self) -> tuple[Any, Any, Any]:
        """Input, target, and more."""


def digest(content: Array | bytes) -> str:
    """Some bytes, or pixels, as 16 characters."""
    data = content if isinstance(content, bytes) else np.ascontiguousarray(content).data
    return hashlib.blake2b(data, digest_size=8).hexdigest()


@dataclass(frozen=True)
class TrainedOn:
    """Digests of the tiles (their targets) and of the names of fields of a training set.

    Attributes
    ----------
    tiles, fields : frozenset of str
    """

    tiles: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    __repr__ = one_line

    def with_other(self, other: TrainedOn) -> TrainedOn:
        """What either was trained on."""
        return TrainedOn(self.tiles | other.tiles, self.fields | other.fields)

    def warning(self, tiles: Iterable[Tile]) -> str:
        """What to say where a network is to be judged on what it was trained on; else nothing."""
        tiles = list(tiles)
        same = sum(digest(tile.load()[1]) in self.tiles for tile in tiles) if self.tiles else 0
        if same:
            return (
                f"{same} of {len(tiles)} tiles are among those that it was trained on: it may know "
                "them by heart, and scores on them are no proof"
            )
        fields = {tile.field for tile in tiles}
        named = sum(self._knows(field) for field in fields)
        if named:
            return (
                f"{named} of {len(fields)} fields have the names of fields that it was trained on; "
                "if they are the same, scores on them are no proof"
            )
        return ""

    def _knows(self, field: str) -> bool:
        """Whether it was trained on a field, on all of that whose part it is, or on its part."""
        whole = re.sub(" (train|val|test)$", "", field)
        names = {field, whole, *([f"{field} train"] if whole == field else [])}
        return any(digest(name.encode("utf-8", "replace")) in self.fields for name in names)
