"""NumPy's files: how arrays are seen, what is refused, and that damage is an error."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from damage import fuzz

from cellqa.errors import ImageError
from cellqa.io import open_image, write_image

RNG = np.random.default_rng(0)


def stored(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".npz":
        np.savez_compressed(path, prediction=array)
    else:
        np.save(path, array)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("shape", "plane", "count"),
    [
        ((20, 30), (20, 30), 1),
        ((20, 30, 3), (20, 30, 3), 1),
        ((20, 30, 4), (20, 30, 4), 1),
        ((3, 20, 30), (20, 30), 3),
        ((2, 20, 30, 3), (20, 30, 3), 2),
        ((2, 3, 20, 30), (20, 30), 6),
        ((1, 20, 30), (20, 30), 1),
        ((1, 1, 20, 30), (20, 30), 1),
        ((20, 30, 1), (20, 30), 1),
        ((1, 30), (1, 30), 1),
        ((30, 1), (30, 1), 1),
        ((1, 1), (1, 1), 1),
        ((1, 30, 1), (30, 1), 1),
    ],
)
def test_axes(
    tmp_path: Path, suffix: str, shape: tuple[int, ...], plane: tuple[int, ...], count: int
) -> None:
    array = RNG.normal(size=shape).astype(np.float32)
    for order in "CF":
        path = stored(tmp_path / f"a{suffix}", np.asarray(array, order=order))
        with open_image(path) as file:
            assert file.shape == plane
            assert len(file.planes) == count == 1 + file.planes[-1].z
            for index, pixels in zip(file.planes, array.reshape(count, *plane), strict=True):
                assert np.array_equal(file.load(index), pixels)
                assert np.array_equal(file.load_rows(index, 0, 1), pixels[:1])
                assert type(file.load(index)) is np.ndarray
            assert file.acquired().facts() == ()


@pytest.mark.parametrize("dtype", ["bool", "u1", ">u2", "<i4", "f2", ">f4", "f8", "u8"])
def test_types(tmp_path: Path, dtype: str) -> None:
    array = RNG.integers(0, 2, (8, 9)).astype(dtype)
    for suffix in (".npy", ".npz"):
        with open_image(stored(tmp_path / f"a{suffix}", array)) as file:
            pixels = file.load(file.planes[0])
            assert pixels.dtype == file.dtype == array.dtype.newbyteorder("=")
            assert np.array_equal(pixels, array)


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((8, 8), complex), "complex128 are no pixels"),
        (np.array([[None, {}]]), "object are no pixels"),
        (np.array([["a", "b"]]), "are no pixels"),
        (np.zeros((8, 8), [("a", "u1")]), "are no pixels"),
        (np.zeros((8, 8), np.longdouble), "are no pixels"),
        (np.zeros(8), r"shape \(8,\) is no image"),
        (np.float64(3), r"shape \(\) is no image"),
        (np.zeros((0, 8)), "has no pixels"),
        (np.zeros((0, 8, 8)), "states 0 planes"),
    ],
)
def test_what_is_no_image(tmp_path: Path, array: np.ndarray, why: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(ImageError, match=why):
        open_image(path)


def test_several_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((8, 8)), y=np.zeros((8, 8)))
    with pytest.raises(ImageError, match=r"a\.npz: holds 2 arrays: x, y; save each"):
        open_image(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz")
    with pytest.raises(ImageError, match="holds 0 arrays"):
        open_image(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_file_cut_short_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = stored(tmp_path / f"a{suffix}", RNG.normal(size=(64, 64)))
    data = path.read_bytes()
    for size in (0, 1, 9, 60, 128, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ImageError, match=rf"^a\{suffix}: "), open_image(path) as file:
            file.load(file.planes[0])


def test_headers_that_state_too_much(tmp_path: Path) -> None:
    """Nothing is decompressed for them: these would take 8 TB and 4 GB."""
    header = {"shape": (10**6, 10**6), "fortran_order": False, "descr": "<f8"}
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ImageError, match="more than the limit"):
        open_image(tmp_path / "a.npy")
    header["shape"] = (10**6, 1000, 1000)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ImageError, match="truncated"):
        open_image(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as zipped:
        zipped.write(tmp_path / "a.npy", "x.npy")
    with pytest.raises(ImageError, match="more than the limit"):
        open_image(tmp_path / "a.npz")
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{")
    with pytest.raises(ImageError, match="not a readable NumPy file"):
        open_image(tmp_path / "b.npy")


@pytest.mark.parametrize("shape", [(20, 30), (5, 20, 30), (20, 30, 3), (5, 20, 30, 4), (1, 9)])
def test_written_as_it_was(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = RNG.integers(0, 255, shape).astype(np.uint16)
    with open_image(stored(tmp_path / "a.npy", array)) as file:
        planes = (file.load(index) for index in file.planes)
        write_image(tmp_path / "b.npy", planes, file, "a note", file.dtype)
    again = np.load(tmp_path / "b.npy")
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


def test_what_would_be_seen_otherwise_is_not_written(tmp_path: Path) -> None:
    import tifffile

    samples = RNG.integers(0, 255, (20, 30, 2)).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", samples, photometric="minisblack", extrasamples=["unassalpha"]
    )
    with open_image(tmp_path / "a.tif") as file:
        assert file.shape == (20, 30, 2)
        with pytest.raises(ImageError, match="write a TIFF"):
            write_image(tmp_path / "b.npy", [samples], file, "", file.dtype)
    assert not (tmp_path / "b.npy").exists()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_damage(tmp_path: Path, suffix: str) -> None:
    path = stored(tmp_path / f"whole{suffix}", RNG.integers(0, 9, (3, 20, 30)).astype(np.uint16))
    assert fuzz(path, 200, random.Random(suffix)) > 20
