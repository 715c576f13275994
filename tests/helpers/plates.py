"""OME-Zarr stores of several images, as other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

RNG = np.random.default_rng(3)
AXES: list[dict[str, Any]] = [{"name": "c", "type": "channel"}]
AXES += [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]


def write(group: Any, version: int, pixels: Any) -> None:
    group.create_array("0", data=pixels)
    moved = [
        {"type": "scale", "scale": [1.0, 0.4, 0.2]},
        {"type": "translation", "translation": [0.0, 7.0, 9.0]},
    ]
    scales: dict[str, Any] = {
        "axes": AXES,
        "datasets": [{"path": "0", "coordinateTransformations": moved}],
    }
    channels = [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]
    about: dict[str, Any] = {"multiscales": [scales], "omero": {"channels": channels}}
    say(group, version, about)


def say(group: Any, version: int, about: dict[str, Any]) -> None:
    group.attrs.update({"ome": {"version": "0.5", **about}} if version == 3 else about)


def pixels() -> Any:
    return RNG.integers(0, 3000, (2, 60, 70)).astype(np.uint16)


WELLS = {"A/1": 2, "B/2": 1}


def plate(path: Path, version: int = 2) -> Path:
    root = zarr.open_group(path, mode="w", zarr_format=version)
    wells = [{"path": name, "rowIndex": k, "columnIndex": k} for k, name in enumerate(WELLS)]
    about = {"plate": {"name": "p", "rows": [{"name": "A"}, {"name": "B"}], "wells": wells}}
    about["plate"] |= {"columns": [{"name": "1"}, {"name": "2"}], "version": "0.4"}
    say(root, version, about)
    for name, fields in WELLS.items():
        well = root.create_group(name)
        say(well, version, {"well": {"images": [{"path": str(k)} for k in range(fields)]}})
        for k in range(fields):
            write(well.create_group(str(k)), version, pixels())
    return path


def series(path: Path) -> Path:
    root = zarr.open_group(path, mode="w", zarr_format=2)
    say(root, 2, {"bioformats2raw.layout": 3})
    for k in range(2):
        write(root.create_group(str(k)), 2, pixels())
    return path


FIELDS = ("A/1/0", "A/1/1", "B/2/0")
