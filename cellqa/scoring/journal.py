"""What a run has done so far, on the disk: rows survive whatever ends the run."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from cellqa.errors import CellqaError
from cellqa.tables.rows import Row

_SYNC_SECONDS = 2.0  # what a power failure may cost


class FinishedJournal:
    """The journal of a finished run, for reading.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    header : dict
        What the rows depend on.

    Raises
    ------
    CellqaError
        There is none, or it is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                header, self._places, _ = _read(file)
        except OSError as error:
            raise CellqaError(f"{path}: {error.strerror}") from None
        if header is None:
            raise CellqaError(f"{path}: not the journal of a scoring run")
        self.header = header

    def images(self) -> list[str]:
        """Names of the images that it holds."""
        return list(self._places)

    def get(self, image: str) -> tuple[dict[str, Any], list[Row]] | None:
        """States and rows of an image, or None if it is not there."""
        place = self._places.get(image)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place)
            content = _entry(file.readline())
        if content is None or content[0] != image:
            raise CellqaError(f"{self.path}: changed by another program while it was in use")
        return content[1], [Row.from_json(fields) for fields in content[2]]

    def __len__(self) -> int:
        return len(self._places)


class Journal(FinishedJournal):
    """An append-only file: a header, then a line for each image with its rows.

    Each line starts with a checksum of the rest. A line that a crash cut short is dropped when
    the file is opened again, and so is any other that is damaged.

    Parameters
    ----------
    path : Path
    header : dict
        What rows depend on. A journal with another header is put aside, under a name that ends
        in `.old`, and a new one is started.
    resume : bool
        Keep the lines of an earlier run with the same header.

    Attributes
    ----------
    given_up : str
        Why an earlier journal was not gone on with; empty otherwise.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        self.header = dict(header)
        self.given_up = ""
        self._places: dict[str, int] = {}
        first = _line(header)
        self._end = 0
        if resume and path.exists():
            self._go_on(first)
        self._file = path.open("r+b" if self._end else "w+b")
        self._file.truncate(self._end)
        self._file.seek(self._end)
        if not self._end:
            self._append(first)
        self._synced = time.monotonic()

    def keep_only(self, images: Collection[str]) -> None:
        """Drop the images that the run no longer has."""
        gone = self._places.keys() - set(images)
        if not gone:
            return
        kept = [(name, self.get(name)) for name in self._places if name not in gone]
        header = self.header
        self.close()
        temporary = self.path.with_name(f".{self.path.name}.part")
        fresh = Journal(temporary, header, resume=False)
        for name, found in kept:
            assert found is not None  # it is in the index
            fresh.add(name, *found)
        fresh.close()
        temporary.replace(self.path)
        self.__init__(self.path, header, resume=True)  # type: ignore[misc]

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

    def sync(self) -> None:
        """Force what was written to the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._broken(error) from None
        self._synced = time.monotonic()

    def close(self) -> None:
        """Force everything to the disk; rows can still be read."""
        if self._file.closed:
            return
        try:
            self.sync()
        finally:
            try:
                self._file.close()
            except OSError:
                self._file.raw.close()

    def _go_on(self, first: bytes) -> None:
        with self.path.open("rb") as file:
            header, places, end = _read(file)
            file.seek(0)
            same = file.readline() == first
        if same:
            self._places, self._end = places, end
            return
        self.given_up = "the journal was damaged or empty"
        if header is not None:
            old = self.path.with_name(f"{self.path.name}.old")
            self.path.replace(old)
            self.given_up = (
                f"settings or versions differ from the earlier run's, which is now {old.name}"
            )

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


def _read(file: BinaryIO) -> tuple[dict[str, Any] | None, dict[str, int], int]:
    """Header, where each image's last line starts, and where the last whole line ends."""
    header = _content(file.readline())
    if not isinstance(header, dict):
        return None, {}, 0
    places: dict[str, int] = {}
    end = file.tell()
    for line in file:
        if not line.endswith(b"\n"):
            break
        content = _entry(line)
        if content is not None:
            places[content[0]] = end
        end += len(line)
    return header, places, end


def _line(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> tuple[str, dict[str, Any], list[Any]] | None:
    content = _content(line)
    if not isinstance(content, list) or [type(c) for c in content] != [str, dict, list]:
        return None
    return content[0], content[1], content[2]


def _content(line: bytes) -> Any:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not text or checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
