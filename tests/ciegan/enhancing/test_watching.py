"""A watched folder: each file once, none lost, whatever ends the program or moves the files."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from networks import image, weights

from cellqa.io import write_tiff
from cellqa.lines import Lines
from cellqa.simulate import filaments
from ciegan.cli import main
from ciegan.enhancing.dashboard import Watched
from ciegan.enhancing.watcher import WatchOptions
from ciegan.enhancing.watching import watch

QUICK = WatchOptions(settle=0.5, rescan=1.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "enhanced.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


@contextmanager
def watching(
    model: Path, source: Path, out: Path, options: WatchOptions = QUICK
) -> Iterator[list[Watched]]:
    """The folder watched by a thread; what came of it, once it has ended."""
    stop = threading.Event()
    found: list[Watched] = []
    thread = threading.Thread(
        target=lambda: found.append(watch(model, source, out, watching=options, stop=stop))
    )
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_there_and_what_appears(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(source / "a.tif", image(), None)
    with watching(model, source, out) as found:
        until((out / "a.tif").exists)
        write_tiff(source / "well 2/<b>.tif", image(), None)
        (source / "notes.txt").write_text("no image")
        write_tiff(source / ".hidden.tif", image(), None)
        until((out / "well 2/<b>.tif").exists)
    assert found[0].counts == Counter(ok=2)
    rows = table(out)
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.tif": "ok",
        "well 2/<b>.tif": "ok",
    }
    page = (out / "watch.html").read_text()
    assert "&lt;b&gt;.tif" in page
    assert "<b>.tif" not in page
    assert "watching has ended" in page


def test_a_file_that_grows_is_taken_when_it_is_whole(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(tmp_path / "whole.tif", image(), None)
    data = (tmp_path / "whole.tif").read_bytes()
    source.mkdir()
    options = WatchOptions(settle=1.5, rescan=0.5, polling=True)  # which sees no closing
    with watching(model, source, out, options) as found:
        for start in range(0, len(data), len(data) // 8 + 1):
            with (source / "a.tif").open("ab") as file:
                file.write(data[start : start + len(data) // 8 + 1])
            time.sleep(0.3)
        until((out / "a.tif").exists)
    assert found[0].counts == Counter(ok=1)


def test_what_failed_is_tried_again_when_it_changes(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(tmp_path / "whole.tif", image(), None)
    data = (tmp_path / "whole.tif").read_bytes()
    source.mkdir()
    with watching(model, source, out) as found:
        (source / "a.tif").write_bytes(data[: len(data) // 2])
        until(lambda: (out / "enhanced.csv").exists() and table(out))
        assert table(out)["a.tif"]["status"] == "failed"
        until(lambda: "truncated" in (out / "watch.html").read_text())
        (source / "a.tif").write_bytes(data)
        until((out / "a.tif").exists)
    assert found[0].counts == Counter(ok=1, failed=1)
    assert not found[0].failures
    assert table(out)["a.tif"]["status"] == "ok"


def test_results_move_with_a_folder_that_is_renamed(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in "ab":
        write_tiff(source / f"well1/{name}.tif", image(), None)
    with watching(model, source, out) as found:
        until(lambda: all((out / f"well1/{name}.tif").exists() for name in "ab"))
        before = (out / "well1/a.tif").read_bytes()
        (source / "well1").rename(source / "well9")
        until(lambda: all((out / f"well9/{name}.tif").exists() for name in "ab"))
    assert found[0].counts == Counter(ok=2, moved=2)
    assert (out / "well9/a.tif").read_bytes() == before
    assert not (out / "well1").exists()
    assert set(table(out)) == {"well9/a.tif", "well9/b.tif"}


def test_scores_without_reference_are_kept_over_restarts(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(source / "a.tif", filaments((128, 128), seed=0).image, 0.2)
    options = WatchOptions(settle=0.3, score=True, idle=1.0)
    with watching(model, source, out, options) as found:
        until(lambda: found)
    first = table(out)["a.tif"]
    assert float(first["resolution"]) > 0.39
    assert float(first["input_resolution"]) > 0.39
    assert 0 < float(first["input_entropy"]) <= 8
    assert -1 <= float(first["rsp"]) <= 1
    write_tiff(source / "b.tif", filaments((128, 128), seed=1).image, 0.2)
    with watching(model, source, out, options) as found:
        until(lambda: found)
    assert found[0].counts == Counter(ok=1)
    assert table(out)["a.tif"] == first
    assert table(out)["b.tif"]["resolution"]


def test_foreign_files_are_left_alone(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(source / "a.tif", image(), None)
    write_tiff(out / "a.tif", image(), None)
    before = (out / "a.tif").read_bytes()
    write_tiff(source / "b.czi.tif", image(), None)
    with watching(model, source, out, WatchOptions(settle=0.3, idle=1.0)) as found:
        until(lambda: found)
    assert (out / "a.tif").read_bytes() == before
    assert "not made by ciegan" in found[0].failures["a.tif"]


WRITER = """
import sys, time
from pathlib import Path
source, whole = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
for k in range(int(sys.argv[3])):
    name = source / f"w{k % 3}" / f"{k:03d}.tif"
    name.parent.mkdir(exist_ok=True)
    half = len(whole) // 2
    with name.open("wb") as file:
        file.write(whole[:half])
        file.flush()
        time.sleep(0.1)
        file.write(whole[half:] + k.to_bytes(4, "little"))  # each its own content
    time.sleep(0.1)
