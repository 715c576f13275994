"""What is done on the disk: files that appear whole, locks, states; never through a link."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import filelock

from cellqa.errors import CellqaError

StrPath = str | os.PathLike[str]

TEMPORARY = ".cellqa-"  # how names of files begin that are not complete
LOCK = ".cellqa.lock"


@contextmanager
def appearing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a name to write to; what is written there appears as `path` when the block ends.

    An earlier file stays whole until then, and stays for good where the block raises. The new one
    is forced to the disk before it takes the name, so that a power failure leaves one of the two.

    Parameters
    ----------
    path : Path
        Folders above it are made.
    folder : bool
        A folder is written, as an image in OME-Zarr is.

    Yields
    ------
    Path
        In the same folder, with the same suffix; a file exists there already and is empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as place:
            made = Path(place) / path.name
            yield made
            if path.exists():
                path.replace(Path(place) / "earlier")
            made.replace(path)
        return
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}{path.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        _force(temporary)
        temporary.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(temporary)):  # say what the user knows
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def appearing_text(path: Path) -> Iterator[IO[str]]:
    """A text file (UTF-8) that appears under its name when it is complete; see `appearing`.

    What is no valid text, as a file's name may be, is written as escapes.
    """
    with (
        appearing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file,
    ):
        yield file


def _force(path: Path) -> None:
    """Force a file's content to the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone(folder: Path, role: str, *, name: str = LOCK) -> Iterator[None]:
    """Keep other processes that do the same out of a folder, which is made.

    What a kill left half written in it is removed, as nobody else is writing there.

    The system's lock ends with the process, however it ends. File systems without locks have none.

    Parameters
    ----------
    folder : Path
    role : str
        What the folder is to the user, as `--out`.
    name : str
        Of the lock file.

    Raises
    ------
    CellqaError
        Another process is at work there, or the lock file is no file of ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise CellqaError(
            f"{role}: another process is writing to {str(folder)!r}; wait for it, or stop it"
        ) from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    except OSError as error:
        raise CellqaError(
            f"{role}: {str(folder / name)!r} cannot be locked ({error.strerror}); remove it"
        ) from None
    try:
        remove_temporary(folder)
        yield
    finally:
        lock.release()


def open_ours(path: Path, *, keep: bool) -> BinaryIO:
    """Open a file of ours to write and read, made where it is not there; never through a link.

    Parameters
    ----------
    path : Path
        Folders above it are made.
    keep : bool
        Keep what it holds; else begin anew.

    Raises
    ------
    CellqaError
        There is a link, a pipe or a folder of this name: someone else put it there.
    OSError
        It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    no_links = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | no_links
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if path.is_symlink() or not path.is_file():
            raise CellqaError(_not_ours(path)) from None
        raise error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CellqaError(_not_ours(path))
    if not keep:
        os.truncate(descriptor, 0)
    return os.fdopen(descriptor, "r+b")


def own_folder(path: Path, root: Path) -> Path:
    """Make a folder of ours, and those between it and the root, and return it; none is a link.

    Raises
    ------
    CellqaError
        There is a link or a file of this name.
    OSError
        It cannot be made.
    """
    root.mkdir(parents=True, exist_ok=True)
    place = root
    for part in path.relative_to(root).parts:
        place = place / part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise CellqaError(_not_ours(place))
        place.mkdir(exist_ok=True)
    return path


def _not_ours(path: Path) -> str:
    kind = "a link" if path.is_symlink() else "no folder or file of ours"
    return f"{str(path)!r} is {kind}, and results are not written through it; remove it"


def remove_folder(path: Path) -> None:
    """Remove a folder of ours with all inside, where there is one; of a link, the link alone."""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder of ours with all inside, where there is one."""
    if path.is_dir():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)


def fresh_folder(path: Path) -> Path:
    """Make a folder of ours, in place of an earlier one, or of a link, and return it."""
    remove_folder(path)
    path.mkdir(parents=True)
    return path


def leaves(path: Path, root: Path) -> bool:
    """Whether a path below a root leads out of it, by its parts or by links on the way.

    The last part may be a link: who writes there replaces it.

    Examples
    --------
    >>> leaves(Path("out/../a.png"), Path("out")), leaves(Path("out/b/a.png"), Path("out"))
    (True, False)
    """
    top = root.resolve()
    parent = path.parent.resolve()
    return path.name in ("", ".", "..") or not (parent == top or top in parent.parents)


def state(path: Path, *, touched: bool = False) -> list[int]:
    """What tells a file from what it was before: size and time; empty where there is none.

    Of a folder, as an image in OME-Zarr is, that of everything inside.

    Parameters
    ----------
    path : Path
    touched : bool
        With the time of the last change at all, which programs cannot set: it tells more, but also
        changes with the file's permissions and links.

    Returns
    -------
    list of int
        Bytes, and the latest time of change in nanoseconds; then, of a folder, the number of files
        and a digest of all names, sizes and times; with `touched`, the latest time of that.
    """
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            of_file = [status.st_size, status.st_mtime_ns]
            return [*of_file, status.st_ctime_ns] if touched else of_file
        inside = sorted((str(p.relative_to(path)), p.stat()) for p in _within(path))
    except OSError:
        return []
    digest = hashlib.blake2b(digest_size=6)
    for name, s in inside:
        digest.update(f"{name}\0{s.st_size} {s.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    statuses = [status, *(s for _, s in inside)]
    of_folder = [
        sum(s.st_size for _, s in inside),
        max(s.st_mtime_ns for s in statuses),
        len(inside),
        int.from_bytes(digest.digest()),
    ]
    return [*of_folder, max(s.st_ctime_ns for s in statuses)] if touched else of_folder


def _within(folder: Path) -> Iterator[Path]:
    """Every file below a folder."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent) / name


def content_hash(path: Path) -> str:
    """SHA-256 of a file's content; of a folder, of all names and contents inside.

    Raises
    ------
    OSError
        It cannot be read.
    """
    total = hashlib.sha256()
    files = sorted(_within(path)) if path.is_dir() else [path]
    for each in files:
        total.update(str(each.relative_to(path)).encode("utf-8", "surrogateescape"))
        with each.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk, or what one may use of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def free_space(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    return shutil.disk_usage(place).free


def take_folder(
    out: Path, mark: str, *, role: str, what: str, overwrite: bool, replaced: Iterable[str] = ()
) -> None:
    """Take a folder to write to: one that is new or empty, or, to replace it, one that was taken.

    Parameters
    ----------
    out : Path
    mark : str
        Name of the file within by which the folder is known again.
    role : str
        What the folder is to the user, as `--out`.
    what : str
        What it holds, as `demo`.
    overwrite : bool
        Replace what was written before.
    replaced : iterable of str
        Names within that are removed then; nothing else is.

    Raises
    ------
    CellqaError
        It is a file, holds something else, or holds the like and `overwrite` is false.
    """
    if out.exists() and not out.is_dir():
        raise CellqaError(f"{role}: {str(out)!r} is a file; give a folder")
    if out.exists() and any(out.iterdir()):
        if not (out / mark).exists():
            raise CellqaError(
                f"{role}: {str(out)!r} is not an earlier {what}'s; give another folder"
            )
        if not overwrite:
            raise CellqaError(f"{role}: {str(out)!r} holds an earlier {what}; use --overwrite")
        for name in replaced:
            remove_folder(out / name)
    open_ours(out / mark, keep=True).close()


def remove_temporary(folder: Path) -> None:
    """Remove what a kill left half written in a folder."""
    for half in folder.glob(f"{TEMPORARY}*"):
        remove(half)
