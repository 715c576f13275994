"""The folder of a run: its files' names, and whether it can be written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cellqa.disk import appearing, own_folder, remove_folder
from cellqa.errors import CellqaError

SCORES, SUMMARY, COMPARISONS = "scores.csv", "summary.csv", "comparisons.csv"
OBJECTS, AGREEMENT = "objects.csv", "agreement.csv"
PLANES, RUN = "planes.csv", "run.json"
TIME, FRAMES = "time.csv", "frames.csv"
JOURNAL = "journal.jsonl"
TYPED = ("scores.parquet", "objects.parquet")
RESULTS = (
    SCORES,
    SUMMARY,
    COMPARISONS,
    OBJECTS,
    AGREEMENT,
    PLANES,
    TIME,
    FRAMES,
    *TYPED,
    RUN,
    JOURNAL,
)
GALLERY = 24  # images with pictures on the page, unless told otherwise
MAPS, PAGE, PICTURES, FIGURES = "maps", "report.html", "report_files", "figures"
ARCHIVE = "report.zip"  # the page in one piece, where it is too large to be mailed as it is
TABLES = "tables.json"  # of the page, beside those of the run


def holds_finished(out: Path) -> bool:
    """Whether a folder holds a finished run, and not what is left of one."""
    return all((out / name).exists() for name in (SCORES, SUMMARY, RUN))


def check_folder(out: Path, *, overwrite: bool, resume: bool, leftovers: bool = False) -> None:
    """Make the folder for a run's files, and see that it can be written.

    Raises
    ------
    CellqaError
        It holds an earlier run (a finished one, where `leftovers` of others are welcome) and
        neither is true, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
    for name in RESULTS:
        path = out / name
        if (path.exists() or path.is_symlink()) and not path.is_file():
            raise CellqaError(f"--out: {str(path)!r} is not a file; move it away")
    earlier = any((out / name).exists() for name in RESULTS)
    if leftovers and (out / JOURNAL).exists():
        earlier = holds_finished(out)
    if earlier and not (overwrite or resume):
        raise CellqaError(
            f"--out: {str(out)!r} holds an earlier run; give another folder, --resume to go on "
            "with it, or --overwrite"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass  # better now than after hours
    except OSError as error:
        raise CellqaError(f"--out: {str(out)!r} cannot be written: {error.strerror}") from None


def remove_results(out: Path) -> None:
    """Remove the files of an earlier run, its maps, figures and page."""
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    for name in (PAGE, ARCHIVE, TABLES):
        (out / name).unlink(missing_ok=True)
    for folder in (MAPS, PICTURES, FIGURES):
        remove_folder(out / folder)


def link_maps(part: Path, out: Path) -> None:
    """Take over the maps of a part: links where the file system has them, else copies."""
    for source in (part / MAPS).rglob("*.tif"):
        target = out / MAPS / source.relative_to(part / MAPS)
        own_folder(target.parent, out)
        try:
            target.hardlink_to(source)
        except OSError:
            with appearing(target) as temporary:
                shutil.copy2(source, temporary)


def numbered(path: Path, n: int) -> list[Path]:
    """Names for `n` files: the name itself for one, NAME-1, NAME-2 and so on for several.

    Examples
    --------
    >>> [p.name for p in numbered(Path("a.png"), 2)]
    ['a-1.png', 'a-2.png']
    """
    return [path] if n == 1 else [path.with_stem(f"{path.stem}-{k}") for k in range(1, n + 1)]


def check_outputs(
    outputs: Mapping[str, Sequence[Path]], inputs: Iterable[Path], *, overwrite: bool
) -> None:
    """See that files can be written, before any is.

    Parameters
    ----------
    outputs : dict
        Option to the files it writes.
    inputs : iterable of Path
        Files that are read, which nothing may write over.
    overwrite : bool

    Raises
    ------
    CellqaError
        A file is an input, is written twice, or exists and `overwrite` is false.
    """
    kept = {path.resolve() for path in inputs}
    seen: set[Path] = set()
    for option, paths in outputs.items():
        for path in paths:
            place = path.resolve()
            if place in kept:
                raise CellqaError(f"{option}: {str(path)!r} is one of the images that are read")
            if place in seen:
                raise CellqaError(f"{option}: {str(path)!r} would be written twice")
            if path.exists() and not overwrite:
                raise CellqaError(f"{option}: {str(path)!r} exists; another name, or --overwrite")
            seen.add(place)
