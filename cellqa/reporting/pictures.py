"""Small pictures of chosen images: each method, its error, its SSIM, at one crop and contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from cellqa.disk import fresh_folder
from cellqa.engines.local import ordered_map
from cellqa.errors import CellqaError
from cellqa.io import MAX_PIXELS, may_crash
from cellqa.io.stores import absolute
from cellqa.metrics.fitted import error_map
from cellqa.metrics.structural import ssim_map
from cellqa.pairs.naming import Naming
from cellqa.pairs.pairing import Image, Pairing, pair_folders, without_plane
from cellqa.pairs.roles import GIVEN, Role, is_scored
from cellqa.planes import Array
from cellqa.reporting.load import LoadedRun
from cellqa.scoring.image import file_states, load_plane
from cellqa.tables.folder import SCORES
from cellqa.terminal import Progress

SIDE = 320  # of the crop, pixels
OVERVIEW = 480  # longest side of the whole image, made smaller
ERROR, SIMILAR = "PuOr_r", "viridis"  # colours of maps
SUFFIX = ".webp"
_LEVELS = 40  # of a map's colours: what the eye tells apart, and small files
_EXACT, _SMALL = 101, 80  # quality: beyond 100 nothing is lost, which pictures to judge by need


@dataclass(frozen=True)
class Pictures:
    """What was drawn of one image.

    Attributes
    ----------
    files : dict
        `image:METHOD`, `error:METHOD` and `ssim:METHOD` to the names of the pictures; and, where
        the crop is not all, `whole:METHOD`, the whole image made smaller.
    crop : tuple of int
        Top, left, height, width in the image.
    shape : tuple of int
        Of the image.
    span : float
        Grey levels from black to white; errors are drawn from minus to plus half of it.
    """

    files: dict[str, str] = field(default_factory=dict)
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    shape: tuple[int, int] = (0, 0)
    span: float = 0.0


def as_scored(run: LoadedRun, images: Sequence[str]) -> tuple[dict[str, Path], dict[str, Image]]:
    """Folders, and those of these images (names as in scores.csv) that are there unchanged."""
    if not images:
        return {}, {}  # folders may hold millions
    folders = {name: Path(path) for name, path in run.record.folders.items()}
    pred = {m: p for m, p in folders.items() if m not in GIVEN and is_scored(m)}
    try:
        pairing = pair_folders(
            pred,
            reference=folders.get(Role.REFERENCE),
            raw=folders.get(Role.RAW),
            naming=Naming.of(run.record.pairing.naming),
        )
    except CellqaError:
        return {}, {}
    by_name = {image.name: image for image in pairing.images}
    files = {
        name: by_name[without_plane(name)] for name in images if without_plane(name) in by_name
    }
    kept = {name: image for name, image in files.items() if not _changed(run, pairing, image)}
    return {name: absolute(path) for name, path in pairing.folders.items()}, kept


def draw_pictures(
    run: LoadedRun,
    images: Sequence[str],
    folder: Path,
    *,
    jobs: int = 1,
    crop: tuple[int, int, int, int] | None = None,
    progress: Progress | None = None,
) -> dict[str, Pictures]:
    """Draw images by name; those whose files are gone are absent.

    Parameters
    ----------
    run : LoadedRun
    images : sequence of str
        Names as in scores.csv.
    folder : Path
        For the files (WebP), numbered, so that nothing of a name is in theirs.
    jobs : int
    crop : (top, left, height, width), optional
        Default: the liveliest square of the ground truth.
    progress : callable, optional
    """
    folders, files = as_scored(run, images)
    if not files:
        return {}
    fresh_folder(folder)
    work = [(number, name, files[name]) for number, name in enumerate(images, 1) if name in files]
    ranges = run.scores.drop_duplicates("image").set_index("image")["data_range"].to_dict()
    draw = partial(
        _draw,
        folders=folders,
        ranges=ranges,
        target=folder,
        methods=run.methods,
        crop=crop,
        max_pixels=int(run.record.settings.get("max_pixels", MAX_PIXELS)),
    )
    drawn: dict[str, Pictures] = {}
    isolate = any(may_crash(n) for _, _, i in work for names in i.files.values() for n in names)
    results = ordered_map(draw, work, jobs, on_crash=_nothing, isolate=isolate)
    for (_, name, _), pictures in zip(work, results, strict=True):
        if pictures.files:
            drawn[name] = pictures
        if progress:
            progress(len(drawn), len(work))
    return drawn


def _changed(run: LoadedRun, pairing: Pairing, image: Image) -> bool:
    """Whether a file is newer than the scores: its picture would be of something else."""
    scored = (run.folder / SCORES).stat().st_mtime
    states = file_states(image, pairing.folders)
    return any(state and state[1] / 1e9 > scored + 1 for each in states.values() for state in each)


def _nothing(item: tuple[int, str, Image], reason: str) -> Pictures:
    return Pictures()  # its row tells that it cannot be read


def _draw(
    item: tuple[int, str, Image],
    *,
    folders: dict[str, Path],
    ranges: dict[str, float],
    target: Path,
    methods: list[str],
    crop: tuple[int, int, int, int] | None,
    max_pixels: int,
) -> Pictures:
    number, name, image = item
    planes = load_plane(image, name, folders=folders, max_pixels=max_pixels)
    planes = {m: planes[m] for m in methods if m in planes}
    if not planes:
        return Pictures()
    leader = planes.get(Role.REFERENCE, next(iter(planes.values())))
    shape = leader.shape
    top, left, height, width = crop or liveliest(leader.pixels)
    height, width = min(height, shape[0] - top), min(width, shape[1] - left)
    if min(height, width) < 1:
        return Pictures()  # the crop lies outside
    window = slice(top, top + height), slice(left, left + width)
    low, high = np.percentile(leader.pixels[window], [0.5, 99.5])
    files: dict[str, str] = {}

    def save(key: str, pixels: Array, quality: int = _EXACT) -> None:
        name = f"{number:04d}-{len(files):02d}{SUFFIX}"
        ok, encoded = cv2.imencode(SUFFIX, pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])
        if ok:
            (target / name).write_bytes(encoded.tobytes())
            files[key] = name

    for method, plane in planes.items():
        if (pixels := _enlarged(plane.pixels, shape)) is not None:
            save(f"image:{method}", _grey(pixels[window], low, high))
            if (height, width) != shape:
                save(f"whole:{method}", _grey(_smaller(pixels), low, high), _SMALL)
    for method, plane in planes.items():
        reference = planes.get(Role.REFERENCE)
        if reference is None or method == Role.REFERENCE or plane.shape != shape:
            continue
        if not plane.flat:
            error = error_map(reference.pixels, plane.pixels)[window]
            save(f"error:{method}", _coloured(error / max(high - low, 1e-12) + 0.5, ERROR))
        data_range = ranges.get(name, np.nan)
        if data_range and np.isfinite(data_range):
            similar = ssim_map(reference.pixels, plane.pixels, data_range=float(data_range))[window]
            save(f"ssim:{method}", _coloured(similar, SIMILAR))
    crop_ = (top, left, height, width)
    return Pictures(files, crop_, (shape[0], shape[1]), float(high - low))


def _enlarged(pixels: Array, shape: tuple[int, ...]) -> Array | None:
    """The image, each pixel repeated where it has fewer (--scale); None where it does not fit."""
    factor = max(1, shape[0] // pixels.shape[0])
    if tuple(factor * n for n in pixels.shape) != shape:
        return None
    return pixels if factor == 1 else pixels.repeat(factor, 0).repeat(factor, 1)


def _smaller(pixels: Array) -> Array:
    """The whole image, its longest side `OVERVIEW` at most: means of what falls into a pixel."""
    factor = OVERVIEW / max(pixels.shape)
    if factor >= 1:
        return pixels
    size = [max(1, round(n * factor)) for n in pixels.shape[::-1]]
    return np.asarray(cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def liveliest(
    pixels: Array, side: int = SIDE, step: int | None = None
) -> tuple[int, int, int, int]:
    """Top, left, height, width of the square (or all of a small image) that varies most.

    Squares are tried every `step` pixels, by default a quarter of the side.
    """
    height, width = (min(n, side) for n in pixels.shape)
    steps = [
        range(0, n - k + 1, step or max(1, side // 4))
        for n, k in zip(pixels.shape, (height, width), strict=True)
    ]
    top, left = max(
        product(*steps), key=lambda c: pixels[c[0] : c[0] + height, c[1] : c[1] + width].std()
    )
    return top, left, height, width


def _grey(pixels: Array, low: float, high: float) -> Array:
    scaled = (pixels.astype(np.float64) - low) / max(high - low, 1e-12)
    return np.asarray(np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8))


def _coloured(values: Array, name: str) -> Array:
    """Values of 0 to 1 as colours (BGR); grey where there is none."""
    levels = np.rint(_LEVELS * np.clip(np.nan_to_num(values, nan=0.0), 0, 1)) / _LEVELS
    colours = matplotlib.colormaps[name](levels)[..., 2::-1]
    colours[~np.isfinite(values)] = 0.6
    return np.asarray(np.rint(255 * colours).astype(np.uint8))
