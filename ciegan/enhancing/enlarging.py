"""Image files as a network of super-resolution sees them: with the pixels of its results."""

from __future__ import annotations

from dataclasses import replace

from cellqa.errors import ImageError
from cellqa.io import Acquisition, ImageFile, PlaneIndex
from cellqa.planes import Array
from ciegan.network.enlarging import enlarge, enlarged_rows


def enlarged(file: ImageFile, scale: int) -> ImageFile:
    """An open file with `scale` times the pixels along each side, each as much smaller.

    Parameters
    ----------
    file : ImageFile
        Closed with what is returned.
    scale : int
        1 leaves the file as it is.
    """
    if scale == 1:
        return file

    def finer(shape: tuple[int, ...]) -> tuple[int, ...]:
        return scale * shape[0], scale * shape[1], *shape[2:]

    def smaller(size: float | None) -> float | None:
        return size / scale if size else size

    def load(index: PlaneIndex) -> Array:
        return enlarge(_numbers(file.load(index)), scale)

    def load_rows(index: PlaneIndex, start: int, stop: int) -> Array:
        rows = file.shape_of(index)[0]
        return enlarged_rows(
            lambda a, b: _numbers(file.load_rows(index, a, b)), rows, scale, start, stop
        )

    def acquired() -> Acquisition:
        """Positions are those of the first pixel's middle, which lies further out."""
        known = file.acquired()
        x, y = file.size_of(file.planes[0])
        if not x or not (known.positions or known.axes):  # axes: OME-Zarr begins at 0 unsaid
            return known
        out = (1 - 1 / scale) / 2
        places = known.positions or ((0.0, 0.0),)
        moved = tuple((a - out * (y or x), b - out * x) for a, b in places)
        return known._replace(positions=moved)

    built = file.tiff
    if built is not None and built.resolution is not None:
        (along_x, along_y), unit = built.resolution
        built = replace(built, resolution=((scale * along_x, scale * along_y), unit))
    return replace(
        file,
        shape=finer(file.shape),
        scene_shapes=tuple(map(finer, file.scene_shapes)),
        pixel_size=smaller(file.pixel_size),
        pixel_size_y=smaller(file.pixel_size_y),
        scene_sizes=tuple((smaller(x), smaller(y)) for x, y in file.scene_sizes),
        decode=load,
        decode_rows=load_rows if file.decode_rows else None,
        acquisition=acquired,
        tiff=built,
    )


def _numbers(pixels: Array) -> Array:
    if pixels.dtype.kind not in "uif":
        raise ImageError(f"of type {pixels.dtype}: not an image")
    return pixels
