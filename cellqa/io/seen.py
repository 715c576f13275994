"""What stored pixels look like: upright, black where they mean black, in colour or grey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cellqa.planes import Array

UPRIGHT = 1
_TRANSPOSED = 5  # orientations from here on have rows for columns


@dataclass(frozen=True)
class Look:
    """How the pixels of a file are meant.

    Attributes
    ----------
    orientation : int
        1 to 8, as the TIFF tag 274 and EXIF have it.
    white : int or None
        The value that means black where 0 means white; None where 0 means black.
    palette : ndarray of uint8, shape (n, 3), or None
        The colour of each value.
    apart : bool
        Samples are channels of their own, no colours.

    Examples
    --------
    >>> import numpy as np
    >>> Look(white=255).of(np.array([[0, 255]], np.uint8)).tolist()
    [[255, 0]]
    """

    orientation: int = UPRIGHT
    white: int | None = None
    palette: Array | None = None
    apart: bool = False

    def of(self, pixels: Array, sample: int = 0) -> Array:
        """A plane as it is meant, of stored ones (Y, X) or (Y, X, S)."""
        if self.apart and pixels.ndim == 3:
            pixels = pixels[..., sample]
        if self.palette is not None:
            pixels = self.palette[np.minimum(pixels, len(self.palette) - 1)]
        if self.white is not None:
            pixels = ~pixels if pixels.dtype.kind == "b" else pixels.dtype.type(self.white) - pixels
        return turned(pixels, self.orientation)

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Of what `of` returns."""
        sides = stored[1::-1] if self.sideways else stored[:2]
        if self.palette is not None:
            return (*sides, 3)
        return sides if self.apart else (*sides, *stored[2:])

    def dtype(self, stored: np.dtype[np.generic]) -> np.dtype[np.generic]:
        """Of what `of` returns."""
        return stored if self.palette is None else self.palette.dtype

    @property
    def sideways(self) -> bool:
        """Whether rows are stored as columns."""
        return self.orientation >= _TRANSPOSED


def turned(pixels: Array, orientation: int) -> Array:
    """Pixels as they are to be seen, of those stored in this orientation (1 to 8).

    Examples
    --------
    >>> import numpy as np
    >>> turned(np.array([[1, 2], [3, 4]]), 6).tolist()  # stored turned to the left
    [[3, 1], [4, 2]]
    """
    if orientation >= _TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    down = {3: -1, 4: -1, 7: -1, 8: -1}.get(orientation, 1)
    right = {2: -1, 3: -1, 6: -1, 7: -1}.get(orientation, 1)
    return pixels if (down, right) == (1, 1) else pixels[::down, ::right]


def orientation_of(exif: bytes) -> int:
    """What EXIF says, without its header `Exif`; upright where it says nothing usable."""
    from PIL import Image

    data = Image.Exif()
    try:
        data.load(exif)
        value = data.get(274, UPRIGHT)
    except Exception:  # metadata of any program, in any state
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def luminance(pixels: Array) -> Array:
    """Grey values of colour pixels (Y, X, S): ITU-R 601, rounded to the type of an integer image.

    One or two samples are grey (and alpha), three or four are red, green, blue (and alpha); alpha
    is dropped. Planes (Y, X) come back as they are.

    Examples
    --------
    >>> import numpy as np
    >>> luminance(np.array([[[255, 0, 0]]], np.uint8))
    array([[76]], dtype=uint8)
    """
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] < 3:
        return pixels[..., 0]
    # term by term, so that ties round alike whatever the layout in memory
    red, green, blue = (pixels[..., k].astype(np.float64) for k in range(3))
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    if pixels.dtype.kind in "iu":
        grey = np.rint(grey)
    return np.asarray(grey.astype(pixels.dtype if pixels.dtype.kind != "b" else np.float32))


COLOURS = ("red", "green", "blue")
_EMPTY = 0.02  # of the strongest colour's spread: what a lossy codec leaves in the others


def carriers(pixels: Array) -> tuple[int, ...]:
    """Colours that hold the one picture that colour pixels (Y, X, S) show; empty if there are more.

    A grey picture in pseudo-colour is in one of them, or is the same in several; the others are
    constant, but for what a lossy codec leaves there.

    Examples
    --------
    >>> import numpy as np
    >>> blue = np.zeros((2, 2, 3), np.uint8)
    >>> blue[..., 2] = [[10, 200], [30, 4]]
    >>> carriers(blue)
    (2,)
    """
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return ()
    spread = [float(pixels[..., k].std(dtype=np.float64)) for k in range(3)]
    if not max(spread) > 0:
        return ()
    there = tuple(k for k in range(3) if spread[k] > _EMPTY * max(spread))
    first = pixels[..., there[0]]
    return there if all(np.array_equal(first, pixels[..., k]) for k in there[1:]) else ()


def grey(pixels: Array, colour: int | None = None) -> Array:
    """Grey values of pixels (Y, X) or (Y, X, S): of that colour, else of the one picture they show.

    That is the colour that holds it (`carriers`), or the luminance of true colour.

    Examples
    --------
    >>> import numpy as np
    >>> blue = np.zeros((2, 2, 3), np.uint8)
    >>> blue[..., 2] = [[10, 200], [30, 4]]
    >>> grey(blue).tolist(), luminance(blue).tolist()
    ([[10, 200], [30, 4]], [[1, 23], [3, 0]])
    """
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        there = carriers(pixels) if colour is None else (colour,)
        if there:
            return np.ascontiguousarray(pixels[..., there[0]])
    return luminance(pixels)
