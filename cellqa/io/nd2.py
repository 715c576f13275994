"""Nikon ND2, through the package nd2 (extra `nd2`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import nd2
import numpy as np

from cellqa.io.acquisition import Acquisition, Channel, Objective, number
from cellqa.io.base import (
    ImageFile,
    PlaneIndex,
    check_size,
    in_micrometres,
    plane_indices,
)
from cellqa.io.damage import check_whole
from cellqa.planes import Array


def open_file(path: Path, max_pixels: int) -> ImageFile:
    """Open; stage positions count as scenes."""
    handle = path.open("rb")
    file = None
    try:
        file = nd2.ND2File(handle)
        return _open(path, file, handle, max_pixels)
    except BaseException:
        if file is not None:
            file.close()
        handle.close()
        raise


def _open(path: Path, file: nd2.ND2File, handle: BinaryIO, max_pixels: int) -> ImageFile:
    sizes = dict(file.sizes)
    check_size(path, sizes["Y"], sizes["X"], max_pixels)
    size = in_micrometres(file.voxel_size().x, "um")
    loops = [axis for axis in sizes if axis not in "CYXS"]
    counts = [sizes[axis] for axis in loops]
    known = {"P": "s", "T": "t", "C": "c", "Z": "z"}
    colour = (sizes["S"],) if sizes.get("S", 1) > 1 else ()

    def frame_number(index: PlaneIndex) -> int:
        at = [getattr(index, known[axis]) if axis in known else 0 for axis in loops]
        return int(np.ravel_multi_index(at, counts)) if loops else 0

    def load(index: PlaneIndex, start: int = 0, stop: int | None = None) -> Array:
        frame = file.read_frame(frame_number(index))
        # a copy: frames are views of the mapped file, and touching them once it is closed crashes
        pixels = np.array((frame[index.c] if "C" in sizes else frame)[start:stop])
        if stop is None:
            check_whole(f"{path.name}: plane {index.label()}", pixels)
        return pixels

    def close() -> None:
        file.close()
        handle.close()

    planes = plane_indices(*(sizes.get(axis, 1) for axis in known))
    shape = (sizes["Y"], sizes["X"], *colour)
    # a calibration of exactly 1 is what uncalibrated files state
    size = None if size == 1.0 else size

    def acquisition() -> Acquisition:
        frames = {number: file.frame_metadata(number) for number in set(map(frame_number, planes))}
        first = {number: frame.channels[0] for number, frame in frames.items()}
        stages = [first[frame_number(PlaneIndex(s=s))].position for s in range(sizes.get("P", 1))]
        step = in_micrometres(file.voxel_size().z, "um") if sizes.get("Z", 1) > 1 else None
        channels = file.metadata.channels or ()
        return Acquisition(
            tuple(_channel(each.channel) for each in channels),
            step,
            tuple(first[frame_number(i)].time.relativeTimeMs / 1e3 for i in planes),
            tuple((s.stagePositionUm.y, s.stagePositionUm.x) for s in stages),
            tuple(s.stagePositionUm.z for s in stages),
            objective=_objective(channels[0].microscope) if channels else Objective(),
            bits=file.attributes.bitsPerComponentSignificant,
        )

    return ImageFile(
        path,
        planes,
        shape,
        np.dtype(file.dtype),
        size,
        load,
        close,
        decode_rows=load,
        acquisition=acquisition,
        pixel_size_y=in_micrometres(file.voxel_size().y, "um") if size else None,
    )


def _channel(about: Any) -> Channel:
    r, g, b = about.color.r, about.color.g, about.color.b
    colour = f"#{r:02x}{g:02x}{b:02x}"
    return Channel(
        about.name, colour, number(about.excitationLambdaNm), number(about.emissionLambdaNm)
    )


def _objective(about: Any) -> Objective:
    """Of the first channel; the index of the immersion tells its kind."""
    index = about.immersionRefractiveIndex
    kinds = {"Air": (1.0, 1.01), "Water": (1.32, 1.35), "Oil": (1.5, 1.53)}
    kind = (name for name, (low, high) in kinds.items() if index and low <= index <= high)
    return Objective(
        about.objectiveName or "",
        number(about.objectiveMagnification),
        number(about.objectiveNumericalAperture),
        next(kind, ""),
    )
