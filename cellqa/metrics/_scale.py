"""An enhanced image on the raw image's grid."""

from __future__ import annotations

import numpy as np

from cellqa.planes.blocks import times
from cellqa.planes.plane import Plane


def misfit(raw: Plane, image: Plane, scale: int) -> str:
    """Why the image cannot be compared with the raw one; empty if it can."""
    if tuple(scale * n for n in raw.shape) == image.shape:
        return ""
    sizes = [" x ".join(map(str, p.pixels.shape)) for p in (raw, image)]
    larger = times(raw.shape, image.shape)
    hint = f"; if it is enlarged, say --scale {larger}" if larger else ""
    return f"raw {sizes[0]}, image {sizes[1]}, scale {scale}{hint}"


def reduced(image: Plane, scale: int) -> Plane:
    """The image with scale x scale pixels averaged."""
    if scale == 1:
        return image
    ny, nx = (n // scale for n in image.shape)
    means = image.pixels.reshape(ny, scale, nx, scale).mean(axis=(1, 3), dtype=np.float64)
    return Plane(means, image.dtype)
