"""What is written survives a kill, a full disk and a second process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cellqa.disk import (
    LOCK,
    TEMPORARY,
    alone,
    appearing,
    appearing_text,
    content_hash,
    remove_temporary,
    state,
    take_folder,
)
from cellqa.errors import CellqaError
from cellqa.lines import Lines


def values(lines: Lines) -> list[object]:
    return [value for _, value in lines.read()]


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep/a.csv"
    with appearing_text(path) as file:
        file.write("1")
        assert not path.exists()
    assert path.read_text() == "1"

    def half() -> None:
        with appearing_text(path) as file:
            file.write("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        half()
    assert path.read_text() == "1"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for text in ("first", "second"):
        with appearing(path, folder=True) as made:
            made.mkdir()
            (made / "c").write_text(text)
            assert not path.exists() or (path / "c").read_text() != text
        assert (path / "c").read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}1.tif").touch()
    (tmp_path / f"{TEMPORARY}2").mkdir()
    (tmp_path / f"{TEMPORARY}2" / "a").touch()
    (tmp_path / "mine.tif").touch()
    remove_temporary(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.tif"]


HOLDER = """
import sys, time
from pathlib import Path
from cellqa.disk import alone
with alone(Path(sys.argv[1]), "--out"):
    print("here", flush=True)
    time.sleep(60)
"""


def test_two_processes_do_not_write_to_a_folder(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "here\n"
    with pytest.raises(CellqaError, match="--out: another process is writing"):
        alone(tmp_path, "--out").__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    (tmp_path / f"{TEMPORARY}1.csv").touch()
    with alone(tmp_path, "--out"):  # the lock ends with the process, however it ends
        assert [p.name for p in tmp_path.iterdir()] == [LOCK]


def test_a_lock_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(CellqaError, match="cannot be locked"):
        alone(tmp_path, "--out").__enter__()


def test_lines_survive_one_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "deep/lines.jsonl"
    lines = Lines(path)
    assert values(lines) == []
    lines.append({"a": 1})
    lines.close()
    path.write_text(path.read_text() + '{"a": 2, "b": "cut')
    again = Lines(path)
    place = again.append({"a": 3})
    again.append({"a": "\udcff"})  # of a name that is no text
    again.close()
    path.write_text(path.read_text() + "[4]\n")
    assert values(again) == [{"a": 1}, {"a": 3}, {"a": "\udcff"}]
    assert again.at(place) == {"a": 3}


def test_a_damaged_line_counts_as_absent(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    lines = Lines(path)
    for k in range(3):
        lines.append([k, 7])
    lines.close()
    path.write_bytes(path.read_bytes().replace(b"[1,7]", b"[1,8]"))
    assert values(lines) == [[0, 7], [2, 7]]


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    lines = Lines(path)
    lines.append({"a": 2})
    lines.close()
    assert values(lines) == [{"a": 1}, {"a": 2}]


def test_state_tells_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    assert state(path) == []
    path.write_bytes(b"one")
    before = state(path)
    assert state(path) == before
    path.write_bytes(b"four")
    assert state(path) != before


@pytest.mark.parametrize("touched", [False, True])
def test_state_of_a_folder_is_that_of_everything_inside(tmp_path: Path, touched: bool) -> None:
    """An OME-Zarr is a folder; a chunk that is written again does not change the folder itself."""
    store = tmp_path / "a.zarr"
    chunk = store / "0" / "c" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"1234")
    (chunk.parent / "1").write_bytes(b"1234")
    before, status = state(store, touched=touched), store.stat()
    chunk.write_bytes(b"4321")
    os.utime(chunk, ns=(1, before[1] - 10**9))  # earlier than the latest inside
    assert store.stat().st_mtime_ns == status.st_mtime_ns
    assert state(store, touched=touched) != before
    before = state(store, touched=touched)
    (chunk.parent / "1").rename(chunk.parent / "2")
    assert state(store, touched=touched) != before


def test_content_hash_knows_names_and_contents(tmp_path: Path) -> None:
    for name, inside, text in (("a", "x", "1"), ("b", "x", "1"), ("c", "y", "1"), ("d", "x", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / inside).write_text(text)
    a, b, c, d = (content_hash(tmp_path / name) for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3


def test_a_folder_is_taken_once_and_replaced_when_asked(tmp_path: Path) -> None:
    def take(folder: Path, overwrite: bool = False) -> None:
        take_folder(
            folder, ".mark", role="OUT", what="demo", overwrite=overwrite, replaced=["results"]
        )

    out = tmp_path / "out"
    take(out)
    (out / "results").mkdir()
    (out / "results" / "old").touch()
    (out / "mine").touch()
    with pytest.raises(CellqaError, match="holds an earlier demo; use --overwrite"):
        take(out)
    take(out, overwrite=True)
    assert not (out / "results").exists()
    assert (out / "mine").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.doc").touch()
    with pytest.raises(CellqaError, match="not an earlier demo's"):
        take(other, overwrite=True)
    with pytest.raises(CellqaError, match="is a file"):
        take(out / "mine")


def test_an_error_names_the_file_that_the_user_knows(tmp_path: Path) -> None:
    def full() -> None:
        with appearing_text(tmp_path / "a.csv"):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as error:
        full()
    assert error.value.filename == str(tmp_path / "a.csv")
