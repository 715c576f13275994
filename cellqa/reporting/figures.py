"""Figures, as PNG or SVG by the file's suffix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.patheffects as patheffects
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cellqa.disk import appearing
from cellqa.focus.vote import Focus
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.scoring.resolution import Analysed

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "svg.fonttype": "none",
    "savefig.dpi": 150,
}
# Okabe and Ito's colours, which the colour-blind can tell apart.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure; it appears under its name when it is complete."""
    with appearing(path) as temporary:
        figure.savefig(temporary)
    return path


def save_decorrelation(paths: Sequence[Path], analysed: Sequence[Analysed]) -> list[Path]:
    """Draw each plane's curves of both passes, as Descloux et al. 2019, Figure 1."""
    for path, plane in zip(paths, analysed, strict=True):
        with matplotlib.rc_context(STYLE):
            save_figure(_draw_decorrelation(plane), path)
    return list(paths)


def _draw_decorrelation(plane: Analysed) -> Figure:
    analysis = plane.decorrelation
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for curve in analysis.curves[1:]:
        axes.plot(analysis.radii, curve, color=GREY, lw=0.6, alpha=0.8)
    for curve in analysis.refined_curves:
        axes.plot(analysis.refined_radii, curve, color=BLUE, lw=0.6, alpha=0.8)
    axes.plot(analysis.radii, analysis.curves[0], color="black", lw=1.6)
    axes.plot(*analysis.peaks[:12].T, "x", color=GREY, ms=5)
    axes.plot(*analysis.peaks[12:].T, "x", color=BLUE, ms=5)
    handles = [
        axes.plot([], [], color="black", lw=1.6, label="unfiltered")[0],
        axes.plot([], [], color=GREY, label="high-pass, first pass")[0],
        axes.plot([], [], color=BLUE, label="high-pass, second pass")[0],
    ]
    title = f"{label(plane.name)}\n"
    if analysis.has_peak:
        unit = "µm" if plane.pixel_size else "px"
        length = analysis.resolution(plane.pixel_size or 1.0)
        handles.append(axes.axvline(analysis.kc, color=ORANGE, lw=1.2, ls="--", label="cut-off kc"))
        title += (
            f"kc = {analysis.kc:.3f}, resolution {length:.4g} {unit}, A0 = {analysis.amplitude:.3f}"
        )
    else:
        title += "no peak: resolution is undefined"
    axes.set(xlim=(0, 1), ylim=(0, None), title=title)
    axes.set(xlabel="radius (1 = Nyquist frequency)", ylabel="correlation d(r)")
    figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside right upper")
    return figure


def save_sectors(paths: Sequence[Path], analysed: Sequence[Analysed]) -> list[Path]:
    """Draw each plane's cut-off by direction, both of a direction's opposite wedges."""
    for path, plane in zip(paths, analysed, strict=True):
        with matplotlib.rc_context(STYLE):
            save_figure(_draw_sectors(plane), path)
    return list(paths)


def _draw_sectors(plane: Analysed) -> Figure:
    n = len(plane.sectors)
    kc = [sector.kc if sector.has_peak else np.nan for sector in plane.sectors]
    angles = np.arange(2 * n + 1) * np.pi / n
    figure = Figure(figsize=(4.6, 4.8), layout="constrained")
    axes: Any = figure.subplots(subplot_kw={"projection": "polar"})
    axes.set_theta_direction(-1)  # y points down in the image
    cut = [*kc, *kc, kc[0]]
    axes.fill(angles, cut, color=BLUE, alpha=0.15)
    axes.plot(angles, cut, "o-", color=BLUE, ms=3.5, lw=1.4, label="sector")
    if plane.decorrelation.has_peak:
        round_ = np.linspace(0, 2 * np.pi, 181)
        axes.plot(
            round_, np.full(181, plane.decorrelation.kc), "--", color=ORANGE, lw=1.2, label="all"
        )
    largest = np.nanmax([*kc, plane.decorrelation.kc])
    axes.set_ylim(0, min(1.0, 1.15 * largest) if largest > 0 else 1.0)
    if not np.isfinite(kc).any():
        axes.text(0, 0, "no peak in any direction", ha="center", va="center")
    axes.set_xticks(np.arange(0, 2 * np.pi, np.pi / 4))
    axes.set_xticklabels(["x, 0°", "45°", "y, 90°", "135°", "180°", "225°", "270°", "315°"])
    axes.set_rlabel_position(22.5)
    axes.legend(frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(1.15, 1.12))
    axes.set_title(f"{label(plane.name)}\ncut-off kc by direction (1 = Nyquist frequency)")
    return figure


def save_resolution_map(path: Path, plane: Analysed) -> Path:
    """Draw a plane beside its local resolution, with the scale of colours."""
    assert plane.local is not None  # it was asked for
    assert plane.pixels is not None
    height, width = plane.local.shape
    unit = "µm" if plane.pixel_size else "px"
    with matplotlib.rc_context(STYLE):
        aspect = min(max(height / width, 0.5), 1.6)
        figure = Figure(figsize=(8.6, 0.6 + 3.9 * aspect), layout="constrained")
        left, right = figure.subplots(1, 2)
        pixels = plane.pixels.astype(np.float64)
        low, high = np.percentile(pixels, [0.5, 99.5])
        left.imshow(pixels, cmap="gray", vmin=low, vmax=max(high, low + 1e-9))
        left.set_title(label(plane.name))
        values = plane.local.full_size()
        right.set_facecolor("white")
        known = values[np.isfinite(values)]
        bounds = np.percentile(known, [2, 95]) if known.size else (0, 1)
        shown = right.imshow(values, cmap="viridis_r", vmin=bounds[0], vmax=bounds[1])
        bar = figure.colorbar(shown, ax=right, shrink=0.85, extend="both")
        bar.set_label(f"resolution ({unit}), low is sharp")
        blank = 1 - np.isfinite(plane.local.values).mean()
        right.set_title(f"tiles of {plane.local.tile} px; blank: no structure ({blank:.0%})")
        scale_bar(left, (height, width), plane.pixel_size)
        for axes in (left, right):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        return save_figure(figure, path)


