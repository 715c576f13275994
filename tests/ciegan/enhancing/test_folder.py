"""Acquisitions enhanced: what is kept, what is done once, what goes wrong alone."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from networks import RNG, expected, image, run, same, table, weights

from cellqa.io import open_image, write_tiff
from cellqa.metrics.consistency import consistency
from ciegan.cli import main
from ciegan.config import PAPER, Network
from ciegan.models import GENERATORS
from ciegan.network.checkpoint import load, save
from ciegan.network.normalisation import Normalisation
from ciegan.network.windows import enhance_plane


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_layout_type_and_pixel_size_are_kept(tmp_path: Path, model: Path, dtype: type) -> None:
    pixels = image(dtype)
    write_tiff(tmp_path / "in/well1/a.tif", pixels, 0.25)
    found = run(model, tmp_path / "in", tmp_path / "out")
    assert found.exit_code == 0, found.output
    with open_image(tmp_path / "out/well1/a.tif") as file:
        result = file.load(file.planes[0])
        assert file.pixel_size == pytest.approx(0.25)
    assert result.dtype == dtype
    assert same(result, expected(model, pixels))
    assert (result != pixels).any()
    with tifffile.TiffFile(tmp_path / "out/well1/a.tif") as tif:
        note = tif.pages.first.description
    assert "enhanced by ciegan" in note
    assert "not raw data" in note
    assert "sha256" in note


def test_other_formats(tmp_path: Path, model: Path) -> None:
    (tmp_path / "in").mkdir()
    pixels = image(np.uint8)
    cv2.imwrite(str(tmp_path / "in/a.png"), pixels)
    assert run(model, tmp_path / "in", tmp_path / "out").exit_code == 0
    found = cv2.imread(str(tmp_path / "out/a.png"), cv2.IMREAD_UNCHANGED)
    assert same(found, expected(model, pixels))


def test_a_grey_picture_in_colour(tmp_path: Path, model: Path) -> None:
    pixels = image(np.uint8)
    (tmp_path / "in").mkdir()
    alike = np.stack(3 * [pixels], axis=-1)
    blue = np.zeros_like(alike)
    blue[..., 2] = pixels
    true = alike.copy()
    true[..., 0] = pixels[::-1]
    for name, picture in (("alike", alike), ("blue", blue), ("true", true)):
        tifffile.imwrite(tmp_path / f"in/{name}.tif", picture, photometric="rgb")
    assert run(model, tmp_path / "in", tmp_path / "out").exit_code == 3
    assert "3 samples a pixel" in table(tmp_path / "out")["true.tif"]["reason"]
    wanted = expected(model, pixels)
    found = tifffile.imread(tmp_path / "out/alike.tif")
    assert all(same(found[..., k], wanted) for k in range(3))
    found = tifffile.imread(tmp_path / "out/blue.tif")
    assert same(found[..., 2], wanted)
    assert not found[..., :2].any()


def test_chosen_planes_are_enhanced_and_others_copied(tmp_path: Path, model: Path) -> None:
    stack = image(np.uint16, (2, 3, 2, 48, 40))  # T Z C Y X
    source = tmp_path / "s.tif"
    tifffile.imwrite(source, stack, imagej=True, metadata={"axes": "TZCYX"})
    found = run(model, source, tmp_path / "o.tif", "--channel", "1", "--z", "0-1")
    assert found.exit_code == 0, found.output
    with tifffile.TiffFile(tmp_path / "o.tif") as tif:
        assert tif.series[0].axes == "TZCYX"
        result = tif.asarray()
    assert (result[:, :, 0] == stack[:, :, 0]).all()
    assert (result[:, 2] == stack[:, 2]).all()
    wanted = expected(model, stack[1, 1, 1], series=stack[:, :, 1])
    assert same(result[1, 1, 1], wanted)
    row = table(tmp_path)["s.tif"]
    assert (row["planes"], row["copied"]) == ("4", "8")


@pytest.mark.parametrize("rule", ["train", "image", "none"])
def test_rules_of_normalisation(tmp_path: Path, model: Path, rule: str) -> None:
    pixels = RNG.random((40, 50)).astype(np.float32)
    write_tiff(tmp_path / "a.tif", pixels, None)
    run(model, tmp_path / "a.tif", tmp_path / "b.tif", "--normalize", rule)
    if rule == "none":
        network = load(model)
        wanted = enhance_plane(network.generator, pixels, Normalisation("train", 0.0, 1.0))
    else:
        wanted = expected(model, pixels, rule)
    assert same(tifffile.imread(tmp_path / "b.tif"), wanted)


def test_clipped_values_are_counted(tmp_path: Path, model: Path) -> None:
    pixels = np.where(image(np.uint8) > 128, 255, 0).astype(np.uint8)
    pixels[0, 0] = 7  # no labels
    write_tiff(tmp_path / "in/a.tif", pixels, None)
    assert run(model, tmp_path / "in", tmp_path / "out").exit_code == 0
    network = load(model)
    found = enhance_plane(network.generator, pixels, network.normalisation)
    beyond = ((found < -0.5) | (found > 255.5)).mean()
    assert beyond > 0
    # half precision rounds some of them to the other side
    near = 1e-2 if torch.cuda.is_available() else 1e-4
    assert float(table(tmp_path / "out")["a.tif"]["clipped"]) == pytest.approx(beyond, rel=near)


def test_what_is_done_is_done_once(tmp_path: Path, model: Path) -> None:
    for name in "abc":
        write_tiff(tmp_path / f"in/{name}.tif", image(), None)
    source, out = tmp_path / "in", tmp_path / "out"
    assert run(model, source, out).exit_code == 0
    before = {p.name: p.stat().st_mtime_ns for p in out.glob("*.tif")}
    again = run(model, source, out)
    assert "3 were done before" in again.stdout
    assert before == {p.name: p.stat().st_mtime_ns for p in out.glob("*.tif")}
    write_tiff(source / "b.tif", image(), None)  # other content
    (out / "c.tif").unlink()  # lost
    third = run(model, source, out)
    assert third.exit_code == 3
    statuses = {name: row["status"] for name, row in table(out).items()}
    assert statuses == {"a.tif": "skipped", "b.tif": "failed", "c.tif": "ok"}
    assert run(model, source, out, "--overwrite").exit_code == 0
    assert {row["status"] for row in table(out).values()} == {"skipped", "ok"}
    other = weights(tmp_path / "other.safetensors", seed=1)
    assert run(other, source, out).exit_code == 3
    assert run(other, source, out, "--overwrite").exit_code == 0
    assert {row["status"] for row in table(out).values()} == {"ok"}


def test_what_was_measured_stays_in_the_table(tmp_path: Path, model: Path) -> None:
    for name in "ab":
        write_tiff(tmp_path / f"in/{name}.tif", image(), None)
    source, out = tmp_path / "in", tmp_path / "out"
    first = run(model, source, out, "--check")
    before = table(out)
    again = run(model, source, out, "--check")
    for name, row in table(out).items():
        assert row == before[name] | {"status": "skipped", "reason": "done before"}
    assert ("does not explain" in first.stderr) == ("does not explain" in again.stderr)


def test_content_counts_whatever_the_times_say(tmp_path: Path, model: Path) -> None:
    path, out = tmp_path / "in/a.tif", tmp_path / "out"
    write_tiff(path, image(), None)
    assert run(model, path.parent, out).exit_code == 0
    state = path.stat()
    data = bytearray(path.read_bytes())
    data[-5] ^= 1  # of the pixels or of what describes them: other content of the same size
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    found = run(model, path.parent, out)
    assert found.exit_code == 3
    assert "made from other content" in found.stderr


def test_what_is_no_file_fails_alone(tmp_path: Path, model: Path) -> None:
    source = tmp_path / "in"
    for name in "az":
        write_tiff(source / f"{name}.tif", image(), None)
    (source / "nowhere.tif").symlink_to("nothing")
    (source / "loop.tif").symlink_to("loop.tif")
    os.mkfifo(source / "pipe.tif")
    found = run(model, source, tmp_path / "out")
    assert found.exit_code == 3, found.output
    rows = table(tmp_path / "out")
    assert {n for n, row in rows.items() if row["status"] == "ok"} == {"a.tif", "z.tif"}
    assert all("not a regular file" in rows[n]["reason"] for n in ("nowhere.tif", "pipe.tif"))


def test_nothing_is_called_enhanced_that_is_not(tmp_path: Path, model: Path) -> None:
    stack = image(np.uint16, (2, 40, 48))
    metadata = {"axes": "CYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, metadata=metadata)
    found = run(model, tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", "--channel", "5")
    assert found.exit_code == 3
    assert "it has channels 0 to 1" in found.stderr
    assert not (tmp_path / "b.ome.tif").exists()
    run(model, tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", "--channel", "1")
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
        assert "channels 1 only, the rest as it was" in tif.ome_metadata


def test_what_a_kill_left_is_removed(tmp_path: Path, model: Path) -> None:
    write_tiff(tmp_path / "in/well/a.tif", image(), None)
    out = tmp_path / "out"
    assert run(model, tmp_path / "in", out).exit_code == 0
    journal = out / ".ciegan-enhanced.jsonl"
    journal.write_text(journal.read_text().splitlines()[0] + "\n")  # begun, not finished
    (out / "well/a.tif").unlink()
    (out / "well/.cellqa-abc.tif").write_bytes(b"half")
    mine = out / "other/.cellqa-mine.tif"
    mine.parent.mkdir()
    mine.touch()
    assert run(model, tmp_path / "in", out).exit_code == 0
    assert [p.name for p in (out / "well").iterdir()] == ["a.tif"]
    assert mine.exists()


def test_terminated_is_interrupted(tmp_path: Path, model: Path) -> None:
    for k in range(40):
        write_tiff(tmp_path / f"in/{k:02d}.tif", image(np.uint16, (600, 600)), None)
    out = tmp_path / "out"
    arguments = [str(model), str(tmp_path / "in"), str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ciegan", "enhance", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("*.tif"))) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143, error
    assert "Traceback" not in error


def test_foreign_files_are_not_overwritten(tmp_path: Path, model: Path) -> None:
    write_tiff(tmp_path / "in/a.tif", image(), None)
    write_tiff(tmp_path / "out/a.tif", image(), None)
    found = run(model, tmp_path / "in", tmp_path / "out")
    assert found.exit_code == 1
    assert "--overwrite" in found.stderr


def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "in"
    for name in ("a", "z"):
        write_tiff(folder / f"{name}.tif", image(), None)
    data = (folder / "a.tif").read_bytes()
    (folder / "cut.tif").write_bytes(data[: len(data) // 2])
    (folder / "empty.tif").touch()
    write_tiff(folder / "nan.tif", np.full((40, 40), np.nan, np.float32), None)
    write_tiff(folder / "rgb.tif", image(np.uint8, (40, 40, 3)), None)
    stack = image(np.uint16, (3, 40, 40)).astype(np.float32)
    stack[1, 3, 3] = np.nan
    tifffile.imwrite(folder / "half.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    found = run(model, folder, tmp_path / "out")
    assert found.exit_code == 3, found.output
    rows = table(tmp_path / "out")
    assert {n: r["status"] for n, r in rows.items() if r["status"] == "ok"} == {
        "a.tif": "ok",
        "z.tif": "ok",
    }
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tif")) == ["a.tif", "z.tif"]
    assert "the network was trained on 1" in rows["rgb.tif"]["reason"]
    assert "NaN" in rows["nan.tif"]["reason"]
    assert "t0c0z1" in rows["half.tif"]["reason"]
    assert "Traceback" not in found.stderr
    assert not list((tmp_path / "out").glob(".cellqa-*"))


def test_colour(tmp_path: Path) -> None:
    model = weights(tmp_path / "rgb.safetensors", channels=3)
    pixels = image(np.uint8, (40, 48, 3))
    write_tiff(tmp_path / "a.tif", pixels, None)
    assert run(model, tmp_path / "a.tif", tmp_path / "b.tif").exit_code == 0
    assert same(tifffile.imread(tmp_path / "b.tif"), expected(model, pixels))


def test_tiles_change_nothing(tmp_path: Path, model: Path) -> None:
    write_tiff(tmp_path / "a.tif", image(np.uint8, (300, 280)), None)
    results = []
    for tile in ("64", "128", "4096"):
        run(model, tmp_path / "a.tif", tmp_path / f"{tile}.tif", "--tile", tile)
        results.append(tifffile.imread(tmp_path / f"{tile}.tif").astype(int))
    assert max(np.abs(results[0] - other).max() for other in results[1:]) <= 1


def test_what_does_not_explain_its_raw_image_is_listed(tmp_path: Path, model: Path) -> None:
    write_tiff(tmp_path / "in/a.tif", image(np.uint16, (80, 80)), None)
    found = run(model, tmp_path / "in", tmp_path / "out", "--check")
    assert found.exit_code == 0, found.output
    row = table(tmp_path / "out")["a.tif"]
    assert -1 <= float(row["rsp"]) <= 1
    listed = "does not explain" in found.stderr
    assert listed == (float(row["rsp"]) < 0.9)


def test_each_plane_of_a_stack_is_checked_and_listed(tmp_path: Path, model: Path) -> None:
    stack = np.stack([image(np.uint16, (80, 80)), np.full((80, 80), 7, np.uint16)] * 2)
    about = {"axes": "ZYX"}
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack", metadata=about)
    write_tiff(tmp_path / "lone.tif", stack[0], None)
    (tmp_path / "in").mkdir()
    for name in ("s.tif", "lone.tif"):
        (tmp_path / name).rename(tmp_path / "in" / name)
    out = tmp_path / "out"
    for _ in range(2):  # and once more, as what is done is kept
        found = run(model, tmp_path / "in", out, "--check")
        assert found.exit_code == 0, found.output
        lines = (out / "checked.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == "image,plane,rsp,rse,unlike"
        assert [line.split(",")[:2] for line in lines[1:]] == [
            ["s.tif", f"t0c0z{z}"] for z in range(4)
        ]
        rsp = [line.split(",")[2] for line in lines[1:]]
        assert rsp[1] == rsp[3] == ""  # of a flat plane nothing can be said
        row = table(out)["s.tif"]
        assert float(row["rsp"]) == min(float(rsp[0]), float(rsp[2]))
    assert run(model, tmp_path / "in", tmp_path / "unchecked").exit_code == 0
    assert not (tmp_path / "unchecked/checked.csv").exists()
    # what was made without, and is to be checked now, is made again, once
    for made in (2, 0):
        again = run(model, tmp_path / "in", tmp_path / "unchecked", "--check")
        assert f"enhanced {made} images" in again.stdout
        assert (tmp_path / "unchecked/checked.csv").read_bytes() == (
            out / "checked.csv"
        ).read_bytes()


def test_killed_and_run_again(tmp_path: Path, model: Path) -> None:
    for k in range(12):
        write_tiff(tmp_path / f"in/{k:02d}.tif", image(np.uint16, (600, 600)), None)
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "ciegan",
        "enhance",
        str(model),
        str(tmp_path / "in"),
        str(out),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(list(out.glob("*.tif"))) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for path in out.glob("[0-9]*.tif"):  # whole, whatever the moment
        assert tifffile.imread(path).shape == (600, 600)
    done = len(list(out.glob("[0-9]*.tif")))
    found = run(model, tmp_path / "in", out)
    assert found.exit_code == 0, found.output
    assert f"{done} were done before" in found.stdout
    assert len(list(out.glob("[0-9]*.tif"))) == 12


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["MODEL", "none", "out"], "does not exist", 1),
        (["MODEL", "empty", "out"], "no images", 1),
        (["MODEL", "in", "in/out"], "lies inside IN", 1),
        (["none", "in", "out"], "there is no such file", 1),
        (["in", "in", "out"], "no best.safetensors", 1),
        (["MODEL", "in", "out", "--channel", "x"], "is not a number from 0", 2),
        (["MODEL", "in", "out", "--z", "3-1"], "ends before it begins", 2),
        (["MODEL", "in", "out", "--tile", "3"], "`tile` must be", 2),
        (["MODEL", "in", "out", "--device", "cuda"], "no CUDA device", 1),
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
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "empty").mkdir()
    write_tiff(tmp_path / "in/a.tif", image(), None)
    arguments = [str(model) if a == "MODEL" else a for a in arguments]
    found = CliRunner().invoke(main, ["enhance", *arguments])
    assert found.exit_code == status, found.output
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_a_full_disk_is_told_before(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    write_tiff(tmp_path / "in/a.tif", image(), None)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=10))
    found = run(model, tmp_path / "in", tmp_path / "out")
    assert found.exit_code == 1
    assert "are free there" in found.stderr


def test_hot_pixels_are_told_and_removed(tmp_path: Path, model: Path) -> None:
    pixels = RNG.normal(1000, 20, (70, 90)).astype(np.uint16)
    hot = pixels.copy()
    hot[[10, 40, 55], [20, 60, 3]] = 60000
    write_tiff(tmp_path / "in/clean.tif", pixels, None)
    write_tiff(tmp_path / "in/hot.tif", hot, None)
    found = run(model, tmp_path / "in", tmp_path / "out")
    assert "1 images have hot pixels (most in hot.tif: 3)" in found.output
    assert [table(tmp_path / "out")[n]["hot"] for n in ("clean.tif", "hot.tif")] == ["0", "3"]
    found = run(model, tmp_path / "in", tmp_path / "gone", "--hot-pixels", "remove")
    assert "hot pixels" not in found.output
    clean, mended = (tifffile.imread(tmp_path / "gone" / n) for n in ("clean.tif", "hot.tif"))
    assert np.abs(clean.astype(float) - mended).max() < 200
    assert table(tmp_path / "gone")["hot.tif"]["hot"] == "3"


def test_single_photons_are_no_hot_pixels(tmp_path: Path, model: Path) -> None:
    write_tiff(tmp_path / "in/a.tif", RNG.poisson(0.1, (90, 90)).astype(np.uint16), None)
    assert "hot pixels" not in run(model, tmp_path / "in", tmp_path / "out").output


def test_files_one_by_one_share_a_table(tmp_path: Path, model: Path) -> None:
    for name in ("a.tif", "b.tif", "c.tif"):
        write_tiff(tmp_path / "in" / name, image(), None)
        run(model, tmp_path / "in" / name, tmp_path / "out" / name)
    run(model, tmp_path / "in/b.tif", tmp_path / "out/b.tif")  # again
    rows = (tmp_path / "out/enhanced.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["a.tif", "c.tif", "b.tif"]


def test_what_a_bounded_network_cuts_off_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = GENERATORS["paper"](1)
    path = save(
        tmp_path / "paper.safetensors",
        generator.state_dict(),
        config=replace(PAPER, generator=Network("paper")),
        channels=1,
        normalisation=Normalisation("range", 100.0, 3000.0),
        step=1,
        scores={},
        warnings=[],
    )
    dim = RNG.integers(200, 2900, (64, 64)).astype(np.uint16)
    bright = dim.copy()
    bright[:16] = 40000
    write_tiff(tmp_path / "in/dim.tif", dim, None)
    write_tiff(tmp_path / "in/bright.tif", bright, None)
    found = run(path, tmp_path / "in", tmp_path / "out")
    assert "1 images have values beyond what the network" in found.output
    clipped = {name: float(row["clipped"]) for name, row in table(tmp_path / "out").items()}
    assert clipped == {"dim.tif": 0.0, "bright.tif": 0.25}


def test_check_names_the_worst_plane(tmp_path: Path, model: Path) -> None:
    smooth = cv2.GaussianBlur(RNG.normal(0, 1, (90, 90)), (0, 0), 4) * 8000 + 2000
    stack = np.stack([smooth, smooth, RNG.normal(100, 2, smooth.shape), smooth]).astype(np.uint16)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/m.tif", stack, imagej=True, metadata={"axes": "TYX"})
    run(model, tmp_path / "in", tmp_path / "out", "--check")
    row = table(tmp_path / "out")["m.tif"]
    results = tifffile.imread(tmp_path / "out/m.tif")
    agreed = [consistency(*pair).rsp for pair in zip(stack, results, strict=True)]
    assert row["worst"] == f"t{int(np.argmin(agreed))}c0z0"
    assert float(row["rsp"]) == pytest.approx(min(agreed), abs=1e-5)


def test_spread_moves_with_a_renamed_source_below_a_relative_folder(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "in/a.tif", image(shape=(64, 64)), None)
    options = ("--device", "cpu", "--samples", "2")
    assert run(model, Path("in"), Path("out"), *options).exit_code == 0
    (tmp_path / "in/a.tif").rename(tmp_path / "in/b.tif")
    again = run(model, Path("in"), Path("out"), *options)
    assert again.exit_code == 0, again.output
    for folder in ("out", "out-spread"):
        assert [p.name for p in (tmp_path / folder).glob("*.tif")] == ["b.tif"]
