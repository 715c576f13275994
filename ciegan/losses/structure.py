"""Structural similarity as a term."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales (Wang 2003)
_SIDE, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def ms_ssim(image: Tensor, target: Tensor) -> Tensor:
    """1 - multi-scale structural similarity (Wang et al. 2003, doi 10.1109/ACSSC.2003.1292216).

    As `cellqa.ms_ssim` with data range 2 (images of -1 to 1), 0 to 2. Images below 176 pixels a
    side have as many of the five scales as fit, with the weights scaled to the same sum; negative
    factors count as 0.

    Raises
    ------
    ValueError
        A side is below 11 pixels.
    """
    side = min(image.shape[-2:])
    if side < _SIDE:
        raise ValueError(f"`image` must have at least {_SIDE} pixels a side, got {side}")
    scales = max(n for n in range(1, 6) if side >= _SIDE * 2 ** (n - 1))
    weights = torch.tensor(_WEIGHTS[:scales], device=image.device)
    weights = weights * (sum(_WEIGHTS) / weights.sum())
    x, y = image.float(), target.float()
    factors = []
    for k in range(scales):
        ssim, contrast = _similarity(x, y)
        factors.append(ssim if k == scales - 1 else contrast)
        if k < scales - 1:
            x, y = _halved(x), _halved(y)
    stacked = torch.stack(factors, dim=-1).clamp_min(1e-8)
    return 1 - (stacked**weights).prod(dim=-1).mean()


def _halved(x: Tensor) -> Tensor:
    """2 x 2 means; an odd side repeats its last row or column first."""
    missing = (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)
    return F.avg_pool2d(F.pad(x, missing, mode="replicate"), 2)


def _similarity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Means of SSIM and of its contrast-structure part, of each image and channel."""
    b, c, height, width = x.shape
    c1, c2 = (2 * _K1) ** 2, (2 * _K2) ** 2
    maps = torch.stack([x, y, x * x, y * y, x * y]).reshape(5 * b * c, 1, height, width)
    kernel = torch.tensor(_gaussian(), device=x.device)
    maps = F.conv2d(F.conv2d(maps, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    mx, my, xx, yy, xy = maps.view(5, b, c, *maps.shape[-2:])
    contrast = (2 * (xy - mx * my) + c2) / (xx - mx * mx + yy - my * my + c2)
    ssim = (2 * mx * my + c1) / (mx * mx + my * my + c1) * contrast
    return ssim.mean((-2, -1)), contrast.mean((-2, -1))


@lru_cache(maxsize=1)
def _gaussian() -> tuple[float, ...]:
    at = torch.arange(_SIDE, dtype=torch.float64) - _SIDE // 2
    found = torch.exp(-(at**2) / (2 * _SIGMA**2))
    return tuple((found / found.sum()).tolist())
