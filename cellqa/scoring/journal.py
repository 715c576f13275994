"""What a run has done so far, on the disk: rows survive whatever ends the run."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellqa.disk import appearing, is_full
from cellqa.errors import CellqaError
from cellqa.lines import Lines
from cellqa.tables.rows import Row

FORMAT = 2  # of the journal; 1 had no number
_SYNC_SECONDS = 2.0  # what a power failure may cost

States = Mapping[str, Any]


class Journal:
    """A file of lines: a header, then one for each image with its rows, by key.

    A line that a crash cut short, or that is damaged, counts as absent: its image is scored again.

    Attributes
    ----------
    path : Path
    header : dict
        What the rows depend on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, Any] = {}
        self._lines = Lines(path)
        self._places: dict[str, int] = {}
        self._synced = time.monotonic()

    @classmethod
    def read(cls, path: Path) -> Journal:
        """The journal of a finished run.

        Raises
        ------
        CellqaError
            There is none, or it is no journal of this version.
        """
        journal = cls(path)
        try:
            number = journal._index()
        except OSError as error:
            raise CellqaError(f"{path}: {error.strerror}") from None
        if number is None:
            raise CellqaError(f"{path}: not the journal of a scoring run")
        if number != FORMAT:
            raise CellqaError(
                f"{path}: the journal of another version of cellqa (format {number}, not {FORMAT})"
            )
        return journal

    @classmethod
    def begin(cls, path: Path, header: Mapping[str, Any], *, resume: bool) -> tuple[Journal, str]:
        """A journal to write, and why an earlier one is not gone on with (empty where it is).

        Parameters
        ----------
        path : Path
        header : dict
            What rows depend on. A journal of another version, or with another header, is put
            aside, under a name that ends in `.old`, and a new one is started.
        resume : bool
            Keep the lines of an earlier run with the same header.
        """
        wanted = json.loads(json.dumps(header))
        given_up = ""
        if resume and path.exists():
            journal = cls(path)
            number = journal._index()
            if number == FORMAT and journal.header == wanted:
                return journal, ""
            given_up = "the journal was empty"
            if path.stat().st_size:
                old = path.with_name(f"{path.name}.old")
                path.replace(old)
                why = (
                    "the journal was damaged or of another program"
                    if number is None
                    else "settings or versions differ from the earlier run's"
                )
                given_up = f"{why}; it is now {old.name}"
        journal = cls(path)
        journal.header = wanted
        journal._lines.start()
        journal._write({"format": FORMAT, "header": wanted})
        return journal, given_up

    def images(self) -> list[str]:
        """Names of the images that it holds."""
        return list(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, image: str) -> tuple[dict[str, Any], list[Row]] | None:
        """States and rows of an image, or None if it is not there."""
        place = self._places.get(image)
        if place is None:
            return None
        entry = self._lines.at(place)
        if not isinstance(entry, dict) or entry.get("image") != image:
            raise CellqaError(f"{self.path}: changed by another program while it was in use")
        try:
            rows = [Row.from_json(row) for row in entry["rows"]]
            return (dict(entry["states"]), rows) if rows else None
        except (AttributeError, KeyError, TypeError, ValueError):
            return None  # as if it were damaged

    def add(self, image: str, states: States, rows: Sequence[Row]) -> None:
        """Append an image's rows, with the states of the files that they came from.

        Raises
        ------
        CellqaError
            The disk is full, or the file cannot be written; what was done before is kept.
        """
        self._places[image] = self._write(_entry(image, states, rows))
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def keep_only(self, images: Collection[str]) -> None:
        """Drop the images that the run no longer has."""
        gone = self._places.keys() - set(images)
        if not gone:
            return
        kept = [(name, self.get(name)) for name in self._places if name not in gone]
        self._lines.close()
        with appearing(self.path) as temporary:
            fresh = Lines(temporary)
            fresh.start()
            fresh.append({"format": FORMAT, "header": self.header})
            for name, known in kept:
                if known is not None:
                    fresh.append(_entry(name, *known))
            fresh.close()
        self._index()

    def sync(self) -> None:
        """Force what was written to the disk."""
        try:
            self._lines.sync()
        except OSError as error:
            raise self._broken(error) from None
        self._synced = time.monotonic()

    def close(self) -> None:
        """Force everything to the disk; rows can still be read."""
        try:
            self.sync()
        finally:
            try:
                self._lines.close()
            except OSError as error:
                if not is_full(error) and error.errno != errno.EIO:
                    raise  # what a full disk does not take was told by `sync`

    def _index(self) -> int | None:
        """Note where each image's last line begins; the format, or None where there is no header.

        Only a journal of this version is listed.
        """
        self._places.clear()
        number: int | None = None
        for place, value in self._lines.read():
            if number is None:
                if place or not isinstance(value, dict):
                    return None
                number = value.get("format", 1)
                if number != FORMAT:
                    return number
                self.header = value.get("header", {})
            elif isinstance(value, dict) and isinstance(value.get("image"), str):
                self._places[value["image"]] = place
        return number

    def _write(self, value: Mapping[str, Any]) -> int:
        try:
            return self._lines.append(value)
        except OSError as error:
            raise self._broken(error) from None

    def _broken(self, error: OSError) -> CellqaError:
        return CellqaError(
            f"{self.path}: {os.strerror(error.errno) if error.errno else error}; the "
            f"{len(self)} images scored so far are kept: make room and go on with --resume"
        )


def _entry(image: str, states: States, rows: Sequence[Row]) -> dict[str, Any]:
    return {"image": image, "states": states, "rows": [row.to_json() for row in rows]}
