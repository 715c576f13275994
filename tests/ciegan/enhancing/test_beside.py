"""Networks that see neighbours in time or focus: which planes they get, from where."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from networks import RNG, run, same, table, weights

from cellqa.enhance.filters import as_type
from cellqa.io import write_tiff
from ciegan.cli import main
from ciegan.config import Context
from ciegan.enhancing.beside import files_beside
from ciegan.enhancing.watcher import WatchOptions
from ciegan.enhancing.watching import watch
from ciegan.network.checkpoint import load
from ciegan.network.neighbours import stacked
from ciegan.network.percentiles import percentiles
from ciegan.network.windows import enhance_plane

SHAPE = (72, 88)


def frames(number: int, *more: int) -> np.ndarray:
    return RNG.integers(20, 4000, (number, *more, *SHAPE)).astype(np.uint16)


def wanted(model: Path, planes: list[np.ndarray], whole: np.ndarray | None = None) -> np.ndarray:
    """What becomes of the first of some planes, with black and white of `whole`."""
    network = load(model)
    rule = replace(network.normalisation, rule="image")
    limits = percentiles(planes[0] if whole is None else whole, (0.1, 99.9))
    made = enhance_plane(network.generator, stacked(planes), rule, whole=tuple(limits))
    return as_type(made, planes[0].dtype)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return weights(tmp_path / "best.safetensors", context="t:1")


def test_frames_of_a_file(tmp_path: Path, model: Path) -> None:
    stack = frames(4, 2)  # two channels
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.ome.tif", stack, metadata={"axes": "TCYX"}, ome=True)
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "have no" not in done.output
    made = tifffile.imread(tmp_path / "out/a.ome.tif")
    for t in range(4):
        for c in range(2):
            planes = [stack[k, c] for k in (t, max(t - 1, 0), min(t + 1, 3))]
            assert same(made[t, c], wanted(model, planes, stack[:, c].reshape(-1, SHAPE[1])))
    assert table(tmp_path / "out")["a.ome.tif"]["without"] == ""


def test_focus_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large planes, of which rows are read, are enhanced as small ones."""
    model = weights(tmp_path / "best.safetensors", context="z:2")
    stack = frames(5)
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    tifffile.imwrite(tmp_path / "in/a.ome.tif", stack, metadata={"axes": "ZYX"}, ome=True)
    whole = run(model, tmp_path / "in", tmp_path / "out/whole", "--device", "cpu")
    monkeypatch.setattr("cellqa.io.base.LARGE", 100)
    parts = run(model, tmp_path / "in", tmp_path / "out/parts", "--device", "cpu", "--tile", "16")
    assert (whole.exit_code, parts.exit_code) == (0, 0), parts.output
    made = [tifffile.imread(tmp_path / f"out/{name}/a.ome.tif") for name in ("whole", "parts")]
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    planes = [stack[k] for k in (3, 2, 4, 1, 4)]
    assert same(made[0][3], wanted(model, planes))


def test_frames_in_files(tmp_path: Path, model: Path) -> None:
    stack = frames(3)
    for t, frame in enumerate(stack):
        write_tiff(tmp_path / f"in/pos1_t{t:02d}.tif", frame, None)
    write_tiff(tmp_path / "in/other.tif", stack[0], None)
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert "1 of 4 images have no neighbours in t" in " ".join(done.output.split())
    for t in range(3):
        planes = [stack[k] for k in (t, max(t - 1, 0), min(t + 1, 2))]
        made = tifffile.imread(tmp_path / f"out/pos1_t{t:02d}.tif")
        assert same(made, wanted(model, planes))
    rows = table(tmp_path / "out")
    assert rows["other.tif"]["without"] == "neighbours in t"
    assert rows["pos1_t01.tif"]["without"] == ""
    with tifffile.TiffFile(tmp_path / "out/other.tif") as file:
        assert "without the neighbours in t" in str(file.pages[0].tags["ImageDescription"].value)


def test_a_changed_neighbour_is_noticed(tmp_path: Path, model: Path) -> None:
    stack = frames(3)
    for t, frame in enumerate(stack):
        write_tiff(tmp_path / f"in/t{t}.tif", frame, None)
    run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    again = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert "3 were done before" in again.output
    time.sleep(0.05)
    write_tiff(tmp_path / "in/t2.tif", stack[0], None)
    changed = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu", "--overwrite")
    assert "enhanced 2 images, 1 were done before" in changed.output  # t1 sees t2


