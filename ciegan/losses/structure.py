"""Structural similarity as a term."""

from __future__ import annotations

import pytorch_msssim
from torch import Tensor

_SIDE, _SCALES = 11, 5  # of the window, in pixels, and how many scales (Wang 2003)
_RANGE = 2.0  # of images of -1 to 1


def ms_ssim(image: Tensor, target: Tensor) -> Tensor:
    """1 - multi-scale structural similarity (Wang et al. 2003, doi 10.1109/ACSSC.2003.1292216).

    Computed by pytorch-msssim, with data range 2 (images of -1 to 1), 0 to 2. From 161 pixels a
    side on it is that of `cellqa.ms_ssim`. The five scales of smaller images take the largest
    window, of odd side n, that fits: (n - 1) 16 is below the side; at 128 pixels it has 7, at 64
    pixels 3. Up to 32 pixels, where none fits, it is 1 - SSIM, of one scale. Negative factors
    count as 0.

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
    halved = 2 ** (_SCALES - 1)
    window = min(_SIDE, 2 * ((side - 1) // halved // 2) + 1)
    x, y = image.float(), target.float()
    if window < 3:
        return 1 - pytorch_msssim.ssim(x, y, data_range=_RANGE, nonnegative_ssim=True)
    return 1 - pytorch_msssim.ms_ssim(x, y, data_range=_RANGE, win_size=window)
