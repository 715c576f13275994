"""Stores that are damaged, hostile or half there: what is whole is done, the rest says why."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")
google_crc32c = pytest.importorskip("google_crc32c")

from plates import FIELDS, plate, series  # noqa: E402

from cellqa.enhance import ENHANCERS, enhance_files  # noqa: E402
from cellqa.errors import CellqaError, ImageError  # noqa: E402
from cellqa.io import images_in, open_image  # noqa: E402
from cellqa.io.zarr_guard import decoded_length  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:zarr")


def enhanced(source: Path, target: Path, **options: Any) -> dict[str, str]:
    """Why images fail, by their places in the store."""
    _, failures = enhance_files(source, target, ENHANCERS["te"], **options)
    return {name.removeprefix(f"{source.name}/"): why for name, why in failures}


def opened(path: Path) -> str:
    """What is said of an image that cannot be opened."""
    with pytest.raises(ImageError) as error, open_image(path) as file:
        file.load(file.planes[0])
    return str(error.value)


def wells(path: Path, *names: str) -> None:
    about = json.loads((path / ".zattrs").read_text())
    about["plate"]["wells"] = [{"path": name} for name in names]
    (path / ".zattrs").write_text(json.dumps(about))


@pytest.mark.parametrize("damage", ["missing", "empty", "braces", "row", "pipe", "deep", "folder"])
def test_a_damaged_well_fails_by_itself(tmp_path: Path, damage: str) -> None:
    source = plate(tmp_path / "p.zarr")
    about = source / "B/2/.zattrs"
    about.unlink()
    if damage == "empty":
        about.write_text("")
    elif damage == "braces":
        about.write_text("{}")
    elif damage == "deep":
        about.write_text("[" * 100_000)
    elif damage == "pipe":
        os.mkfifo(about)
    elif damage == "folder":
        about.mkdir()
    elif damage == "row":
        (source / "B/2").rename(tmp_path / "gone")
        (source / "B/2").symlink_to(source / "B")
    assert images_in(source) == ("A/1/0", "A/1/1", "B/2")
    failed = enhanced(source, tmp_path / "q.zarr")
    assert list(failed) == ["B/2"]
    assert "Traceback" not in failed["B/2"]
    assert failed["B/2"]
    assert images_in(tmp_path / "q.zarr") == FIELDS[:2]


@pytest.mark.parametrize(
    "name", ["../other.zarr/A/1", "..", ".", "A/./1", "A//1", "a\\b", "C:", "%2E", "a\nb"]
)
def test_a_path_that_leads_elsewhere_fails(tmp_path: Path, name: str) -> None:
    plate(tmp_path / "other.zarr")
    source = plate(tmp_path / "p.zarr")
    wells(source, "A/1", name)
    found = images_in(source)
    assert found[:2] == FIELDS[:2]
    assert len(found) == 3
    assert not {"", ".", ".."} & set(found[2].split("/"))
    assert list(enhanced(source, tmp_path / "q.zarr")) == [found[2]]


def test_what_is_listed_twice_is_one(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    wells(source, "A/1", "A/1/", "/A/1", "B/2")
    assert images_in(source) == FIELDS


def test_plates_do_not_nest(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    (source / "A/1/.zattrs").write_text((source / ".zattrs").read_text())
    assert images_in(source) == ("A/1", "B/2/0")


def test_series_go_on_after_a_gap(tmp_path: Path) -> None:
    path = series(tmp_path / "s.zarr")
    (path / "1").rename(path / "3")
    assert images_in(path) == ("0", "1", "2", "3")
    assert list(enhanced(path, tmp_path / "t.zarr")) == ["1", "2"]


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"junk" * 99])
def test_a_broken_archive_leaves_the_folder_alone(tmp_path: Path, content: bytes) -> None:
    plate(tmp_path / "in" / "p.zarr")
    (tmp_path / "in" / "broken.ozx").write_bytes(content)
    failed = enhanced(tmp_path / "in", tmp_path / "out")
    assert list(failed) == ["broken.ozx"]
    assert images_in(tmp_path / "out/p.zarr") == FIELDS


def test_metadata_are_not_endless(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    for name in ("A/1/0/.zattrs", "A/1/1/0/.zarray"):
        with (source / name).open("r+b") as file:
            file.truncate(2**34)  # of which nothing is on the disk
    failed = enhanced(source, tmp_path / "q.zarr")
    assert {name: "larger than 16 MiB" in why for name, why in failed.items()} == {
        "A/1/0": True,
        "A/1/1": True,
    }
    bomb = tmp_path / "bomb.ozx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(".zattrs", " " * 2**25)
    assert "larger than 16 MiB" in opened(bomb)


def image(path: Path, codec: dict[str, Any], chunk: bytes) -> Path:
    """An image of 64 x 64 bytes, whose chunk is this."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=np.ones((64, 64), np.uint8))
    about = {"axes": ["y", "x"], "datasets": [{"path": "0"}]}
    group.attrs["multiscales"] = [about]
    place = path / "0/.zarray"
    stated = json.loads(place.read_text()) | {"compressor": codec, "dimension_separator": "."}
    place.write_text(json.dumps(stated))
    (path / "0/0.0").write_bytes(chunk)
    return path


