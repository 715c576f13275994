"""Images side by side, as the CIEGAN paper's Figure 5A to D: rows of images, columns of methods."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import cv2
import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cellqa.disk import own_folder
from cellqa.io import MAX_PIXELS
from cellqa.metrics.resolution import normal
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.reporting.charts import colour_of
from cellqa.reporting.figures import COLOURS, STYLE, label, save_figure
from cellqa.reporting.load import LoadedRun, choose
from cellqa.reporting.pictures import as_scored, draw_pictures, liveliest
from cellqa.scoring.image import load_plane

_ROWS = 5
_ZOOM = 5  # the inset shows a fifth of the crop's side
_INSET = 0.42  # of the panel's side

MONTAGE = "montage"  # how the files are called


def save_montage(
    run: LoadedRun,
    folder: Path,
    *,
    crop: tuple[int, int, int, int] | None = None,
    jobs: int = 1,
) -> list[Path]:
    """Draw chosen images (worst, median, best, ...) of all methods, as PNG and SVG.

    One crop and one contrast (0.5 to 99.5 % of the ground truth's) for a row; a scale bar where the
    pixel size is known; the framed square enlarged in the corner.

    Parameters
    ----------
    run : LoadedRun
    folder : Path
    crop : (top, left, height, width), optional
        Default: the liveliest square of each image's ground truth.
    jobs : int

    Returns
    -------
    list of Path
        Empty where the images are no longer in their folders, or have changed.
    """
    chosen = {reason: images[0] for reason, images in choose(run, _ROWS).items()}
    with tempfile.TemporaryDirectory() as place:
        drawn = draw_pictures(run, list(chosen.values()), Path(place), jobs=jobs, crop=crop)
        rows = [
            (
                reason,
                image,
                {
                    m: _read(Path(place) / drawn[image].files[f"image:{m}"])
                    for m in run.methods
                    if f"image:{m}" in drawn[image].files
                },
            )
            for reason, image in chosen.items()
            if image in drawn
        ]
    if not rows:
        return []
    methods = [m for m in run.methods if any(m in images for _, _, images in rows)]
    own_folder(folder, folder.parent)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.1 * len(methods) + 0.4, 2.2 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), len(methods), squeeze=False)
        for line, (reason, image, images) in zip(grid, rows, strict=True):
            known = run.scores[(run.scores["image"] == image) & run.scores["pixel_size"].notna()]
            # with --scale, the input has larger pixels than those that are drawn
            own = known[known["method"] != Role.RAW]
            size = (own if len(own) else known)["pixel_size"]
            part = _part(images)
            for axes, method in zip(line, methods, strict=True):
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if method in images:
                    _panel(axes, images[method], part)
            _scale_bar(line[0], float(size.iloc[0]) if len(size) else None, images)
            line[0].set_ylabel(f"{reason}\n{label(image, 22)}", fontsize=8)
        for axes, method in zip(grid[0], methods, strict=True):
            axes.set_title(label(method, 22))
        paths = [folder / f"{MONTAGE}{suffix}" for suffix in (".png", ".svg")]
        for path in paths:
            save_figure(figure, path)
    return paths


def _read(path: Path) -> Array:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)  # type: ignore[return-value]


def _panel(axes: Any, pixels: Array, part: tuple[int, int, int]) -> None:
    """The crop, and a square of it enlarged in the lower right corner."""
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    top, left, side = part
    axes.add_patch(Rectangle((left, top), side, side, fill=False, ec=COLOURS[4], lw=1))
    inset = axes.inset_axes((1 - _INSET, 0, _INSET, _INSET))
    enlarged = pixels[top : top + side, left : left + side]
    inset.imshow(enlarged, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    inset.set(xticks=[], yticks=[])
    inset.spines[:].set(visible=True, color=COLOURS[4])


def _part(images: dict[str, Array]) -> tuple[int, int, int]:
    """Top, left and side of the enlarged square: the liveliest that the inset leaves free."""
    pixels = images.get(Role.REFERENCE, next(iter(images.values())))
    side = max(8, min(pixels.shape) // _ZOOM)
    free = pixels[: max(side, int(pixels.shape[0] * (1 - _INSET)))]
    top, left, *_ = liveliest(free, side)
    return top, left, side


def _scale_bar(axes: Any, pixel_size: float | None, images: dict[str, Array]) -> None:
    """A round length of about a quarter of the crop, in micrometres."""
    if not pixel_size or not images:
        return
    height, width = next(iter(images.values())).shape
    wanted = 0.25 * width * pixel_size
    unit = 10 ** math.floor(math.log10(wanted))
    length = max(k * unit for k in (1, 2, 5) if k * unit <= wanted)
    x, y = 0.05 * width, 0.94 * height
    axes.plot([x, x + length / pixel_size], [y, y], color="white", lw=3, solid_capstyle="butt")
    axes.text(x, y - 0.03 * height, f"{length:g} µm", color="white", fontsize=8, va="bottom")


def save_curves(run: LoadedRun, folder: Path) -> list[Path]:
    """Draw the unfiltered decorrelation curve and cut-off of each method, of the median image.

    Returns
    -------
    list of Path
        Empty where the images are no longer in their folders, or have changed.
    """
    folders, files = as_scored(run, choose(run, 3).get("median", [])[:1])
    if not files:
        return []
    ((image, file),) = files.items()
    planes = load_plane(file, image, folders=folders, max_pixels=MAX_PIXELS)
    colours = colour_of(run)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        axes = figure.subplots()
        for method in (m for m in run.methods if m in planes):
            curve = planes[method].once(normal)
            axes.plot(curve.radii, curve.curves[0], color=colours[method], label=label(method, 24))
            if curve.has_peak:
                axes.axvline(curve.kc, color=colours[method], lw=1, ls="--")
        axes.set(xlim=(0, 1), ylim=(0, None), title=f"{label(image)} (the median image)")
        axes.set(xlabel="radius (1 = Nyquist frequency); dashed: cut-off", ylabel="d(r)")
        axes.legend(frameon=False, fontsize=8)
        own_folder(folder, folder.parent)
        paths = [folder / f"decorrelation{suffix}" for suffix in (".png", ".svg")]
        for path in paths:
            save_figure(figure, path)
    return paths
