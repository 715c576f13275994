"""What is taken of layers: their planes, where they lie, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Image, Layer

from cellqa.errors import ImageError, printable
from cellqa.io.base import in_micrometres
from cellqa.planes import Array

MARK = "cellqa"  # in a layer's metadata: what the plugin made it by
MAP = "cellqa map"  # likewise, of maps, which are no images to judge

_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_NO_UNIT = ("pixel", "px", "dimensionless", "")
_SQUARE = 0.01  # sides of a pixel that differ by less are equal


class PixelSize(NamedTuple):
    """Side of a pixel along X.

    Attributes
    ----------
    micrometres : float or None
        None where the layer does not say.
    said : str
        What was taken, and from where, in words.
    """

    micrometres: float | None
    said: str


class NewLayer(NamedTuple):
    """An image layer to add.

    Attributes
    ----------
    data : ndarray, shape (..., Y, X)
    options : dict
        Of `add_image`.
    """

    data: Array
    options: dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """What is taken of an image layer, so that work goes on whatever becomes of the layer.

    Attributes
    ----------
    name : str
    data : array, shape (..., Y, X)
        In memory, or lazy: then planes are read when they are needed.
    pixel_size : PixelSize
    place : dict
        What a layer of the same shape needs to lie on it: scale, translate, units, ...
    metadata : dict
        Of the layer.
    only : tuple of int or None
        The one plane that is taken, by its place along the leading axes; None for all.
    notes : tuple of str
        What should be known of it.
    """

    name: str
    data: Any
    pixel_size: PixelSize
    place: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def side(self) -> tuple[int, int]:
        """(Y, X) of a plane."""
        return int(self.data.shape[-2]), int(self.data.shape[-1])

    @property
    def pixels(self) -> int:
        """Of a plane."""
        return self.side[0] * self.side[1]

    @property
    def stack(self) -> tuple[int, ...]:
        """Lengths of the leading axes of what is taken; empty for a 2D image."""
        lengths = tuple(map(int, self.data.shape[:-2]))
        return lengths if self.only is None else (1,) * len(lengths)

    @property
    def places(self) -> list[tuple[int, ...]]:
        """Of each plane that is taken, along the leading axes."""
        if self.only is not None:
            return [self.only]
        return list(np.ndindex(tuple(map(int, self.data.shape[:-2]))))

    @property
    def lazy_bytes(self) -> float:
        """That all planes take once they are read; 0 where they are in memory."""
        lazy = not isinstance(self.data, np.ndarray)
        return float(lazy * len(self.places) * self.pixels * np.dtype(self.data.dtype).itemsize)

    def plane(self, number: int) -> Array:
        """A plane (Y, X), in memory; that of a single image, whatever the number."""
        places = self.places
        return self._read(places[number if len(places) > 1 else 0])

    def beside(self, number: int, by: int) -> Array | None:
        """The plane so many steps further along the last leading axis; None beyond its ends."""
        *others, last = self.places[number]
        if not 0 <= last + by < self.data.shape[-3]:
            return None
        return self._read((*others, last + by))

    def planes(self) -> Iterator[Array]:
        """Each plane (Y, X) in turn."""
        return map(self._read, self.places)

    def _read(self, place: tuple[int, ...]) -> Array:
        return np.asarray(self.data[place] if place else self.data)

    def label(self, number: int) -> str:
        """A plane in words, for notes; empty for a single image."""
        places = self.places
        return f" plane {'-'.join(map(str, places[number]))}" if len(places) > 1 else ""

    def laid(self) -> dict[str, Any]:
        """Options of a layer that lies on what was taken of this one."""
        place = dict(self.place)
        if self.only and "translate" in place:
            steps = np.array([*self.only, 0, 0], dtype=float)
            place["translate"] = place["translate"] + steps * place["scale"]
        return place


def picture_of(layer: Layer | None, point: Sequence[float] | None = None) -> Picture:
    """What is taken of a layer.

    Parameters
    ----------
    layer : Layer or None
    point : sequence of float, optional
        Where the viewer is, in world coordinates (`viewer.dims.point`): of a stack, the plane shown
        there is taken alone.

    Raises
    ------
    ImageError
        It is no image of grey levels, or the viewer is beyond it.
    """
    if layer is None:
        raise ImageError("choose an image layer")
    name = printable(layer.name)
    if not isinstance(layer, Image):
        kind = type(layer).__name__.lower()
        raise ImageError(f"{name}: a {kind} layer, which holds no grey levels; choose an image")
    if layer.rgb:
        raise ImageError(
            f"{name}: a colour image (RGB); split it into its channels (right-click on the layer, "
            "Split RGB) and choose one"
        )
    data, notes = layer.data, []
    if layer.multiscale:
        levels = len(data)
        data = data[0]
        notes.append(f"{name}: of its {levels} levels the finest is taken, {_size(data.shape)}")
    only = _shown(layer, name, data.shape, point) if point is not None else None
    place = {key: getattr(layer, key) for key in _PLACE if hasattr(layer, key)}
    size = pixel_size_of(layer)
    return Picture(name, data, size, place, dict(layer.metadata), only, tuple(notes))


def pixel_size_of(layer: Layer) -> PixelSize:
    """The pixel size that a layer's scale and units say; a scale without a unit counts as µm."""
    y, x = (abs(float(each)) for each in layer.scale[-2:])
    unit = str(getattr(layer, "units", ("pixel",))[-1])
    if unit in _NO_UNIT:
        if x == y == 1:
            return PixelSize(None, "no pixel size (scale 1, no unit): lengths are in pixels")
        size: float | None = x
        said = f"{x:.6g} µm, from the scale (no unit: taken as µm)"
    else:
        size = in_micrometres(x, unit)
        said = f"{size:.6g} µm, from scale and unit" if size else ""
    if not size:
        return PixelSize(None, f"a scale in {unit} is no length: lengths are in pixels")
    if abs(y / x - 1) > _SQUARE:
        said += f"; pixels are not square (1 : {y / x:.3g}), lengths are in units of X"
    return PixelSize(size, said)


