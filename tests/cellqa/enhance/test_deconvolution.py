"""Wiener and Richardson-Lucy as enhancers."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellqa import simulate
from cellqa.enhance import ENHANCERS, RichardsonLucy, Wiener, with_settings
from cellqa.errors import CellqaError, ImageError
from cellqa.io import write_tiff
from cellqa.metrics.pixel import psnr

SHARP = simulate.filaments((96, 120), cutoff=0.8, photons=5000, seed=1).image
SOFT = np.rint(cv2.GaussianBlur(SHARP.astype(float), (0, 0), 2)).astype(np.uint16)


@pytest.mark.parametrize("method", [Wiener(2.0, 0.001), RichardsonLucy(2.0, 20)])
def test_a_known_blur_is_undone(method: Wiener) -> None:
    span = float(np.ptp(SHARP))
    before, after = (psnr(SHARP, image, data_range=span) for image in (SOFT, method(SOFT)))
    assert after > before + 1
    border = np.s_[:, :6]  # mirrored, not zero
    assert np.abs(method(SOFT)[border].mean() / SHARP[border].mean() - 1) < 0.05


@pytest.mark.parametrize("name", ["wiener", "rl"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_type_shape_and_colour(name: str, dtype: type) -> None:
    grey = (SOFT // 20).astype(dtype)
    assert ENHANCERS[name](grey).dtype == dtype
    rgb = np.stack([grey, grey, grey], axis=-1)
    found = ENHANCERS[name](rgb)
    assert found.shape == rgb.shape
    # luminance of equal colours is the grey image, but for rounding
    assert found[..., 0].astype(float) == pytest.approx(ENHANCERS[name](grey).astype(float), abs=1)


def bead(path: Path, sigma: float = 2.0, side: int = 17, floor: float = 100) -> Path:
    at = np.arange(side) - side // 2
    line = np.exp(-(at**2) / (2 * sigma**2))
    write_tiff(path, np.rint(floor + 4000 * np.outer(line, line)).astype(np.uint16), 0.2)
    return path


@pytest.mark.parametrize("name", ["wiener", "rl"])
def test_a_measured_kernel_is_as_good_as_the_known_one(name: str, tmp_path: Path) -> None:
    kernel = str(bead(tmp_path / "bead.tif"))
    known = with_settings(ENHANCERS[name], {"sigma": "2"})
    measured = with_settings(ENHANCERS[name], {"kernel": kernel})
    span = float(np.ptp(SHARP))
    first, second = (psnr(SHARP, m(SOFT), data_range=span) for m in (known, measured))
    assert second == pytest.approx(first, abs=0.1)
    assert "kernel bead.tif" in measured.describe()
    wide = with_settings(ENHANCERS[name], {"kernel": str(bead(tmp_path / "wide.tif", 4.0, 33))})
    assert psnr(SHARP, wide(SOFT), data_range=span) < first - 0.5


def test_kernels_that_are_none(tmp_path: Path) -> None:
    def refused(pixels: np.ndarray, message: str) -> None:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.tif"
        tifffile.imwrite(path, pixels, photometric="minisblack")
        with pytest.raises(ImageError, match=message):
            Wiener(kernel=str(path))(SOFT)

    refused(np.ones((16, 17), np.uint8), "sides of a kernel are odd")
    refused(np.ones((301, 301), np.uint8), "3 to 255 pixels")
    refused(np.ones((9, 9), np.uint8), "no point stands out")
    refused(np.ones((3, 9, 9), np.uint8), "a kernel is one plane, this has 3")
    with pytest.raises(ImageError, match="must be smaller than the image"):
        RichardsonLucy(kernel=str(bead(tmp_path / "large.tif", 9.0, 201)))(SOFT)
    with pytest.raises(CellqaError):
        RichardsonLucy(kernel=str(tmp_path / "none.tif"))(SOFT)


def test_a_constant_image_stays() -> None:
    flat = np.full((20, 30), 7, np.uint8)
    assert (Wiener()(flat) == flat).all()
    assert "sigma 2" in RichardsonLucy().describe()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Wiener(sigma=0),
        lambda: Wiener(balance=0),
        lambda: RichardsonLucy(iterations=0),
        lambda: RichardsonLucy(sigma=float("nan")),
    ],
)
def test_wrong_settings(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
