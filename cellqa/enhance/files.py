"""Enhance files and folders: names, formats, bit depth and pixel size are kept."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy.typing as npt

from cellqa.disk import StrPath, alone, leaves, remove_temporary
from cellqa.engines import Engine, LocalEngine
from cellqa.errors import CellqaError, first_line, with_type
from cellqa.io import (
    format_of,
    is_image_folder,
    lost,
    may_crash,
    open_image,
    split_suffix,
    spoken,
    store_of,
    write_image,
    written_formats,
    written_name,
)
from cellqa.io.store_images import holds_images, images_in, is_image
from cellqa.io.stores import is_there, shown, url_of
from cellqa.pairs.pairing import list_images
from cellqa.terminal import Progress

_log = logging.getLogger(__name__)

_WEIGHED = 20  # sources whose sizes say how large all are


class Enhancer(Protocol):
    """What enhances images: pixels in, pixels of the same shape and type out."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    def describe(self) -> str:
        """One line for metadata and the terminal."""

    def __call__(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Enhance a plane (Y, X), or colour pixels (Y, X, S)."""


class Job(NamedTuple):
    """A file to enhance, and where the result goes."""

    source: Path
    target: Path


def enhance_files(
    source: StrPath,
    target: StrPath,
    enhancer: Enhancer,
    *,
    jobs: int = 1,
    engine: Engine | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Path], list[tuple[str, str]]]:
    """Enhance a file, or every image below a folder.

    Parameters
    ----------
    source, target : path
        Both files, or both folders; a file may go into an existing folder.
    enhancer : Enhancer
    jobs : int
        Processes.
    engine : Engine, optional
        What runs the work instead of `jobs` processes here. Where it has other machines, they see
        both places under the same absolute paths.
    overwrite : bool
        Replace files that exist in the target.
    progress : callable, optional
        Called with the number of images done and of all images.

    Returns
    -------
    done : list of Path
    failures : list of (name, reason)
        Images that could not be enhanced; the others are.

    Raises
    ------
    CellqaError
        The source does not exist or holds no image; the target is the source, lies inside it, or
        holds files of the same names. With an engine: another process is at work in the target.
    EngineLostError
        What the engine runs on went away.
    """
    work = plan(Path(source), Path(target))
    if not overwrite:
        refuse_taken(work)
    results: dict[int, str | tuple[str, ...]] = {}
    with _undisturbed(work, Path(target)) if engine else nullcontext():
        for place, result in (engine or LocalEngine(jobs)).map(
            partial(_enhance, enhancer=enhancer),
            list(enumerate(map(absolute, work) if engine else work)),
            on_crash=_crashed,
            isolate=any(may_crash(job.source) for job in work),
            bytes_each=bytes_each(work),
        ):
            results[place] = result
            if progress:
                progress(len(results), len(work))
    pairs = [(job, results[place]) for place, job in enumerate(work)]
    finish_stores([job for job, result in pairs if not isinstance(result, str)])
    if line := not_kept(lacks for _, lacks in pairs if not isinstance(lacks, str)):
        _log.warning(line)
    done = [job.target for job, result in pairs if not isinstance(result, str)]
    return done, [(spoken(job.source), why) for job, why in pairs if isinstance(why, str)]


def absolute(job: Job) -> Job:
    """A job as other processes, in other folders, know it."""
    source, target = (path if url_of(path) else path.absolute() for path in job)
    return Job(source, target)


@contextmanager
def _undisturbed(work: Sequence[Job], target: Path) -> Iterator[None]:
    """Keep others out of the target; leave nothing half written of workers that died."""
    single = len(work) == 1 and work[0].target == target
    with alone(target.parent if single or store_of(target) else target, "OUT"):
        try:
            yield
        finally:
            for folder in {job.target.parent for job in work}:
                remove_temporary(folder)


def bytes_each(work: Sequence[Job]) -> float:
    """What a source takes on the disk, about; 0 where that is not known."""
    some = work[:: max(1, len(work) // _WEIGHED)]
    return sum(job.source.stat().st_size for job in some if job.source.is_file()) / len(some)


def not_kept(lacking: Iterable[Sequence[str]]) -> str:
    """A line on what results do not say that their sources did; empty where they say all.

    Examples
    --------
    >>> not_kept([("dates",), (), ("pixel size", "dates")])
    'not kept, as the format of the results has no room: dates (2 images), pixel size (1)'
    """
    counts = Counter(fact for facts in lacking for fact in facts).most_common()
    images = [f"{fact} ({n}{' images' * (k == 0 and n > 1)})" for k, (fact, n) in enumerate(counts)]
    if not images:
        return ""
    return f"not kept, as the format of the results has no room: {', '.join(images)}"


def finish_stores(done: Sequence[Job]) -> None:
    """Give stores of results the structure of their sources: plates, wells, series.

    Images that failed are not stated, also where an earlier result of theirs is there.

    Raises
    ------
    CellqaError
        It cannot be written.
    """
    if not any((store := store_of(job.target)) and store[1] for job in done):
        return
    from cellqa.io.zarr_plate import stores_of, write_structure

    for (source, target), names in stores_of(done).items():
        try:
            write_structure(source, target, names)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CellqaError(
                f"OUT: the plate's metadata cannot be written into {str(target)!r} "
                f"({first_line(error)}); its images are whole"
            ) from None


def refuse_taken(work: Sequence[Job], known: Container[Path] = ()) -> None:
    """Refuse targets that exist, and stores that hold other images, but for those `known` as ours.

    Raises
    ------
    CellqaError
        There is one.
    """
    targets = dict.fromkeys(job.target for job in work)
    roots = {store[0]: None for each in targets if (store := store_of(each)) and store[1]}
    for root in roots:
        if root.exists():
            targets |= dict.fromkeys(root / name for name in images_in(root) if name)
    taken = [target for target in targets if target not in known and target.exists()]
    if taken:
        raise CellqaError(
            f"{taken[0]} exists{f' and {len(taken) - 1} more' if len(taken) > 1 else ''}; "
            "give another place, or --overwrite"
        )


def plan(source: Path, target: Path) -> list[Job]:
    """What a file, or the images below a folder, become.

    Raises
    ------
    CellqaError
        The source does not exist or holds no image; the target is the source, lies inside it, or
        two images would become one.
    """
    if not is_there(source):
        raise CellqaError(f"IN: {shown(source)} does not exist")
    if holds_images(source):
        return _plan_folder(source, target)
    inside = target.is_dir() and not is_image_folder(target.name)
    place = target / written_name(_own_name(source)) if inside else target
    if place.exists() and source.exists() and source.samefile(place):
        raise CellqaError(f"OUT: {str(place)!r} is the input; give another name")
    known = format_of(place)
    if known is None or not known.writer:
        raise CellqaError(
            f"OUT: {str(place)!r} is neither a folder that exists nor a name of an image that can "
            f"be written ({written_formats()})"
        )
    return [Job(source, place)]


def _own_name(source: Path) -> str:
    """A name for an image alone: inside a store, with the store's."""
    store = store_of(source)
    if store is None or not store[1]:
        return source.name
    stem, suffix = split_suffix(store[0].name)
    return f"{stem}_{store[1].replace('/', '_')}{suffix}"


def _plan_folder(source: Path, target: Path) -> list[Job]:
    if target.exists() and not target.is_dir():
        raise CellqaError(f"OUT: {str(target)!r} is a file, but IN is a folder")
    inside, outside = target.resolve(), source.resolve()
    if inside == outside or outside in inside.parents:
        raise CellqaError(f"OUT: {str(target)!r} is or lies inside IN; give a folder outside it")
    store, into = store_of(source), store_of(target)
    if store and not is_image_folder(target.name):
        raise CellqaError(
            f"OUT: IN is a store of several images, so that {str(target)!r} must be a name that "
            "ends in .zarr"
        )
    if into and not store:
        raise CellqaError(f"OUT: {str(target)!r} is the name of a store, but IN is a folder")
    if target.is_dir() and not os.access(target, os.W_OK | os.X_OK):
        raise CellqaError(f"OUT: {str(target)!r} cannot be written to")
    if store and is_image(target):
        raise CellqaError(
            f"OUT: {str(target)!r} is an image, but IN holds several; give another name"
        )
    folder = list_images(source, "IN")
    names = [name for files in folder.images.values() for name in files]
    # images inside a store keep their places in it
    work = [Job(source / n, target / (n if store else written_name(n))) for n in names]
    double = [path for path, n in Counter(job.target for job in work).items() if n > 1]
    if double:
        two = [name for name, job in zip(names, work, strict=True) if job.target == min(double)]
        raise CellqaError(
            f"IN: {two[0]!r} and {two[1]!r} would both become {str(min(double))!r}; rename one"
        )
    for place in {job.target.parent: job.target for job in work}.values():
        if leaves(place, target):
            raise CellqaError(
                f"OUT: {str(place)!r} lies outside {str(target)!r}: a folder on the way is a link; "
                "remove it"
            )
    sources = {_identity(job.source) for job in work if job.source.exists()}
    for job in work:
        if outside in job.target.resolve().parents or (
            job.target.exists() and _identity(job.target) in sources
        ):
            raise CellqaError(f"OUT: {str(job.target)!r} is or lies inside IN; give another folder")
    return work


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _crashed(item: tuple[int, Job], reason: str) -> tuple[int, str | tuple[str, ...]]:
    place, job = item
    return place, f"{spoken(job.source)}: reading or enhancing this image {reason}"


def _enhance(item: tuple[int, Job], *, enhancer: Enhancer) -> tuple[int, str | tuple[str, ...]]:
    return item[0], _enhance_file(item[1], enhancer)


def _enhance_file(job: Job, enhancer: Enhancer) -> str | tuple[str, ...]:
    """Enhance one file: what is not kept of it; or the reason where that fails."""
    try:
        with open_image(job.source) as file:
            planes = (enhancer(file.load(index)) for index in file.planes)
            note = f"{enhancer.describe()}. Enhanced by cellqa {version('cellqa')}, not raw data."
            write_image(job.target, planes, file, note, file.dtype)
            return lost(job.target, file, file.dtype)
    except (CellqaError, ValueError, TypeError) as error:
        return " ".join(str(error).split())
    except OSError as error:
        return f"{error.filename or job.target}: cannot be written ({error.strerror or error})"
    except cv2.error as error:
        return f"{spoken(job.source)}: OpenCV cannot filter it ({error.err})"
    except Exception as error:
        if type(enhancer).__module__.partition(".")[0] in ("cellqa", "ciegan"):
            raise
        # of another package
        return f"{spoken(job.source)}: {enhancer.name} cannot enhance it ({with_type(error)})"
