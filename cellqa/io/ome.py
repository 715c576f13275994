"""OME-XML: what it says of pixels, channels, times, stage positions and the microscope."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import quoteattr

from cellqa.io.acquisition import Acquisition, Channel, Objective, colour, number, said
from cellqa.io.base import PlaneIndex, Size, in_micrometres, regular_times

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
    root = parsed(text)
    every = [] if root is None else elements(root, "Pixels")
    if root is None or not every:
        return Acquisition()
    scenes = range(planes[-1].s + 1)
    images = [image for image in elements(root, "Image") if elements(image, "Pixels")]
    channels = [said(map(_channel, elements(pixels, "Channel"))) for pixels in every]
    first = every[0].attrib
    taken: dict[PlaneIndex, float] = {}
    stages: dict[int, tuple[float, float]] = {}
    heights: dict[int, float] = {}
    for scene, pixels in enumerate(every):
        for plane in elements(pixels, "Plane"):
            t, c, z = (int(plane.get(f"The{axis}", 0)) for axis in "TCZ")
            factor = _SECONDS.get(plane.get("DeltaTUnit", "s"))
            if factor and plane.get("DeltaT"):
                taken[PlaneIndex(scene, t, c, z)] = float(plane.get("DeltaT", 0)) * factor
            y, x, height = (_stage(plane, axis) for axis in "YXZ")
            if scene not in stages and y is not None and x is not None:
                stages[scene] = (y, x)
            if scene not in heights and height is not None:
                heights[scene] = height
    factor = _SECONDS.get(first.get("TimeIncrementUnit", "s"), 0.0)
    interval = float(first.get("TimeIncrement") or 0) * factor
    known = all(index in taken for index in planes)
    bits = first.get("SignificantBits", "")
    return Acquisition(
        channels[0],
        _length(every[0], "PhysicalSizeZ"),
        tuple(taken[i] for i in planes) if known else regular_times(planes, interval),
        tuple(stages[s] for s in scenes) if all(s in stages for s in scenes) else (),
        tuple(heights[s] for s in scenes) if all(s in heights for s in scenes) else (),
        tuple(channels[: len(scenes)]) if len(set(channels)) > 1 else (),
        _of_images(images, scenes, lambda image: image.get("Name", "")),
        _of_images(images, scenes, _date),
        _objective(root),
        int(bits) if bits.isdigit() else None,
    )


def described(text: str, objective: Objective) -> str:
    """OME-XML of all images with this objective, which tifffile does not write.

    Examples
    --------
    >>> described('<OME><Image ID="Image:0"><Pixels/></Image></OME>', Objective("20x", 20.0))
    '<OME><Instrument ID="Instrument:0"><Objective ID="Objective:0" Model="20x" \
NominalMagnification="20.0"/></Instrument><Image ID="Image:0"><InstrumentRef ID="Instrument:0"/>\
<ObjectiveSettings ID="Objective:0"/><Pixels/></Image></OME>'
    """
    stated = {
        "Model": objective.name,
        "NominalMagnification": objective.magnification,
        "LensNA": objective.aperture,
        "Immersion": objective.immersion,
    }
    facts = "".join(f" {name}={quoteattr(str(v))}" for name, v in stated.items() if v)
    known = f'<Instrument ID="Instrument:0"><Objective ID="Objective:0"{facts}/></Instrument>'
    text = re.sub(r"<Image\b", f"{_literal(known)}<Image", text, count=1)
    used = '<InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0"/>'
    return re.sub(r"<Pixels\b", f"{used}<Pixels", text)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\")


def channel_attributes(channel: Channel) -> dict[str, Any]:
    """Of OME's Channel element; a colour is R, G, B and alpha as one signed number of 32 bits.

    Examples
    --------
    >>> channel_attributes(Channel("DAPI", "#ff0000"))
    {'Name': 'DAPI', 'Color': -16776961}
    """
    about: dict[str, Any] = {"Name": channel.name} if channel.name else {}
    if channel.colour:
        value = int(channel.colour[1:] + "ff", 16)
        about["Color"] = value - 2**32 if value >= 2**31 else value
    for kind in ("excitation", "emission"):
        if length := getattr(channel, kind):
            about[f"{kind.capitalize()}Wavelength"] = length
            about[f"{kind.capitalize()}WavelengthUnit"] = "nm"
    return about


def _colour(text: str | None) -> str:
    """`#rrggbb` of OME's signed number; empty where it is none."""
    try:
        value = int(text or "")
    except ValueError:
        return ""
    return colour(f"{(value % 2**32) >> 8:06x}")


def _channel(element: ElementTree.Element) -> Channel:
    waves = []
    for kind in ("Excitation", "Emission"):
        length = number(element.get(f"{kind}Wavelength"))
        unit = in_micrometres(1, element.get(f"{kind}WavelengthUnit", "nm"))
        waves.append(round(length * unit * 1e3, 6) if length and unit else None)
    return Channel(element.get("Name", ""), _colour(element.get("Color")), *waves)


def _of_images(
    images: list[ElementTree.Element], scenes: range, of: Callable[[ElementTree.Element], str]
) -> tuple[str, ...]:
    """A text of each scene; empty where none has one."""
    texts = tuple(of(images[s]) if s < len(images) else "" for s in scenes)
    return texts if any(texts) else ()


def _date(image: ElementTree.Element) -> str:
    dates = elements(image, "AcquisitionDate")
    return (dates[0].text or "").strip() if dates else ""


def _objective(root: ElementTree.Element) -> Objective:
    """The objective that the images refer to, or the only one."""
    every = elements(root, "Objective")
    used = {each.get("ID") for each in elements(root, "ObjectiveSettings")}
    named = [each for each in every if each.get("ID") in used] or every
    if len(named) != 1:
        return Objective()
    found = named[0]
    return Objective(
        found.get("Model", ""),
        number(found.get("NominalMagnification")),
        number(found.get("LensNA")),
        found.get("Immersion", ""),
    )


def _length(element: ElementTree.Element, name: str) -> float | None:
    """In micrometres; some programs write a decimal comma."""
    value = element.get(name, "").replace(",", ".")
    return in_micrometres(value, element.get(f"{name}Unit", "µm"))


def _stage(plane: ElementTree.Element, axis: str) -> float | None:
    """A stage position in micrometres; None in units that say no length (`reference frame`)."""
    text = plane.get(f"Position{axis}", "")
    unit = in_micrometres(1, plane.get(f"Position{axis}Unit", "reference frame"))
    return float(text.replace(",", ".")) * unit if text and unit is not None else None


def _pixels(text: str) -> list[ElementTree.Element]:
    """The Pixels element of each scene; none where the XML is damaged."""
    root = parsed(text)
    return [] if root is None else elements(root, "Pixels")


def parsed(text: str) -> ElementTree.Element | None:
    """The root of the XML; None where it is damaged."""
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None


def elements(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Elements of a name, in whatever version of OME."""
    return [element for element in root.iter() if element.tag.rpartition("}")[2] == name]
