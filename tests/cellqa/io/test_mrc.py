"""MRC files as mrcfile writes them."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from damage import fuzz

from cellqa.errors import ImageError
from cellqa.io import open_image

mrcfile = pytest.importorskip("mrcfile")
RNG = np.random.default_rng(0)


def written(path: Path, array: np.ndarray, voxel: float | tuple[float, ...] = 0.0) -> Path:
    with mrcfile.new(path, overwrite=True) as file:
        if array.ndim == 4:
            file.set_data(array[0])
            file.set_volume()
        file.set_data(array)
        file.voxel_size = voxel
    return path


@pytest.mark.parametrize("dtype", ["i1", "<i2", ">i2", "u2", "f4", "f2"])
@pytest.mark.parametrize("shape", [(20, 30), (3, 20, 30), (2, 3, 20, 30)])
@pytest.mark.parametrize("suffix", [".mrc", ".rec", ".map"])
def test_mrc(tmp_path: Path, dtype: str, shape: tuple[int, ...], suffix: str) -> None:
    array = RNG.integers(0, 100, shape).astype(dtype)
    with open_image(written(tmp_path / f"a{suffix}", array, (10.0, 20.0, 50.0))) as file:
        volumes = array.reshape(-1, *(shape if len(shape) > 2 else (1, *shape))[-3:])
        assert len(file.planes) == volumes.shape[0] * volumes.shape[1]
        for index in file.planes:
            pixels = file.load(index)
            assert pixels.dtype == file.dtype == array.dtype.newbyteorder("=")
            assert np.array_equal(pixels, volumes[index.s, index.z])
            assert np.array_equal(file.load_rows(index, 3, 9), pixels[3:9])
        assert (file.pixel_size, file.pixel_size_y) == pytest.approx((1e-3, 2e-3))
        step = pytest.approx(5e-3) if len(shape) > 2 else None
        assert file.acquired().z_step == step


def test_no_voxel_size_is_none(tmp_path: Path) -> None:
    with open_image(written(tmp_path / "a.mrc", np.zeros((8, 8), np.float32))) as file:
        assert file.pixel_size is None


def test_bytes_of_imod_are_unsigned(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mrc", np.full((8, 8), -1, np.int8))
    data = bytearray(path.read_bytes())
    data[152:160] = struct.pack("<2i", 1146047817, 0)
    path.write_bytes(data)
    with open_image(path) as file:
        assert file.load(file.planes[0]).max() == 255


def test_what_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mrc", np.zeros((8, 8), np.complex64))
    with pytest.raises(ImageError, match="mode 4 are not read"):
        open_image(path)
    whole = written(path, RNG.normal(size=(3, 20, 30)).astype(np.float32)).read_bytes()
    for size in (1, 100, 1023, 1024, 2000, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ImageError, match="truncated"):
            open_image(path)
    path.write_bytes(struct.pack("<3i", 2**30, 2**30, 1) + whole[12:])
    with pytest.raises(ImageError, match="more than the limit"):
        open_image(path)


def test_damage(tmp_path: Path) -> None:
    path = written(tmp_path / "whole.mrc", RNG.normal(size=(3, 20, 30)).astype(np.float32), 5.0)
    assert fuzz(path, 200, random.Random(0)) > 20
