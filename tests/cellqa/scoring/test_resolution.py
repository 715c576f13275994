"""`cellqa resolution`: maps, sectors, single-image FRC, and what must not be written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from cellqa import open_image, resolution_map, simulate
from cellqa.cli import main

Folders = Callable[..., Path]


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["resolution", *map(str, arguments)])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a$b.tif"
    pixels = simulate.filaments((200, 260), cutoff=0.5, photons=1000, seed=1).image
    tifffile.imwrite(path, pixels, resolution=(5e4, 5e4), resolutionunit=3)  # 0.2 micrometres
    return path


def test_map_sectors_and_frc(image: Path, tmp_path: Path) -> None:
    status, text = run(
        image, "--map", tmp_path / "maps", "--sectors", "4", "--frc", "--plot", tmp_path / "p.png"
    )
    assert status == 0, text
    assert "1-image FRC" in text
    assert all(direction in text for direction in ("0°", "45°", "90°", "135°"))
    path = tmp_path / "maps" / "a$b.tif.resolution.tif"
    expected = resolution_map(tifffile.imread(image), pixel_size=0.2).full_size()
    assert np.allclose(tifffile.imread(path), expected, equal_nan=True)
    with open_image(path) as file:
        assert file.pixel_size == pytest.approx(0.2)
    for figure in (path.with_suffix(".png"), tmp_path / "p.png", tmp_path / "p-sectors.png"):
        assert figure.read_bytes()[:4] == b"\x89PNG"


def test_what_one_analysis_cannot_do_takes_nothing_from_the_others(tmp_path: Path) -> None:
    scene = simulate.filaments((200, 200), cutoff=0.5, photons=1000, seed=1).image
    images = {
        "whole": scene,
        "small": scene[:60, :60],
        "flat": np.full_like(scene, 9),
        "bool": scene > 300,
        "tiny": scene[:20, :20],
    }
    for name, pixels in images.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels)
    out = tmp_path / "out"
    status, text = run(
        *(tmp_path / f"{name}.tif" for name in images),
        "--frc",
        "--map",
        out,
        "--sectors",
        "2",
        "--plot",
        tmp_path / "p.png",
    )
    assert status == 0, text
    lines = {name: next(x for x in text.splitlines() if f"{name}.tif" in x) for name in images}
    assert "1-image FRC: the image must have at least 82" in lines["small"]
    assert "see --tile" in lines["small"]
    assert "no peak" in lines["flat"]
    assert "all apodised border" in lines["tiny"]
    assert {p.name for p in out.iterdir()} == {
        f"{name}.tif.resolution{suffix}"
        for name in ("whole", "flat", "bool")
        for suffix in (".tif", ".png")
    }


def test_names_that_repeat_keep_their_folders(image: Path, tmp_path: Path) -> None:
    for folder in ("w1", "w2"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "z.tif").write_bytes(image.read_bytes())
    status, text = run(tmp_path / "in", "--map", tmp_path / "maps")
    assert status == 0, text
    assert (tmp_path / "maps" / "w1" / "z.tif.resolution.tif").exists()
    assert (tmp_path / "maps" / "w2" / "z.tif.resolution.tif").exists()


def test_images_are_never_written_over(image: Path, tmp_path: Path) -> None:
    png = tmp_path / "in" / "a.png"
    png.parent.mkdir()
    import cv2

    cv2.imwrite(str(png), tifffile.imread(image))
    before = png.read_bytes()
    status, text = run(png, "--plot", png, "--overwrite")
    assert (status, "is one of the images that are read" in text) == (1, True)
    assert png.read_bytes() == before
    status, text = run(png.parent, "--map", png.parent)
    assert (status, "whose images are read" in text) == (1, True)
    assert run(png, "--plot", tmp_path / "p.png")[0] == 0
    status, text = run(png, "--plot", tmp_path / "p.png")
    assert (status, "exists" in text) == (1, True)
    (tmp_path / "file").touch()
    assert "is a file" in run(png, "--map", tmp_path / "file")[1]


def test_noise_has_no_direction(tmp_path: Path) -> None:
    path = tmp_path / "noise.tif"
    tifffile.imwrite(path, np.random.default_rng(1).poisson(100, (256, 256)).astype(np.uint16))
    status, text = run(path, "--sectors", "8", "--frc")
    assert status == 0
    assert sum(line.split()[1:3] == ["-", "-"] for line in text.splitlines() if "°" in line) == 8


def test_sectors_know_both_sides_of_a_pixel(tmp_path: Path) -> None:
    """An XZ reslice: pixels of 0.1 x 0.3 µm."""
    image = simulate.filaments((256, 256), cutoff=0.3, photons=1000, seed=1).image
    sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.3}
    units = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    path = tmp_path / "xz.ome.tif"
    tifffile.imwrite(path, image, metadata={"axes": "YX", **sizes, **units})
    status, text = run(path, "--sectors", 2)
    assert status == 0
    assert "not square (0.1 x 0.3 µm)" in text
    lengths = {line.split()[0]: line.split()[1:3] for line in text.splitlines() if "°" in line}
    for direction, size in (("0°", 0.1), ("90°", 0.3)):
        kc, length = map(float, lengths[direction])
        assert length == pytest.approx(2 * size / kc, rel=2e-3)
