"""What Zeiss (LSM) and MetaMorph (STK) say in TIFF files, by tags of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import tifffile

from cellqa.io.acquisition import Acquisition, Channel, Objective, colour, said
from cellqa.io.base import PlaneIndex, Size, in_micrometres, regular_times

_TWELVE_BITS = 2  # LSM's code of the type


def knows(tif: tifffile.TiffFile) -> bool:
    """Whether a file is of one of them."""
    return bool(tif.is_lsm or tif.is_stk)


def images(tif: tifffile.TiffFile) -> list[Any]:
    """The series of a file that hold images: an LSM file's others are previews."""
    return list(tif.series[:1] if tif.is_lsm else tif.series)


def pixel_size(tif: tifffile.TiffFile) -> Size:
    """Sides of its pixels, where they are stated."""
    if tif.is_lsm:
        about = tif.lsm_metadata or {}
        return _metres(about, "X"), _metres(about, "Y")
    about = tif.stk_metadata or {}
    if not about.get("SpatialCalibration"):
        return None, None
    unit = about.get("CalibrationUnits")
    x, y = (in_micrometres(about.get(f"{axis}Calibration"), unit) for axis in "XY")
    return x, y


def acquisition(tif: tifffile.TiffFile, planes: tuple[PlaneIndex, ...]) -> Acquisition:
    """Channels, focus step, times, objective and date, where they are stated."""
    return _lsm(tif, planes) if tif.is_lsm else _stk(tif, planes)


def _metres(about: dict[str, Any], axis: str) -> float | None:
    return in_micrometres(about.get(f"VoxelSize{axis}"), "m")


def _lsm(tif: tifffile.TiffFile, planes: tuple[PlaneIndex, ...]) -> Acquisition:
    about = tif.lsm_metadata or {}
    channels, times = planes[-1].c + 1, planes[-1].t + 1
    shown = about.get("ChannelColors") or {}
    names = list(shown.get("ColorNames") or ())
    colours = ["{:02x}{:02x}{:02x}".format(*each[:3]) for each in shown.get("Colors") or ()]
    if len(names) != channels:
        names = [""] * channels
    if len(colours) != channels:
        colours = [""] * channels
    stamps = np.asarray(about.get("TimeStamps", ()), float).ravel()
    if len(stamps) == times:
        seconds = tuple(float(stamps[i.t] - stamps[0]) for i in planes) if times > 1 else ()
    else:
        seconds = regular_times(planes, float(about.get("TimeIntervall") or 0))
    recorded = about.get("ScanInformation") or {}
    pairs = zip(names, colours, strict=True)
    return Acquisition(
        said(Channel(str(name), colour(shade)) for name, shade in pairs),
        _metres(about, "Z") if planes[-1].z else None,
        seconds,
        objective=Objective(str(recorded.get("Objective") or "")),
        bits=12 if about.get("DataType") == _TWELVE_BITS else None,
    )


def _stk(tif: tifffile.TiffFile, planes: tuple[PlaneIndex, ...]) -> Acquisition:
    about = tif.stk_metadata or {}
    steps = np.abs(np.asarray(about.get("ZDistance", ()), float).ravel())
    even = len(steps) > 1 and planes[-1].z > 0 and np.allclose(steps, steps[0], rtol=1e-3)
    created = about.get("DatetimeCreated")
    created = np.asarray(() if created is None else created, "datetime64[ms]").ravel()
    whole = len(created) == len(planes) and not np.isnat(created).any()
    since = (created - created[0]) / np.timedelta64(1, "s") if whole else np.zeros(0)
    return Acquisition(
        z_step=in_micrometres(steps[0], "um") if even else None,
        seconds=tuple(map(float, since)) if since.any() else (),
        dates=(str(created[0]),) if whole else (),
    )
