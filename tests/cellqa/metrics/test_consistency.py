from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import scipy.optimize

from cellqa import consistency, consistency_map, rse, rsf_sigma, rsp, simulate
from cellqa.simulate import filaments


def scene() -> np.ndarray:
    return filaments((160, 181), cutoff=0.8, photons=1000, seed=4).ideal


@pytest.mark.parametrize("sigma", [0.6, 1.3, 2.0, 5.0, 12.0])
def test_a_known_blur_gain_and_offset_are_found(sigma: float) -> None:
    sharp = scene()
    raw = 0.4 * scipy.ndimage.gaussian_filter(sharp, sigma, truncate=10) + 33
    found = consistency(raw, sharp)
    # scipy samples the Gaussian in space, this multiplies its transform: alike from 0.6 pixels on
    assert found.sigma == pytest.approx(sigma, rel=0.025)
    assert found.gain == pytest.approx(0.4, rel=0.01)
    assert found.offset == pytest.approx(33, abs=0.02 * raw.max())
    assert found.rsp > 0.99999
    assert found.rse < 2e-3 * raw.std()


def test_it_agrees_with_a_direct_fit() -> None:
    """Nelder-Mead over sigma of a convolution in space, gain and offset by least squares."""
    sharp = scene()
    rng = np.random.default_rng(1)
    raw = rng.poisson(0.3 * scipy.ndimage.gaussian_filter(sharp, 2.2) + 20).astype(float)
    enhanced = sharp + 60 * cv2.GaussianBlur(rng.normal(size=sharp.shape), (0, 0), 2)

    def fitted(sigma: float) -> np.ndarray:
        image = scipy.ndimage.gaussian_filter(enhanced, sigma, truncate=10)
        columns = np.column_stack([image.ravel(), np.ones(image.size)])
        return columns @ np.linalg.lstsq(columns, raw.ravel(), rcond=None)[0]

    best = scipy.optimize.minimize_scalar(
        lambda s: ((raw.ravel() - fitted(s)) ** 2).sum(), bounds=(0.3, 10), method="bounded"
    ).x
    found = consistency(raw, enhanced)
    assert found.sigma == pytest.approx(best, abs=0.02)
    assert found.rsp == pytest.approx(np.corrcoef(raw.ravel(), fitted(best))[0, 1], abs=1e-5)
    expected = np.sqrt(((raw.ravel() - fitted(best)) ** 2).mean())
    assert found.rse == pytest.approx(expected, rel=1e-4)


def test_the_image_itself_is_consistent(sharp16: np.ndarray) -> None:
    found = consistency(sharp16, sharp16)
    assert (found.sigma, found.rsp) == (0, pytest.approx(1, abs=1e-6))
    assert found.rse < 1e-3 * sharp16.std()
    blurry = cv2.GaussianBlur(sharp16, (0, 0), 3)
    assert consistency(sharp16, blurry).sigma == 0  # nothing to blur: it is the blurrier one


def test_what_is_not_in_the_raw_image_lowers_it(sharp16: np.ndarray) -> None:
    other = filaments(sharp16.shape, photons=1000, seed=9).ideal
    values = [
        rsp(sharp16, simulate.paste_texture(sharp16, other, beyond=0.1, amount=a))
        for a in (10, 50, 200)
    ]
    assert values == sorted(values, reverse=True)
    assert rsp(sharp16, -sharp16.astype(float)) < 0


def test_the_map_is_what_is_left(sharp16: np.ndarray) -> None:
    raw = cv2.GaussianBlur(sharp16, (0, 0), 1.5)
    enhanced = sharp16.astype(float)
    enhanced[60:90, 100:130] += 400  # a cell that is not there
    found = consistency_map(raw, enhanced)
    assert found.shape == raw.shape
    assert np.sqrt((found.astype(float) ** 2).mean()) == pytest.approx(rse(raw, enhanced), rel=1e-3)
    inside = found[65:85, 105:125].mean()
    assert inside < 0
    assert abs(inside) > 5 * abs(found[:40].mean())


def test_enlarged_images_are_averaged_first() -> None:
    sharp = scene()[:160, :180]
    raw = sharp.reshape(80, 2, 90, 2).mean(axis=(1, 3))
    assert rsp(raw, sharp, scale=2) == pytest.approx(1, abs=1e-6)
    assert rsf_sigma(raw, sharp, scale=2) == 0
    with pytest.raises(ValueError, match=r"raw 80 x 90, image 160 x 180, scale 1.*--scale 2"):
        rsp(raw, sharp)
    with pytest.raises(ValueError, match=r"raw 80 x 90, image 160 x 179, scale 2$"):
        rsp(raw, sharp[:, :-1], scale=2)


def test_constant_images_have_none(sharp16: np.ndarray) -> None:
    flat = np.full_like(sharp16, 5)
    with pytest.raises(ValueError, match="the raw image is constant"):
        consistency(flat, sharp16)
    with pytest.raises(ValueError, match="the image is constant"):
        consistency(sharp16, flat)


def exact(raw: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """Sigma and correlation of the least squared difference, on a dense grid."""
    ours, theirs = (scipy.fft.dctn(p - p.mean(), norm="ortho") for p in (raw, image))
    frequencies = [np.arange(n) / n for n in raw.shape]
    radius2 = np.add.outer(*(f**2 for f in frequencies))
    best = (np.inf, 0.0, 0.0)
    for sigma in np.concatenate([[0], np.geomspace(0.05, min(raw.shape) / 8, 800)]):
        blurred = theirs * np.exp(-0.5 * np.pi**2 * sigma**2 * radius2)
        cross, energy, total = (ours * blurred).sum(), (blurred**2).sum(), (ours**2).sum()
        best = min(best, (total - cross**2 / energy, sigma, cross / np.sqrt(energy * total)))
    return best[1], best[2]


@pytest.mark.parametrize("sigma", [2.5, 12.0, 19.5])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_optimum_is_found_up_to_the_limit_and_with_inverted_contrast(
    sigma: float, sign: int
) -> None:
    sharp = scene()
    noise = np.random.default_rng(1).normal(0, 2, sharp.shape)
    raw = scipy.ndimage.gaussian_filter(sharp, sigma) + noise
    found = consistency(raw, sign * sharp)  # searched up to 160 / 8 = 20
    expected = exact(raw, sign * sharp)
    assert found.sigma == pytest.approx(expected[0], rel=0.01)
    assert found.rsp == pytest.approx(expected[1], abs=1e-3)
    assert np.sign(found.rsp) == sign
