"""Figures, as PNG or SVG by the file's suffix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from cellqa.analyse import Analysed

Array = npt.NDArray[Any]

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


def save_decorrelation(path: Path, analysed: Sequence[Analysed]) -> list[Path]:
    """Draw each plane's curves of both passes, as Descloux et al. 2019, Figure 1.

    Several planes get NAME-1, NAME-2 and so on.
    """
    paths = []
    for number, plane in enumerate(analysed, 1):
        name = path if len(analysed) == 1 else path.with_stem(f"{path.stem}-{number}")
        with matplotlib.rc_context(STYLE):
            _draw_decorrelation(plane).savefig(name)
        paths.append(name)
    return paths


def _draw_decorrelation(plane: Analysed) -> Figure:
    found = plane.found
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for curve in found.curves[1:]:
        axes.plot(found.radii, curve, color=GREY, lw=0.6, alpha=0.8)
    for curve in found.refined_curves:
        axes.plot(found.refined_radii, curve, color=BLUE, lw=0.6, alpha=0.8)
    axes.plot(found.radii, found.curves[0], color="black", lw=1.6)
    axes.plot(*found.peaks[:12].T, "x", color=GREY, ms=5)
    axes.plot(*found.peaks[12:].T, "x", color=BLUE, ms=5)
    handles = [
        axes.plot([], [], color="black", lw=1.6, label="unfiltered")[0],
        axes.plot([], [], color=GREY, label="high-pass, first pass")[0],
        axes.plot([], [], color=BLUE, label="high-pass, second pass")[0],
    ]
    name = plane.name if len(plane.name) < 60 else "..." + plane.name[-57:]
    title = f"{name.replace('$', chr(92) + '$')}\n"
    if found.has_peak:
        unit = "µm" if plane.pixel_size else "px"
        length = found.resolution(plane.pixel_size or 1.0)
        handles.append(axes.axvline(found.kc, color=ORANGE, lw=1.2, ls="--", label="cut-off kc"))
        title += f"kc = {found.kc:.3f}, resolution {length:.4g} {unit}, A0 = {found.amplitude:.3f}"
    else:
        title += "no peak: resolution is undefined"
    axes.set(xlim=(0, 1), ylim=(0, None), title=title)
    axes.set(xlabel="radius (1 = Nyquist frequency)", ylabel="correlation d(r)")
    figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside right upper")
    return figure


def save_montage(path: Path, rows: Mapping[str, Mapping[str, Array]]) -> Path:
    """Draw images side by side: a row for each scene, a column for each method.

    Each row has the contrast of its `gt` (0.5 to 99.5 %), so that columns can be compared.
    """
    columns = list(next(iter(rows.values())))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.9 * len(columns), 1.95 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(columns), squeeze=False)
        for k, (line, (scene, images)) in enumerate(zip(grid, rows.items(), strict=True)):
            low, high = np.percentile(images["gt"], [0.5, 99.5])
            for axes, (method, image) in zip(line, images.items(), strict=True):
                axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if k == 0:
                    axes.set_title(method)
            line[0].set_ylabel(scene)
        figure.savefig(path)
    return path
