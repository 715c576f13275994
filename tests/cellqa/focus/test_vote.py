from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.ndimage
import tifffile
from click.testing import CliRunner

from cellqa import sharpest, simulate
from cellqa.cli import main
from cellqa.focus.files import _by_position, measure_files
from cellqa.focus.vote import Curves, decided
from cellqa.io import open_image
from cellqa.metrics.focus import FILTERS, MEASURES, sharpness
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
    contrast = sharpest(planes, modality="brightfield").values["normalised_variance"]
    assert contrast[6] < 0.8 * contrast.max()  # either side of focus has more


def test_each_measure_falls_with_blur(sharp16: np.ndarray) -> None:
    blurry = [cv2.GaussianBlur(sharp16, (0, 0), s) for s in (0.5, 1.5, 4)]
    each = [sharpness(Plane.of(image, "image")) for image in blurry]
    energies = np.array([s.energies.sum(axis=1) for s in each if s is not None])
    assert (np.diff(energies, axis=0) < 0).all()
    cutoffs = [s.cutoff for s in each if s is not None]
    assert cutoffs == sorted(cutoffs, reverse=True)


@pytest.mark.parametrize("measure", FILTERS)
def test_energies_are_those_of_the_filtered_image(measure: str) -> None:
    """Of structure that fills the field alike, the mean square in space, without its noise."""
    rng = np.random.default_rng(1)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(0, 300, (400, 400)), 1.5, mode="wrap")

    def filtered(image: np.ndarray) -> float:
        def over(kernel: list[list[float]]) -> np.ndarray:
            return scipy.ndimage.convolve(image, np.array(kernel), mode="wrap")

        if measure == "normalised_variance":
            return float(image.var())
        if measure == "brenner":
            return float((over([[1, 0, -1]]) ** 2 + over([[1], [0], [-1]]) ** 2).mean())
        if measure == "tenengrad":
            sobel = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
            return float((over(sobel) ** 2 + over(np.transpose(sobel).tolist()) ** 2).mean())
        if measure == "laplacian_variance":
            return float(over([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).var())
        f = 2 * np.hypot(np.fft.fftfreq(400)[:, None], np.fft.fftfreq(400))
        inside = (f > 0.1) & (f < 0.5)
        return float((abs(np.fft.fft2(image) * inside) ** 2).sum() / 400**4)

    noisy = smooth + rng.normal(0, 5, smooth.shape)
    found = sharpness(Plane.of(noisy, "image"))
    assert found is not None
    energy = found.energies[list(FILTERS).index(measure)].mean()
    assert energy == pytest.approx(filtered(smooth), rel=0.2)  # the taper leaks
    clear = energy / np.sqrt((found.errors[list(FILTERS).index(measure)] ** 2).mean())
    assert clear > 5


def test_the_vote_is_the_weighted_median() -> None:
    curves = np.ones((6, 5))
    for row, peak in enumerate([1, 2, 2, 2, 3]):
        curves[row, peak] = 2
    curves[5] = np.nan
    values = dict(zip(MEASURES, curves, strict=True))
    found = decided(
        "stack", list("abcde"), Curves(values, dict.fromkeys(MEASURES, 20.0)), "fluorescence"
    )
    assert found.votes == {
        name: pytest.approx(p) for name, p in zip(MEASURES, [1, 2, 2, 2, 3], strict=False)
    }
    # three that are alike share the weight of one
    assert found.weights["brenner"] < 0.6 * found.weights["normalised_variance"]
    assert (found.best, found.agreeing) == (2, 5)
    assert "sharpest: plane c" in found.describe()


def stack(
    change: Callable[[int, np.ndarray], np.ndarray] = lambda z, light: light,
    draw: Callable[..., simulate.Scene] = simulate.filaments,
    photons: float = 300,
    step: float = 0.5,
) -> list[np.ndarray]:
    """21 planes blurred away from the tenth; `change` sees the light, before noise and offset."""
    ideal = draw((160, 160), cutoff=0.6, photons=photons, seed=1).ideal
    rng = np.random.default_rng(1)
    planes = []
    for z in range(21):
        light = scipy.ndimage.gaussian_filter(ideal, step * abs(z - 10) + 0.01)
        counts = (
            rng.poisson(np.maximum(change(z, light), 0)) + 100 + rng.normal(0, 1.5, light.shape)
        )
        planes.append(np.clip(counts.round(), 0, 65535).astype(np.uint16))
    return planes


def hot(planes: list[np.ndarray], n: int) -> list[np.ndarray]:
    y, x = np.random.default_rng(2).integers(0, 160, (2, n))
    for plane in planes:
        plane[y, x] = 4095
    return planes


@pytest.mark.parametrize("draw", [simulate.filaments, simulate.nuclei])
@pytest.mark.parametrize("left", [1.05, 0.97, 0.93, 0.85])
def test_bleaching_moves_nothing(draw: Callable[..., simulate.Scene], left: float) -> None:
    found = sharpest(stack(lambda z, light: light * left**z, draw))
    assert found.position == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda z, light: light * (3 if z == 3 else 1),
        lambda z, light: (
            light + (np.random.default_rng(z).random(light.shape) < 0.5) * 60 * (z == 16)
        ),
        lambda z, light: light * (np.arange(160)[:, None] < (80 if z == 2 else 160)),
        lambda z, light: light + 3000 * np.exp(-((z - 18) ** 2) / 2) * DEBRIS,
        lambda z, light: np.minimum(light, 60),
    ],
    ids=["flash", "noisy plane", "dropped rows", "debris", "saturated"],
)
def test_one_bad_plane_wins_nothing(change: Callable[[int, np.ndarray], np.ndarray]) -> None:
    assert sharpest(stack(change)).position == pytest.approx(10, abs=1)


