"""Pairs that exist: two folders, or the authors' side-by-side images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, ImageError
from cellqa.io import PlaneIndex, may_crash, open_image
from cellqa.pairs.naming import Naming
from cellqa.pairs.pairing import pair_folders
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.planes.blocks import times
from cellqa.terminal import Progress
from ciegan.data.levels import in_floats, levelled
from ciegan.data.pair_check import EXCHANGED, SMALL, check_pair
from ciegan.data.pixels import STRETCHED, check_pixels, load_image
from ciegan.data.prepare import Prepared, images_below, only, prepare_folder, prepare_sources
from ciegan.data.tiles import INPUT, TARGET, Pair, TilingOptions, check_tiling
from ciegan.network.enlarging import LARGEST, enlarge

BLURRED = "blurred"
CONTRADICT = "the pixel sizes that input and target state contradict each other"
_SIZES = 0.02  # by which two sizes may differ, as a share


def prepare_pairs(
    blurred: StrPath,
    sharp: StrPath,
    out: StrPath,
    *,
    naming: Naming | None = None,
    check: bool = True,
    register: bool = False,
    match_levels: bool = False,
    scale: int = 1,
    tiling: TilingOptions | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Cut pairs of images, which belong together by name, into tiles.

    Parameters
    ----------
    blurred, sharp : path
        Folders; images pair by relative path without suffix.
    out : path
        Folder for `train`, `val`, `test` and pairs.csv.
    naming : Naming, optional
        What names have beside the image's, of the roles `blurred` and `gt`. By default, affixes
        are found.
    check : bool
        Refuse pairs that are the same image twice, of different fields, displaced, turned or
        magnified; see `ciegan.data.pair_check`.
    register : bool
        Bring the blurred image onto the sharp one instead of refusing it.
    match_levels : bool
        Bring the grey levels of the sharp image to those of the blurred one, by a gain and an
        offset. Without it, pairs of other types become float32 if their levels are on one scale.
    scale : int
        1 to 4: the sharp images have so many times the pixels along each side, to learn
        super-resolution; networks see the blurred ones as `ciegan.enlarge` enlarges them.
    tiling, jobs, overwrite, progress
        As in `prepare_blur`.

    Raises
    ------
    CellqaError
        As `prepare_blur`; what is wrong with a pair is a failure, and leaves the others done.
    ValueError
        `scale` is out of range, or above 1 with `register`.
    """
    if scale > 1 and register:
        raise ValueError(
            "--register moves pixels of the blurred image, which --scale has to know as they were "
            "taken: bring the sharp images onto them before"
        )
    blurred, sharp, out = Path(blurred), Path(sharp), Path(out)
    tiling = tiling or TilingOptions()
    check_tiling(tiling, scale)
    for word, folder in (("BLURRED", blurred), ("SHARP", sharp)):
        if not folder.is_dir():
            raise CellqaError(f"{word}: there is no folder {str(folder)!r}")
    pairing = pair_folders({BLURRED: blurred}, reference=sharp, naming=naming)
    sources = {
        image.name: {
            role: [pairing.folders[role] / n for n in names] for role, names in image.files.items()
        }
        for image in pairing.images
    }
    lonely = [
        (name, "", "it has no partner in the other folder")
        for names in pairing.unpaired.values()
        for name in names
        if not name.endswith("(missing)")
    ]
    every = [path for roles in sources.values() for paths in roles.values() for path in paths]
    prepared = prepare_sources(
        sources,
        partial(
            _pair,
            tiling=tiling,
            check=check,
            register=register,
            match_levels=match_levels,
            scale=scale,
        ),
        out,
        tiling,
        jobs=jobs,
        isolate=any(may_crash(path) for path in every),
        overwrite=overwrite,
        progress=progress,
        inputs=[blurred, sharp],
        failures=lonely,
    )
    prepared.warnings.extend(pairing.notes)
    return _told(prepared, len(sources), "are BLURRED and SHARP exchanged?")