def _shown(
    layer: Layer, name: str, shape: Sequence[int], point: Sequence[float]
) -> tuple[int, ...] | None:
    if len(shape) == 2:
        return None
    # layers of fewer axes than the viewer are aligned by their last ones
    at = layer.world_to_data(tuple(point)[-layer.ndim :])[:-2]
    only = tuple(round(float(step)) for step in at)
    if any(not 0 <= step < length for step, length in zip(only, shape, strict=False)):
        raise ImageError(f"{name} has no plane where the viewer is: move the sliders onto it")
    return only


def check_same_side(pictures: Sequence[Picture]) -> None:
    """Refuse layers whose planes differ in size.

    Raises
    ------
    ImageError
        It names the first two that do.
    """
    for other in pictures[1:]:
        if other.side != pictures[0].side:
            raise ImageError(
                f"{pictures[0].name} has {_size(pictures[0].side)} pixels and {other.name} "
                f"{_size(other.side)}: layers that are compared must be of one size"
            )


def check_same_number(first: Picture, other: Picture, *, shared: bool) -> None:
    """Refuse layers with different numbers of planes; a `shared` one may serve all of a stack.

    Raises
    ------
    ImageError
        They differ.
    """
    ours, theirs = len(first.places), len(other.places)
    if ours != theirs and not (shared and theirs == 1):
        raise ImageError(
            f"{first.name} has {ours} plane{'s' * (ours != 1)} and {other.name} {theirs}: there "
            "must be as many of each" + ", or one" * shared
        )


def scale_between(large: Picture, raw: Picture | None) -> int:
    """How many times the pixels of the raw layer the other has along each side.

    Raises
    ------
    ImageError
        No whole number of times.
    """
    if raw is None or raw.side == large.side:
        return 1
    times = max(1, large.side[0] // raw.side[0])
    if (times * raw.side[0], times * raw.side[1]) != large.side:
        raise ImageError(
            f"{raw.name} has {_size(raw.side)} pixels and {large.name} {_size(large.side)}: the "
            "raw layer must be of one size with it, or smaller by a whole number"
        )
    return times


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
