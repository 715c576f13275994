"""Several processes on one folder: the same results, whatever ends one of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from networks import image, run, table, weights

from cellqa.io import write_tiff
from ciegan.enhancing.processes import processes_for

MANY = 500  # files, which take seconds


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


def folder(place: Path, number: int = 10) -> Path:
    for k in range(number):
        write_tiff(place / f"well{k % 2}/{k}.tif", image(np.uint8, (64, 80)), 0.25)
    return place


def contents(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*.tif")
        if path.is_file()
    }


def test_several_processes_give_what_one_gives(tmp_path: Path, model: Path) -> None:
    source = folder(tmp_path / "in")
    (source / "broken.tif").write_bytes(b"II*\0")
    one = run(model, source, tmp_path / "one", "--device", "cpu")
    two = run(model, source, tmp_path / "two", "--device", "cpu", "--jobs", "2")
    assert (one.exit_code, two.exit_code) == (3, 3), two.output
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    timeless = [
        {name: {k: v for k, v in row.items() if k != "seconds"} for name, row in rows.items()}
        for rows in (table(tmp_path / "one"), table(tmp_path / "two"))
    ]
    assert timeless[0] == timeless[1]
    journals = [path.name for path in (tmp_path / "two").glob(".ciegan-enhanced*")]
    assert journals == [".ciegan-enhanced.jsonl"]  # one, in the end

    (source / "well0/0.tif").rename(source / "new.tif")
    again = run(model, source, tmp_path / "two", "--device", "cpu", "--jobs", "2")
    assert again.exit_code == 3
    rows = table(tmp_path / "two")
    assert rows.pop("broken.tif")["status"] == "failed"
    assert rows.pop("new.tif")["status"] == "moved"
    assert {row["status"] for row in rows.values()} == {"skipped"}


def started(model: Path, source: Path, target: Path) -> subprocess.Popen[bytes]:
    """The command with processes, once some files are done."""
    line = ["enhance", str(model), str(source), str(target), "--device", "cpu", "--jobs", "2"]
    process = subprocess.Popen([sys.executable, "-m", "ciegan", *line], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(contents(target)) < 5 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """Processes that enhance: copies of the server that it started."""
    parents, lines = {}, {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
            lines[int(place.parent.name)] = (place.parent / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(place.parent.name)] = int(fields[1])
    servers = {
        pid
        for pid, parent in parents.items()
        if parent == process.pid and b"multiprocessing.forkserver" in lines[pid]
    }
    return [pid for pid, parent in parents.items() if parent in servers]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_dies_is_made_up_for(tmp_path: Path, model: Path) -> None:
    source = folder(tmp_path / "in", MANY)
    process = started(model, source, tmp_path / "out")
    first, _ = workers(process)
    os.kill(first, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert len(contents(tmp_path / "out")) == MANY
    # one that was written, but not told, is found to be done
    assert {row["status"] for row in table(tmp_path / "out").values()} <= {"ok", "skipped"}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_when_all_die_it_says_so_and_goes_on_later(tmp_path: Path, model: Path) -> None:
    source = folder(tmp_path / "in", MANY)
    process = started(model, source, tmp_path / "out")
    first, second = workers(process)
    os.kill(first, signal.SIGKILL)
    os.kill(second, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert b"the processes that enhance died (status -9)" in errors
    assert b"Traceback" not in errors
    done = run(model, source, tmp_path / "out", "--device", "cpu", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert len(contents(tmp_path / "out")) == MANY
    assert not list((tmp_path / "out").rglob(".cellqa-*"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_they_end_with_the_one_who_started_them(
    tmp_path: Path, model: Path, number: signal.Signals
) -> None:
    source = folder(tmp_path / "in", MANY)
    process = started(model, source, tmp_path / "out")
    those = workers(process)
    assert len(those) == 2
    process.send_signal(number)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in those):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = len(contents(tmp_path / "out"))
    assert before < MANY
    done = run(model, source, tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    statuses = [row["status"] for row in table(tmp_path / "out").values()]
    assert statuses.count("skipped") >= before - 2
    for path in source.rglob("*.tif"):
        assert tifffile.imread(tmp_path / "out" / path.relative_to(source)).shape == (64, 80)


def test_processes_pay_on_cuda_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes_for(10**6, 1e12, torch.device("cpu")) == 1
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (80e9, 80e9))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    cuda = torch.device("cuda", 0)
    assert [processes_for(n, 0.0, cuda) for n in (1, 399, 1000, 10**6)] == [1, 1, 5, 15]
    large = [(1, 1e11), (2, 1e11), (96, 96 * 4096**2)]  # files, and bytes of all of them
    assert [processes_for(files, size, cuda) for files, size in large] == [1, 2, 4]
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (7e9, 8e9))
    assert processes_for(10**6, 0.0, cuda) == 3
