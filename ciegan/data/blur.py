"""Pairs from sharp images: the input is the target, degraded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cellqa.disk import StrPath
from cellqa.enhance.filters import as_type
from cellqa.errors import CellqaError
from cellqa.io import luminance
from cellqa.metrics._spectrum import SMALLEST_SIDE
from cellqa.metrics.detail import noise_variance
from cellqa.pairs.naming import composed
from cellqa.pairs.pairing import scan
from cellqa.planes import Array
from cellqa.planes.plane import Plane
from cellqa.terminal import Progress
from ciegan.data.degrade import Degradation, Noise, degrade
from ciegan.data.pixels import STRETCHED, check_pixels, load_image
from ciegan.data.prepare import PAIRS, Prepared, images_below, only, prepare_folder, seed_of
from ciegan.data.tiles import Pair, TilingOptions, check_tiling

_SHARED = "shares its target's noise"
_NOISY = 1e-4  # of an image's variance


def prepare_blur(
    source: StrPath,
    out: StrPath,
    how: Degradation,
    *,
    noise: Noise | None = None,
    draws: int = 1,
    bleaching: float = 1.0,
    of: StrPath | None = None,
    scale: int = 1,
    tiling: TilingOptions | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Degrade sharp images and cut both into tiles.

    What is degraded holds the noise of the target that it is made of: a network can learn to give
    that back, and scores of the pair, as `frc_resolution`, count it as detail. pairs.csv and the
    run say so where the target is noisy. `of` avoids it.

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
    of : path, optional
        Folder of images that are degraded in place of those in `source`, by name: another
        acquisition, or one without noise.
    scale : int
        1 to 4: the camera's pixels are so many times as large as those of the sharp images, to
        learn super-resolution; networks see what it sees as `ciegan.enlarge` enlarges it.
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
        No images, too few for the splits, no tile left, `out` is in use, or `of` lacks an image.
    ValueError
        `draws`, `bleaching` or `scale` is out of range, or one draw is to bleach.
    """
    source, out = Path(source), Path(out)
    tiling = tiling or TilingOptions()
    if draws < 1:
        raise ValueError(f"`draws` must be 1 or more, got {draws}")
    if not 0 < bleaching <= 1:
        raise ValueError(f"`bleaching` must be above 0 and at most 1, got {bleaching}")
    if bleaching < 1 and draws < 2:
        raise ValueError("bleaching goes from one copy to the next: give --draws 2 or more")
    check_tiling(tiling, scale)
    sources = images_below(source, "GT")
    others = _others(of, sources)
    left = [bleaching ** (k / max(draws - 1, 1)) for k in range(draws)]
    make = partial(
        _pairs,
        how=how,
        noise=noise or Noise(),
        left=left,
        tiling=tiling,
        others=others,
        scale=scale,
    )
    prepared = prepare_folder(
        sources,
        make,
        out,
        tiling,
        jobs=jobs,
        overwrite=overwrite,
        progress=progress,
        inputs=[source] if of is None else [source, Path(of)],
    )
    shared = (out / PAIRS).read_text(encoding="utf-8").count(_SHARED)
    if shared:
        prepared.warnings.append(
            f"{shared} of {prepared.tiles.total()} tiles were degraded from their own noisy target "
            "and share its noise: a network can give it back, and scores count it as detail; see "
            "--of"
        )
    return prepared


def _others(of: StrPath | None, sources: Mapping[str, list[Path]]) -> dict[str, Path]:
    """What is degraded for each image; nothing where that is the image itself."""
    if of is None:
        return {}
    top = Path(of)
    there = {composed(name): files for name, files in scan(top, "--of").images.items()}
    lacking = [name for name in sources if composed(name) not in there]
    if lacking:
        raise CellqaError(
            f"--of: {top} has no image for {len(lacking)} of GT, such as {lacking[0]}"
        )
    return {name: only([top / n for n in there[composed(name)]]) for name in sources}


def _noisy(image: Array) -> bool:
    """Whether there is more noise in an image than rounding makes."""
    plane = Plane.of(luminance(image), "image")
    if plane.flat or min(plane.shape) < SMALLEST_SIDE:
        return False
    rounding = 1 / 12 if image.dtype.kind in "iu" else 0.0
    variance = float(plane.real.var(dtype=np.float64))
    return noise_variance(plane) > 4 * rounding + _NOISY * variance


def _pairs(
    name: str,
    paths: list[Path],
    *,
    how: Degradation,
    noise: Noise,
    left: list[float],
    tiling: TilingOptions,
    others: Mapping[str, Path],
    scale: int,
) -> Iterator[Pair | tuple[str, str] | str]:
    image, size, stretched = load_image(only(paths))
    if stretched and not tiling.pixel_size:
        yield STRETCHED
    check_pixels(image, "image")
    size = tiling.pixel_size or size
    origin = image
    if name in others:
        origin = load_image(others[name]).pixels
        if origin.shape != image.shape:
            sizes = " and ".join(" x ".join(map(str, i.shape)) for i in (origin, image))
            yield "", f"--of: the images' sizes differ ({sizes})"
            return
        check_pixels(origin, "image of --of")
    shared = "" if name in others or not _noisy(image) else f"; {_SHARED}"
    for k, share in enumerate(left):
        rng = np.random.default_rng([tiling.seed, seed_of(name), k])
        strength = how.draw(rng)
        # a pair is of one moment: what has faded is gone from the target too
        sharp = bleached(image, share, noise.offset)
        fewer = replace(noise, photons=noise.photons * share)
        seen = degrade(
            bleached(origin, share, noise.offset), how, strength, fewer, rng, size, scale
        )
        faded = "" if share == 1 else f", {share:.3f} of the signal left"
        yield Pair(
            f"d{k}" if len(left) > 1 else "",
            seen,
            sharp[: scale * seen.shape[0], : scale * seen.shape[1]],
            size,
            distance=strength if how.unit == "µm" else "",
            degradation=f"{how.name} {strength:.3f} {how.unit}{faded}{shared}",
            scale=scale,
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
