"""Memory that networks on the CPU take again and again."""

from __future__ import annotations

import ctypes
import functools
import sys

# Of malloc.h of the GNU C library, https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_KEPT = 2**31 - 1  # bytes, the most that mallopt takes


@functools.cache
def keep() -> None:
    """Let this process keep memory that was freed, up to 2 GiB, in place of giving it back.

    A network takes and frees the same tens of megabytes with every layer. The GNU C library gives
    pieces of that size back to the system at once, and each time they are taken again, the system
    fills them with zeros, page by page: a quarter of the time of a network on the CPU
    (`benchmarks/bench_inference.py speed`). One arena, since those of threads are cut off at 64
    megabytes. Other C libraries are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_ARENA_MAX, 1)
        mallopt(_TRIM_THRESHOLD, _KEPT)
