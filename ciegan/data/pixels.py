"""Images as training data: read, and refused where they cannot be learned from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cellqa.errors import ImageError
from cellqa.io import PlaneIndex, open_image
from cellqa.planes import Array

STRETCHED = "pixels are not square: lengths are in units of X (--pixel-size)"
_LARGEST = 1e30  # values beyond do not fit into the networks' arithmetic


_FEW, _SMOOTH = 4, 0.999  # values of classes within each other; share of steps by one level
_LABELS = 0.8  # share of equal neighbours, beside the background, from which values are labels


def check_pixels(pixels: Array, role: str, *, prepared: bool = False) -> None:
    """Refuse what cannot be trained on.

    A tile of prepared data may be flat or look like labels, where its field does not.

    Raises
    ------
    ImageError
        The image is boolean or complex, holds NaN or infinity, is constant, or holds labels.
    """
    if pixels.dtype.kind not in "uif":
        raise ImageError(f"the {role} is of type {pixels.dtype}: not an image")
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite(high - low):
        raise ImageError(f"the {role} holds NaN or infinity")
    if max(abs(low), abs(high)) > _LARGEST:
        raise ImageError(f"the {role} holds values beyond {_LARGEST:g}")
    if prepared:
        return
    if low == high:
        raise ImageError(f"the {role} is constant: all pixels are {low:g}")
    if looks_like_labels(pixels):
        raise ImageError(f"the {role} looks like labels of objects, not like an image")


def looks_like_labels(pixels: Array) -> bool:
    """Whether whole numbers fill areas: beside the background, most neighbours are equal.

    Dim and blurred images do, too; but there, one level borders on the next.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((64, 64), np.uint8)
    >>> mask[10:30, 10:30] = 1
    >>> looks_like_labels(mask)
    True
    >>> looks_like_labels(np.random.default_rng(0).poisson(3, (64, 64)).astype(np.uint8))
    False
    """
    plane = pixels if pixels.ndim == 2 else pixels[..., 0]
    if plane.dtype.kind == "f" and (plane % 1 != 0).any():
        return False
    values, counts = np.unique(plane, return_counts=True)
    objects = plane[:, :-1] != values[counts.argmax()]
    if not objects.any():
        return False
    real = plane.astype(np.float64)
    smooth = (np.mean(np.abs(np.diff(real, axis=axis)) <= 1) > _SMOOTH for axis in (0, 1))
    if len(values) > _FEW and all(smooth):
        return False
    return bool((plane[:, :-1] == plane[:, 1:])[objects].mean() > _LABELS)


class Loaded(NamedTuple):
    """Pixels of a plane, their side along X in micrometres, and whether they are not square."""

    pixels: Array
    size: float | None
    stretched: bool


def load_image(path: Path, index: PlaneIndex | None = None, *, as_is: bool = False) -> Loaded:
    """A plane, grey or in three colours.

    Three equal colours are grey, unless `as_is`.

    Raises
    ------
    CellqaError
        It cannot be read; or has several planes and `index` is not given.
    """
    with open_image(path) as file:
        if index is None and len(file.planes) > 1:
            raise ImageError(
                f"{path.name}: {len(file.planes)} planes; save the one to use as its own file "
                "(cellqa sharpest --write), or use `ciegan prepare zstack`"
            )
        index = index or file.planes[0]
        pixels = colours(file.load(index), as_is)
        return Loaded(pixels, file.size_of(index)[0], bool(file.stretched(index)))


def colours(pixels: Array, as_is: bool = False) -> Array:
    """Without alpha: (Y, X), or (Y, X, 3); three equal colours are grey, unless `as_is`.

    Raises
    ------
    ImageError
        A second or fourth sample varies, so that it is no alpha but a channel, or there are more.
    """
    if pixels.dtype == np.float16:  # which nothing is computed in
        pixels = pixels.astype(np.float32)
    if pixels.ndim == 2:
        return pixels
    samples = pixels.shape[2]
    if samples > 4 or (samples in (2, 4) and np.ptp(pixels[..., -1])):
        raise ImageError(
            f"{samples} samples a pixel are channels, not colours: save each as its own file"
        )
    if samples < 3:
        return np.ascontiguousarray(pixels[..., 0])
    rgb = pixels[..., :3]
    grey = not as_is and (rgb == rgb[..., :1]).all()
    return np.ascontiguousarray(rgb[..., 0] if grey else rgb)
