"""What makes one store of several images: the metadata of plates, wells and series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zarr

from cellqa.io.formats import store_of
from cellqa.io.store_images import SERIES
from cellqa.io.stores import attributes

_OWN = ("plate", "well", SERIES, "series")  # what groups have of OME
_OTHER = {2: ("zarr.json",), 3: (".zgroup", ".zattrs")}  # metadata of the other version


def write_structure(source: Path, target: Path, names: Sequence[str]) -> None:
    """Give a target store the structure of its source, as far as its images are there.

    Wells and fields that the target lacks are left out of what it states, so that it is a whole
    plate after each run. Nothing is said where no image is there.

    Parameters
    ----------
    source, target : Path
        Of the plate, well, or store of series.
    names : sequence of str
        Paths in it of the images that the target states, in order.

    Raises
    ------
    OSError
        The source cannot be read, or the target not written.
    """
    there = [name for name in names if (target / name).is_dir()]
    if not there:
        return
    version: Any = 3 if (target / there[0] / "zarr.json").exists() else 2
    about = dict(attributes(source))
    wells = list(dict.fromkeys(name.rpartition("/")[0] for name in there))
    if "well" in about:
        about["well"] = _with_fields(about["well"], "", there)
    if "plate" in about:
        plate = dict(about["plate"])
        stated = {str(well["path"]).strip("/"): well for well in plate["wells"]}
        plate["wells"] = [stated[well] | {"path": well} for well in wells]
        fields = (sum(n.rpartition("/")[0] == well for n in there) for well in wells)
        plate["field_count"] = max(fields)
        about["plate"] = plate
    _write(target, version, about)
    if SERIES in about:
        _write(target / "OME", version, {"series": there})
    for well in wells if "plate" in about else ():
        own = dict(attributes(source / well))
        own["well"] = _with_fields(own["well"], f"{well}/", there)
        (target / well).parent.mkdir(parents=True, exist_ok=True)
        _write((target / well).parent, version, {})
        _write(target / well, version, own)


def _with_fields(well: dict[str, Any], before: str, names: Sequence[str]) -> dict[str, Any]:
    """What a well says, with those of its fields that are there."""
    stated = {f"{before}{str(field['path']).strip('/')}": field for field in well["images"]}
    return {**well, "images": [stated[name] for name in names if name in stated]}


def _write(place: Path, version: Any, about: dict[str, Any]) -> None:
    """Make a group, or change its attributes; images inside stay."""
    group = zarr.open_group(place, mode="a", zarr_format=version)
    for name in _OTHER[version]:  # of an earlier result, which programs would read first
        (place / name).unlink(missing_ok=True)
    said = {kind: _plain(about[kind]) for kind in _OWN if kind in about}
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", **said}
        return
    for kind in ("plate", "well"):
        if kind in said:
            said[kind] = {**said[kind], "version": "0.4"}
    group.attrs.update(said)


def _plain(value: Any) -> Any:
    """What JSON has room for: numbers that are none become null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def stores_of(work: Sequence[tuple[Path, Path]]) -> dict[tuple[Path, Path], list[str]]:
    """Stores that become stores, from where to where, and the images in them, in order.

    A well that becomes a store is `plate.zarr/A/1`.
    """
    found: dict[tuple[Path, Path], list[str]] = {}
    for source, target in work:
        into = store_of(target)
        if into is None or not into[1]:
            continue
        root, name = into
        place = Path(source.as_posix().removesuffix(f"/{name}"))
        if place != source and store_of(place):
            found.setdefault((place, root), []).append(name)
    return found