def test_neighbours_of_another_shape_fail_their_image(tmp_path: Path, model: Path) -> None:
    write_tiff(tmp_path / "in/t0.tif", frames(1)[0], None)
    write_tiff(tmp_path / "in/t1.tif", frames(1)[0][:64], None)
    done = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 3
    assert "its neighbour is (64, 88)" in table(tmp_path / "out")["t0.tif"]["reason"]


def test_hot_pixels_of_neighbours_are_removed_too(tmp_path: Path, model: Path) -> None:
    clean = np.full((3, *SHAPE), 100, np.uint16) + frames(3) // 1000
    hot = clean.copy()
    hot[0, 30, 30] = 60000
    for name, stack in (("clean", clean), ("hot", hot)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", stack, metadata={"axes": "TYX"}, ome=True)
        done = run(
            model, tmp_path / name, tmp_path / f"{name}-out", "--device", "cpu",
            "--hot-pixels", "remove", "--normalize", "train",
        )  # fmt: skip
        assert done.exit_code == 0, done.output
    made = [
        tifffile.imread(tmp_path / f"{name}-out/a.tif").astype(int) for name in ("clean", "hot")
    ]
    assert np.abs(made[0] - made[1]).max() <= 5  # 60,000 would show


def test_watching_waits_for_the_next_frame(tmp_path: Path, model: Path) -> None:
    stack = frames(3)
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()

    def microscope() -> None:
        for t, frame in enumerate(stack):
            write_tiff(source / f"pos_t{t}.tif", frame, None)
            time.sleep(0.6)

    thread = threading.Thread(target=microscope)
    thread.start()
    watched = watch(
        model, source, out, watching=WatchOptions(settle=0.3, rescan=0.5, idle=1.0, hold=2.0)
    )
    thread.join()
    assert watched.counts["ok"] == 3
    for t in range(3):
        planes = [stack[k] for k in (t, max(t - 1, 0), min(t + 1, 2))]
        assert same(tifffile.imread(out / f"pos_t{t}.tif"), wanted(model, planes)), t


def test_watching_goes_without_a_next_frame_in_time(tmp_path: Path, model: Path) -> None:
    source = tmp_path / "in"
    write_tiff(source / "pos_t0.tif", frames(1)[0], None)
    os.utime(source / "pos_t0.tif")
    begun = time.monotonic()
    watched = watch(
        model, source, tmp_path / "out",
        watching=WatchOptions(settle=0.2, rescan=0.5, idle=0.5, hold=1.5),
    )  # fmt: skip
    assert watched.counts["ok"] == 1
    assert time.monotonic() - begun > 1.5


def test_exported_networks_see_neighbours_too(tmp_path: Path, model: Path) -> None:
    onnx, package = tmp_path / "a.onnx", tmp_path / "a.zip"
    command = CliRunner().invoke(main, ["export", str(model), str(onnx), "--to", "onnx"])
    assert command.exit_code == 0, command.output
    refused = CliRunner().invoke(main, ["export", str(model), str(package), "--to", "bioimageio"])
    assert refused.exit_code == 1
    assert "sees its neighbours" in refused.output
    stack = frames(3)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", stack, metadata={"axes": "TYX"}, ome=True)
    made = []
    for network in (model, onnx):
        out = tmp_path / f"out{network.suffix}"
        done = run(network, tmp_path / "in", out, "--device", "cpu")
        assert done.exit_code == 0, done.output
        made.append(tifffile.imread(out / "a.tif").astype(int))
    assert np.abs(made[0] - made[1]).max() <= 1


def test_numbers_that_are_not_padded(tmp_path: Path) -> None:
    names = [f"s_t{t}c0z0_y00000_x00000" for t in range(12)]
    found = Context.parse("t:1").neighbours(names)
    for t in range(1, 11):
        assert found[names[t]] == (names[t - 1], names[t + 1])
    for name in ("p_t9.tif", "p_t10.tif", "p_t11.tif", "q_t09.tif", "q_t10.tif"):
        (tmp_path / name).touch()
    beside = [p.name for p in files_beside(tmp_path / "p_t10.tif", Context.parse("t:1"))]
    assert beside == ["p_t9.tif", "p_t11.tif"]
    assert files_beside(tmp_path / "q_t10.tif", Context.parse("t:1"))[0].name == "q_t09.tif"
