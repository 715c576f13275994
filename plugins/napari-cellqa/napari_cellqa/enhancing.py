"""Layers enhanced by classical methods and by networks of ciegan, plane by plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.enhance import ENHANCERS, settings_of, with_settings
from cellqa.errors import ImageError, MissingExtraError, first_line
from cellqa.extras import install_line, packages
from cellqa.planes import Array
from cellqa.terminal import Progress
from ciegan.network import builtin
from napari_cellqa import memory
from napari_cellqa.layers import MARK, NewLayer, Picture

_CLASSICAL = 200.0  # bytes of a pixel of the plane: padded float64 and their spectra
_NETWORK, _WINDOW = 40.0, 1.5e9  # of a pixel of the plane; and of the windows that go through
_STEPS = 1000  # of progress, for each plane


def networks() -> list[str]:
    """Names of the weights that come with the package."""
    return builtin.names()


def absent() -> str:
    """How to install what networks need; empty where it is there."""
    missing = [p.name for p in packages() if p.extra == "gan" and not p.version]
    if not missing:
        return ""
    return f"networks need {', '.join(missing)}; install with: {install_line('gan')}"


def defaults(method: str) -> dict[str, str]:
    """Settings of a classical method, as text."""
    settings = settings_of(ENHANCERS[method])
    return {name: "" if value is None else str(value) for name, value in settings.items()}


def enhance_classically(
    picture: Picture,
    method: str,
    settings: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[NewLayer, list[str]]:
    """Enhance each plane by a method of `cellqa.ENHANCERS`.

    Parameters
    ----------
    picture : Picture
    method : str
    settings : mapping, optional
        Name to value or text; what is left out, or empty, is as usual.
    progress : callable, optional
        Called with how much is done and how much there is; what it raises ends the work.

    Returns
    -------
    layer : NewLayer
        Of the shape and type of the picture.
    notes : list of str

    Raises
    ------
    CellqaError
        There is no such method or setting, or memory does not suffice.
    ValueError, TypeError
        A setting is out of range, or the layer is of a type that has nothing to enhance.
    """
    given = {name: value for name, value in (settings or {}).items() if str(value).strip()}
    enhancer = with_settings(ENHANCERS.find(method, "the method"), given)
    _check_memory(picture, _CLASSICAL * picture.pixels)

    def bands(number: int) -> Iterator[Array]:
        yield enhancer(picture.plane(number))

    return _made(picture, method, enhancer.describe(), bands, progress), list(picture.notes)


def enhance_by_network(
    picture: Picture,
    weights: str | Path,
    *,
    together: bool = False,
    progress: Progress | None = None,
) -> tuple[NewLayer, list[str]]:
    """Enhance each plane by a network, as `ciegan enhance` does.

    Parameters
    ----------
    picture : Picture
    weights : path
        The folder of a training run, its file of weights, or the name of weights that come with
        the package.
    together : bool
        One black and white for all planes of a stack, so that frames do not flicker.
    progress : callable, optional
        As of `enhance_classically`.

    Returns
    -------
    layer : NewLayer
        Of the shape and type of the picture.
    notes : list of str
        What to doubt: values that were cut off, images unlike those of the training.

    Raises
    ------
    MissingExtraError
        What networks need is not installed.
    CellqaError
        There are no such weights, they are damaged, were trained on colour, or memory does not
        suffice.
    """
    if line := absent():
        raise MissingExtraError(line)
    from ciegan.enhancing.enhancer import EnhanceOptions, NetworkEnhancer, limits_of
    from ciegan.enhancing.folder import make_runners
    from ciegan.network.checkpoint import content_hash, load
    from ciegan.network.neighbours import stacked

    _check_memory(picture, _NETWORK * picture.pixels + _WINDOW)
    checkpoint = load(weights)
    if checkpoint.scale > 1:
        raise ImageError(
            f"{checkpoint.path.name} gives {checkpoint.scale} times the pixels along each side of "
            f"{picture.name}: enhance its file with `ciegan enhance`, and open what that makes"
        )
    options = EnhanceOptions(normalize="stack" if together else "auto")
    network = NetworkEnhancer(checkpoint, options, make_runners(checkpoint)[0])
    context, number = checkpoint.context, len(picture.places)
    notes = [*picture.notes, *checkpoint.warnings]
    if context.axis and not (picture.only or number > 1):
        notes.append(
            f"{picture.name} has no neighbours in {context.axis}, which the network was trained "
            "with: it sees the plane itself in their place"
        )
    levels = None
    if together and number > 1 and network.normalisation.rule == "image":
        height = picture.side[0]
        levels = limits_of(network.normalisation, _tall(picture), height * number)
    doubts = _Doubts(picture)

    def bands(k: int) -> Iterator[Array]:
        plane = picture.plane(k)
        limits = levels or network.limits(plane)
        if checkpoint.familiar is not None and limits:
            doubts.unlike = max(doubts.unlike, checkpoint.familiar.unlike(plane, limits))
        seen = plane
        if context.axis:
            alone = not picture.stack
            others = context.nearest(plane, lambda by: None if alone else picture.beside(k, by))
            seen = stacked([plane, *others])
        parts = network.parts(lambda a, b: seen[a:b], plane.shape, plane.dtype, limits)
        for part in parts:
            doubts.clipped += part.clipped
            yield part.enhanced

    named = str(weights) if str(weights) in networks() else Path(weights).name
    described = network.describe(content_hash(checkpoint.path))
    layer = _made(picture, named, described, bands, progress)
    return layer, [*notes, *doubts.lines()]


class _Doubts:
    """What is found of the planes of a layer as they pass."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.clipped, self.unlike = 0, 0.0

    def lines(self) -> list[str]:
        """In words."""
        name, told = self._picture.name, []
        cut = self.clipped / (self._picture.pixels * len(self._picture.places))
        if cut > 1e-3:
            told.append(
                f"{name}: {cut:.1%} of the values are beyond what the network, or the type, can "
                "hold: they were cut off"
            )
        if self.unlike > 1:
            told.append(
                f"{name} is unlike the images that the network was trained on "
                f"({self.unlike:.1f} of what is usual): what it makes of them may be invented"
            )
        return told


