"""One black and white for all images of a folder: `--normalize folder`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellqa.enhance.files import Job, plan
from cellqa.errors import CellqaError
from cellqa.io import ImageFile, PlaneIndex, open_image
from cellqa.planes import Array
from ciegan.enhancing.enhancer import EnhanceOptions, grey_picture
from ciegan.enhancing.opening import as_seen
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.normalisation import PERCENTILES
from ciegan.network.percentiles import percentiles_of_bands

_ROWS = 1024


def with_folder_levels(
    options: EnhanceOptions, checkpoint: Checkpoint, source: Path, target: Path
) -> EnhanceOptions:
    """The options with the black and white of each channel, where `folder` asks for them.

    The 0.1st and 99.9th percentile of all pixels of all images that are enhanced, exactly: those of
    8 and 16 bits are counted in one pass, others looked for in some. Images that cannot be read, or
    hold NaN, do not count: they fail when they are enhanced.

    Parameters
    ----------
    options : EnhanceOptions
    checkpoint : Checkpoint
    source, target : Path

    Raises
    ------
    CellqaError
        There is no image.
    """
    if options.normalize != "folder" or options.levels:
        return options
    folder = _Folder(plan(source, target), options, checkpoint)
    found = []
    for channel in folder.channels():
        low, high = percentiles_of_bands(lambda c=channel: folder.bands(c), PERCENTILES)  # type: ignore[misc]
        found.append((channel, low, high if low < high else low + 1))
    return replace(options, levels=tuple(found))


class _Folder:
    """The pixels of a folder's images, channel by channel."""

    def __init__(self, work: Sequence[Job], options: EnhanceOptions, network: Checkpoint) -> None:
        self.paths = [job.source for job in work]
        self.options, self.network = options, network
        self.usable: dict[Path, set[int]] = {}

    def _opened(self, path: Path) -> ImageFile:
        """As it is enhanced."""
        return as_seen(open_image(path), self.network.scale, self.options, every=True)

    def channels(self) -> list[int]:
        """Channels that any image has; notes which images can be read from end to end."""
        for path in self.paths:
            try:
                with self._opened(path) as file:
                    planes = [index for index in file.planes if self._counts(index)]
                    for index in planes:
                        for rows in self._rows(file, index):
                            if rows.dtype.kind == "f" and not np.isfinite(rows).all():
                                raise CellqaError("NaN")
                    self.usable[path] = {index.c for index in planes}
            except CellqaError:
                continue  # it fails when it is enhanced, and is told of then
        return sorted(set().union(*self.usable.values()))

    def _counts(self, index: PlaneIndex) -> bool:
        """Of channels that are enhanced, all planes and times, so that parts fit together."""
        return self.options.channels is None or index.c in self.options.channels

    def bands(self, channel: int) -> Iterator[Array]:
        """Some rows after the other."""
        for path, there in self.usable.items():
            if channel not in there:
                continue
            with self._opened(path) as file:
                for index in file.planes:
                    if index.c == channel:
                        yield from self._rows(file, index)

    def _rows(self, file: ImageFile, index: PlaneIndex) -> Iterator[Array]:
        picture = grey_picture(file, index, self.network)
        if picture is not None:
            if picture.size:
                yield picture
            return
        height = file.shape_of(index)[0]
        for start in range(0, height, _ROWS):
            yield file.load_rows(index, start, min(start + _ROWS, height))
