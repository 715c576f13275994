"""Blosc, which compresses chunks of Zarr, without threads of its own: zarr has some already.

Up to numcodecs 0.16 its first use makes a lock for several processes, which is never taken here.
One that a worker made would be left behind where the worker is ended, and the system complain of
it. A lock for processes that are forked has no name to leave behind.
"""

from __future__ import annotations

import multiprocessing

import numcodecs.blosc

numcodecs.blosc.use_threads = False
if hasattr(numcodecs.blosc, "get_mutex") and "fork" in multiprocessing.get_all_start_methods():
    _lock = multiprocessing.Lock
    multiprocessing.Lock = multiprocessing.get_context("fork").Lock
    try:
        numcodecs.blosc.get_mutex()
    finally:
        multiprocessing.Lock = _lock
