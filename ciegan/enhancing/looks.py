"""What is looked at as planes pass: whether the network knows them, and results explain them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cellqa.io import PlaneIndex, luminance
from cellqa.metrics.consistency import consistency
from cellqa.planes import Array
from ciegan.enhancing.enhancer import NetworkEnhancer
from ciegan.enhancing.output import _File
from ciegan.network.windows import Band

_CHECKED = 2048  # columns of a large plane that --check looks at together
_UNLIKE = "unlike the images that it was trained on"
_TOO_FEW = 64  # rows or columns that say nothing of agreement


def look(
    file: _File,
    index: PlaneIndex,
    pixels: Array,
    limits: tuple[float, float] | None,
    network: NetworkEnhancer,
) -> None:
    """Note how far a plane is from what the network was trained on.

    Where its black and white are not known, as in colour, those of its luminance are taken.
    """
    familiar = network.checkpoint.familiar
    if familiar is None or pixels.dtype.kind not in "uif":
        return
    grey = np.asarray(luminance(pixels))
    limits = limits or network.limits(grey)
    unlike = familiar.unlike(grey, limits) if limits else math.nan
    if not unlike <= file.record.unlike:  # nan at first
        file.record.unlike = unlike
    if network.options.check and (line := _line_of(file, index)):
        line[3] = unlike
    if unlike > 1 and _UNLIKE not in file.note:
        file.note += f", {_UNLIKE} ({unlike:.1f} of what is usual)"


def check_part(file: _File, index: PlaneIndex, part: Band) -> None:
    """Blocks of a large plane; the spectrum of all of it would not fit into memory."""
    for left in range(0, part.raw.shape[1], _CHECKED):
        columns = slice(left, left + _CHECKED)
        raw, enhanced = part.raw[:, columns], part.enhanced[:, columns]
        if min(raw.shape[:2]) >= _TOO_FEW:
            agree(file, index, raw, enhanced)


def agree(file: _File, index: PlaneIndex, raw: Array, enhanced: Array) -> None:
    """Keep the agreement of the parts that agree least."""
    record, source = file.record, file.source
    assert source is not None
    line = _line_of(file, index)
    grey, image = (np.asarray(luminance(p)) for p in (raw, enhanced))
    if np.ptp(grey) and np.ptp(image):
        agreed = consistency(grey, image)
        if line and not line[1] <= agreed.rsp:
            line[1:3] = agreed.rsp, agreed.rse
        if not record.rsp <= agreed.rsp:  # nan at first
            record.rsp, record.rse = agreed.rsp, agreed.rse
            record.worst = source.label(index) if len(source.planes) > 1 else ""


def _line_of(file: _File, index: PlaneIndex) -> list[Any] | None:
    """The line of a plane in checked.csv; None of a file of one plane."""
    assert file.source is not None
    if len(file.source.planes) < 2:
        return None
    looked, plane = file.record.looked, file.source.label(index)
    if not looked or looked[-1][0] != plane:
        looked.append([plane, math.nan, math.nan, math.nan])
    return looked[-1]
