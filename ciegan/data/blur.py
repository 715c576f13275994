"""Pairs from sharp images: the input is the target, degraded."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cellqa.disk import StrPath
from cellqa.enhance.filters import as_type
from cellqa.io import may_crash
from cellqa.pairs.pairing import scan
from cellqa.planes import Array
from cellqa.terminal import Progress
from ciegan.data.degrade import Degradation, Noise, degrade
from ciegan.data.pixels import check_pixels, load_image
from ciegan.data.prepare import Prepared, prepare_sources
from ciegan.data.tiles import Pair, TilingOptions


def prepare_blur(
    source: StrPath,
    out: StrPath,
    how: Degradation,
    *,
    noise: Noise | None = None,
    draws: int = 1,
    bleaching: float = 1.0,
    tiling: TilingOptions | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Degrade sharp images and cut both into tiles.

    Parameters
    ----------
    source : path
        Folder of sharp images.
    out : path
        Folder for `train`, `val`, `test` and pairs.csv.
    how : Degradation
        Its strength is drawn for each image, by the seed and the image's name.
    noise : Noise, optional
    draws : int
        Degraded copies of each image, each with its own strength and noise.
    bleaching : float
        Share of the signal that is left in the last copy, above 0; 1 for no bleaching. Copy k of n
        keeps `bleaching` ** (k / (n - 1)) of what is above the camera's offset (`noise.offset`),
        in input and target alike, and as much of the photons.
    tiling : TilingOptions, optional
    jobs : int
        Processes; the result is the same for any number.
    overwrite : bool
        Replace what was prepared in `out`.
    progress : callable, optional
        Called with the number of images done and of all.

    Raises
    ------
    CellqaError
        No images, too few for the splits, no tile left, or `out` is in use.
    ValueError
        `draws` or `bleaching` is out of range, or one draw is to bleach.
    """
    source, out = Path(source), Path(out)
    tiling = tiling or TilingOptions()
    if draws < 1:
        raise ValueError(f"`draws` must be 1 or more, got {draws}")
    if not 0 < bleaching <= 1:
        raise ValueError(f"`bleaching` must be above 0 and at most 1, got {bleaching}")
    if bleaching < 1 and draws < 2:
        raise ValueError("bleaching goes from one copy to the next: give --draws 2 or more")
    folder = scan(source, "GT")
    sources = {name: [source / n for n in names] for name, names in folder.images.items()}
    left = [bleaching ** (k / max(draws - 1, 1)) for k in range(draws)]
    make = partial(_pairs, how=how, noise=noise or Noise(), left=left, tiling=tiling)
    isolate = any(may_crash(path.name) for paths in sources.values() for path in paths)
    return prepare_sources(
        sources,
        make,
        out,
        tiling,
        jobs=jobs,
        isolate=isolate,
        overwrite=overwrite,
        progress=progress,
        inputs=[source],
    )


def _pairs(
    name: str,
    paths: list[Path],
    *,
    how: Degradation,
    noise: Noise,
    left: list[float],
    tiling: TilingOptions,
) -> Iterator[Pair | tuple[str, str] | str]:
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        yield "", f"ambiguous name: {names} differ only in their suffix"
        return
    image, size = load_image(paths[0])
    check_pixels(image, "image")
    size = tiling.pixel_size or size
    for k, share in enumerate(left):
        # by name, so that other images in the folder do not change this one's draw
        key = zlib.crc32(name.encode("utf-8", "surrogateescape"))
        rng = np.random.default_rng([tiling.seed, key, k])
        strength = how.draw(rng)
        # a pair is of one moment: what has faded is gone from the target too
        sharp = bleached(image, share, noise.offset)
        fewer = replace(noise, photons=noise.photons * share)
        blurred = degrade(sharp, how, strength, fewer, rng, size)
        faded = "" if share == 1 else f", {share:.3f} of the signal left"
        yield Pair(
            f"d{k}" if len(left) > 1 else "",
            blurred,
            sharp,
            size,
            distance=strength if how.unit == "µm" else "",
            degradation=f"{how.name} {strength:.3f} {how.unit}{faded}",
        )


def bleached(pixels: Array, share: float, offset: float) -> Array:
    """An image of which `share` of the signal above the camera's offset is left; type kept.

    Examples
    --------
    >>> import numpy as np
    >>> bleached(np.array([[100, 200]], np.uint16), 0.3, 100)
    array([[100, 130]], dtype=uint16)
    """
    if share == 1:
        return pixels
    return as_type(offset + (pixels.astype(np.float64) - offset) * share, pixels.dtype)
