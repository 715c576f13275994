"""Places of images beyond plain files: inside a store, in a zip archive, behind a URL."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cellqa import disk
from cellqa.errors import ImageError, MissingExtraError, first_line
from cellqa.io.formats import store_of

_SCHEMES = ("s3", "gs", "az", "https", "http")
_METADATA = ("zarr.json", ".zattrs")  # of Zarr 3 and 2
_MOST = 100_000  # images that a store may list
_SERIES = "bioformats2raw.layout"
_RETRIES = 5  # with growing pauses, some 3 s in all


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


def absolute(path: Path) -> Path:
    """The path from the root of the disk, so that it holds in every process; a URL as it is."""
    return path if url_of(path) else path.absolute()


def is_there(path: Path) -> bool:
    """Whether a path may be an image: a file, a folder, or a place inside a store."""
    if path.is_file() or path.is_dir():
        return True
    store = store_of(path)
    return store is not None and (url_of(path) is not None or store[0].is_file())


def holds_images(path: Path) -> bool:
    """Whether a place is a folder of images, or a store of several; not an image itself."""
    if store_of(path) is not None:
        return is_there(path) and images_in(path) != ("",)
    return path.is_dir()


def images_in(path: Path) -> tuple[str, ...]:
    """Paths of the images inside a store, or below a place inside it; one empty path for an image.

    The fields of a plate's wells are `A/1/0`, the series of bioformats2raw `0`, `1` ... What
    cannot be read counts as one image, so that opening it says what is wrong.
    """
    try:
        return tuple(_listed(path, ""))[:_MOST] or ("",)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImageError):
        return ("",)


def _listed(path: Path, inside: str) -> Iterator[str]:
    about = attributes(path / inside if inside else path)
    before = f"{inside}/" if inside else ""
    if "plate" in about:
        for well in about["plate"]["wells"]:
            yield from _listed(path, f"{before}{_checked(well['path'])}")
    elif "well" in about:
        for image in about["well"]["images"]:
            yield f"{before}{_checked(image['path'])}"
    elif "multiscales" in about:
        yield inside
    elif _SERIES in about:
        yield from _series(path, before)


def _series(path: Path, before: str) -> Iterator[str]:
    """Numbers of the images of bioformats2raw: as it lists them, else those that are there."""
    try:
        listed = attributes(path / f"{before}OME").get("series")
    except (OSError, ValueError):
        listed = None
    if isinstance(listed, list):
        yield from (f"{before}{_checked(name)}" for name in listed)
        return
    for number in range(_MOST):
        try:
            if "multiscales" not in attributes(path / f"{before}{number}"):
                return
        except OSError:
            return
        yield f"{before}{number}"


def _checked(inside: Any) -> str:
    """A path inside a store, as its metadata state it.

    Raises
    ------
    ValueError
        It leads elsewhere.
    """
    text = str(inside).strip("/")
    if not re.fullmatch(r"[\w.+ -]+(/[\w.+ -]+)*", text) or ".." in text.split("/"):
        raise ValueError(f"{text!r} is no path inside a store")
    return text


def attributes(path: Path) -> Mapping[str, Any]:
    """Attributes of a group, as OME has them: what stands below `ome`, or beside each other.

    Raises
    ------
    OSError
        There is no group.
    ValueError
        Its metadata are damaged.
    """
    for name in _METADATA:
        text = _read(path, name)
        if text is not None:
            found = json.loads(text)
            if not isinstance(found, dict):
                raise ValueError("metadata are no JSON object")
            own = found.get("attributes", {}) if name == "zarr.json" else found
            return {**own, **own["ome"]} if isinstance(own.get("ome"), dict) else own
    raise FileNotFoundError(f"{path}: no Zarr group")


def _read(path: Path, name: str) -> str | None:
    """A text in a folder of a store, wherever that is; None where there is none."""
    store = store_of(path)
    if url_of(path) is None and (store is None or not store[0].is_file()):
        place = path / name
        return place.read_text(encoding="utf-8") if place.is_file() else None
    assert store is not None
    root, inside = store
    key = f"{inside}/{name}" if inside else name
    if url_of(path) is None:
        with zipfile.ZipFile(root) as archive:
            return archive.read(key).decode("utf-8") if key in _members(root) else None
    import obstore

    try:
        return bytes(obstore.get(remote(root), key).bytes()).decode("utf-8")
    except FileNotFoundError:
        return None


@lru_cache(maxsize=8)
def _names_of(root: Path, size: int, changed: int) -> Mapping[str, tuple[int, int]]:
    """Checksum and size of each member of an archive in this state."""
    with zipfile.ZipFile(root) as archive:
        return {each.filename: (each.CRC, each.file_size) for each in archive.infolist()}


def _members(root: Path) -> Mapping[str, tuple[int, int]]:
    status = root.stat()
    return _names_of(root, status.st_size, status.st_mtime_ns)


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
            "reading from an object store needs obstore; install it with: pip install 'cellqa[s3]'"
        ) from None
    url = url_of(root) or ""
    options: dict[str, Any] = {"retry_config": {"max_retries": _RETRIES}}
    if url.startswith("http://") or os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["client_options"] = {"allow_http": True}
    if url.startswith("s3:") and not _has_credentials():
        options["skip_signature"] = True  # public data
    try:
        return from_url(url, **options)
    except Exception as error:  # of the library, for a wrong address
        raise ImageError(f"{url}: no object store ({first_line(error)})") from None


def _has_credentials() -> bool:
    names = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_URI")
    return any(os.environ.get(name) for name in (*names, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"))


def zarr_store(path: Path) -> tuple[Any, str]:
    """A place as zarr opens it, and the path inside.

    Raises
    ------
    MissingExtraError
        What reads it is not installed.
    """
    store = store_of(path)
    if store is None or (url_of(path) is None and not stat.S_ISREG(store[0].stat().st_mode)):
        return path, ""
    import zarr.storage

    root, inside = store
    if url_of(path) is None:
        return zarr.storage.ZipStore(root, mode="r"), inside
    return zarr.storage.ObjectStore(remote(root), read_only=True), inside


def state(path: Path, *, touched: bool = False) -> list[int]:
    """What tells an image from what it was before, wherever it is; see `cellqa.disk.state`."""
    store = store_of(path)
    if store is not None and url_of(path):
        return _remote_state(*store)
    if store is not None and store[1] and store[0].is_file():
        return disk.state(store[0], touched=touched)
    return disk.state(path, touched=touched)


def _remote_state(root: Path, inside: str) -> list[int]:
    """Number, size and times of all objects; of the metadata where a server does not list."""
    store = remote(root)
    digest = hashlib.blake2b(digest_size=6)
    try:
        found = [each for batch in store.list(inside or None) for each in batch]
    except Exception:  # a web server has no list
        found = []
    if not found:
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
    says of each object.

    Raises
    ------
    OSError
        It cannot be read.
    """
    store = store_of(path)
    if store is not None and url_of(path):
        return hashlib.sha256(json.dumps(_remote_state(*store)).encode()).hexdigest()
    if store is not None and store[1] and store[0].is_file():
        root, inside = store
        own = {k: v for k, v in _members(root).items() if k.startswith(f"{inside}/")}
        return hashlib.sha256(json.dumps(sorted(own.items())).encode()).hexdigest()
    return disk.content_hash(path)
