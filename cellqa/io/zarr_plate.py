"""What makes one store of several images: the metadata of plates, wells and series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zarr

from cellqa.io.formats import store_of
from cellqa.io.stores import attributes, images_in

_SERIES = "bioformats2raw.layout"
_OWN = ("plate", "well", _SERIES, "series")  # what groups have of OME


def write_structure(source: Path, target: Path) -> None:
    """Give a target store the structure of its source, as far as its images are there.

    Wells and fields that the target lacks are left out of what it states, so that it is a whole
    plate after each run. Nothing is said where no image is there.

    Raises
    ------
    OSError
        The source cannot be read, or the target not written.
    """
    there = [name for name in images_in(source) if name and (target / name).is_dir()]
    if not there:
        return
    version: Any = 3 if (target / there[0] / "zarr.json").exists() else 2
    about = dict(attributes(source))
    wells = list(dict.fromkeys(name.rpartition("/")[0] for name in there))
    if "plate" in about:
        plate = dict(about["plate"])
        plate["wells"] = [w for w in plate["wells"] if str(w["path"]).strip("/") in wells]
        fields = (sum(n.rpartition("/")[0] == well for n in there) for well in wells)
        plate["field_count"] = max(fields)
        about["plate"] = plate
    _write(target, version, about)
    if _SERIES in about:
        _write(target / "OME", version, {"series": there})
    for well in wells if "plate" in about else ():
        own = dict(attributes(source / well))
        images = own["well"]["images"]
        listed = {f"{well}/{str(image['path']).strip('/')}": image for image in images}
        own["well"] = {**own["well"], "images": [listed[n] for n in there if n in listed]}
        (target / well).parent.mkdir(parents=True, exist_ok=True)
        _write((target / well).parent, version, {})
        _write(target / well, version, own)


def _write(place: Path, version: Any, about: dict[str, Any]) -> None:
    """Make a group, or change its attributes; images inside stay."""
    group = zarr.open_group(place, mode="a", zarr_format=version)
    said = {kind: about[kind] for kind in _OWN if kind in about}
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", **said}
        return
    for kind in ("plate", "well"):
        if kind in said:
            said[kind] = {**said[kind], "version": "0.4"}
    group.attrs.update(said)


def stores_of(work: Sequence[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Source and target of each store of which images stand in `work`."""
    pairs: dict[tuple[Path, Path], None] = {}
    for source, target in work:
        of_source, of_target = store_of(source), store_of(target)
        if of_source and of_target and of_source[1] and of_source[1] == of_target[1]:
            pairs[of_source[0], of_target[0]] = None
    return list(pairs)
