"""OME-XML: what it says of pixels, channels, times and stage positions."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from cellqa.io.base import Acquisition, PlaneIndex, Size, in_micrometres, regular_times

_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0, "d": 86400.0}


def pixel_sizes(text: str, scenes: int) -> list[Size]:
    """Sides (X, Y) of the pixels of each scene, in micrometres; None where none is stated."""
    stated = [
        (_length(each, "PhysicalSizeX"), _length(each, "PhysicalSizeY")) for each in _pixels(text)
    ]
    return [*stated, *[(None, None)] * scenes][:scenes]


def attributes(text: str, scene: int = 0) -> dict[str, str]:
    """Of the Pixels element of a scene; empty where there is none."""
    every = _pixels(text)
    return dict(every[scene].attrib) if scene < len(every) else {}


def acquisition(text: str, planes: tuple[PlaneIndex, ...]) -> Acquisition:
    """What the XML says of how these planes were taken."""
    every = _pixels(text)
    if not every:
        return Acquisition()
    names = [tuple(c.get("Name", "") for c in _elements(pixels, "Channel")) for pixels in every]
    names = [own if any(own) else () for own in names]
    first = every[0].attrib
    taken: dict[PlaneIndex, float] = {}
    stages: dict[int, tuple[float, float]] = {}
    for scene, pixels in enumerate(every):
        for plane in _elements(pixels, "Plane"):
            t, c, z = (int(plane.get(f"The{axis}", 0)) for axis in "TCZ")
            factor = _SECONDS.get(plane.get("DeltaTUnit", "s"))
            if factor and plane.get("DeltaT"):
                taken[PlaneIndex(scene, t, c, z)] = float(plane.get("DeltaT", 0)) * factor
            if scene not in stages and plane.get("PositionX") and plane.get("PositionY"):
                y, x = (_stage(plane, axis) for axis in "YX")
                if y is not None and x is not None:
                    stages[scene] = (y, x)
    factor = _SECONDS.get(first.get("TimeIncrementUnit", "s"), 0.0)
    interval = float(first.get("TimeIncrement") or 0) * factor
    known = all(index in taken for index in planes)
    seconds = tuple(taken[i] for i in planes) if known else regular_times(planes, interval)
    scenes = range(planes[-1].s + 1)
    positions = tuple(stages[s] for s in scenes) if all(s in stages for s in scenes) else ()
    return Acquisition(
        names[0],
        _length(every[0], "PhysicalSizeZ"),
        seconds,
        positions,
        tuple(names[: len(scenes)]) if len(set(names)) > 1 else (),
    )


def _length(element: ElementTree.Element, name: str) -> float | None:
    """In micrometres; some programs write a decimal comma."""
    value = element.get(name, "").replace(",", ".")
    return in_micrometres(value, element.get(f"{name}Unit", "µm"))


def _stage(plane: ElementTree.Element, axis: str) -> float | None:
    """A stage position in micrometres; None in units that say no length (`reference frame`)."""
    value = float(plane.get(f"Position{axis}", "").replace(",", "."))
    unit = in_micrometres(1, plane.get(f"Position{axis}Unit", "reference frame"))
    return None if unit is None else value * unit


def _pixels(text: str) -> list[ElementTree.Element]:
    """The Pixels element of each scene; none where the XML is damaged."""
    try:
        return _elements(ElementTree.fromstring(text), "Pixels")
    except ElementTree.ParseError:
        return []


def _elements(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if element.tag.rpartition("}")[2] == name]
