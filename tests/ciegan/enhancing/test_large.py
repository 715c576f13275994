"""Images that are enhanced in parts: the same result, with bounded memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from networks import expected, image, run, table, weights

from cellqa.io import open_image, write_image
from cellqa.io.base import ImageFile, PlaneIndex


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image counts as large."""
    for module in ("cellqa.io.base", "cellqa.io.tiff_write"):
        monkeypatch.setattr(f"{module}.LARGE", 5000)
    monkeypatch.setattr("ciegan.network.percentiles._AT_ONCE", 5000)


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal but for the rounding of sums."""
    tolerance = 1 if wanted.dtype.kind in "iu" else 1e-3
    return bool(np.abs(found.astype(float) - wanted.astype(float)).max() <= tolerance)


@pytest.mark.parametrize("tile", [64, 100])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("layout", [{}, {"compression": "zlib", "rowsperstrip": 16}])
@pytest.mark.usefixtures("small_is_large")
def test_parts_give_what_the_whole_gives(
    tmp_path: Path, model: Path, dtype: type, tile: int, layout: dict[str, Any]
) -> None:
    pixels = image(dtype, (230, 180))
    tifffile.imwrite(tmp_path / "a.tif", pixels, **layout)
    found = run(model, tmp_path / "a.tif", tmp_path / "b.tif", "--tile", str(tile), "--check")
    assert found.exit_code == 0, found.output
    result = tifffile.imread(tmp_path / "b.tif")
    assert result.dtype == dtype
    assert close(result, expected(model, pixels))
    row = table(tmp_path)["a.tif"]
    assert -1 <= float(row["rsp"]) <= 1
    assert row["planes"] == "1"


@pytest.mark.usefixtures("small_is_large")
def test_a_large_stack(tmp_path: Path, model: Path) -> None:
    stack = image(np.uint16, (2, 3, 90, 80))
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    found = run(model, tmp_path / "a.tif", tmp_path / "b.tif", "--channel", "0,2", "--tile", "64")
    assert found.exit_code == 0, found.output
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.is_imagej
        result = tif.asarray()
    assert (result[:, 1] == stack[:, 1]).all()
    assert close(result[1, 2], expected(model, stack[1, 2]))


@pytest.mark.filterwarnings("ignore::UserWarning:zarr")
@pytest.mark.usefixtures("small_is_large")
def test_from_zarr_to_zarr(tmp_path: Path, model: Path) -> None:
    pixels = image(np.uint16, (120, 90))
    like = ImageFile(
        Path("a.png"), (PlaneIndex(),), (120, 90), pixels.dtype, 0.3, lambda index: pixels
    )
    write_image(tmp_path / "in/a.ome.zarr", iter([pixels]), like, "", pixels.dtype)
    for _ in range(2):
        found = run(model, tmp_path / "in", tmp_path / "out", "--tile", "64")
        assert found.exit_code == 0, found.output
    assert "1 were done before" in found.stdout
    with open_image(tmp_path / "out/a.ome.zarr") as file:
        assert file.pixel_size == 0.3
        assert close(file.load(file.planes[0]), expected(model, pixels))
    # a TIFF file becomes Zarr where it is given such a name
    tifffile.imwrite(tmp_path / "b.tif", pixels)
    found = run(model, tmp_path / "b.tif", tmp_path / "b.zarr")
    assert found.exit_code == 0, found.output
    with open_image(tmp_path / "b.zarr") as file:
        assert close(file.load(file.planes[0]), expected(model, pixels))


@pytest.mark.usefixtures("small_is_large")
def test_nan_somewhere_below(tmp_path: Path, model: Path) -> None:
    pixels = image(np.float32, (200, 80))
    pixels[190, 3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    for rule in ("image", "train"):
        found = run(
            model, tmp_path / "a.tif", tmp_path / "b.tif", "--tile", "64", "--normalize", rule
        )
        assert found.exit_code == 3
        assert "NaN" in found.stderr
        assert not (tmp_path / "b.tif").exists()
        assert not list(tmp_path.glob(".cellqa-*"))


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("large", [True, False])
def test_spread_of_flips_and_turns(
    tmp_path: Path, model: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not large:
        monkeypatch.undo()
    stack = image(np.uint8, (2, 96, 88))
    tifffile.imwrite(tmp_path / "in.tif", stack[0])
    (tmp_path / "in").mkdir()
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "in/a.ome.tif", stack, ome=True, metadata=metadata)
    options = ("--samples", "4", "--channel", "0", "--tile", "64")
    found = run(model, tmp_path / "in", tmp_path / "out", *options)
    assert found.exit_code == 0, found.output
    assert str(tmp_path / "out-spread") in found.stdout
    with open_image(tmp_path / "out-spread/a.ome.tif") as file:
        assert file.dtype == np.float32
        assert file.pixel_size == 0.5
        spread, copied = (file.load(index) for index in file.planes)
    assert spread.shape == (96, 88)
    assert spread.min() >= 0
    assert spread.max() > 0
    assert not copied.any()
    row = table(tmp_path / "out")["a.ome.tif"]
    assert float(row["spread"]) == pytest.approx(spread.mean(), rel=1e-3)
    with open_image(tmp_path / "out/a.ome.tif") as file:
        mean, raw = (file.load(index) for index in file.planes)
    assert (raw == stack[1]).all()
    assert (mean != expected(model, stack[0])).any()
    assert np.abs(mean.astype(float) - expected(model, stack[0])).mean() < 20
    again = run(model, tmp_path / "in", tmp_path / "out", *options)
    assert "1 were done before" in again.stdout


def test_how_an_image_was_taken_stays_with_it(tmp_path: Path, model: Path) -> None:
    plane = {
        "DeltaT": [0.0, 1.5, 60.0, 61.5],
        "DeltaTUnit": ["s"] * 4,
        "PositionX": [12.5] * 4,
        "PositionXUnit": ["µm"] * 4,
        "PositionY": [-3.0] * 4,
        "PositionYUnit": ["µm"] * 4,
    }
    about = {"axes": "TCYX", "Channel": {"Name": ["BF", "cTnT"]}, "Plane": plane}
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        image(np.uint16, (2, 2, 40, 48)),
        ome=True,
        metadata={**about, "PhysicalSizeX": 0.65, "PhysicalSizeY": 0.65},
    )
    found = run(model, tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")
    assert found.exit_code == 0, found.output
    with open_image(tmp_path / "a.ome.tif") as file, open_image(tmp_path / "b.ome.tif") as result:
        assert result.acquired() == file.acquired()
        assert result.acquired().seconds == (0.0, 1.5, 60.0, 61.5)
        assert result.pixel_size == 0.65
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
        assert "not raw data" in tif.ome_metadata


MEASURED = """
import sys
from ciegan.cli import main
try:
    main(["enhance", *sys.argv[1:]])