"""


def test_a_writer_at_five_files_a_second_and_kills(tmp_path: Path, model: Path) -> None:
    """Whenever the program is killed, and started again, each file is done, and done once."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_tiff(tmp_path / "whole.tif", image(np.uint16, (256, 256)), None)
    number = 60
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    writer = subprocess.Popen(
        [sys.executable, str(script), str(source), str(tmp_path / "whole.tif"), str(number)]
    )
    command = [sys.executable, "-m", "ciegan", "watch", str(model), str(source), str(out)]
    command += ["--settle", "0.5", "--rescan", "1", "--until-idle", "4"]
    for done in (5, 25):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: len(list(out.rglob("*.tif"))) >= done, 120)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for path in out.rglob("[0-9]*.tif"):  # whole, whatever the moment
            assert tifffile.imread(path).shape == (256, 256)
    last = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert writer.wait() == 0
    assert last.returncode == 0, last.stderr
    names = {p.relative_to(source) for p in source.rglob("*.tif")}
    assert len(names) == number
    assert {p.relative_to(out) for p in out.rglob("[0-9]*.tif")} == names
    assert set(table(out)) <= {name.as_posix() for name in names}
    begun: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    for _, entry in Lines(out / ".ciegan-enhanced.jsonl").read():
        (finished if "record" in entry else begun)[entry["target"]] += 1
    assert max(finished.values()) == 1
    # what is in work when the program is killed is begun again: a few files of each line
    assert sum(begun.values()) <= number + 2 * 2 * 5


def test_one_at_a_time(tmp_path: Path, model: Path) -> None:
    """Two would do everything twice."""
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(source / "a.tif", image(), None)
    with watching(model, source, out):
        until((out / "a.tif").exists)
        for command in ("watch", "enhance"):
            arguments = [sys.executable, "-m", "ciegan", command, str(model), str(source), str(out)]
            found = subprocess.run(arguments, capture_output=True, text=True, check=False)
            assert found.returncode == 1, found.stderr
            assert "another process is writing" in found.stderr


def test_an_interrupt_ends_after_the_files_in_work(tmp_path: Path, model: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(source / "a.tif", image(), None)
    command = [sys.executable, "-m", "ciegan", "watch", str(model), str(source), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until((out / "a.tif").exists)
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "enhanced 1 images" in output
    assert "Traceback" not in error
    assert (out / "enhanced.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["MODEL", "none", "out"], "is not a folder", 1),
        (["MODEL", "in", "in/out"], "inside IN", 1),
        (["MODEL", "in", "in"], "inside IN", 1),
        (["none", "in", "out"], "there is no such file", 1),
        (["MODEL", "in", "out", "--settle", "0"], "--settle", 2),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "in/a.tif", image(), None)
    arguments = [str(model) if a == "MODEL" else a for a in arguments]
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        found = CliRunner().invoke(main, ["watch", *arguments])
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)
    assert found.exit_code == status, found.output
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_unwritable_results_are_told(tmp_path: Path, model: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "out").write_text("a file")  # root writes anywhere
    else:
        (tmp_path / "out").mkdir(mode=0o500)
    write_tiff(tmp_path / "in/a.tif", image(), None)
    found = CliRunner().invoke(
        main, ["watch", str(model), str(tmp_path / "in"), str(tmp_path / "out")]
    )
    assert found.exit_code == 1, found.output
    assert "Traceback" not in found.stderr


def test_links_to_folders_are_not_followed(tmp_path: Path, model: Path) -> None:
    source, out, elsewhere = tmp_path / "in", tmp_path / "out", tmp_path / "elsewhere"
    write_tiff(source / "a.tif", image(), None)
    write_tiff(elsewhere / "secret.tif", image(), None)
    (source / "circle").symlink_to(source)
    (source / "link").symlink_to(elsewhere)
    with watching(model, source, out) as found:
        until((out / "a.tif").exists)
        write_tiff(source / "z.tif", image(), None)
        until((out / "z.tif").exists)
    assert found[0].counts == Counter(ok=2)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.tif")) == ["a.tif", "z.tif"]


def test_results_do_not_leave_the_folder(tmp_path: Path, model: Path) -> None:
    source, out, elsewhere = tmp_path / "in", tmp_path / "out", tmp_path / "elsewhere"
    write_tiff(source / "sub/a.tif", image(), None)
    write_tiff(source / "b.tif", image(), None)
    elsewhere.mkdir()
    out.mkdir()
    (out / "sub").symlink_to(elsewhere)
    with watching(model, source, out):
        until(lambda: (out / "b.tif").exists() and "sub/a.tif" in table(out))
    assert not list(elsewhere.iterdir())
    assert "outside OUT" in table(out)["sub/a.tif"]["reason"]


def test_a_source_that_is_gone_is_told(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_tiff(source / "a.tif", image(), None)
    with watching(model, source, out):
        until((out / "a.tif").exists)
        source.rename(tmp_path / "away")
        until(lambda: "is gone; watching until it comes back" in caplog.text)
        write_tiff(source / "b.tif", image(), None)
        until((out / "b.tif").exists)


def test_what_goes_wrong_while_looking_ends_it(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that looks dies of nothing in silence."""
    write_tiff(tmp_path / "in/a.tif", image(), None)

    def broken(*arguments: object) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr("ciegan.enhancing.watcher.FolderWatcher._look", broken)
    with pytest.raises(RuntimeError, match="no more"):
        watch(model, tmp_path / "in", tmp_path / "out", watching=QUICK)
