"""What a file says of how its image was taken: one record, which readers fill and writers write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Channel(NamedTuple):
    """A channel; empty where nothing is said.

    Attributes
    ----------
    name : str
    colour : str
        In which it is shown, as `#00ff00`.
    excitation, emission : float or None
        Wavelengths, in nanometres.
    """

    name: str = ""
    colour: str = ""
    excitation: float | None = None
    emission: float | None = None


class Objective(NamedTuple):
    """An objective; empty where nothing is said.

    Attributes
    ----------
    name : str
    magnification, aperture : float or None
        Nominal magnification, and numerical aperture.
    immersion : str
        As OME names it: `Oil`, `Water`, `Air` ...
    """

    name: str = ""
    magnification: float | None = None
    aperture: float | None = None
    immersion: str = ""


class Acquisition(NamedTuple):
    """What a file says of how it was taken; empty where it says nothing.

    Attributes
    ----------
    channels : tuple of Channel
    z_step : float or None
        Distance of focus planes, in micrometres.
    seconds : tuple of float
        When each plane was taken, in the order of the planes.
    positions : tuple of (float, float)
        Stage (y, x) of each scene, in micrometres.
    heights : tuple of float
        Stage z of each scene, in micrometres.
    scene_channels : tuple of tuple of Channel
        Each scene's channels; empty where all have the same.
    scene_names : tuple of str
    dates : tuple of str
        When each scene was taken, as ISO 8601 has it.
    objective : Objective
    bits : int or None
        Significant bits of a value.
    axes : str
        In the order of the file, as `tczyx`; empty where the order cannot be written.
    """

    channels: tuple[Channel, ...] = ()
    z_step: float | None = None
    seconds: tuple[float, ...] = ()
    positions: tuple[tuple[float, float], ...] = ()
    heights: tuple[float, ...] = ()
    scene_channels: tuple[tuple[Channel, ...], ...] = ()
    scene_names: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    objective: Objective = Objective()
    bits: int | None = None
    axes: str = ""

    def channels_of(self, scene: int) -> tuple[Channel, ...]:
        """A scene's channels."""
        return self.scene_channels[scene] if self.scene_channels else self.channels

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels; empty where none has one."""
        return named(self.channels)

    def facts(self) -> tuple[str, ...]:
        """What is said, in words: those that `FACTS` has.

        Examples
        --------
        >>> Acquisition((Channel("DAPI", emission=460.0),), z_step=0.5).facts()
        ('channel names', 'wavelengths', 'focus step')
        """
        every = [c for own in (self.channels, *self.scene_channels) for c in own]
        said = {
            "channel names": any(c.name for c in every),
            "colours": any(c.colour for c in every),
            "wavelengths": any(c.excitation or c.emission for c in every),
            "focus step": self.z_step is not None,
            "times": bool(self.seconds),
            "stage positions": bool(self.positions),
            "stage heights": bool(self.heights),
            "scene names": any(self.scene_names),
            "dates": any(self.dates),
            "objective": self.objective != Objective(),
            "significant bits": self.bits is not None,
        }
        return tuple(fact for fact in FACTS if said[fact])


FACTS = (
    "channel names", "colours", "wavelengths", "focus step", "times", "stage positions",
    "stage heights", "scene names", "dates", "objective", "significant bits",
)  # fmt: skip
PIXEL_SIZE = "pixel size"


def named(channels: Iterable[Channel]) -> tuple[str, ...]:
    """Names of channels; empty where none has one."""
    names = tuple(channel.name for channel in channels)
    return names if any(names) else ()


def said(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Channels; empty where nothing is said of any."""
    every = tuple(channels)
    return every if any(channel != Channel() for channel in every) else ()


def colour(text: object) -> str:
    """A colour as `#rrggbb`, of `RRGGBB`, `#RRGGBB` or `#AARRGGBB`; empty for anything else.

    White is what formats have for channels without a colour, and counts as none.

    Examples
    --------
    >>> colour("00FF00"), colour("#FF0000FF"), colour("green"), colour("FFFFFF")
    ('#00ff00', '#0000ff', '', '')
    """
    match = re.fullmatch(r"#?(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})", str(text).strip())
    found = match[1].lower() if match else "ffffff"
    return "" if found == "ffffff" else f"#{found}"


def number(value: object) -> float | None:
    """A positive, finite number; None for anything else. Some programs write a decimal comma."""
    try:
        found = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return found if 0 < found < float("inf") else None
