"""Suffixes that the user gives to bioio, which is another package's here."""

import importlib
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cellqa.errors import ImageError
from cellqa.io import format_of

RNG = np.random.default_rng(0)
Sizes = namedtuple("Sizes", "Z Y X")
STACKS = [RNG.integers(0, 999, (2, 2, 3, y, 30)).astype(np.uint16) for y in (20, 25)]


class Image:
    """As bioio.BioImage: scenes of T, C, Z, Y, X, one of which is current."""

    scenes = ("left", "right")
    channel_names: tuple[str, ...] = ("a", "b")
    physical_pixel_sizes = Sizes(0.5, 0.2, 0.1)

    def __init__(self, path: Path) -> None:
        self.stacks, self.now = STACKS, 0

    def set_scene(self, number: int) -> None:
        self.now = number

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.stacks[self.now].dtype

    @property
    def dims(self) -> Any:
        return SimpleNamespace(**dict(zip("TCZYX", self.stacks[self.now].shape, strict=True)))

    def get_image_dask_data(self, axes: str, **at: int) -> Any:
        assert axes == "YX"
        plane = self.stacks[self.now][at["T"], at["C"], at["Z"]]
        return SimpleNamespace(compute=lambda scheduler: plane)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("bioio")
    module.BioImage = Image  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bioio", module)
    sys.modules.pop("cellqa.io.bioio", None)
    yield importlib.import_module("cellqa.io.bioio")
    del sys.modules["cellqa.io.bioio"]


def test_scenes_and_planes(reader: Any, tmp_path: Path) -> None:
    with reader.open_file(tmp_path / "a.vsi", 10**6) as file:
        assert len(file.planes) == 24
        for i in file.planes:
            assert np.array_equal(file.load(i), STACKS[i.s][i.t, i.c, i.z])
        assert (file.pixel_size, file.pixel_size_y) == (0.1, 0.2)
        known = file.acquired()
        assert (known.names, known.z_step) == (("a", "b"), 0.5)
        assert known.scene_names == ("left", "right")
    with pytest.raises(ImageError, match="more than the limit"):
        reader.open_file(tmp_path / "a.vsi", 100)


def test_what_bioio_makes_up_is_not_taken(
    reader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "channel_names", ("Channel:0:0", "Channel:0:1"))
    monkeypatch.setattr(Image, "physical_pixel_sizes", Sizes(1.0, 1.0, 1.0))
    with reader.open_file(tmp_path / "a.vsi", 10**6) as file:
        assert file.facts() == ("scene names",)


def test_scenes_that_differ(reader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "STACKS", [STACKS[0], STACKS[1][:1]])
    with pytest.raises(ImageError, match="its 2 scenes differ"):
        reader.open_file(tmp_path / "a.vsi", 10**6)


def test_suffixes_come_from_the_environment() -> None:
    assert format_of("a.vsi") is None
    code = "from cellqa.io import format_of as f; print(f('a.vsi').name, f('a.tif').name)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CELLQA_BIOIO": ".vsi,.tif", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["BioIO", "TIFF"]