DEBRIS = np.zeros((160, 160))
DEBRIS[70:90, 70:90] = np.random.default_rng(3).random((20, 20))


@pytest.mark.parametrize("n", [30, 300])
def test_hot_pixels_win_nothing(n: int) -> None:
    assert sharpest(hot(stack(), n)).position == pytest.approx(10, abs=1)


def test_of_noise_there_is_no_focus() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = sharpest([rng.normal(100, 1.5, (160, 160)).astype(np.float32) for _ in range(21)])
        assert found.best is None
        assert "no focus here" in found.describe()


def test_empty_planes_have_no_value() -> None:
    planes = stack()
    for z in (18, 19, 20):
        planes[z][:] = 0
    found = sharpest(planes)
    assert found.position == pytest.approx(10, abs=1)
    assert "3 of 21 planes have no value" in found.note


def test_two_focal_planes_are_told() -> None:
    near, far = stack(), stack(draw=lambda *a, **k: simulate.filaments(*a, **{**k, "seed": 9}))
    planes = [np.maximum(near[min(z + 4, 20)], far[max(z - 4, 0)]) for z in range(21)]
    found = sharpest(planes)
    assert min(abs(found.position - 6), abs(found.position - 14)) < 1
    assert "another peak" in found.note


def test_what_to_distrust_is_said(sharp16: np.ndarray) -> None:
    rising = fluorescence(9, n=6)
    assert "at the end of the stack" in sharpest(rising).note
    same = sharpest([sharp16] * 4)
    assert same.best is None
    assert "no focus here" in same.describe()


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


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["s_z10.tif", "s_z9.tif", "s_z0.tif"], ["s_z0.tif", "s_z9.tif", "s_z10.tif"]),
        (["z-1.5.tif", "z0.0.tif", "z-0.5.tif"], ["z-1.5.tif", "z-0.5.tif", "z0.0.tif"]),
        (["z-01.tif", "z-02.tif", "z-10.tif"], ["z-01.tif", "z-02.tif", "z-10.tif"]),
        (["z-1.tif", "z+1.tif", "z0.tif"], ["z-1.tif", "z0.tif", "z+1.tif"]),
        (["b10.tif", "b9.tif"], ["b9.tif", "b10.tif"]),
        (["set_z1_2.tif", "set_z1_1.tif"], ["set_z1_1.tif", "set_z1_2.tif"]),
    ],
)
def test_planes_are_in_the_order_of_their_positions(names: list[str], expected: list[str]) -> None:
    assert _by_position(names) == expected


def test_names_without_a_position_are_told(tmp_path: Path) -> None:
    for name, plane in zip(("above", "below", "middle"), fluorescence(1, n=3), strict=True):
        tifffile.imwrite(tmp_path / f"{name}.tif", plane)
    ((focus, _),), _ = measure_files([tmp_path])
    assert "no position" in focus.note
