"""CPU time of one call, the same way for every peer."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path


def cpu_seconds(call: Callable[[], object], budget: float = 1.0, repeats: int = 5) -> float:
    """Shortest of `repeats` means of process CPU time, after one call to warm up."""
    call()
    start = time.process_time()
    call()
    once = max(time.process_time() - start, 1e-6)
    number = max(1, int(budget / repeats / once))
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(number):
            call()
        best = min(best, (time.process_time() - start) / number)
    return best


def heading(title: str) -> str:
    """Title with date and machine, for a table that is kept."""
    model = platform.processor() or "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return f"{title}\n{date.today()}, {model}, Python {platform.python_version()}, one thread\n"
