"""Wells of plates: where on a plate an image is of, by its name."""

from __future__ import annotations

import re
from typing import NamedTuple

from cellqa.io import split_suffix
from cellqa.pairs.pairing import without_plane

_ROWS, _COLUMNS = 48, 72  # of the largest plate that there is
_NAME = re.compile(r"(?:(.+)/)?([A-Z]{1,2})/(0?[1-9]|[1-9]\d)/(\d+)(\..+)?")


class Well(NamedTuple):
    """A well and a field of it.

    Attributes
    ----------
    plate : str
        Empty where the name has none.
    row : str
        A to Z, AA and so on.
    column : int
        From 1.
    field : int
    """

    plate: str
    row: str
    column: int
    field: int

    @property
    def name(self) -> str:
        """Of the well on its plate, as `B3`."""
        return f"{self.row}{self.column}"

    @property
    def place(self) -> tuple[int, int]:
        """Row and column on the plate, from 0.

        Examples
        --------
        >>> well_of("B/3/0").place, well_of("AF/48/0").place
        ((1, 2), (31, 47))
        """
        row = 0
        for letter in self.row:
            row = 26 * row + ord(letter) - ord("A") + 1
        return row - 1, self.column - 1


def well_of(name: str) -> Well | None:
    """The well that an image is of, as images of OME-Zarr plates are called: row, column, field.

    Parameters
    ----------
    name : str
        Of an image or a plane; a suffix of images and what stands before the row are allowed.

    Returns
    -------
    Well or None
        None where the name is none of a well, or of one beyond the largest plates.

    Examples
    --------
    >>> well_of("plate1.zarr/B/03/0#t0c1z3")
    Well(plate='plate1.zarr', row='B', column=3, field=0)
    >>> well_of("A/1/0.tif").name
    'A1'
    >>> well_of("cells/3/0.tif"), well_of("ZZ/99/0")
    (None, None)
    """
    image = without_plane(name)
    match = _NAME.fullmatch(image)
    if match is None or (match[5] or "") != split_suffix(image)[1]:
        return None
    well = Well(match[1] or "", match[2], int(match[3]), int(match[4]))
    row, column = well.place
    return well if row < _ROWS and column < _COLUMNS else None