except SystemExit as end:
    assert not end.code
with open("/proc/self/status") as file:
    print(next(line for line in file if line.startswith("VmHWM")).split()[1])
"""


def peak(model: Path, source: Path, target: Path) -> float:
    """Mebibytes that a process takes at most."""
    command = [sys.executable, "-c", MEASURED, str(model), str(source), str(target)]
    found = subprocess.run(
        [*command, "--tile", "256"], capture_output=True, text=True, check=True, timeout=300
    )
    return int(found.stdout.split()[-1]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_does_not_grow_with_the_image(tmp_path: Path, model: Path) -> None:
    """Five times the rows, 65 megabytes more: not even the half of them in memory."""
    width = 2048
    peaks = []
    for rows in (4000, 20000):
        path = tmp_path / f"{rows}.tif"
        pattern = np.tile(image(np.uint16, (320, width)), (63, 1))[:rows]
        tifffile.imwrite(path, pattern, rowsperstrip=64)
        peaks.append(peak(model, path, tmp_path / f"{rows}-out.tif"))
        with open_image(tmp_path / f"{rows}-out.tif") as file:
            assert file.shape == (rows, width)
    grown = peaks[1] - peaks[0]
    assert grown < 32, f"{peaks} MiB"
    assert peaks[1] < 2000
