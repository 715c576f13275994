"""What zarr reads from: stores that refuse what would not end, or take far too much memory."""

from __future__ import annotations

import bz2
import lzma
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from zarr.abc.store import ByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, ObjectStore, WrapperStore, ZipStore

from cellqa.errors import ImageError
from cellqa.io.formats import store_of
from cellqa.io.stores import check_length, remote, url_of

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_SWELL, _OVERHEAD = 1.1, 2**16  # of bytes that cannot be compressed, and of the index of shards
_NO_CHUNK = 2**64 - 1  # offset, in an index of shards, of a chunk that is left out
_SUMS = ("crc32c", "crc32", "adler32", "fletcher32")  # they add some bytes
_PLENTY = 2**26  # bytes of pixels that are decoded without a look at what they will be
# codecs that do not say what they become, and the most bytes that they make of one
_STREAMS = {"zlib": 1032, "gzip": 1032, "bz2": 2_000_000, "lzma": 10_000}
_STEP = 2**22  # bytes to decode at once


class Guarded(WrapperStore[Any]):
    """A store of which no metadata are too large, and no chunk more than its pixels.

    A pipe or a device would never end; a chunk may expand to far more than an array states.
    """

    def __init__(self, store: Store, limit: int = 0, codec: str = "") -> None:
        super().__init__(store)
        self.limit, self.codec = limit, codec
        self.shard: _Shard | None = None

    def expect(self, data: Any) -> None:
        """Say of which array chunks are read from here on.

        Raises
        ------
        ImageError
            Its chunks are compressed twice, or its shards in a way that is not looked into.
        """
        self.limit = _bytes(data, data.shards or data.chunks)
        if data.shards:
            self.shard = _shard(data)
            self.codec = self.shard.codec
        else:
            self.codec = _compressor((*data.filters, *data.compressors))

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As the store does, after a look at what is there."""
        metadata = key.rpartition("/")[2] in _METADATA
        if isinstance(byte_range, RangeByteRequest):
            self._check(key, byte_range.end - byte_range.start, metadata)
        store = self._store
        if isinstance(store, LocalStore):
            place = store.root / key
            try:
                status = place.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if not stat.S_ISREG(status.st_mode):
                if stat.S_ISDIR(status.st_mode):
                    return None
                raise ImageError(f"its {'metadata' if metadata else 'chunk'} {key} is no file")
            self._check(key, status.st_size, metadata)
        elif isinstance(store, ZipStore):
            await store._ensure_open()
            member = store._zf.NameToInfo.get(key)
            if member is None:
                return None
            self._check(key, member.file_size, metadata)
        elif isinstance(store, ObjectStore) and byte_range is None:
            return await self._whole(store, key, prototype, metadata)
        found: Buffer | None = await store.get(key, prototype, byte_range)
        if found is not None and not metadata:
            self._check_decoded(key, found, byte_range)
        return found

    async def _whole(
        self, store: ObjectStore[Any], key: str, prototype: BufferPrototype, metadata: bool
    ) -> Buffer | None:
        """An object, whose size comes with the answer, before its content."""
        import obstore

        try:
            answer = await obstore.get_async(store.store, key)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        self._check(key, answer.meta["size"], metadata)
        content: Any = await answer.bytes_async()
        found = prototype.buffer.from_bytes(content)
        if not metadata:
            self._check_decoded(key, found, None)
        return found

    async def _get_many(self, requests: Iterable[Any]) -> Any:
        for key, prototype, byte_range in requests:
            yield key, await self.get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """As the store does, after a look at what is there."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    def _check(self, key: str, size: int, metadata: bool) -> None:
        if metadata:
            check_length(key, size)
        elif size > _SWELL * self.limit + _OVERHEAD:
            raise ImageError(f"its chunk {key} holds more than its pixels")

    def _check_decoded(self, key: str, chunk: Buffer, part: ByteRequest | None) -> None:
        """Refuse a chunk, or one of a shard, that becomes far more than its pixels."""
        content = memoryview(chunk.as_numpy_array().data).cast("B")
        if self.shard is None:
            limit, chunks = self.limit, [content] if part is None else []
        else:
            limit = self.shard.limit
            whole = part is None
            chunks = self.shard.chunks(content) if whole else [content]
            if not whole and not isinstance(part, RangeByteRequest):
                return  # the index
        most = max(_SWELL * limit, _PLENTY)
        if any(decoded_length(self.codec, each, most) > most for each in chunks):
            raise ImageError(f"its chunk {key} holds more than its pixels")


