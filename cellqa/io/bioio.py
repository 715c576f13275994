"""Files of suffixes that the user gives to the package bioio (extra `bioio`), by its plugins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.errors import ImageError
from cellqa.io.acquisition import Acquisition, Channel, said
from cellqa.io.base import (
    ImageFile,
    PlaneIndex,
    Size,
    check_size,
    in_micrometres,
    plane_indices,
)
from cellqa.planes import Array

_MADE_UP = re.compile(r"Channel:\d+")  # names of channels without any


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open with the plugin that bioio chooses; scenes have to be alike but for their sides.

    Raises
    ------
    ImageError
        Scenes differ in type or numbers of planes, or planes are too large.
    """
    import bioio  # here, for tools that import every module where the extra is missing

    image = bioio.BioImage(path)
    names = tuple(map(str, image.scenes))
    shapes: list[tuple[int, ...]] = []
    sizes: list[Size] = []
    kinds = set()
    for number in range(len(names)):
        image.set_scene(number)
        dims, samples = image.dims, getattr(image.dims, "S", 1)
        check_size(path, dims.Y, dims.X, max_pixels)
        if samples > 4:
            raise ImageError(f"{path.name}: {samples} samples a pixel are not supported")
        shapes.append((dims.Y, dims.X, samples) if samples > 1 else (dims.Y, dims.X))
        kinds.add((dims.T, dims.C, dims.Z, samples, np.dtype(image.dtype)))
        stated = image.physical_pixel_sizes
        sizes.append((_length(stated.X), _length(stated.Y)))
    if len(kinds) != 1:
        raise ImageError(f"{path.name}: its {len(names)} scenes differ; save each on its own")
    ((t, c, z, _, dtype),) = kinds
    planes = plane_indices(len(names), t, c, z)

    def load(index: PlaneIndex) -> Array:
        image.set_scene(index.s)
        axes = "YXS"[: len(shapes[index.s])]
        plane: Any = image.get_image_dask_data(axes, T=index.t, C=index.c, Z=index.z)
        return np.asarray(plane.compute(scheduler="synchronous"))

    def acquisition() -> Acquisition:
        image.set_scene(0)
        every = map(str, image.channel_names or ())
        channels = said(Channel("" if _MADE_UP.match(name) else name) for name in every)
        step = _length(image.physical_pixel_sizes.Z)
        return Acquisition(
            channels if len(channels) == c else (),
            step if z > 1 else None,
            scene_names=names if len(names) > 1 else (),
        )

    return ImageFile(
        path,
        planes,
        shapes[0],
        dtype,
        sizes[0][0],
        load,
        scene_shapes=tuple(shapes),
        acquisition=acquisition,
        pixel_size_y=sizes[0][1],
        scene_sizes=tuple(sizes) if len(set(sizes)) > 1 else (),
    )


def _length(stated: float | None) -> float | None:
    """In micrometres; exactly 1 is what plugins state of files that say nothing."""
    return None if stated == 1.0 else in_micrometres(stated, "um")
