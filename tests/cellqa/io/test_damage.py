"""Zeros that are a lost part of a file, and zeros that are a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellqa.errors import ImageError
from cellqa.io import open_image
from cellqa.io.damage import zeroed

RNG = np.random.default_rng(5)


def cells(dark: float = 0.0) -> np.ndarray:
    """Blobs in noise; some of the background is 0."""
    smooth = cv2.GaussianBlur(RNG.normal(0, 1, (170, 240)), (0, 0), 6) * 9000
    image = smooth + RNG.normal(0, 40, smooth.shape)
    return (image - np.quantile(image, dark)).clip(0, 60000).astype(np.uint16) + (dark == 0)


@pytest.mark.parametrize("dark", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("size", [4096, 16384, 65536])
def test_lost_blocks_are_seen(dark: float, size: int) -> None:
    seen = 0
    for _ in range(20):
        lost = cells(dark)
        begin = int(RNG.integers(0, lost.nbytes - size)) // 2
        lost.reshape(-1)[begin : begin + size // 2] = 0
        seen += zeroed(lost) > 0
    assert seen >= 16  # a block may end at the side of the image


@pytest.mark.parametrize("dark", [0.0, 0.2, 0.4, 0.6, 0.9, 1.0])
def test_pictures_are_left_alone(dark: float) -> None:
    for _ in range(20):
        image = cells(dark)
        assert not zeroed(image)
        top, left, bottom, right = RNG.integers(0, 60, 4)
        for y, x in ((top, 0), (0, left), (top, left)):  # what registration leaves
            moved = np.zeros_like(image)
            moved[y:, x:] = image[: 170 - y, : 240 - x]
            assert not zeroed(moved), (y, x)
        framed = np.pad(image[top : 170 - bottom, left : 240 - right], 50)
        assert not zeroed(framed)
        turned = cv2.warpAffine(
            image, cv2.getRotationMatrix2D((120, 85), float(RNG.uniform(-30, 30)), 1), (240, 170)
        )
        assert not zeroed(turned)
        labels = (image > np.median(image)).astype(np.uint16)
        assert not zeroed(labels)
        disk = np.zeros_like(image)
        cv2.circle(disk, (int(left) + 60, int(top) + 60), 50, 9, -1)
        assert not zeroed(disk)
        assert not zeroed(disk.max() - disk)


def test_a_plane_that_lost_a_part_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = cells()
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image)
    data = bytearray(path.read_bytes())
    data[20_000:30_000] = bytes(10_000)
    path.write_bytes(data)
    monkeypatch.delenv("CELLQA_MISSING", raising=False)
    with open_image(path) as file:
        with pytest.raises(ImageError, match="damaged, 5000 values in a row are 0"):
            file.load(file.planes[0])
        monkeypatch.setenv("CELLQA_MISSING", "fill")
        assert (file.load(file.planes[0]) == 0).sum() == 5000