def save_focus(paths: Sequence[Path], foci: Sequence[Focus]) -> list[Path]:
    """Draw the measures of each stack over its planes, each from 0 to 1, and the vote."""
    for path, focus in zip(paths, foci, strict=True):
        with matplotlib.rc_context(STYLE):
            save_figure(_draw_focus(focus), path)
    return list(paths)


def _draw_focus(focus: Focus) -> Figure:
    figure = Figure(figsize=(7.6, 3.8), layout="constrained")
    axes = figure.subplots()
    for (measure, curve), colour in zip(focus.values.items(), COLOURS, strict=False):
        known = curve[np.isfinite(curve)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        scaled = (curve - low) / (high - low) if high > low else np.zeros(curve.size)
        name = measure.replace("_", " ")
        axes.plot(scaled, "o-", color=colour, ms=2.5, lw=1.2, label=name)
        if measure in focus.votes:
            axes.plot(focus.votes[measure], 1.06, "v", color=colour, ms=6, clip_on=False)
    if focus.best is not None:
        axes.axvline(focus.position, color="black", lw=1.2, ls="--", label="median of votes")
    n = len(focus.planes)
    ticks = np.unique(np.linspace(0, n - 1, min(n, 9)).round().astype(int))
    axes.set_xticks(ticks, [label(focus.planes[k], 18) for k in ticks], fontsize=7)
    axes.set(ylim=(-0.03, 1.1), xlabel="plane", ylabel="measure, from its least to its most")
    axes.set_title(f"{label(focus.name)}\n{focus.describe()}", fontsize=8, wrap=True)
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    return figure


def scale_bar(axes: Any, shape: tuple[int, ...], pixel_size: float | None) -> None:
    """A round length of about a quarter of an image, in micrometres; nothing where it is unknown.

    Parameters
    ----------
    axes : Axes
        That show the image, a unit a pixel.
    shape : (int, int)
        Of the image.
    pixel_size : float or None
        In micrometres.
    """
    if not pixel_size:
        return
    height, width = shape
    length = round_length(0.25 * width * pixel_size)
    x, y = 0.05 * width, 0.94 * height
    seen = [patheffects.withStroke(linewidth=1.6, foreground="black")]
    bar = Rectangle((x, y), length / pixel_size, 0.018 * height)
    bar.set(facecolor="white", edgecolor="black", linewidth=0.4, zorder=6)
    axes.add_patch(bar)
    text = axes.text(x, y - 0.02 * height, micrometres(length), color="white", fontsize=8)
    text.set(va="bottom", path_effects=seen, zorder=6)


def round_length(wanted: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is no longer.

    Examples
    --------
    >>> round_length(26.0), round_length(0.19)
    (20.0, 0.1)
    """
    unit = 10.0 ** math.floor(math.log10(wanted))
    return max(k * unit for k in (1, 2, 5) if k * unit <= wanted * (1 + 1e-9))


def micrometres(length: float) -> str:
    """A length in words: nanometres and millimetres where those are shorter.

    Examples
    --------
    >>> micrometres(20.0), micrometres(0.2), micrometres(2000.0)
    ('20 µm', '200 nm', '2 mm')
    """
    if length < 1:
        return f"{1000 * length:g} nm"
    return f"{length:g} µm" if length < 1000 else f"{length / 1000:g} mm"


def label(name: str, longest: int = 60) -> str:
    """The file's name, its end if it is long; no dollar sign is taken for mathematics."""
    name = name.rpartition("/")[2]
    shown = name if len(name) <= longest else "..." + name[3 - longest :]
    return shown.replace("$", r"\$")


def save_image_grid(
    path: Path,
    rows: Mapping[str, Mapping[str, Array]],
    *,
    captions: Mapping[str, Mapping[str, str]] | None = None,
    pixel_size: float | None = None,
) -> Path:
    """Draw images side by side: a row for each scene, a column for each method.

    Each row has the contrast of its `gt` (0.5 to 99.5 %), so that columns can be compared.

    Parameters
    ----------
    path : Path
    rows : mapping
        Scene to method to image.
    captions : mapping, optional
        Scene to method to what stands below the image.
    pixel_size : float, optional
        In micrometres, for a scale bar in the first column.
    """
    columns = list(next(iter(rows.values())))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.9 * len(columns), 1.95 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(columns), squeeze=False)
        for k, (line, (scene, images)) in enumerate(zip(grid, rows.items(), strict=True)):
            low, high = np.percentile(images[Role.REFERENCE], [0.5, 99.5])
            for axes, (method, image) in zip(line, images.items(), strict=True):
                axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                axes.set_xlabel((captions or {}).get(scene, {}).get(method, ""), fontsize=7)
                if k == 0:
                    axes.set_title(method)
            line[0].set_ylabel(scene)
            scale_bar(line[0], next(iter(images.values())).shape, pixel_size)
        return save_figure(figure, path)
