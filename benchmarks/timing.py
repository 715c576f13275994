"""CPU time of one call, the same way for every peer."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
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


# Adopts every process that the command leaves (Linux's PR_SET_CHILD_SUBREAPER), so that the
# processor time of workers that are not its own children is counted too.
_ADOPT = """
import ctypes, os, resource, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
wall = time.perf_counter() - start
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
"""


def run_command(*line: object) -> tuple[float, float, int]:
    """Wall and CPU seconds of a command and all its processes, and the largest one's memory."""
    done = subprocess.run(
        [sys.executable, "-c", _ADOPT, *map(str, line)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    code, wall, cpu, memory = done.stdout.split()
    if int(code):
        raise RuntimeError(f"{line} ended with status {code}")
    return float(wall), float(cpu), int(memory)
