"""Honest methods and forgeries, on scenes whose truth is known; for `believing.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import scipy.ndimage as ndi
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, richardson_lucy

from cellqa import simulate

SIDE = 256
BLURRED, SHARP = 0.3, 0.7  # cut-offs of the raw image and of the ground truth
FEW, MANY = 400, 1500  # photons of both
AMOUNTS = (1.0, 0.5, 0.25)
KINDS = {
    "filaments": simulate.filaments,
    "spots": simulate.spots,
    "nuclei": simulate.nuclei,
}
FORGED = ("fine", "coarse", "misplaced", "erased")

Image = np.ndarray
Method = Callable[[Image], Image]


def noise_of(image: Image) -> float:
    """Standard deviation of white noise, from the diagonal differences of neighbours."""
    corners = image[1::2, 1::2] - image[::2, 1::2] - image[1::2, ::2] + image[::2, ::2]
    return float(np.median(np.abs(corners))) / 0.6745 / 2


def lucy(iterations: int) -> Method:
    """Richardson-Lucy with the true point spread function."""
    spread = np.zeros((97, 97))
    spread[48, 48] = 1
    spread = np.maximum(simulate.optical_blur(spread, BLURRED)[33:-33, 33:-33], 0)
    spread /= spread.sum()

    def restored(image: Image) -> Image:
        light = np.maximum(image - simulate.OFFSET, 1e-3)
        top = light.max()
        sharp = richardson_lucy(light / top, spread, num_iter=iterations, clip=False)
        return np.asarray(sharp * top + simulate.OFFSET)

    return restored


def total_variation(image: Image) -> Image:
    """Chambolle's, weighted by the noise."""
    noise = noise_of(image)
    return np.asarray(denoise_tv_chambolle(image / noise, weight=1.0) * noise)


def non_local_means(image: Image) -> Image:
    """Buades' with the noise known."""
    noise = noise_of(image)
    return np.asarray(
        denoise_nl_means(
            image, h=0.8 * noise, sigma=noise, fast_mode=True, patch_size=5, patch_distance=6
        )
    )


def wavelet(image: Image, threshold: float = 1.5, levels: int = 4) -> Image:
    """Starlet: undecimated B3 splines, soft thresholds in units of each level's noise."""
    noise = noise_of(image)
    left, kept = image, np.zeros_like(image)
    for level, share in zip(range(levels), (0.891, 0.2, 0.086, 0.041), strict=True):
        spline = np.zeros(4 * 2**level + 1)
        spline[:: 2**level] = np.array([1, 4, 6, 4, 1]) / 16
        rows = ndi.convolve1d(left, spline, axis=0, mode="reflect")
        smooth = ndi.convolve1d(rows, spline, axis=1, mode="reflect")
        detail = left - smooth
        kept += np.sign(detail) * np.maximum(np.abs(detail) - threshold * noise * share, 0)
        left = smooth
    return kept + left


def compressed(image: Image) -> Image:
    """JPEG of quality 50, in 8 bits."""
    low, high = np.percentile(image, [0.01, 99.99])
    grey = np.clip((image - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    return np.asarray(cv2.imdecode(encoded, 0) / 255 * (high - low) + low)


# What a user may do to a raw image without adding anything; Wiener knows more (see `scene`).
HONEST: dict[str, Method] = {
    "Richardson-Lucy, 10": lucy(10),
    "Richardson-Lucy, 40": lucy(40),
    "Gaussian, sigma 1": lambda image: ndi.gaussian_filter(image, 1),
    "mean, 3 x 3": lambda image: ndi.uniform_filter(image, 3),
    "median, 3 x 3": lambda image: ndi.median_filter(image, 3),
    "total variation": total_variation,
    "non-local means": non_local_means,
    "wavelet": wavelet,
    "shifted half a pixel": lambda image: ndi.shift(image, 0.5, order=3, mode="reflect"),
    "JPEG 50": compressed,
}


def scene(kind: str, seed: int) -> dict[str, Image]:
    """Ground truth, raw image, its Wiener restoration, and what forgeries are made of."""
    draw = KINDS[kind]
    truth = draw((SIDE, SIDE), cutoff=SHARP, photons=MANY, seed=seed)
    raw = simulate.acquire(truth.structure, cutoff=BLURRED, photons=FEW, seed=seed + 1000)
    return {
        "gt": truth.image.astype(float),
        "raw": raw.image.astype(float),
        "ideal": truth.ideal,
        "other": draw((SIDE, SIDE), cutoff=SHARP, photons=MANY, seed=seed + 500).ideal,
        "Wiener": brightened(simulate.deconvolve(raw, photons=FEW, cutoff=SHARP)),
    }


def brightened(image: Image) -> Image:
    """A raw image's grey levels as the ground truth's."""
    return np.asarray((image - simulate.OFFSET) * MANY / FEW + simulate.OFFSET)


def forgeries(image: Image, of: dict[str, Image]) -> Iterator[tuple[str, float, Image]]:
    """Kind, amount and image: relative to the true detail that the raw image lacks.

    fine: detail of another scene, beyond the raw image's cut-off. coarse: below it. misplaced: the
    scene's own detail, elsewhere. erased: structures fade to their surroundings, in a third of the
    field.
    """
    missing = float((of["ideal"] - simulate.optical_blur(of["ideal"], BLURRED)).std())
    coarse = simulate.optical_blur(of["other"], BLURRED)
    moved = np.roll(of["ideal"], (41, 67), axis=(0, 1))
    around = ndi.gaussian_filter(ndi.median_filter(image, 21), 6)
    y, x = np.mgrid[:SIDE, :SIDE]
    field = ndi.gaussian_filter(((y // 64 + x // 64) % 3 == 0).astype(float), 4)
    for amount in AMOUNTS:
        size = amount * missing
        yield (
            "fine",
            amount,
            simulate.paste_texture(image, of["other"], beyond=BLURRED, amount=size),
        )
        yield "coarse", amount, simulate.paste_texture(image, coarse, beyond=0.1, amount=size)
        yield "misplaced", amount, simulate.paste_texture(image, moved, beyond=0.1, amount=size)
        yield "erased", amount, image + amount * field * (around - image)


def small_network(steps: int = 600, seed: int = 1) -> Method:
    """A network of six layers, trained on other scenes to give ground truth of raw images."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(1, 32, 5, padding=2), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(32, 32, 5, padding=2), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Conv2d(32, 1, 5, padding=2))
    pairs = [scene(kind, 10_000 + k) for kind in KINDS for k in range(8)]
    sources = [torch.tensor(brightened(p["raw"]) / 1000, dtype=torch.float32) for p in pairs]
    targets = [torch.tensor(p["gt"] / 1000, dtype=torch.float32) for p in pairs]
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        chosen = rng.integers(len(pairs), size=12)
        corners = rng.integers(0, SIDE - 64, size=(12, 2))

        def crops(images: list[Any], chosen: Any = chosen, corners: Any = corners) -> Any:
            cut = zip(chosen, corners, strict=True)
            return torch.stack([images[k][None, y : y + 64, x : x + 64] for k, (y, x) in cut])

        source = crops(sources)
        loss = (source + net(source) - crops(targets)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    def enhanced(raw: Image) -> Image:
        with torch.no_grad():
            source = torch.tensor(brightened(raw) / 1000, dtype=torch.float32)[None, None]
            image = (source + net(source))[0, 0].numpy().astype(float) * 1000
        return np.asarray((image - simulate.OFFSET) * FEW / MANY + simulate.OFFSET)

    return enhanced