@dataclass(frozen=True)
class _Shard:
    """How the chunks lie in a shard (Zarr 3, codec `sharding_indexed`)."""

    number: int  # of chunks
    first: bool  # whether the index comes first
    codec: str
    limit: int  # bytes of a chunk

    def chunks(self, content: memoryview) -> list[memoryview]:
        """Each chunk of a shard, compressed."""
        length = 16 * self.number
        if len(content) < length + 4:
            return []  # reading it will say so
        index = content[:length] if self.first else content[-length - 4 : -4]
        table = np.frombuffer(index, "<u8").reshape(-1, 2)
        return [content[int(at) : int(at + size)] for at, size in table if at != _NO_CHUNK]


def _shard(data: Any) -> _Shard:
    codecs = data.metadata.codecs
    outer = codecs[0]
    plain = [_name(codec) for codec in outer.index_codecs] == ["bytes", "crc32c"]
    if len(codecs) != 1 or not plain or any(_name(c).startswith("sharding") for c in outer.codecs):
        raise ImageError("its shards are coded in a way that is not read: index or shard in shard")
    number = 1
    for shard, chunk in zip(data.shards, data.chunks, strict=True):
        number *= -(-shard // chunk)
    first = outer.index_location.value == "start"
    return _Shard(number, first, _compressor(outer.codecs), _bytes(data, data.chunks))


def _bytes(data: Any, sides: Iterable[int]) -> int:
    pixels = 1
    for side in sides:
        pixels *= int(side)
    return pixels * int(data.dtype.itemsize)


def _compressor(codecs: Iterable[Any]) -> str:
    """Name of the codec that is undone first, and alone may make much of little; or nothing."""
    names = [name for codec in codecs if (name := _name(codec)) not in _SUMS]
    grow = [name for name in names if name in ("blosc", "lz4", "zstd", *_STREAMS)]
    if len(grow) > 1 or (grow and names[-1] != grow[0]):
        raise ImageError(f"its chunks are compressed twice ({', '.join(names)}); not read")
    return grow[0] if grow else ""


def decoded_length(codec: str, content: memoryview, limit: float) -> int:
    """Bytes that a chunk becomes, as far as its codec tells; of a stream, some past the limit.

    Examples
    --------
    >>> decoded_length("zlib", memoryview(zlib.compress(bytes(10**9))), 2**26) > 2**26
    True
    """
    if codec == "blosc" and len(content) >= 16:
        return int.from_bytes(content[4:8], "little")
    if codec == "lz4" and len(content) >= 4:
        return int.from_bytes(content[:4], "little")
    if codec == "zstd":
        return _zstd_length(bytes(content[:18]))
    if codec not in _STREAMS or len(content) * _STREAMS[codec] <= limit:
        return 0
    length = 0
    try:
        for part in _decoded(codec, bytes(content)):
            length += len(part)
            if length > limit:
                break
    except (OSError, EOFError, zlib.error, lzma.LZMAError):  # decoding it will say so
        pass
    return length


def _decoded(codec: str, content: bytes) -> Iterator[bytes]:
    """What a stream becomes, a step at a time."""
    if codec in ("zlib", "gzip"):
        stream = zlib.decompressobj(zlib.MAX_WBITS + (16 if codec == "gzip" else 0))
        while content and not stream.eof:
            yield stream.decompress(content, _STEP)
            content = stream.unconsumed_tail
        return
    other = bz2.BZ2Decompressor() if codec == "bz2" else lzma.LZMADecompressor()
    while not other.eof and (part := other.decompress(content, _STEP)):
        yield part
        content = b""


def _zstd_length(head: bytes) -> int:
    """What the header of a frame states (RFC 8878, 3.1.1.1); 0 where it does not."""
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        return 0
    flag, single, dictionary = head[4] >> 6, head[4] >> 5 & 1, head[4] & 3
    size = (single, 2, 4, 8)[flag]
    start = 5 + (not single) + (0, 1, 2, 4)[dictionary]
    return int.from_bytes(head[start : start + size], "little") + (256 if flag == 1 else 0)


def _name(codec: Any) -> str:
    """Of a codec of Zarr 2 or 3, as `zlib`."""
    name = getattr(codec, "codec_id", None) or type(codec).__name__.removesuffix("Codec")
    return str(name).lower()


def guarded(path: Path) -> tuple[Guarded, str]:
    """A place as zarr opens it, and the path inside.

    Raises
    ------
    MissingExtraError
        What reads it is not installed.
    """
    store = store_of(path)
    if url_of(path):
        assert store is not None
        return Guarded(ObjectStore(remote(store[0]), read_only=True)), store[1]
    if store is None or not stat.S_ISREG(store[0].stat().st_mode):
        return Guarded(LocalStore(path, read_only=True)), ""
    return Guarded(ZipStore(store[0], mode="r")), store[1]
