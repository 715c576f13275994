"""Maps of where a layer is right: those of `cellqa score --maps` and `cellqa resolution --map`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap

from cellqa.errors import CellqaError, ImageError
from cellqa.metrics.local import TILE, resolution_map
from cellqa.metrics.registry import select
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.scoring.arrays import scorer_of
from cellqa.scoring.options import ScoreOptions
from cellqa.terminal import Progress
from napari_cellqa import layers, memory
from napari_cellqa.layers import MAP, NewLayer, Picture

_WORDS = {Role.REFERENCE: "the ground truth", Role.RAW: "the raw image"}

Limits = Callable[[Array], tuple[float, float]]
_WORK = 200.0  # bytes of a pixel of the plane that is worked on: float64 maps and spectra
_SHOWN = 2**20  # values, at most, that limits of contrast are taken from


def _symmetric(values: Array) -> tuple[float, float]:
    """Limits around 0, so that too much and too little look alike; all but a thousandth within."""
    most = float(np.quantile(np.abs(values), 0.999)) if values.size else 0.0
    return (-most, most) if most > 0 else (-1.0, 1.0)


def _spread(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, [0.01, 0.99]).tolist() if values.size else (0.0, 1.0)
    return (low, high) if low < high else (low, low + 1.0)


def _share(values: Array) -> tuple[float, float]:
    return 0.0, 1.0


@dataclass(frozen=True)
class Kind:
    """A kind of map: what it is called, what it needs, how it looks."""

    title: str
    needs: tuple[Role, ...]
    colormap: str
    limits: Limits
    about: str

    @property
    def tip(self) -> str:
        """What it shows, and what it needs."""
        needs = " and ".join(_WORDS[need] for need in self.needs)
        return f"{self.about} Needs {needs}." if needs else self.about


KINDS: Mapping[str, Kind] = {
    "ssim": Kind(
        "SSIM",
        (Role.REFERENCE,),
        "viridis",
        _share,
        "Where structure agrees with the ground truth: 1 agrees, 0 does not. Nothing within 5 "
        "pixels of the border.",
    ),
    "error": Kind(
        "Error",
        (Role.REFERENCE,),
        "PuOr_r",
        _symmetric,
        "After the best gain and offset: too bright (positive) or too dark, in grey levels of the "
        "ground truth.",
    ),
    "invented": Kind(
        "Invented detail",
        (Role.REFERENCE, Role.RAW),
        "magma",
        _share,
        "Share of the detail that neither ground truth nor raw image has, in tiles of 64 pixels.",
    ),
    "consistency": Kind(
        "Consistency",
        (Role.RAW,),
        "PuOr_r",
        _symmetric,
        "What the layer does not explain of the raw image, in its grey levels: positive where "
        "light is missing.",
    ),
    "resolution": Kind(
        "Local resolution",
        (),
        "viridis_r",
        _spread,
        "Finest detail in overlapping tiles (decorrelation analysis); nothing where there is no "
        "structure.",
    ),
}


def make_maps(
    judged: Picture,
    truth: Picture | None,
    raw: Picture | None,
    kinds: Collection[str],
    *,
    pixel_size: float | None = None,
    tile: int = TILE,
    progress: Progress | None = None,
) -> tuple[list[NewLayer], list[str]]:
    """Maps of each plane of a layer.

    Parameters
    ----------
    judged, truth, raw : Picture
    kinds : collection of str
        Of `KINDS`.
    pixel_size : float, optional
        In micrometres, for local resolution; by default the judged layer's.
    tile : int
        Side of the tiles of local resolution, in pixels.
    progress : callable, optional
        Called with the number of planes done and of all; what it raises ends the work.

    Returns
    -------
    layers : list of NewLayer
        float32, of the judged layer's shape; the consistency map of the raw layer's. nan where
        there is no value.
    notes : list of str
        Which map is missing, and why.

    Raises
    ------
    CellqaError
        Sizes or numbers of planes differ, what a map needs is not given, memory does not suffice,
        or there is no map at all.
    """
    given = {Role.REFERENCE: truth, Role.RAW: raw}
    _check_needs(kinds, given)
    used = {role for kind in kinds for role in KINDS[kind].needs}
    truth, raw = (p if r in used else None for r, p in given.items())
    for other in filter(None, (truth, raw)):
        layers.check_same_number(judged, other, shared=True)
    if truth is not None:
        layers.check_same_side([judged, truth])
    scale = layers.scale_between(judged, raw)
    number = len(judged.places)
    # the maps in float32, and what the limits of contrast of one are taken from
    needed = judged.pixels * (4.0 * (len(kinds) + 2) * number + _WORK)
    memory.check(needed, f"maps of {judged.name}")
    size = pixel_size or judged.pixel_size.micrometres
    found: dict[str, Array] = {}
    notes = list(judged.notes)
    for k in range(number):
        plane = judged.plane(k)
        maps, why = _of_plane(plane, truth, raw, k, scale) if used else ({}, "")
        for kind in (kind for kind in KINDS if kind in kinds):
            if kind == "resolution":
                made, reason = _local(plane, size, tile)
            else:
                made, reason = maps.get(kind), why
            if made is None:
                title = KINDS[kind].title
                notes.append(f"{judged.name}{judged.label(k)}: no map of {title}: {reason}")
                continue
            if kind not in found:
                found[kind] = np.full((number, *made.shape), np.nan, np.float32)
            found[kind][k] = made
        if progress:
            progress(k + 1, number)
    if not found:
        raise ImageError(notes[-1])
    # a raw image with fewer pixels has its own place, and so has its map
    under = dict.fromkeys(found, judged)
    if raw is not None and scale > 1:
        under["consistency"] = raw
    return [_layer(kind, found[kind], judged, under[kind], size) for kind in found], notes


def _check_needs(kinds: Collection[str], given: Mapping[Role, Picture | None]) -> None:
    if not kinds:
        raise ImageError("choose at least one map")
    for kind in (KINDS[name] for name in kinds):
        for need in kind.needs:
            if given[need] is None:
                raise ImageError(f"the map of {kind.title} needs {_WORDS[need]}: choose its layer")


def _of_plane(
    plane: Array, truth: Picture | None, raw: Picture | None, number: int, scale: int
) -> tuple[dict[str, Array], str]:
    """The maps of `cellqa score --maps`, and why one is missing."""
    parts: dict[str, Any] = {}
    if truth is not None:
        parts[Role.REFERENCE] = truth.plane(number)
    if raw is not None:
        parts[Role.RAW] = raw.plane(number)
    # a metric that every plane has; maps do not depend on it
    options = ScoreOptions(select(["psnr" if truth is not None else "entropy"]), scale=scale)
    try:
        scorer = scorer_of(parts, options, reference=Role.REFERENCE, raw=Role.RAW)
        scored = scorer.score("", "image", Plane.with_gaps(plane, "image"))
        return scored.maps(), scored.row.reason or "an image is constant, or too small"
    except (CellqaError, ValueError) as error:
        return {}, str(error).replace("`image`", "the layer")


def _local(plane: Array, size: float | None, tile: int) -> tuple[Array | None, str]:
    """The map of `cellqa resolution --map`, or why there is none."""
    try:
        return resolution_map(plane, pixel_size=size or 1.0, tile=tile).full_size(), ""
    except ValueError as error:
        return None, str(error).replace("`image`", "the layer")


def _layer(kind: str, data: Array, judged: Picture, under: Picture, size: float | None) -> NewLayer:
    look = KINDS[kind]
    unit = f" ({'µm' if size else 'px'})" * (kind == "resolution")
    values = data[np.isfinite(data)]
    shown = values[:: max(1, values.size // _SHOWN)]
    options = {
        "name": f"{look.title} of {judged.name}{unit}",
        "colormap": _colormap(look.colormap),
        "contrast_limits": look.limits(shown),
        "metadata": {MAP: kind},
        **under.laid(),
    }
    return NewLayer(data.reshape(*judged.stack, *data.shape[1:]), options)


def _colormap(name: str) -> Any:
    """By name; napari has no viridis the other way round, in which fine detail is bright."""
    if name != "viridis_r":
        return name
    return Colormap(AVAILABLE_COLORMAPS["viridis"].colors[::-1], name=name)
