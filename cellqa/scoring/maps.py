"""Maps of one image and method, on the disk: where it is right and where it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cellqa.disk import own_folder
from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.planes import Array


def save_maps(
    folder: Path,
    method: str,
    image: str,
    maps: Mapping[str, Array],
    pixel_size: float | None,
    scale: int = 1,
) -> list[Path]:
    """Write FOLDER/METHOD/IMAGE.NAME.tif for each map, as float32 with the pixel size.

    That of consistency has the pixels of the raw image, `scale` times as large.

    Characters of the method's and the image's name that mean something in a path of some system
    are escaped as in web addresses (%2F); folders of the image's name stay folders.

    Raises
    ------
    CellqaError
        The folder cannot be written.
    """
    places = [_safe(method), *(_safe(part) for part in image.split("/"))]
    own_folder(folder.joinpath(*places[:-1]), folder.parent)
    paths = []
    for name, pixels in maps.items():
        path = folder.joinpath(*places[:-1], f"{places[-1]}.{name}.tif")
        try:
            factor = scale if name == "consistency" else 1
            size = pixel_size * factor if pixel_size else None
            write_tiff(path, pixels.astype(np.float32), size)
        except OSError as error:
            raise CellqaError(f"{path}: the map cannot be written: {error.strerror}") from None
        paths.append(path)
    return paths


def _safe(part: str) -> str:
    """A name that is a name in every folder: no separators, no dots alone, no hidden file."""
    escaped = re.sub(r'[\x00-\x1f%/\\:*?"<>|]', lambda match: f"%{ord(match[0]):02X}", part)
    return "%2E" + escaped[1:] if escaped.startswith(".") else escaped