CODECS = {"zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress}


@pytest.mark.parametrize("codec", CODECS)
def test_a_chunk_that_expands_is_refused(tmp_path: Path, codec: str) -> None:
    settings = {"id": codec, "level": 9}
    bomb = image(tmp_path / "b.zarr", settings, CODECS[codec](bytes(2**27)))
    assert "more than its pixels" in opened(bomb)
    whole = image(tmp_path / "a.zarr", settings, CODECS[codec](bytes(range(64)) * 64))
    with open_image(whole) as file:
        assert file.load(file.planes[0])[5].tolist() == list(range(64))


def test_codecs_say_what_chunks_become() -> None:
    numcodecs = pytest.importorskip("numcodecs")
    content = bytes(range(250)) * 40
    for codec in (numcodecs.Blosc(), numcodecs.LZ4(), numcodecs.Zstd()):
        chunk = memoryview(bytes(codec.encode(content)))
        assert decoded_length(codec.codec_id, chunk, 0) == len(content), codec
    for n in (5, 255, 256, 70_000, 2**17):  # the header of zstd has four forms
        chunk = memoryview(bytes(numcodecs.Zstd().encode(bytes(n))))
        assert decoded_length("zstd", chunk, 0) == n
    assert decoded_length("lzma", memoryview(b"no stream"), 0) == 0


def test_versions_do_not_stand_beside_each_other(tmp_path: Path) -> None:
    target = tmp_path / "q.zarr"
    for version in (3, 2, 3):
        source = plate(tmp_path / f"p{version}.zarr", version)
        assert enhanced(source, target, overwrite=True) == {}
        assert images_in(target) == FIELDS
        for place in (target, target / "A", target / "A/1", target / "A/1/0"):
            assert (place / "zarr.json").exists() == (version == 3), place
            assert (place / ".zgroup").exists() == (version == 2), place


def test_an_earlier_result_of_what_fails_is_not_stated(tmp_path: Path) -> None:
    source, target = plate(tmp_path / "p.zarr"), tmp_path / "q.zarr"
    assert enhanced(source, target) == {}
    (source / "A/1/1/0/.zarray").write_text("{")
    assert list(enhanced(source, target, overwrite=True)) == ["A/1/1"]
    assert images_in(target) == ("A/1/0", "B/2/0")
    assert (target / "A/1/1").exists()  # nothing is removed


def test_stores_of_other_images_stay(tmp_path: Path) -> None:
    source, other = plate(tmp_path / "p.zarr"), series(tmp_path / "s.zarr")
    with pytest.raises(CellqaError, match=r"s\.zarr/0 exists and 1 more; give another place"):
        enhanced(source, other)
    for options in ({}, {"overwrite": True}):
        alone = image(tmp_path / "a.zarr", {"id": "zlib"}, zlib.compress(bytes(64 * 64)))
        with pytest.raises(CellqaError, match="is an image, but IN holds several"):
            enhanced(source, alone, **options)


def test_a_well_becomes_a_well(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    assert enhanced(source / "A/1", tmp_path / "q.zarr") == {}
    assert images_in(tmp_path / "q.zarr") == ("0", "1")
    assert (tmp_path / "q.zarr/.zgroup").exists()


def test_what_json_has_no_room_for(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    about = json.loads((source / ".zattrs").read_text())
    about["plate"]["acquisitions"] = [{"id": 0, "starttime": float("nan")}]
    (source / ".zattrs").write_text(json.dumps(about))
    assert enhanced(source, tmp_path / "q.zarr") == {}
    text = (tmp_path / "q.zarr/.zattrs").read_text()
    assert "NaN" not in text
    assert json.loads(text)["plate"]["acquisitions"][0]["starttime"] is None


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("rows", [64, 128])  # one chunk of a shard is read, or all of it
def test_a_chunk_of_a_shard_that_expands_is_refused(
    tmp_path: Path, location: Any, rows: int
) -> None:
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    about = {"axes": ["y", "x"], "datasets": [{"path": "0"}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [about]}
    layout = zarr.create_array(
        path,
        name="0",
        shape=(128, 64),
        chunks=(64, 64),
        shards={"shape": (128, 64), "index_location": location},
        dtype=np.uint8,
        compressors=zarr.codecs.GzipCodec(),
    )
    layout[:] = 1
    for length, what in ((64 * 64, ""), (2**28, "more than its pixels")):
        first, second = gzip.compress(bytes([1]) * length), gzip.compress(bytes([1]) * 4096)
        start = 2 * 16 + 4 if location == "start" else 0
        index = struct.pack("<4Q", start, len(first), start + len(first), len(second))
        index += struct.pack("<I", google_crc32c.value(index))
        parts = (index, first, second) if location == "start" else (first, second, index)
        (path / "0/c/0/0").write_bytes(b"".join(parts))
        with open_image(path) as file:
            if what:
                with pytest.raises(ImageError, match=what):
                    file.load_rows(file.planes[0], 0, rows)
            else:
                assert file.load_rows(file.planes[0], 0, rows).all()


def test_chunks_that_are_compressed_twice_are_refused(tmp_path: Path) -> None:
    twice = zlib.compress(zlib.compress(bytes(2**24)))
    path = image(tmp_path / "a.zarr", {"id": "zlib", "level": 9}, twice)
    place = path / "0/.zarray"
    stated = json.loads(place.read_text()) | {"filters": [{"id": "zlib", "level": 9}]}
    place.write_text(json.dumps(stated))
    assert "compressed twice (zlib, zlib)" in opened(path)
