"""First hours of three new users, who have the README and the pages that it leads to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from desk import Desk, blocks


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders raw and sharp, as the first tutorial makes them."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    folder = tmp_path_factory.mktemp("images")
    Desk(folder).runs(blocks("docs/tutorials/score.md", "python")[0])
    return folder


@pytest.fixture
def desk(images: Path, tmp_path: Path) -> Desk:
    """A folder with raw and sharp images."""
    for name in ("raw", "sharp"):
        shutil.copytree(images / name, tmp_path / name)
    return Desk(tmp_path)