def prepare_side_by_side(
    source: StrPath,
    out: StrPath,
    *,
    check: bool = True,
    register: bool = False,
    match_levels: bool = False,
    tiling: TilingOptions | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Cut images that hold the sharp one on the left and the blurred one on the right.

    That is how the CIEGAN authors store their pairs. Parameters are as in `prepare_pairs`.
    """
    source, out = Path(source), Path(out)
    tiling = tiling or TilingOptions()
    sources = images_below(source, "AB")
    prepared = prepare_folder(
        sources,
        partial(_halves, tiling=tiling, check=check, register=register, match_levels=match_levels),
        out,
        tiling,
        jobs=jobs,
        overwrite=overwrite,
        progress=progress,
        inputs=[source],
    )
    return _told(prepared, len(sources), "is the sharp image on the right?")


def _told(prepared: Prepared, pairs: int, question: str) -> Prepared:
    """One warning for all pairs of which the same is to be told.

    That their input is sharper than their target is told where it is so of most.
    """
    counted = EXCHANGED, CONTRADICT, SMALL
    exchanged, contradict, small = map(prepared.warnings.count, counted)
    prepared.warnings = [told for told in prepared.warnings if told not in counted]
    if small:
        prepared.warnings.append(f"{small} pairs were not looked at, the first: {SMALL}")
    if contradict:
        prepared.warnings.append(
            f"in {contradict} pairs {CONTRADICT}: those of the target were taken (--pixel-size)"
        )
    if 2 * exchanged > pairs:
        prepared.warnings.append(
            f"in {exchanged} of {pairs} pairs {EXCHANGED}: {question} (cells that hardly absorb, "
            "in brightfield, look so out of focus)"
        )
    return prepared


def _checked(pair: Pair, check: bool, register: bool, match_levels: bool) -> Iterator[Pair | str]:
    doubt = ""
    types = pair.input.dtype, pair.target.dtype
    apart = match_levels or types[0] != types[1]
    for role, pixels in ((INPUT, pair.input), (TARGET, pair.target)):
        check_pixels(pixels, role)
    if apart:
        pair = in_floats(pair)
    if check or register:
        pair, doubt = check_pair(pair, register=register)
    if apart:  # once they lie on each other
        pair = levelled(pair, match=match_levels, types=types)
    if doubt:
        yield doubt
    yield pair


def _pair(
    name: str,
    roles: dict[str, list[Path]],
    *,
    tiling: TilingOptions,
    check: bool,
    register: bool,
    match_levels: bool,
    scale: int,
) -> Iterator[Pair | tuple[str, str] | str]:
    if len(roles) < 2:
        raise CellqaError("it has no partner in the other folder")
    paths = only(roles[BLURRED]), only(roles[Role.REFERENCE])
    for label, places in _planes(*paths):
        try:
            (blurred, own, _), (sharp, size, stretched) = (
                load_image(path, place) for path, place in zip(paths, places, strict=True)
            )
            if stretched and not tiling.pixel_size:
                yield STRETCHED
            finer = own and own / scale
            if size and finer and not math.isclose(size, finer, rel_tol=_SIZES):
                yield CONTRADICT
            size = tiling.pixel_size or size or finer
            grid = _on_grid(blurred, sharp, scale)
            pair = Pair(label, grid, sharp, size, label, degradation="as given", scale=scale)
            for told in _checked(pair, check, register, match_levels):
                if isinstance(told, Pair) and scale > 1:
                    raw = blurred.astype(told.input.dtype)
                    yield replace(told, input=raw)
                else:
                    yield told
        except CellqaError as error:
            yield label, str(error)


def _on_grid(blurred: Array, sharp: Array, scale: int) -> Array:
    """The blurred image with the pixels of the sharp one.

    Raises
    ------
    ImageError
        The sharp one does not have `scale` times its pixels.
    """
    larger = times(blurred.shape, sharp.shape)
    if larger != scale and (scale > 1 or 1 < larger <= LARGEST):
        advice = f" (--scale {larger})" if larger > 1 else ""
        small, large = (" x ".join(map(str, p.shape[:2])) for p in (blurred, sharp))
        raise ImageError(f"{small} pixels blurred and {large} sharp: not {scale} times{advice}")
    return enlarge(blurred, scale)


def _planes(
    blurred: Path, sharp: Path
) -> list[tuple[str, tuple[PlaneIndex | None, PlaneIndex | None]]]:
    """Planes of two files that belong together: stacks and series have as many in both.

    A series may be called one of times in one file and one of depths in the other.
    """
    with open_image(blurred) as first, open_image(sharp) as second:
        if len(first.planes) != len(second.planes):
            raise ImageError(
                f"{len(first.planes)} planes and {len(second.planes)}: a stack is paired with one "
                "of as many planes"
            )
        lengths = [
            [n for axis in zip(*f.planes, strict=True) if (n := len(set(axis))) > 1]
            for f in (first, second)
        ]
        if lengths[0] != lengths[1]:
            ours, theirs = (" x ".join(map(str, sides)) for sides in lengths)
            raise ImageError(
                f"{ours} planes and {theirs} (scenes, times, channels, depths): which belong "
                "together is not known; save both with the same axes"
            )
        if len(first.planes) == 1:
            return [("", (None, None))]
        pairs = zip(first.planes, second.planes, strict=True)
        return [(first.label(a), (a, b)) for a, b in pairs]


def _halves(
    name: str,
    paths: list[Path],
    *,
    tiling: TilingOptions,
    check: bool,
    register: bool,
    match_levels: bool,
) -> Iterator[Pair | str]:
    both, size, stretched = load_image(only(paths))
    if stretched and not tiling.pixel_size:
        yield STRETCHED
    width = both.shape[1]
    if width % 2:
        raise ImageError(f"{paths[0].name}: {width} pixels wide: not two images side by side")
    sharp, blurred = both[:, : width // 2], both[:, width // 2 :]
    pair = Pair("", blurred, sharp, tiling.pixel_size or size, degradation="as given")
    yield from _checked(pair, check, register, match_levels)
