from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from dask import config
from distributed import LocalCluster
from distributed.comm import connect
from distributed.security import Security
from images import blurred

from cellqa.cli import main
from cellqa.engines.dask import DaskEngine, reach
from cellqa.errors import CellqaError

pytestmark = pytest.mark.filterwarnings("ignore")  # asyncio's, of a cluster that is being ended


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    """The command for 250 small pairs: three tasks."""
    rng = np.random.default_rng(0)
    for folder in ("gt", "net"):
        (tmp_path / folder).mkdir()
    image = rng.integers(0, 256, (180, 180), np.uint8)
    for k in range(250):
        rolled = np.roll(image, k)
        for folder, pixels in (("gt", rolled), ("net", blurred(rolled, 1))):
            path = tmp_path / folder / f"{k:03}.bmp"
            path.write_bytes(cv2.imencode(".bmp", pixels)[1].tobytes())
    (tmp_path / "net" / "100.bmp").write_bytes(b"BM")
    return ["score", "--pred", str(tmp_path / "net"), "--gt", str(tmp_path / "gt")]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers on loopback, each a process of its own."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--scheduler-file", file, "--host", "127.0.0.1", "--port", "0",
         "--no-dashboard"], **quiet
    )  # fmt: skip
    for _ in range(300):
        if file.exists():
            break
        time.sleep(0.1)
    worker = [*dask, "worker", "--scheduler-file", file, "--nthreads", "1", "--no-nanny",
              "--host", "127.0.0.1", "--no-dashboard", "--local-directory", tmp_path]  # fmt: skip
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
    yield file, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def outcome(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "scores.csv").read_bytes(), (folder / "summary.csv").read_bytes()


def test_a_cluster_gives_the_same_bytes_though_a_worker_dies(
    pairs: list[str], cluster: tuple[Path, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    file, workers = cluster
    journal = tmp_path / "dask" / "journal.jsonl"
    command = [*pairs, "--engine", f"dask={file}", "--out", str(tmp_path / "dask")]
    run = subprocess.Popen(
        [sys.executable, "-m", "cellqa", *command], stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(3000):  # until the first task is back and another under way
        if run.poll() is not None or (journal.exists() and journal.read_bytes().count(b"\n") > 1):
            break
        time.sleep(0.01)
    os.kill(workers[0].pid, signal.SIGKILL)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 3, err
    local = CliRunner().invoke(main, [*pairs, "--out", str(tmp_path / "local"), "--jobs", "2"])
    assert local.exit_code == 3
    assert outcome(tmp_path / "dask") == outcome(tmp_path / "local")


def test_a_scheduler_that_goes_away_is_one_line(
    pairs: list[str], cluster: tuple[Path, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    file, _ = cluster
    address = json.loads(file.read_text())["address"]
    port = int(address.rsplit(":", 1)[1])
    journal = tmp_path / "dask" / "journal.jsonl"
    run = subprocess.Popen(
        [sys.executable, "-m", "cellqa", *pairs, "--engine", f"dask={address}", "--out",
         str(tmp_path / "dask")], stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(3000):
        if run.poll() is not None or journal.exists():
            break
        time.sleep(0.01)
    scheduler = next(p for p in Path("/proc").iterdir() if listens(p, port))
    os.kill(int(scheduler.name), signal.SIGKILL)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 1, err
    assert "go on with --resume" in err
    assert "Traceback" not in err


def listens(process: Path, port: int) -> bool:
    try:
        line = (process / "cmdline").read_bytes()
    except OSError:
        return False
    return b"dask\0scheduler" in line and port > 0


@pytest.mark.slow
def test_a_cluster_of_its_own(pairs: list[str], tmp_path: Path) -> None:
    for engine in ("dask", "local"):
        command = [*pairs, "--engine", engine, "--jobs", "2", "--out", str(tmp_path / engine)]
        done = subprocess.run([sys.executable, "-m", "cellqa", *command], capture_output=True)
        assert done.returncode == 3, done.stderr
    assert outcome(tmp_path / "dask") == outcome(tmp_path / "local")


def test_only_what_ends_its_worker_is_a_crash() -> None:
    deadly = "__import__('os').kill(__import__('os').getpid(), 9)"
    items = [deadly, *(f"__import__('time').sleep(0.02) or {k}" for k in range(30)), deadly]
    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        engine = DaskEngine(cluster.scheduler_address, 1)
        found = list(
            engine.map(
                eval,
                items,
                on_crash=lambda item, why: (item, why),
                isolate=True,
                bytes_each=1e12,  # each a task
            )
        )
        engine.close()
    assert sorted(each for each in found if isinstance(each, int)) == list(range(30))
    assert [each for each in found if not isinstance(each, int)] == 2 * [
        (deadly, "ended several workers")
    ]


@pytest.mark.parametrize(
    ("engine", "status", "message"),
    [
        ("dask=none.json", 1, "there is no scheduler file"),
        ("dask=bad.json", 1, "no Dask scheduler answers"),
        ("spark", 2, "must be one of local, dask"),
        ("dask=", 2, "the address is empty"),
    ],
)
def test_wrong_engines(
    pairs: list[str], tmp_path: Path, engine: str, status: int, message: str
) -> None:
    (tmp_path / "bad.json").write_text("{}")
    engine = engine.replace("bad.json", str(tmp_path / "bad.json"))
    done = CliRunner().invoke(main, [*pairs, "--engine", engine, "--out", str(tmp_path / "r")])
    assert done.exit_code == status
    assert message in done.stderr


def test_a_missing_extra_is_named(
    pairs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = CliRunner().invoke(main, [*pairs, "--engine", "dask", "--out", str(tmp_path / "r")])
    assert done.exit_code == 1
    assert "[cluster]'" in done.stderr


def test_strangers_do_not_reach_a_cluster_of_its_own() -> None:
    """Who has no key of the run runs no code in it, and is served no page."""
    engine = DaskEngine(None, 1)
    try:
        own = [psutil.Process(), *psutil.Process().children(recursive=True)]
        ports = {
            place.laddr.port: place.laddr.ip
            for process in own
            for place in process.net_connections()
            if place.status == "LISTEN"
        }
        assert len(ports) >= 3
        assert set(ports.values()) == {"127.0.0.1"}
        for port in ports:
            with pytest.raises(CellqaError, match="no Dask scheduler answers"):
                reach(f"tcp://127.0.0.1:{port}", 2)
            key = Security.temporary()  # of another run
            with pytest.raises(OSError):  # noqa: PT011 - of whatever layer
                asyncio.run(
                    connect(f"tls://127.0.0.1:{port}", 2, **key.get_connection_args("client"))
                )
            with pytest.raises(OSError, match=r"404|reset|closed|violation|refused|timed out"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=2)
    finally:
        engine.close()


def test_a_scheduler_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begin = time.monotonic()
        with pytest.raises(CellqaError, match=r"no Dask scheduler answers .*nothing in 4 s"):
            reach(f"tcp://127.0.0.1:{port}", 4)
        assert time.monotonic() - begin < 20
    assert "waiting for the scheduler" in caplog.text
