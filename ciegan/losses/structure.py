"""Structural similarity as a term."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

_SIDE, _SIGMA = 11, 1.5  # of the Gaussian window, in pixels (Wang 2004)
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first (Wang 2003)
_RANGE = 2.0  # of images of -1 to 1
_C1, _C2 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2


def ms_ssim(image: Tensor, target: Tensor) -> Tensor:
    """1 - multi-scale structural similarity (Wang et al. 2003, doi 10.1109/ACSSC.2003.1292216).

    With data range 2 (images of -1 to 1), 0 to 2. From 161 pixels a side on it is that of
    `cellqa.ms_ssim`. The five scales of smaller images take the largest window, of odd side n, that
    fits: (n - 1) 16 is below the side; at 128 pixels it has 7, at 64 pixels 3. Up to 32 pixels,
    where none fits, it is 1 - SSIM, of one scale. Negative factors count as 0, without a gradient.

    The window is applied as a product with a band matrix: at the size of training crops this is
    three to five times as fast as convolutions on a CPU, and on CUDA nothing is made on the host
    after the first call, so that a step can be captured.

    Parameters
    ----------
    image, target : Tensor, shape (B, C, Y, X)
        -1 to 1.

    Raises
    ------
    ValueError
        A side is below 11 pixels.

    Examples
    --------
    >>> import torch
    >>> image = torch.rand(1, 1, 64, 64)
    >>> float(ms_ssim(image, image))
    0.0
    """
    side = min(image.shape[-2:])
    if side < _SIDE:
        raise ValueError(f"`image` must have at least {_SIDE} pixels a side, got {side}")
    scales = len(_WEIGHTS)
    window = min(_SIDE, 2 * ((side - 1) // 2 ** (scales - 1) // 2) + 1)
    if window < 3:
        scales, window = 1, _SIDE
    x, y = image.float(), target.float()
    factors = []
    for scale in range(scales):
        if scale:
            odd = [n % 2 for n in x.shape[-2:]]
            x, y = F.avg_pool2d(x, 2, padding=odd), F.avg_pool2d(y, 2, padding=odd)
        factors.append(_similarity(x, y, window, whole=scale == scales - 1))
    stacked = torch.stack(factors)
    none = stacked <= 0
    if scales > 1:  # the power of 0 has no finite gradient
        stacked = stacked.masked_fill(none, 1.0) ** _weights(image.device)
    stacked = stacked.masked_fill(none, 0.0)
    # the gradient of `prod` waits for the device, to ask for zeros
    return 1 - functools.reduce(torch.mul, stacked.unbind(0)).mean()


def _similarity(x: Tensor, y: Tensor, window: int, *, whole: bool) -> Tensor:
    """Mean of contrast and structure, and with `whole` of luminance, of each channel (B, C)."""
    moments = torch.stack([x, y, x * x + y * y, x * y])
    moments = _band(x.shape[-2], window, x.device) @ moments
    moments = moments @ _band(x.shape[-1], window, x.device).T
    mean_x, mean_y, squares, products = moments.unbind(0)
    product = mean_x * mean_y
    square = mean_x * mean_x + mean_y * mean_y
    similarity = (2 * (products - product) + _C2) / (squares - square + _C2)
    if whole:
        similarity = similarity * ((2 * product + _C1) / (square + _C1))
    return similarity.mean((-2, -1))


@functools.lru_cache(256)
def _band(length: int, window: int, device: torch.device) -> Tensor:
    """The Gaussian window at every place where it fits, shape (length - window + 1, length)."""
    offsets = torch.arange(window, dtype=torch.float64) - window // 2
    gaussian = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    gaussian /= gaussian.sum()
    matrix = torch.zeros(length - window + 1, length, dtype=torch.float64)
    for place, weight in enumerate(gaussian):
        matrix.diagonal(place).fill_(float(weight))
    return matrix.float().to(device)


@functools.lru_cache(16)
def _weights(device: torch.device) -> Tensor:
    return torch.tensor(_WEIGHTS).view(-1, 1, 1).to(device)
