"""Files of JSON, one value a line, that survive a kill."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cellqa.disk import open_ours


class Lines:
    """A file of JSON, one value a line, that a kill may cut off anywhere.

    Each line begins with a checksum of the rest. A line that was cut off, or is damaged, counts as
    absent. Lines without a checksum, as versions before 0.2 wrote them, are read where they are
    JSON objects.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def read(self) -> Iterator[tuple[int, Any]]:
        """Place and value of each whole line, in order; nothing where there is no file."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            place = 0
            for line in file:
                value = _value(line)
                if value is not None:
                    yield place, value
                place += len(line)

    def at(self, place: int) -> Any:
        """The value of the line that begins at a place; None where there is none."""
        with self.path.open("rb") as file:
            file.seek(place)
            return _value(file.readline())

    def append(self, value: Any) -> int:
        """Add a line, which is handed to the system at once, and return its place.

        Raises
        ------
        OSError
            The disk is full, or the file cannot be written.
        CellqaError
            There is a link or a pipe in its place.
        """
        file = self._file or self._open()
        place = file.tell()
        file.write(_line(value))
        file.flush()
        return place

    def start(self) -> None:
        """Begin anew, with no lines.

        Raises
        ------
        CellqaError
            There is a link or a pipe in its place.
        """
        self.close()
        self._file = open_ours(self.path, keep=False)

    def sync(self) -> None:
        """Force what was written to the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> BinaryIO:
        """Open to append; a line that was cut off is dropped, so that it spoils no other."""
        self._file = open_ours(self.path, keep=True)
        self._file.truncate(_end_of_lines(self._file))
        self._file.seek(0, os.SEEK_END)
        return self._file


def _end_of_lines(file: BinaryIO) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    step = 4096
    while end:
        start = max(0, end - step)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def _line(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _value(line: bytes) -> Any:
    """What a whole line says; None where it is torn or damaged."""
    if not line.endswith(b"\n"):
        return None
    checksum, _, text = line.rstrip(b"\r\n").partition(b" ")
    if line.startswith(b"{"):
        text = line
    elif checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
