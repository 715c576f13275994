"""Classical enhancers on a Dask cluster of processes: the same bytes, whatever dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from distributed import LocalCluster

from cellqa import open_engine
from cellqa.cli import main
from cellqa.enhance import ENHANCERS, enhance_files
from cellqa.io import write_tiff

pytestmark = pytest.mark.filterwarnings("ignore")  # asyncio's, of a cluster that is being ended


@pytest.fixture
def dask() -> Iterator[LocalCluster]:
    with LocalCluster(
        processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster


def folder(place: Path, number: int, side: int = 64) -> Path:
    rng = np.random.default_rng(0)
    for k in range(number):
        write_tiff(
            place / f"well{k % 2}/{k}.tif", rng.integers(0, 256, (side, side), np.uint8), 0.25
        )
    return place


def contents(place: Path) -> dict[str, bytes]:
    """All that is there but the lock."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and path.name != ".cellqa.lock"
    }


@pytest.mark.parametrize(
    "command", [["enhance", "--method", "unsharp"], ["te-enhance"], ["egt", "--sigma", "2"]]
)
def test_a_cluster_gives_the_same_bytes(
    tmp_path: Path, dask: LocalCluster, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder(tmp_path / "in", 20)
    (source / "broken.tif").write_bytes(b"II*\0")
    name, *options = command
    here = CliRunner().invoke(main, [name, str(source), str(tmp_path / "here"), *options])
    monkeypatch.chdir(tmp_path)  # workers stand in another folder
    line = [name, "in", "there", *options, "--engine", f"dask={dask.scheduler_address}"]
    there = CliRunner().invoke(main, line)
    assert (here.exit_code, there.exit_code) == (3, 3), there.output
    assert len(contents(tmp_path / "there")) == 20
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert "failed: broken.tif" in there.output
    assert "exists and 19 more" in CliRunner().invoke(main, line).output
    assert CliRunner().invoke(main, [*line, "--overwrite"]).exit_code == 3


def test_a_worker_that_is_killed_is_made_up_for(tmp_path: Path, dask: LocalCluster) -> None:
    source = folder(tmp_path / "in", 400, 256)
    enhance_files(source, tmp_path / "here", ENHANCERS["te"])
    left = [dask.workers[0].pid]

    def kill(done: int, total: int) -> None:
        if left:
            (tmp_path / "there/well1/.cellqa-0123.tif").write_bytes(b"II")  # of the one that dies
            os.kill(left.pop(), signal.SIGKILL)

    engine = open_engine(f"dask={dask.scheduler_address}", 1)
    done, failures = enhance_files(
        source, tmp_path / "there", ENHANCERS["te"], engine=engine, progress=kill
    )
    engine.close()
    assert not left
    assert (len(done), failures) == (400, [])
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_wrong_engines_are_one_line(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", 2)
    line = ["te-enhance", str(source), str(tmp_path / "out"), "--engine"]
    done = CliRunner().invoke(main, [*line, f"dask={tmp_path / 'none.json'}"])
    assert done.exit_code == 1
    assert "there is no scheduler file" in done.output
    done = CliRunner().invoke(main, [*line, "spark"])
    assert done.exit_code == 2
    assert "must be one of local, dask" in done.output


def test_only_one_engine_writes_to_a_folder(tmp_path: Path) -> None:
    from cellqa import LocalEngine
    from cellqa.disk import alone
    from cellqa.errors import CellqaError

    source = folder(tmp_path / "in", 2)
    with (
        alone(tmp_path / "out", "OUT"),
        pytest.raises(CellqaError, match="another process is writing"),
    ):
        enhance_files(source, tmp_path / "out", ENHANCERS["te"], engine=LocalEngine(1))
    done, _ = enhance_files(source, tmp_path / "out", ENHANCERS["te"], engine=LocalEngine(1))
    assert done == [tmp_path / f"out/well{k}/{k}.tif" for k in range(2)]
