"""Places of images beyond plain files, and what is read there beside pixels: metadata, states."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cellqa import disk
from cellqa.disk import StrPath
from cellqa.errors import ImageError, MissingExtraError, first_line
from cellqa.extras import install_line
from cellqa.io.formats import spoken, store_of

_SCHEMES = ("s3", "gs", "az", "https", "http")
_METADATA = ("zarr.json", ".zattrs")  # of Zarr 3 and 2
_LARGEST = 2**24  # bytes of metadata
_RETRIES = 5  # of a request, after growing pauses
_ANSWER, _PATIENCE = 30, 60  # seconds for an answer, and until a request is not made again


def url_of(path: Path) -> str | None:
    """The URL that a path stands for; None for a place on this machine.

    Examples
    --------
    >>> url_of(Path("s3://bucket/plate.zarr/A/1/0"))
    's3://bucket/plate.zarr/A/1/0'
    >>> url_of(Path("data/plate.zarr"))
    """
    scheme = path.parts[0].removesuffix(":") if path.parts else ""
    if scheme not in _SCHEMES or path.parts[0] != f"{scheme}:":
        return None
    return f"{scheme}://{'/'.join(path.parts[1:])}"


def shown(path: StrPath) -> str:
    """A place in messages, in quotation marks; a URL as it was given.

    Examples
    --------
    >>> shown(Path("https://host/plate.zarr"))
    "'https://host/plate.zarr'"
    """
    return repr(url_of(Path(path)) or os.fspath(path))


def absolute(path: Path) -> Path:
    """The path from the root of the disk, so that it holds in every process; a URL as it is."""
    return path if url_of(path) else path.absolute()


def is_there(path: Path) -> bool:
    """Whether a path may be an image: a file, a folder, or a place inside a store."""
    if path.is_file() or path.is_dir():
        return True
    store = store_of(path)
    return store is not None and (url_of(path) is not None or store[0].is_file())


def attributes(path: Path) -> Mapping[str, Any]:
    """Attributes of a group, as OME has them: what stands below `ome`, or beside each other.

    Raises
    ------
    OSError
        There is no group.
    ValueError
        Its metadata are damaged.
    ImageError
        They are too large, no file, or cannot be read.
    """
    for name in _METADATA:
        text = _read(path, name)
        if text is not None:
            try:
                found = json.loads(text)
            except RecursionError:
                raise ValueError("metadata are nested too deep") from None
            if not isinstance(found, dict):
                raise ValueError("metadata are no JSON object")
            own = found.get("attributes", {}) if name == "zarr.json" else found
            return {**own, **own["ome"]} if isinstance(own.get("ome"), dict) else own
    raise FileNotFoundError(f"{spoken(path)}: no Zarr group")


def _read(path: Path, name: str) -> str | None:
    """A text in a folder of a store, wherever that is; None where there is none."""
    store = store_of(path)
    if url_of(path) is None and (store is None or not store[0].is_file()):
        return _read_file(path / name)
    assert store is not None
    root, inside = store
    key = f"{inside}/{name}" if inside else name
    if url_of(path) is None:
        archive = _archive(root)
        if key not in archive.NameToInfo:
            return None
        check_length(key, archive.NameToInfo[key].file_size)
        return archive.read(key).decode("utf-8")
    import obstore

    try:
        found = obstore.get(remote(root), key)
        check_length(key, found.meta["size"])
        return bytes(found.bytes()).decode("utf-8")
    except FileNotFoundError:
        return None
    except ImageError:
        raise
    except Exception as error:  # of the library: no answer, or not allowed
        raise ImageError(f"{url_of(path)}: cannot be read ({first_line(error)})") from None


def _read_file(place: Path) -> str | None:
    try:
        status = place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        raise ImageError(f"its metadata {place.name} are no file")
    check_length(place.name, status.st_size)
    return place.read_text(encoding="utf-8")


def check_length(key: str, size: int) -> None:
    """Refuse metadata that are absurdly large, before memory is taken for them.

    Raises
    ------
    ImageError
        They are.
    """
    if size > _LARGEST:
        raise ImageError(f"its metadata {key} are larger than {_LARGEST >> 20} MiB")


def names_in(path: Path) -> list[str] | None:
    """Names of what lies in a folder of a store; None where a server does not say."""
    store = store_of(path)
    if url_of(path):
        if store is None or not tells_changes(path):
            return None
        import obstore

        root, inside = store
        found = obstore.list_with_delimiter(remote(root), inside or None)
        return [each.rpartition("/")[2] for each in found["common_prefixes"]]
    if store is None or not store[0].is_file():
        return [each.name for each in path.iterdir()]
    before = f"{store[1]}/" if store[1] else ""
    names = _archive(store[0]).namelist()
    return list({n[len(before) :].split("/")[0] for n in names if n.startswith(before)})


def _archive(root: Path) -> zipfile.ZipFile:
    """A zip archive, which stays open: to list its members takes long.

    Raises
    ------
    ImageError
        It is none.
    """
    status = root.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("the archive is no file")
    # a process that was forked has the same place in the file as its parent
    return _opened(root, status.st_size, status.st_mtime_ns, os.getpid())


@lru_cache(maxsize=4)
def _opened(root: Path, size: int, changed: int, process: int) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(root)
    except zipfile.BadZipFile as error:
        raise ImageError(f"no whole zip archive ({first_line(error)})") from None


def remote(root: Path) -> Any:
    """The object store behind a URL; credentials come from the environment alone.

    Raises
    ------
    MissingExtraError
        obstore is not installed.
    ImageError
        The URL is not one of a store.
    """
    try:
        from obstore.store import from_url
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"reading from an object store needs obstore; install it with: {install_line('s3')}"
        ) from None
    url = url_of(root) or ""
    options: dict[str, Any] = {
        "retry_config": {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_PATIENCE)},
        "client_options": {"timeout": f"{_ANSWER}s"},
    }
    if url.startswith("http://") or os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["client_options"]["allow_http"] = True
    if url.startswith("s3:") and not _has_credentials():
        options["skip_signature"] = True  # public data
    try:
        return from_url(url, **options)
    except Exception as error:  # of the library, for a wrong address
        raise ImageError(f"{url}: no object store ({first_line(error)})") from None


def _has_credentials() -> bool:
    names = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_URI")
    return any(os.environ.get(name) for name in (*names, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"))


def state(path: Path, *, touched: bool = False) -> list[int]:
    """What tells an image from what it was before, wherever it is; see `cellqa.disk.state`.

    Of an image on a web server, its metadata alone: see `tells_changes`.
    """
    store = store_of(path)
    if store is not None and url_of(path):
        return _remote_state(*store)
    if store is not None and store[1] and store[0].is_file():
        return disk.state(store[0], touched=touched)
    return disk.state(path, touched=touched)


def tells_changes(path: Path) -> bool:
    """Whether the state of an image tells all changes; a web server does not list its files."""
    return not (url_of(path) or "").startswith("http")


def _remote_state(root: Path, inside: str) -> list[int]:
    """Number, size and times of all objects; of the metadata where a server does not list."""
    digest = hashlib.blake2b(digest_size=6)
    text = ""
    found: list[Any] = []
    if tells_changes(root):
        with contextlib.suppress(Exception):  # of the library; reading will say what is wrong
            found = [each for batch in remote(root).list(inside or None) for each in batch]
    if not found:
        with contextlib.suppress(ImageError):
            text = "".join(_read(root / inside, name) or "" for name in _METADATA)
        return (
            [len(text), int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])] if text else []
        )
    for each in sorted(found, key=lambda each: str(each["path"])):
        digest.update(f"{each['path']}\0{each['size']} {each['e_tag']}\n".encode())
    latest = max(each["last_modified"].timestamp() for each in found)
    size = sum(each["size"] for each in found)
    return [size, int(latest * 1e9), len(found), int.from_bytes(digest.digest())]


def content_hash(path: Path) -> str:
    """SHA-256 of an image's content, wherever it is; see `cellqa.disk.content_hash`.

    Of a place in an archive, of its members' names and checksums; behind a URL, of what the server
    says of each object; on a web server, which says nothing, never the same twice.

    Raises
    ------
    OSError
        It cannot be read.
    """
    store = store_of(path)
    if not tells_changes(path):
        return secrets.token_hex(32)
    if store is not None and url_of(path):
        return hashlib.sha256(json.dumps(_remote_state(*store)).encode()).hexdigest()
    if store is not None and store[1] and store[0].is_file():
        root, inside = store
        own = sorted(
            (each.filename, each.CRC, each.file_size)
            for each in _archive(root).infolist()
            if each.filename.startswith(f"{inside}/")
        )
        return hashlib.sha256(json.dumps(own).encode()).hexdigest()
    return disk.content_hash(path)
