"""Pairs from sharp images: the input is the target, degraded."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from cellqa.io import may_crash
from cellqa.pairing import scan
from ciegan.degrade import Degradation, Noise, degrade
from ciegan.prepare import tiles


def prepare_blur(
    source: Path,
    out: Path,
    how: Degradation,
    *,
    noise: Noise | None = None,
    draws: int = 1,
    cut: tiles.Cut | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tiles.Prepared:
    """Degrade sharp images and cut both into tiles.

    Parameters
    ----------
    source : Path
        Folder of sharp images.
    out : Path
        Folder for `train`, `val`, `test` and pairs.csv.
    how : Degradation
        Its strength is drawn for each image, by the seed and the image's name.
    noise : Noise, optional
    draws : int
        Degraded copies of each image, each with its own strength and noise.
    cut : Cut, optional
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
    """
    cut = cut or tiles.Cut()
    if draws < 1:
        raise ValueError(f"`draws` must be 1 or more, got {draws}")
    folder = scan(source, "GT")
    sources = {name: [source / n for n in names] for name, names in folder.images.items()}
    make = partial(_pairs, how=how, noise=noise or Noise(), draws=draws, cut=cut)
    isolate = any(may_crash(path.name) for paths in sources.values() for path in paths)
    return tiles.run(
        sources,
        make,
        out,
        cut,
        jobs=jobs,
        isolate=isolate,
        overwrite=overwrite,
        progress=progress,
        inputs=[source],
    )


def _pairs(
    name: str, paths: list[Path], *, how: Degradation, noise: Noise, draws: int, cut: tiles.Cut
) -> Iterator[tiles.Pair | tuple[str, str] | str]:
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        yield "", f"ambiguous name: {names} differ only in their suffix"
        return
    sharp, size = tiles.load_image(paths[0])
    tiles.check_pixels(sharp, "image")
    size = cut.pixel_size or size
    for k in range(draws):
        # by name, so that other images in the folder do not change this one's draw
        key = zlib.crc32(name.encode("utf-8", "surrogateescape"))
        rng = np.random.default_rng([cut.seed, key, k])
        strength = how.draw(rng)
        blurred = degrade(sharp, how, strength, noise, rng, size)
        unit = "µm" if how.name.startswith("defocus") else "px"
        yield tiles.Pair(
            f"d{k}" if draws > 1 else "",
            blurred,
            sharp,
            size,
            distance=strength if unit == "µm" else "",
            degradation=f"{how.name} {strength:.3f} {unit}",
        )
