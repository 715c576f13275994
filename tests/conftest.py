from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import pytest
import tifffile
from fields import prepared, tiny  # noqa: F401 - fixtures of the tests of ciegan
from images import blurred

from cellqa import simulate


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device where there is none."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def sharp16() -> np.ndarray:
    return simulate.filaments((192, 200), photons=1000, seed=1).image


@pytest.fixture(scope="session")
def sharp8(sharp16: np.ndarray) -> np.ndarray:
    scaled = (sharp16 - sharp16.min()) / (sharp16.max() - sharp16.min())
    return np.rint(scaled * 255).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path, sharp8: np.ndarray) -> Callable[..., Path]:
    """Make a folder of named images: `folders("gt", a=image, b=image)`."""

    def make(folder: str, suffix: str = ".png", **images: np.ndarray) -> Path:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        for name, image in images.items():
            target = path / f"{name}{suffix}"
            if suffix.startswith(".tif"):
                tifffile.imwrite(target, image, photometric="minisblack")
            else:
                target.write_bytes(cv2.imencode(suffix, image)[1].tobytes())
        return path

    return make


@pytest.fixture
def pair_of_folders(folders: Callable[..., Path], sharp8: np.ndarray) -> tuple[Path, Path]:
    """Three sharp images and their blurred versions, 192 x 200, 8 bits."""
    images = {"a": sharp8, "b": sharp8[::-1], "c": 255 - sharp8}
    soft = {name: blurred(image, 2) for name, image in images.items()}
    return folders("net", **soft), folders("gt", **images)
