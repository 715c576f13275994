"""Large planes of OME-TIFF have smaller levels, which are means."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cellqa.io import open_image, write_image
from cellqa.io.tiff_pyramid import HalfSize, levels_of


def halved(pixels: Any) -> Any:
    height, width = (n // 2 for n in pixels.shape[1:3])
    part = pixels[:, : 2 * height, : 2 * width]
    grouped = part.reshape(len(part), height, 2, width, 2, *part.shape[3:])
    return np.rint(grouped.mean((2, 4)))


@pytest.mark.parametrize("samples", [(), (3,)])
def test_levels_of_large_planes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: tuple[int, ...]
) -> None:
    monkeypatch.setattr("cellqa.io.tiff_write.LARGE", 10_000)
    monkeypatch.setattr("cellqa.io.tiff_pyramid._SMALLEST", 64)
    pixels = np.random.default_rng(0).integers(0, 60000, (2, 203, 151, *samples)).astype(np.uint16)
    source = tmp_path / "a.ome.tif"
    axes = "ZYX" + "S" * len(samples)
    kind = "rgb" if samples else "minisblack"
    tifffile.imwrite(source, pixels, ome=True, metadata={"axes": axes}, photometric=kind)
    with open_image(source) as file:
        rows = (p[r : r + 37] for p in map(file.load, file.planes) for r in range(0, 203, 37))
        write_image(tmp_path / "b.ome.tif", rows, file, "a note", file.dtype)
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tif:
        (series,) = tif.series
        assert len(series.levels) == 1 + levels_of((203, 151)) == 3
        wanted: Any = pixels
        for level in series.levels:
            assert (level.asarray() == wanted).all()
            wanted = halved(wanted)
    with open_image(tmp_path / "b.ome.tif") as file:  # the whole planes, and nothing else
        assert len(file.planes) == 2
        assert (file.load(file.planes[1]) == pixels[1]).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ome.tif", "b.ome.tif"]


@pytest.mark.parametrize("step", [1, 2, 3, 50])
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (7, 5), (8, 8)])
def test_halves(tmp_path: Path, shape: tuple[int, int], step: int) -> None:
    pixels = np.random.default_rng(1).normal(size=(2, *shape))
    half = HalfSize(tmp_path, 2, shape, pixels.dtype)
    blocks = (p[r : r + step] for p in pixels for r in range(0, shape[0], step))
    assert (np.concatenate(list(half.watch(blocks))) == pixels.reshape(-1, shape[1])).all()
    found = np.concatenate(list(half.blocks())).reshape(2, *half.shape)
    high, wide = (min(2, n) for n in shape)
    part = pixels[:, : high * half.shape[0], : wide * half.shape[1]]
    wanted = part.reshape(2, half.shape[0], high, half.shape[1], wide).mean((2, 4))
    assert np.allclose(found, wanted)
    half.close()
