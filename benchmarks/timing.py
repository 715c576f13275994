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
from typing import NamedTuple


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


def heading(title: str, threads: str = "one thread") -> str:
    """Title with date and machine, for a table that is kept."""
    model = platform.processor() or "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return f"{title}\n{date.today()}, {model}, Python {platform.python_version()}, {threads}\n"


# Adopts every process that the command leaves (Linux's PR_SET_CHILD_SUBREAPER), so that the
# processor time of workers that are not its own children is counted too; notes the largest
# resident memory of the command's own process and of any other.
_ADOPT = """
import ctypes, os, pathlib, resource, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)

def peaks(session):
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session:
                    text = (entry / "status").read_text()
                    yield int(entry.name), int(text.split("VmHWM:")[1].split()[0]) * 1024
            except (OSError, IndexError):
                pass

start = time.perf_counter()
quiet = subprocess.DEVNULL
run = subprocess.Popen(sys.argv[1:], stdout=quiet, stderr=quiet, start_new_session=True)
largest = {True: 0, False: 0}
while run.poll() is None:
    for pid, peak in peaks(run.pid):
        largest[pid == run.pid] = max(largest[pid == run.pid], peak)
    time.sleep(0.1)
wall = time.perf_counter() - start
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(run.returncode, wall, used.ru_utime + used.ru_stime, largest[True], largest[False])
"""


class Cost(NamedTuple):
    """Seconds, and bytes of the command's own process and of the largest other."""

    wall: float
    cpu: float
    main: int
    worker: int


def run_command(*line: object) -> Cost:
    """Run a command and count all its processes."""
    done = subprocess.run(
        [sys.executable, "-c", _ADOPT, *map(str, line)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    code, wall, cpu, main, worker = done.stdout.split()
    if int(code):
        raise RuntimeError(f"{line} ended with status {code}")
    return Cost(float(wall), float(cpu), int(main), int(worker))
