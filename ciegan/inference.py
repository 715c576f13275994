"""A trained generator on whole images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ciegan.data import Normalisation, scaled, unscaled

Array = npt.NDArray[Any]


@torch.inference_mode()
def enhance_plane(
    generator: nn.Module,
    pixels: Array,
    normalisation: Normalisation,
    *,
    stride: int,
    whole: tuple[float, float] | None = None,
) -> Array:
    """Enhance an image in one piece; the border is mirrored up to a multiple of the stride.

    Parameters
    ----------
    generator : Module
        In evaluation mode, on the device to use.
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
    normalisation : Normalisation
    stride : int
        Of the generator.
    whole : (float, float), optional
        Black and white of the image that the pixels were cut from.

    Returns
    -------
    ndarray of float32, shape of `pixels`
        In the grey levels of the input.
    """
    limits = normalisation.limits(pixels, whole)
    planes = scaled(pixels, limits)
    height, width = planes.shape[1:]
    missing = [(0, 0), (0, -height % stride), (0, -width % stride)]
    padded = np.pad(planes, missing, mode="symmetric")
    parameter = next(generator.parameters())
    batch = torch.from_numpy(padded)[None].to(parameter.device)
    found = generator(batch)[0, :, :height, :width].float().cpu().numpy()
    return unscaled(found, limits, pixels.ndim == 3)
