"""Which part of each plane is scored: within margins, without the sensor's outliers."""

from __future__ import annotations

from cellqa.errors import ImageError
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.planes.region import NO_PLACES, Region

_WHOLE = slice(0, None)


class Parts:
    """The part of a reference, its raw image and enhanced images that all have.

    Parameters
    ----------
    reference, raw : Plane or None
    scale : int
        How many times the raw image's pixels the others have along each side.
    valid : ndarray or None, shape of the reference
        0 where there is no picture.

    Raises
    ------
    ImageError
        Nothing is valid.
    """

    def __init__(
        self, reference: Plane | None, raw: Plane | None, scale: int, valid: Array | None
    ) -> None:
        self._valid = valid
        self._regions: dict[tuple[int, ...], Region] = {}
        leader = reference or raw
        if leader is None:
            return
        planes = [leader]
        if reference is not None and raw is not None and raw.shape == reference.shape:
            planes.append(raw)
        region = self._found(planes)
        if reference is not None and raw is not None and raw.shape != reference.shape:
            region = region.aligned(scale)
            self._regions[raw.shape] = region.reduced(scale)
        if reference is None and scale > 1:
            self._regions[tuple(scale * n for n in leader.shape)] = region.enlarged(scale)
        self._regions[leader.shape] = region

    def _found(self, planes: list[Plane]) -> Region:
        valid = self._valid
        if valid is not None and valid.shape != planes[0].shape:
            own, wanted = (" x ".join(map(str, s)) for s in (valid.shape, planes[0].shape))
            raise ImageError(f"--valid: its size {own} differs from the image's {wanted}")
        try:
            return Region.of(planes, valid)
        except ValueError as error:
            raise ImageError(f"--valid: {error}") from None

    def region(self, plane: Plane) -> Region:
        """Of a plane: that of all planes of its size; its own where there is nothing else."""
        if not self._regions:
            return self._found([plane])
        none = Region(_WHOLE, _WHOLE, NO_PLACES)
        return self._regions.get(plane.shape, none)

    def taken(self, plane: Plane, what: str, *, own: bool) -> Plane:
        """The part that is scored; with `own`, without the plane's own outliers too.

        Raises
        ------
        ImageError
            It holds NaN.
        """
        part = self.region(plane).taken(plane, own=own)
        if part.missing is not None:
            n = int(part.missing.sum())
            raise ImageError(f"{what} holds {n} pixels of NaN where it is scored; see --valid")
        return part

    def origin(self, plane: Plane) -> tuple[int, int]:
        """Where its part begins."""
        region = self.region(plane)
        return region.rows.start, region.columns.start
