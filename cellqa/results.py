"""The folder of a run: its files' names, whether it can be written, who is writing to it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellqa.errors import CellqaError

SCORES, SUMMARY, OBJECTS, RUN = "scores.csv", "summary.csv", "objects.csv", "run.json"
JOURNAL = "journal.jsonl"
RESULTS = (SCORES, SUMMARY, OBJECTS, RUN, JOURNAL)
MAPS = "maps"


def check_folder(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Make the folder for a run's files, and see that it can be written.

    Raises
    ------
    CellqaError
        It holds an earlier run and neither is true, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"--out: {str(out)!r} is a file; give a folder")
    for name in RESULTS:
        path = out / name
        if (path.exists() or path.is_symlink()) and not path.is_file():
            raise CellqaError(f"--out: {str(path)!r} is not a file; move it away")
    if any((out / name).exists() for name in RESULTS) and not (overwrite or resume):
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
    """Remove the files of an earlier run, and its maps."""
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / MAPS, ignore_errors=True)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other runs away from the folder, where the system has file locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = out / ".cellqa.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CellqaError(f"--out: another run is writing to {str(out)!r}") from None
        except OSError:
            pass  # a file system without locks
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
