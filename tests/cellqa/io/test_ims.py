"""Imaris files, as h5py writes them in Imaris' layout."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged

from cellqa.errors import CellqaError, ImageError
from cellqa.io import may_crash, open_image, write_image
from cellqa.io.isolated import _Reader, open_isolated

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)


def put(group: Any, **texts: object) -> None:
    for name, text in texts.items():
        group.attrs[name] = np.frombuffer(str(text).encode(), "S1")


def ims(path: Path, stack: np.ndarray, **options: Any) -> Path:
    """A stack (T, C, Z, Y, X) of pixels of 0.1 x 0.2 x 0.5 µm, padded to whole chunks."""
    t, c, z, y, x = stack.shape
    with h5py.File(path, "w") as file:
        for i, k in np.ndindex(t, c):
            whole = np.full((z + 1, y + 12, x + 2), 7, stack.dtype)
            whole[:z, :y, :x] = stack[i, k]
            group = file.create_group(f"DataSet/ResolutionLevel 0/TimePoint {i}/Channel {k}")
            put(group, ImageSizeX=x, ImageSizeY=y, ImageSizeZ=z)
            group.create_dataset("Data", data=whole, **(options or {"chunks": (1, 16, 16)}))
        image = file.create_group("DataSetInfo/Image")
        put(image, X=x, Y=y, Z=z, Unit="um", RecordingDate="2024-05-06 07:08:09.500")
        for axis, length in enumerate((0.1 * x, 0.2 * y, 0.5 * z)):
            put(image, **{f"ExtMin{axis}": 10, f"ExtMax{axis}": 10 + length})
        for k in range(c):
            group = file.create_group(f"DataSetInfo/Channel {k}")
            put(group, Name=f"dye {k}", Color="0.000 1.000 0.000", LSMEmissionWavelength=520)
        group = file.create_group("DataSetInfo/TimeInfo")
        put(group, **{f"TimePoint{i + 1}": f"2024-05-06 07:08:{10 + i}.250" for i in range(t)})
    return path


def pixels(*shape: int, dtype: str = "u2") -> np.ndarray:
    return RNG.integers(1, 255, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (2, 1, 2), (3, 2, 1)])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}])
def test_ims(tmp_path: Path, dtype: str, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    stack = pixels(*shape, 20, 30, dtype=dtype)
    with open_image(ims(tmp_path / "a.ims", stack, **options)) as file:
        assert len(file.planes) == np.prod(shape)
        assert file.dtype == stack.dtype
        assert file.shape == (20, 30)
        for i in file.planes:
            assert np.array_equal(file.load(i), stack[i.t, i.c, i.z])
            assert np.array_equal(file.load_rows(i, 3, 9), stack[i.t, i.c, i.z, 3:9])
        assert (file.pixel_size, file.pixel_size_y) == pytest.approx((0.1, 0.2))
        known = file.acquired()
        assert known.names == ("dye 0", "dye 1")[: shape[1]]
        assert known.channels[0].colour == "#00ff00"
        assert known.channels[0].emission == 520
        assert known.z_step == (pytest.approx(0.5) if shape[2] > 1 else None)
        assert known.seconds == (tuple(float(i.t) for i in file.planes) if shape[0] > 1 else ())
        assert known.dates == ("2024-05-06T07:08:09.500000",)
        write_image(tmp_path / "a.ome.tif", map(file.load, file.planes), file, "", file.dtype)
    with open_image(tmp_path / "a.ome.tif") as again:
        assert again.acquired().z_step == known.z_step


DATA = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data"


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_other_files_are_not_read(tmp_path: Path, kind: str) -> None:
    path = ims(tmp_path / "a.ims", pixels(1, 1, 1, 20, 30))
    (tmp_path / "secret").write_bytes(bytes(10**4))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = pixels(1, 20, 30)
    with h5py.File(path, "r+") as file:
        del file[DATA]
        if kind == "external link":
            file[DATA] = h5py.ExternalLink(str(tmp_path / "b.h5"), "x")
        elif kind == "soft link":
            file[DATA] = h5py.SoftLink("/DataSetInfo")
        elif kind == "external storage":
            external = [(str(tmp_path / "secret"), 0, 1200)]
            file.create_dataset(DATA, (1, 20, 30), "u2", external=external)
        else:
            layout = h5py.VirtualLayout((1, 20, 30), "u2")
            layout[:] = h5py.VirtualSource(str(tmp_path / "b.h5"), "x", (1, 20, 30))
            file.create_virtual_dataset(DATA, layout)
    with pytest.raises(ImageError, match=r"is a link|another file, which is not read"):
        open_image(path)


def test_what_is_refused(tmp_path: Path) -> None:
    path = ims(tmp_path / "a.ims", pixels(2, 1, 1, 20, 30))
    with h5py.File(path, "r+") as file:
        put(file["DataSetInfo/Image"], X=2**20, Y=2**20)
    with pytest.raises(ImageError, match="more than the limit"):
        open_image(path)
    with h5py.File(path, "r+") as file:
        put(file["DataSetInfo/Image"], X=90, Y=20)
    with pytest.raises(ImageError, match=r"of shape \(2, 32, 32\), not \(1, 20, 90\)"):
        open_image(path)
    path = ims(tmp_path / "a.ims", pixels(3, 1, 1, 20, 30))
    with h5py.File(path, "r+") as file:
        del file["DataSet/ResolutionLevel 0/TimePoint 1"]
    with pytest.raises(ImageError, match="some of its 2 TimePoint groups are missing"):
        open_image(path)
    path = ims(tmp_path / "a.ims", pixels(1, 1, 1, 20, 30))
    with h5py.File(path, "r+") as file:
        del file[DATA]
        file.create_dataset(DATA, (1, 20, 30), "u2", chunks=(1, 20, 30))
    with open_image(path) as file, pytest.raises(ImageError, match="was not acquired"):
        file.load(file.planes[0])
    path = ims(tmp_path / "a.ims", pixels(1, 1, 3, 20, 30))
    with h5py.File(path, "r+") as file:  # of three planes, only the second was written
        del file[DATA]
        data = file.create_dataset(DATA, (3, 20, 30), "u2", chunks=(1, 8, 8))
        data[1, 12, 9] = 5
    with open_image(path) as file:
        assert file.load(file.planes[1]).sum() == 5
        with pytest.raises(ImageError, match="was not acquired"):
            file.load(file.planes[2])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="truncated"):
        open_image(path)


def test_damage(tmp_path: Path) -> None:
    """In a process of its own, as the commands read it: HDF5 may crash."""
    whole = ims(tmp_path / "whole.ims", pixels(1, 2, 2, 20, 30), compression="gzip")
    rng, data, errors = random.Random(0), whole.read_bytes(), 0
    path = tmp_path / "damaged.ims"
    assert may_crash(path)
    for _ in range(200):
        path.write_bytes(damaged(data, rng))
        try:
            with open_isolated(path) as file:
                for index in file.planes[:4]:
                    assert file.load(index).shape == file.shape_of(index)
                file.acquired()
        except CellqaError as error:
            text = str(error)
        else:
            continue
        assert text.startswith(path.name)
        errors += 1
    assert errors > 20
    _Reader.get().end()  # later tests set its environment