def _check_memory(picture: Picture, work: float) -> None:
    result = len(picture.places) * picture.pixels * np.dtype(picture.data.dtype).itemsize
    memory.check(result + work, f"enhancing {picture.name}")


def _made(
    picture: Picture,
    method: str,
    described: str,
    bands: Callable[[int], Iterator[Array]],
    progress: Progress | None,
) -> NewLayer:
    """A layer of what becomes of each plane, band by band."""
    number, height = len(picture.places), picture.side[0]
    made = np.empty((number, *picture.side), picture.data.dtype)
    for k in range(number):
        row = 0
        try:
            for band in bands(k):
                made[k, row : row + len(band)] = band
                row += len(band)
                if progress:
                    progress(_STEPS * k + _STEPS * row // height, _STEPS * number)
        except (ImageError, ValueError) as error:
            line = first_line(error).replace("`image`", "the image")
            raise ImageError(f"{picture.name}{picture.label(k)}: {line}") from None
    options: dict[str, Any] = {
        "name": f"{method} of {picture.name}",
        "metadata": {**picture.metadata, MARK: described},
        **picture.laid(),
    }
    return NewLayer(made.reshape(*picture.stack, *picture.side), options)


def _tall(picture: Picture) -> Callable[[int, int], Array]:
    """Rows of all planes, one below the other."""
    height = picture.side[0]

    def read(start: int, stop: int) -> Array:
        parts = []
        while start < stop:
            number, row = divmod(start, height)
            last = min(height, row + stop - start)
            rows = picture.plane(number)[row:last]
            if rows.dtype.kind == "f" and not np.isfinite(rows).all():
                raise ImageError(f"{picture.name}{picture.label(number)}: NaN or infinity in it")
            parts.append(rows)
            start += last - row
        return np.concatenate(parts)

    return read
