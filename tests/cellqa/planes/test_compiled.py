from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import numba.core.caching as caching, sys
if sys.argv[1] == "none":  # as where neither the package nor the home can be written
    caching.CacheImpl._locator_classes = []
from cellqa.scoring.compiling import compile_kernels
from cellqa.planes.compiled import kept_in
from cellqa.metrics._kernels import similarity
compile_kernels(print)
compile_kernels(print)
"""


def run(kind: str, folder: Path) -> list[str]:
    line = [sys.executable, "-c", CODE, kind]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.splitlines()


@pytest.mark.slow  # the wheel's test sees the same, in its own environment
def test_the_first_compilation_is_told_once(tmp_path: Path) -> None:
    (told,) = run("kept", tmp_path)
    assert told.startswith("compiling for this machine, once")
    assert str(tmp_path) in told
    assert run("kept", tmp_path) == []


@pytest.mark.slow
def test_it_works_where_nothing_can_be_kept(tmp_path: Path) -> None:
    told = run("none", tmp_path)
    assert "set NUMBA_CACHE_DIR" in told[0]
    assert not list(tmp_path.rglob("*.nbi"))


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_a_damaged_cache_counts_as_absent(tmp_path: Path, suffix: str) -> None:
    code = "import numpy as np, cellqa; a = np.eye(20); print(cellqa.psnr(a, a + 1, data_range=1))"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    line = [sys.executable, "-c", code]
    for _ in range(3):
        done = subprocess.run(line, capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stdout) == (0, "0.0\n"), done.stderr
        kept = list(tmp_path.rglob(f"*squared_error*.{suffix}"))
        assert kept
        for path in kept:
            path.write_bytes(path.read_bytes()[:50])
