"""Images side by side, as the CIEGAN paper's Figure 5A to D: rows of images, columns of methods."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
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
from cellqa.reporting.figures import COLOURS, STYLE, label, save_figure, scale_bar
from cellqa.reporting.load import LoadedRun, choose
from cellqa.reporting.pictures import as_scored, draw_pictures, liveliest
from cellqa.scoring.image import load_plane

_ROWS = 5
_WIDE, _GAP, _LEFT = 2.0, 0.06, 0.5  # inches: of a panel, between two, before the first
_TOP, _BELOW, _FOOT = 0.3, 0.27, 0.14  # above all, for the line under a panel, for the note
_TALLEST = 2.0  # times the width
_ZOOM = 5  # the inset shows a fifth of the crop's side
_INSET = 0.42  # of the shorter side

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
    pixel size is known; the framed square enlarged in the corner; PSNR and SSIM below.

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
    paths = [folder / f"{MONTAGE}{suffix}" for suffix in (".png", ".svg")]
    with matplotlib.rc_context(STYLE):
        figure = _draw(run, rows, methods)
        for path in paths:
            save_figure(figure, path)
    return paths


def _draw(
    run: LoadedRun, rows: Sequence[tuple[str, str, dict[str, Array]]], methods: Sequence[str]
) -> Figure:
    """Panels of one width; what a row shows has one shape, which is its height.

    Places are computed here: a layout that measures shrinks the panels of odd shapes alone.
    """
    shapes = [next(iter(images.values())).shape for _, _, images in rows]
    heights = [_WIDE * min(h / w, _TALLEST) for h, w in shapes]
    width = _LEFT + len(methods) * (_WIDE + _GAP)
    height = _TOP + sum(heights) + len(rows) * _BELOW + _FOOT
    figure = Figure(figsize=(width, height))
    y = height - _TOP
    for (reason, image, images), tall in zip(rows, heights, strict=True):
        y -= tall
        part, size, captions = _part(images), _pixel_size(run, image), captions_of(run, image)
        for k, method in enumerate(methods):
            x = _LEFT + k * (_WIDE + _GAP)
            axes = figure.add_axes((x / width, y / height, _WIDE / width, tall / height))
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if method in images:
                _panel(axes, images[method], part)
                axes.set_xlabel(captions.get(method, ""), fontsize=7, labelpad=3)
                if method == next(m for m in methods if m in images):
                    scale_bar(axes, images[method].shape, size)
            if (reason, image) == rows[0][:2]:
                axes.set_title(label(method, 22))
            if k == 0:
                axes.set_ylabel(f"{reason}\n{label(image, 22)}", fontsize=8)
        y -= _BELOW
    if any(captions_of(run, image) for _, image, _ in rows):
        figure.text(
            _LEFT / width,
            0.06 / height,
            "PSNR and SSIM are of the whole image against the ground truth",
            fontsize=7,
            color="#555555",
        )
    return figure


def _pixel_size(run: LoadedRun, image: str) -> float | None:
    """Of what is drawn, in micrometres; with --scale, the input has larger pixels than that."""
    known = run.scores[(run.scores["image"] == image) & run.scores["pixel_size"].notna()]
    own = known[known["method"] != Role.RAW]
    sizes = (own if len(own) else known)["pixel_size"]
    return float(sizes.iloc[0]) if len(sizes) else None


def captions_of(run: LoadedRun, image: str) -> dict[str, str]:
    """PSNR and SSIM of each method, as far as the run has them."""
    shown = [m for name in ("psnr", "ssim") for m in run.columns if m.name == name]
    lines = run.scores[run.scores["image"] == image].set_index("method")
    captions: dict[str, str] = {}
    for method in lines.index:
        told = [
            f"{m.name.upper()} {m.shown(float(lines.at[method, m.name]))}"
            + (f" {m.unit}" if m.unit else "")
            for m in shown
            if not math.isnan(float(lines.at[method, m.name]))
        ]
        captions[str(method)] = "   ".join(told)
    return {method: text for method, text in captions.items() if text}


def _read(path: Path) -> Array:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)  # type: ignore[return-value]


def _panel(axes: Any, pixels: Array, part: tuple[int, int, int]) -> None:
    """The crop, and a square of it enlarged in the lower right corner, in the same coordinates."""
    height, width = pixels.shape
    look: Any = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
    axes.imshow(pixels, **look)
    top, left, side = part
    frame: Any = {"fill": False, "ec": COLOURS[4], "lw": 1, "zorder": 4}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, **frame))
    inset = _INSET * min(height, width)
    x, y = width - 0.5 - inset, height - 0.5 - inset
    enlarged = pixels[top : top + side, left : left + side]
    place = (x, width - 0.5, height - 0.5, y)
    axes.imshow(enlarged, extent=place, zorder=3, **look)
    axes.add_patch(Rectangle((x, y), inset, inset, **frame))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), autoscale_on=False)


def _part(images: dict[str, Array]) -> tuple[int, int, int]:
    """Top, left and side of the enlarged square: the liveliest that the inset leaves free."""
    pixels = images.get(Role.REFERENCE, next(iter(images.values())))
    side = max(8, min(pixels.shape) // _ZOOM)
    free = pixels[: max(side, int(pixels.shape[0] - _INSET * min(pixels.shape)))]
    top, left, *_ = liveliest(free, side)
    return top, left, side


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
