"""Workers of a Dask cluster, each a process with a network: the same results, whatever dies."""

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import image, run, table, weights

from cellqa import open_engine
from cellqa.engines.dask import DaskEngine
from cellqa.io import write_tiff
from ciegan.enhancing import cluster as module
from ciegan.enhancing.cluster import Cluster
from ciegan.enhancing.folder import enhance_files
from ciegan.enhancing.ledger import LEDGER

pytest.importorskip("distributed")  # which a machine for CUDA may lack
from dask import config
from distributed import LocalCluster

pytestmark = pytest.mark.filterwarnings("ignore")  # asyncio's, of a cluster that is being ended

DEADLY = """
import os, signal
from ciegan.enhancing.ledger import Notes
before = Notes.key
def deadly(ledger, source, before=before):
    if "deadly" in source.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(ledger, source)
Notes.key = deadly
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


@pytest.fixture(scope="module")
def dask() -> Iterator[LocalCluster]:
    with two_workers() as cluster:
        yield cluster


def two_workers(**more: Any) -> LocalCluster:
    return LocalCluster(
        processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None, **more
    )


def failing_at_once() -> Any:
    """One dead worker suffices, so that a test does not take minutes."""
    return config.set({"distributed.scheduler.allowed-failures": 0})


def folder(place: Path, number: int) -> Path:
    for k in range(number):
        write_tiff(place / f"well{k % 2}/{k}.tif", image(np.uint8, (64, 80)), 0.25)
    return place


def contents(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.suffix == ".tif" or path.name.startswith(".cellqa-")
    }


def timeless(place: Path) -> dict[str, dict[str, str]]:
    return {
        name: {key: value for key, value in row.items() if key != "seconds"}
        for name, row in table(place).items()
    }


def notes(place: Path) -> list[dict[str, Any]]:
    lines = (place / LEDGER).read_text().splitlines()
    return [json.loads(line.partition(" ")[2]) for line in lines]


def finished(place: Path) -> Counter[str]:
    """How often the ledger says of each target that it is made."""
    return Counter(entry["target"] for entry in notes(place) if "record" in entry)


def known(place: Path) -> dict[str, Any]:
    """What the ledger says in the end, but for times."""
    return {
        entry["target"]: (
            entry["key"],
            entry["settings"],
            entry["source"],
            {key: value for key, value in entry["record"].items() if key != "seconds"},
        )
        for entry in notes(place)
        if "record" in entry
    }


def on(dask: LocalCluster) -> str:
    return f"dask={dask.scheduler_address}"


def test_a_cluster_gives_what_one_process_gives(
    tmp_path: Path, model: Path, dask: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder(tmp_path / "in", 10)
    (source / "broken.tif").write_bytes(b"II*\0")
    options = ["--device", "cpu", "--check", "--samples", "2"]
    one = run(model, source, tmp_path / "one", *options)
    monkeypatch.chdir(tmp_path)  # workers stand in another folder
    many = run(model, Path("in"), Path("many"), *options, "--engine", on(dask))
    assert (one.exit_code, many.exit_code) == (3, 3), many.output
    for place in ("one", "one-spread"):
        assert len(contents(tmp_path / place)) == 10
        assert contents(tmp_path / place) == contents(tmp_path / place.replace("one", "many"))
    assert timeless(tmp_path / "one") == timeless(tmp_path / "many")
    assert known(tmp_path / "one") == known(tmp_path / "many")
    assert "failed: broken.tif" in many.output

    (source / "well0/0.tif").rename(source / "new.tif")
    again = run(model, source, tmp_path / "many", *options, "--engine", on(dask))
    assert again.exit_code == 3, again.output
    rows = table(tmp_path / "many")
    assert rows.pop("broken.tif")["status"] == "failed"
    assert rows.pop("new.tif")["status"] == "moved"
    assert {row["status"] for row in rows.values()} == {"skipped"}
    before = len(notes(tmp_path / "many"))
    (source / "broken.tif").unlink()
    third = run(model, source, tmp_path / "many", *options, "--engine", on(dask))
    assert third.exit_code == 0, third.output
    assert len(notes(tmp_path / "many")) == before
    local = run(model, source, tmp_path / "many", *options)
    assert {row["status"] for row in table(tmp_path / "many").values()} == {"skipped"}
    assert local.exit_code == 0


def test_a_lone_file_has_its_maps_where_it_has_them_here(
    tmp_path: Path, model: Path, dask: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiff(tmp_path / "a.tif", image(np.uint8, (64, 80)), 0.25)
    monkeypatch.chdir(tmp_path)
    done = run(model, Path("a.tif"), Path("b.tif"), "--samples", "2", "--engine", on(dask))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "b.tif").exists()
    assert (tmp_path / "spread/b.tif").exists()


def test_a_worker_of_several_threads_has_one_network(tmp_path: Path, model: Path) -> None:
    source = folder(tmp_path / "in", 12)
    run(model, source, tmp_path / "one", "--device", "cpu")
    with LocalCluster(n_workers=1, threads_per_worker=3, dashboard_address=None) as dask:
        records = enhance_on(dask, model, source, tmp_path / "many")
    assert {record.status for record in records} == {"ok"}
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_a_cluster_that_goes_away_is_one_line(
    tmp_path: Path, model: Path, dask: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: DaskEngine, function: Any, items: Any, on_crash: Any, size: float) -> Any:
        yield function(items[0])
        raise OSError("no route to host")

    source = folder(tmp_path / "in", 3)
    with monkeypatch.context() as patched:
        patched.setattr(DaskEngine, "_map", lost)
        done = run(model, source, tmp_path / "out", "--engine", on(dask), "--device", "cpu")
    assert done.exit_code == 1
    assert "was lost (no route to host); what is done is kept: run the command again" in done.output
    done = run(model, source, tmp_path / "out", "--engine", on(dask), "--device", "cpu")
    assert done.exit_code == 0
    assert Counter(row["status"] for row in table(tmp_path / "out").values())["skipped"] == 1


def test_a_worker_that_is_killed_is_made_up_for(tmp_path: Path, model: Path) -> None:
    number = 60
    source = folder(tmp_path / "in", number)
    run(model, source, tmp_path / "one", "--device", "cpu")
    with two_workers() as dask:
        left = [dask.workers[0].pid]

        def kill(done: int, total: int) -> None:
            if done >= 5000 and left:
                half = tmp_path / "many/well0/.cellqa-0123.tif"  # of the one that dies
                half.write_bytes(b"II")
                os.kill(left.pop(), signal.SIGKILL)

        records = enhance_on(dask, model, source, tmp_path / "many", kill)
    assert not left
    assert [record.status for record in records] == ["ok"] * number
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert timeless(tmp_path / "many") == timeless(tmp_path / "one")
    assert set(finished(tmp_path / "many").values()) == {1}
    assert len(finished(tmp_path / "many")) == number


def enhance_on(
    dask: LocalCluster,
    model: Path,
    source: Path,
    target: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[Any]:
    engine = open_engine(on(dask), 1)
    try:
        on_cpu = Cluster(engine, "cpu")
        return enhance_files(model, source, target, cluster=on_cpu, progress=progress)
    finally:
        engine.close()


def test_what_kills_its_workers_is_a_failed_row(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder(tmp_path / "in", 7)
    write_tiff(source / "well0/deadly.tif", image(np.uint8, (64, 80)), 0.25)
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.setattr(module, "_files_a_task", lambda work: 4)
    with failing_at_once(), two_workers(preload=str(tmp_path / "deadly.py")) as dask:
        failed, *others = sorted(
            enhance_on(dask, model, source, tmp_path / "out"), key=lambda r: r.status
        )
    assert (failed.image, failed.status) == ("well0/deadly.tif", "failed")
    assert failed.reason == "enhancing this image ended several workers"
    assert {record.status for record in others} == {"ok"}
    assert len(contents(tmp_path / "out")) == 7
    assert len(finished(tmp_path / "out")) == 7
    # what stands under its name from now on is not ours
    shutil.copy(source / "well0/0.tif", tmp_path / "out/well0/deadly.tif")
    again = run(model, source, tmp_path / "out", "--device", "cpu")
    assert again.exit_code == 3
    assert "made from other content" in again.output


def test_what_was_given_away_before_a_kill_is_done_again(
    tmp_path: Path, model: Path, dask: LocalCluster
) -> None:
    source = folder(tmp_path / "in", 3)
    run(model, source, tmp_path / "out", "--device", "cpu")
    whole = contents(tmp_path / "out")
    # as a kill leaves it: one given away and made, which nobody noted
    kept = [entry for entry in notes(tmp_path / "out") if entry["target"] != "well0/0.tif"]
    given = next(entry for entry in notes(tmp_path / "out") if entry["target"] == "well0/0.tif")
    given |= {"key": "", "before": []}
    (tmp_path / "out" / LEDGER).write_text(
        "".join(f"{json.dumps(entry)}\n" for entry in [*kept, given])
    )
    done = run(model, source, tmp_path / "out", "--engine", on(dask), "--device", "cpu")
    assert done.exit_code == 0, done.output
    statuses = {name: row["status"] for name, row in table(tmp_path / "out").items()}
    assert statuses == {"well0/0.tif": "ok", "well0/2.tif": "skipped", "well1/1.tif": "skipped"}
    assert contents(tmp_path / "out") == whole


def test_what_is_not_ours_stays(tmp_path: Path, model: Path, dask: LocalCluster) -> None:
    source = folder(tmp_path / "in", 2)
    run(model, source, tmp_path / "out", "--device", "cpu")
    write_tiff(source / "well0/0.tif", image(np.uint8, (64, 80)), 0.25)
    options = ["--device", "cpu", "--engine", on(dask)]
    done = run(model, source, tmp_path / "out", *options)
    assert done.exit_code == 3
    assert "made from other content, weights or options; --overwrite" in done.output
    done = run(model, source, tmp_path / "out", *options, "--overwrite")
    assert done.exit_code == 0, done.output
    assert {row["status"] for row in table(tmp_path / "out").values()} == {"ok", "skipped"}


def test_workers_refuse_other_weights_and_devices(
    tmp_path: Path, model: Path, dask: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder(tmp_path / "in", 2)
    monkeypatch.setattr("ciegan.enhancing.pool.content_hash", lambda path: "0" * 64)
    done = run(model, source, tmp_path / "out", "--engine", on(dask))
    assert done.exit_code == 1
    assert "worker at" in done.output
    assert "other weights than where the run was started" in done.output
    monkeypatch.undo()
    done = run(model, source, tmp_path / "out", "--engine", on(dask), "--device", "cuda:7")
    assert done.exit_code == 1
    assert "worker at" in done.output
    assert "cuda:7" in done.output
    done = run(model, source, tmp_path / "out", "--engine", on(dask), "--devices", "2")
    assert done.exit_code == 2
    assert "start more workers" in done.output
