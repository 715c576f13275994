"""Tiles read: whether they fit together, and their files, kept open."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from cellqa.errors import CellqaError
from cellqa.io import ImageFile, PlaneIndex
from cellqa.io.isolated import open_safely
from ciegan.mosaic.scans import Scan

_SAME_SIZE = 0.01  # by which share pixel sizes of one scan may differ
_OPEN = 128  # files kept open
_LARGEST = 2**34  # pixels of an assembled plane
_SPARSEST = 100  # times the pixels of its tiles that a mosaic may have


def check_tiles(scan: Scan, files: TileFiles) -> ImageFile:
    """The first tile's file, where the tiles agree in shape, type, planes and pixel size.

    Raises
    ------
    CellqaError
        They do not; the scan has a problem, is absurdly large, or a tile cannot be opened.
    """
    if scan.problem:
        raise CellqaError(scan.problem)
    first: dict[str, object] = {}
    for tile in scan.tiles:
        file = files.open(tile.path)
        own: dict[str, object] = {
            "shape": file.shape_of(PlaneIndex(s=tile.scene)),
            "type": str(file.dtype),
            "planes (t, c, z)": tuple(1 + n for n in file.planes[-1][1:]),
        }
        side = file.size_of(PlaneIndex(s=tile.scene))[0]
        if not first:
            first, size = own, side
        for what, value in own.items():
            if value != first[what]:
                raise CellqaError(
                    f"{tile.name}: its {what} {value} is not {first[what]} as of "
                    f"{scan.tiles[0].name}"
                )
        if bool(size) != bool(side) or (size and side and abs(side / size - 1) > _SAME_SIZE):
            raise CellqaError(
                f"{tile.name}: its pixel size {side} is not {size} as of {scan.tiles[0].name}"
            )
    opened = files.open(scan.tiles[0].path)
    _check_extent(scan, opened.shape_of(PlaneIndex(s=scan.tiles[0].scene)))
    return opened


def _check_extent(scan: Scan, shape: tuple[int, ...]) -> None:
    """Refuse positions that ask for absurd memory."""
    height, width = shape[:2]
    if scan.staged:
        sides = [
            max(values) - min(values) + side
            for values, side in (
                ([tile.y for tile in scan.tiles], height),
                ([tile.x for tile in scan.tiles], width),
            )
        ]
    else:
        (top, bottom), (left, right) = scan.spanned()
        sides = [float((bottom - top + 1) * height), float((right - left + 1) * width)]
    area = sides[0] * sides[1]
    if area > min(_LARGEST, _SPARSEST * len(scan.tiles) * height * width):
        raise CellqaError(
            f"its {len(scan.tiles)} tiles are spread over {sides[0]:.3g} x {sides[1]:.3g} pixels; "
            "are these places of one scan?"
        )


class TileFiles:
    """Files of tiles, for use in a `with` statement; the latest ones stay open.

    Opening a file with thousands of planes takes long, and mosaics go through their tiles once for
    each plane.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[Path, ImageFile] = OrderedDict()

    def open(self, path: Path) -> ImageFile:
        """The open file.

        Raises
        ------
        CellqaError
            It cannot be opened.
        """
        if path not in self._files:
            self._files[path] = open_safely(path)
        self._files.move_to_end(path)
        while len(self._files) > _OPEN:
            self._files.popitem(last=False)[1].on_close()
        return self._files[path]

    def __enter__(self) -> TileFiles:
        return self

    def __exit__(self, *error: object) -> None:
        while self._files:
            self._files.popitem()[1].on_close()
