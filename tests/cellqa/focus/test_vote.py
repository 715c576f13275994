from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from cellqa import sharpest, simulate
from cellqa.cli import main
from cellqa.focus.files import measure_files
from cellqa.focus.vote import vote
from cellqa.io import open_image
from cellqa.metrics.focus import MEASURES
from cellqa.planes.plane import Plane


def fluorescence(focus: float, n: int = 9, seed: int = 1) -> list[np.ndarray]:
    """A stack that blurs away from `focus`, a position between planes."""
    structure = simulate.filaments((128, 140), seed=seed).structure
    cutoffs = [0.6 / math.sqrt(1 + (0.7 * (k - focus)) ** 2) for k in range(n)]
    return [
        simulate.acquire(structure, cutoff=c, photons=1000, seed=k).image
        for k, c in enumerate(cutoffs)
    ]


def brightfield(seed: int, n: int = 13) -> list[np.ndarray]:
    """A thin phase object, 2 micrometres a plane, focus in the middle, lit through a condenser.

    Abbe's method: the intensities of plane waves from nine directions, each a whole number of
    periods across the field, are added.
    """
    size, pixel, light = 256, 0.2, 0.55
    nuclei, fibres = (
        draw((size, size), seed=seed).structure for draw in (simulate.nuclei, simulate.filaments)
    )
    thin = np.exp(0.5j * (nuclei + 0.3 * fibres))
    frequency = np.fft.fftfreq(size, pixel)
    fy, fx = frequency[:, None], frequency[None, :]
    axial = np.sqrt(np.maximum(1 / light**2 - fy**2 - fx**2, 0))
    aperture = np.hypot(fy, fx) < 0.3 / light
    y, x = np.mgrid[:size, :size] / size
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    tilts = [(0, 0)] + [(round(14 * np.sin(a)), round(14 * np.cos(a))) for a in angles]
    waves = [np.fft.fft2(thin * np.exp(2j * np.pi * (ty * y + tx * x))) for ty, tx in tilts]
    rng = np.random.default_rng(seed)
    planes = []
    for z in 2.0 * (np.arange(n) - n // 2):
        transfer = aperture * np.exp(2j * np.pi * z * axial)
        image = np.mean([abs(np.fft.ifft2(wave * transfer)) ** 2 for wave in waves], axis=0)
        planes.append(rng.poisson(2000 * image).astype(np.uint16))
    return planes


@pytest.mark.parametrize("focus", [2.0, 3.4, 4.5, 6.0])
@pytest.mark.parametrize("modality", ["fluorescence", "phase"])
def test_the_focus_of_fluorescence_is_found_between_planes(focus: float, modality: str) -> None:
    found = sharpest(fluorescence(focus), modality=modality)
    assert found.position == pytest.approx(focus, abs=0.4)
    assert found.best == round(found.position)
    assert found.agreeing >= 4
    assert found.note == ""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_phase_objects_lose_contrast_at_focus(seed: int) -> None:
    planes = brightfield(seed)
    assert sharpest(planes, modality="brightfield").position == pytest.approx(6, abs=0.6)
    wrong = sharpest(planes, modality="fluorescence")
    assert abs(wrong.position - 6) > 1.5  # either side of focus has more contrast


def test_each_measure_falls_with_blur(sharp16: np.ndarray) -> None:
    blurry = [cv2.GaussianBlur(sharp16, (0, 0), s) for s in (0.5, 1.5, 4)]
    for name, measure in MEASURES.items():
        values = [measure(Plane.of(image, "image")) for image in blurry]
        assert values == sorted(values, reverse=True), name


def test_measures_by_their_formula(sharp8: np.ndarray) -> None:
    image = sharp8.astype(float)
    plane = Plane.of(sharp8, "image")
    assert MEASURES["normalised_variance"](plane) == pytest.approx(image.var() / image.mean())
    brenner = ((image[:, 2:] - image[:, :-2]) ** 2).mean() + ((image[2:] - image[:-2]) ** 2).mean()
    assert MEASURES["brenner"](plane) == pytest.approx(brenner)
    padded = np.pad(image, 1, mode="reflect")
    laplacian = (
        padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * image
    )
    assert MEASURES["laplacian_variance"](plane) == pytest.approx(laplacian.var())
    wave = 100 + 10 * np.cos(2 * np.pi * 0.15 * np.arange(201))[None, :] * np.ones((201, 1))
    # a cosine of amplitude 10 has power 50; the taper keeps about four fifths along each side
    assert 0.5 * 50 < MEASURES["band_energy"](Plane.of(wave, "image")) < 50


def test_the_vote_is_the_median() -> None:
    curves = np.ones((5, 6))
    for column, peak in enumerate([1, 2, 2, 2, 3, 4]):
        curves[peak, column] = 2
    curves[:, 5] = np.nan
    found = vote("stack", list("abcde"), curves, "fluorescence")
    assert found.votes == {
        name: pytest.approx(p) for name, p in zip(MEASURES, [1, 2, 2, 2, 3], strict=False)
    }
    assert (found.best, found.agreeing) == (2, 5)
    assert "sharpest: plane c" in found.describe()


def test_what_to_distrust_is_said(sharp16: np.ndarray) -> None:
    rising = fluorescence(9, n=6)
    assert "at the end of the stack" in sharpest(rising).note
    same = sharpest([sharp16] * 4)
    assert same.best is None
    assert "no measure has a peak" in same.describe()


def test_refusals(sharp16: np.ndarray) -> None:
    with pytest.raises(ValueError, match="three at least, got 2"):
        sharpest([sharp16, sharp16])
    with pytest.raises(ValueError, match="must be of one shape"):
        sharpest([sharp16, sharp16, sharp16[1:]])
    with pytest.raises(ValueError, match="at least 41 pixels"):
        sharpest([sharp16[:20]] * 3)
    with pytest.raises(ValueError, match="must be one of fluorescence, phase, brightfield"):
        sharpest([sharp16] * 3, modality="dic")


def test_files_folders_and_channels(tmp_path: Path) -> None:
    one, two = fluorescence(2, n=5), fluorescence(3, n=5, seed=3)
    folder = tmp_path / "planes"
    folder.mkdir()
    for k, plane in enumerate(one):
        tifffile.imwrite(folder / f"z{8 + k}.tif", plane, photometric="minisblack")
    both = tmp_path / "both.ome.tif"
    tifffile.imwrite(both, np.stack([one, two], axis=1), metadata={"axes": "ZCYX"}, ome=True)
    found, failures = measure_files([folder, both])
    assert failures == []
    assert [focus.best for focus, _ in found] == [2, 2, 3]
    assert found[0][0].planes == ["z8.tif", "z9.tif", "z10.tif", "z11.tif", "z12.tif"]
    assert found[2][0].name.endswith("both.ome.tif#s0t0c1")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["sharpest", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_command_writes_plane_table_and_plot(tmp_path: Path) -> None:
    stack = np.stack(fluorescence(3, n=6))
    source = tmp_path / "a$b.tif"
    tifffile.imwrite(
        source, stack, imagej=True, resolution=(5, 5), metadata={"unit": "um", "axes": "ZYX"}
    )
    out = {n: tmp_path / n for n in ("best.tif", "focus.csv", "focus.png")}
    options = ["--write", out["best.tif"], "--table", out["focus.csv"], "--plot", out["focus.png"]]
    status, text = run(source, *options)
    assert status == 0, text
    assert re.search(r"sharpest: plane t0c0z3, at (2\.[5-9]|3\.[0-4])", text), text
    assert np.array_equal(tifffile.imread(out["best.tif"]), stack[3])
    with open_image(out["best.tif"]) as file:
        assert file.pixel_size == pytest.approx(0.2)
    lines = out["focus.csv"].read_text().splitlines()
    assert lines[0].split(",") == ["stack", "plane", *MEASURES, "sharpest", "position"]
    assert [line.split(",")[-2] for line in lines[1:]] == ["0", "0", "0", "1", "0", "0"]
    assert out["focus.png"].read_bytes()[:4] == b"\x89PNG"
    status, text = run(source, *options)
    assert status == 1
    assert "exists" in text
    assert run(source, "--write", source, "--overwrite")[0] == 1
    assert np.array_equal(tifffile.imread(source), stack)


def test_bad_stacks_are_one_line_each(tmp_path: Path, sharp16: np.ndarray) -> None:
    short = tmp_path / "short.tif"
    tifffile.imwrite(short, np.stack([sharp16, sharp16]), photometric="minisblack")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0nonsense")
    status, text = run(short, broken)
    assert status == 3
    assert "three planes, there are 2" in text
    assert "broken.tif" in text
    assert "Traceback" not in text
    assert run(tmp_path / "absent.tif")[0] == 1
    good = tmp_path / "mixed"
    good.mkdir()
    tifffile.imwrite(good / "stack.tif", np.stack(fluorescence(2, n=4)), photometric="minisblack")
    tifffile.imwrite(good / "plane.tif", sharp16, photometric="minisblack")
    status, text = run(good)
    assert (status, "keep them apart" in text) == (1, True)


def test_channels_are_no_stack_and_folders_are_apart(tmp_path: Path) -> None:
    stack = fluorescence(2, n=4)
    channels = tmp_path / "channels.ome.tif"
    tifffile.imwrite(channels, np.stack(stack[:3]), metadata={"axes": "CYX"}, ome=True)
    status, text = run(channels)
    assert (status, "three planes, there are 1" in text) == (3, True)
    both = [stack, fluorescence(1, n=4, seed=5)]
    for name, planes in zip(("w1", "w2"), both, strict=True):
        (tmp_path / "wells" / name).mkdir(parents=True)
        for k, plane in enumerate(planes):
            two = np.stack([plane, planes[-1 - k]])
            path = tmp_path / "wells" / name / f"z{k}.ome.tif"
            tifffile.imwrite(path, two, metadata={"axes": "CYX"}, ome=True)
    found, failures = measure_files([tmp_path / "wells"])
    assert failures == []
    assert [(len(focus.planes), focus.best) for focus, _ in found] == [
        (4, 2),
        (4, 1),
        (4, 1),
        (4, 2),
    ]


def test_a_plane_that_cannot_be_read_keeps_its_place(tmp_path: Path) -> None:
    planes = np.array(fluorescence(3, n=7), dtype=np.float32)
    planes[0, 5, 5] = np.nan
    path = tmp_path / "nan.tif"
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "ZYX"})
    (found,), failures = measure_files([path])
    assert found[0].best == 3
    assert found[0].position == pytest.approx(3, abs=0.4)
    assert "1 of 7 planes have no value" in found[0].note
    assert len(failures) == 1
    huge = tmp_path / "huge.tif"
    values = np.array(fluorescence(3, n=7)) * 1e300
    tifffile.imwrite(huge, values, photometric="minisblack", metadata={"axes": "ZYX"})
    status, text = run(huge)
    assert "Traceback" not in text
    assert status in (0, 3)


def test_nothing_is_written_over_what_is_read(tmp_path: Path) -> None:
    for k, plane in enumerate(fluorescence(2, n=4)):
        tifffile.imwrite(tmp_path / f"z{k}.tif", plane)
    before = (tmp_path / "z3.tif").read_bytes()
    for option in ("--write", "--table"):
        status, text = run(tmp_path, option, tmp_path / "z3.tif", "--overwrite")
        assert (status, "is one of the images that are read" in text) == (1, True)
    status, text = run(tmp_path, "--write", "b.tif", "--table", "b.tif", "--overwrite")
    assert (status, "would be written twice" in text) == (1, True)
    assert (tmp_path / "z3.tif").read_bytes() == before
