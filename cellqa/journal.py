"""What a run has done so far, on the disk: rows survive whatever ends the run."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellqa.errors import CellqaError
from cellqa.rows import Row

_SYNC_SECONDS = 2.0  # what a power failure may cost


class Journal:
    """An append-only file: a header, then a line for each image with its rows.

    Each line starts with a checksum of the rest. A line that a crash cut short is dropped when
    the file is opened again, and so is any other that is damaged.

    Parameters
    ----------
    path : Path
    header : dict
        What rows depend on. A journal with another header is started afresh.
    resume : bool
        Keep the lines of an earlier run with the same header.

    Attributes
    ----------
    other_header : bool
        Whether an earlier journal was given up for its header.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        self.header = header
        self.other_header = False
        self._places: dict[str, int] = {}
        first = _line(header)
        end = 0
        if resume and path.exists():
            end = self._read(first)
        self._file = path.open("r+b" if end else "w+b")
        self._file.truncate(end)
        self._file.seek(end)
        self._end = end
        if not end:
            self._append(first)
        self._synced = time.monotonic()

    @classmethod
    def of_finished(cls, path: Path) -> Journal:
        """Open the journal of a finished run for reading.

        Raises
        ------
        CellqaError
            There is none, or it is no journal.
        """
        try:
            with path.open("rb") as file:
                header = _content(file.readline())
        except OSError as error:
            raise CellqaError(f"{path}: {error.strerror}") from None
        if header is None:
            raise CellqaError(f"{path}: not the journal of a scoring run")
        journal = cls(path, header, resume=True)
        journal._file.close()
        return journal

    def images(self) -> list[str]:
        """Names of the images that it holds."""
        return list(self._places)

    def __lt__(self, other: Journal) -> bool:
        return self.path < other.path

    def __len__(self) -> int:
        return len(self._places)

    def add(self, image: str, states: Mapping[str, Any], rows: Sequence[Row]) -> None:
        """Append an image's rows, with the states of the files that they came from.

        Raises
        ------
        CellqaError
            The disk is full, or the file cannot be written; what was done before is kept.
        """
        place = self._end
        self._append(_line([image, states, [row.to_json() for row in rows]]))
        self._places[image] = place
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def get(self, image: str) -> tuple[dict[str, Any], list[Row]] | None:
        """States and rows of an image, or None if it is not there."""
        place = self._places.get(image)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place)
            content = _content(file.readline())
        assert content is not None  # it was checked or written by this object
        return content[1], [Row.from_json(fields) for fields in content[2]]

    def sync(self) -> None:
        """Force what was written to the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._broken(error) from None
        self._synced = time.monotonic()

    def close(self) -> None:
        """Force everything to the disk and close the file."""
        try:
            self.sync()
        finally:
            try:
                self._file.close()
            except OSError:
                self._file.raw.close()

    def _append(self, line: bytes) -> None:
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise self._broken(error) from None
        self._end += len(line)

    def _broken(self, error: OSError) -> CellqaError:
        return CellqaError(
            f"{self.path}: {error.strerror}; the {len(self)} images scored so far are kept: make "
            "room and go on with --resume"
        )

    def _read(self, first: bytes) -> int:
        """Index the lines; returns where the last whole one ends, 0 for another header."""
        end = 0
        with self.path.open("rb") as file:
            if file.readline() != first:
                self.other_header = True
                return 0
            end = file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    break
                content = _content(line)
                if content is not None:
                    self._places[content[0]] = end
                end += len(line)
        return end


def _line(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _content(line: bytes) -> Any:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    return json.loads(text)
