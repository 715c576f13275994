"""Blosc, which compresses chunks of Zarr, without threads of its own: zarr has some already.

Its first use makes a lock of several processes, which a worker that is ended would leave behind,
and the system complain of. So it is made where workers come from, and never taken.
"""

from __future__ import annotations

import numcodecs.blosc

numcodecs.blosc.use_threads = False
numcodecs.blosc.get_mutex()
