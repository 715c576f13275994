"""A file on its way to the disk, written by a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.enhance.files import Job
from cellqa.errors import CellqaError, ImageError, first_line
from cellqa.io import (
    ImageFile,
    PlaneIndex,
    write_image,
)
from cellqa.planes import Array
from ciegan.enhancing.enhanced import Enhanced
from ciegan.enhancing.enhancer import Levels

_AHEAD = 2  # planes that are read before, and blocks written after, those that are computed


@dataclass
class _File:
    """A file on its way: read, enhanced, written."""

    job: Job
    record: Enhanced
    key: str = ""
    source: ImageFile | None = None
    error: str = ""
    note: str = ""  # for the result's metadata
    levels: Levels = field(default_factory=dict)
    planes: int = 0
    copied: int = 0
    clipped: int = 0
    hot: dict[PlaneIndex, int] = field(default_factory=dict)
    values: int = 0
    spread: float = 0.0  # sum of the map
    spread_values: int = 0


class _Output:
    """A file that is written by a thread of its own, as its blocks come."""

    def __init__(self, file: _File, target: Path, note: str, dtype: np.dtype[Any]) -> None:
        self.file, self.target, self.note, self.dtype = file, target, note, dtype
        self.blocks: queue.Queue[Array | None] = queue.Queue(_AHEAD)
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def put(self, block: Array | None) -> None:
        """Hand a block over, or None for the end, while somebody takes them."""
        while self.thread.is_alive():
            try:
                self.blocks.put(block, timeout=0.1)
            except queue.Full:
                continue
            return

    def _write(self) -> None:
        """Write blocks as they come; nothing appears where one fails."""
        file = self.file

        block = self.blocks.get()  # by then it is known what is to be said of the file

        def blocks() -> Iterator[Array]:
            nonlocal block
            while block is not None:
                yield block
                block = self.blocks.get()
            if file.error:
                raise ImageError(file.error)

        assert file.source is not None
        try:
            planes = blocks()
            write_image(self.target, planes, file.source, self.note + file.note, self.dtype)
        except (CellqaError, ValueError, TypeError) as error:
            file.error = file.error or first_line(error)
        except OSError as error:
            file.error = file.error or f"{error.filename or self.target}: cannot be written " + (
                f"({error.strerror or first_line(error)})"
            )
        except Exception as error:  # a library's own
            file.error = file.error or f"cannot be written ({first_line(error)})"
