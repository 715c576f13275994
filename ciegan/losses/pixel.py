"""Terms on pixels and on their spectrum."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Mean of |image - target|."""
    return F.l1_loss(image, target)


def l2(image: Tensor, target: Tensor) -> Tensor:
    """Mean of (image - target)^2: the paper's reconstruction loss (Eq. 2)."""
    return F.mse_loss(image, target)


def charbonnier(image: Tensor, target: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt((image - target)^2 + epsilon^2) - epsilon: l1, smooth at 0.

    Charbonnier et al. 1994, doi 10.1109/ICIP.1994.413553. Epsilon is taken off so that identical
    images give 0.
    """
    return torch.sqrt((image - target) ** 2 + epsilon**2).mean() - epsilon


def total_variation(image: Tensor) -> Tensor:
    """Sum of the mean squared differences of neighbours along Y and along X.

    Mahendran and Vedaldi 2015 (doi 10.1109/CVPR.2015.7299155), with beta 2. The authors of the
    CIEGAN paper halve it in their program.
    """
    down = image[..., 1:, :] - image[..., :-1, :]
    across = image[..., :, 1:] - image[..., :, :-1]
    return (down**2).mean() + (across**2).mean()


def focal_frequency(image: Tensor, target: Tensor) -> Tensor:
    """Mean over frequencies of w |D|^2, D the spectrum of image - target, w = |D| / max |D|.

    Jiang et al. 2021, Eq. 6-9, alpha 1, orthonormal transform, weights without gradient (doi
    10.1109/ICCV48922.2021.01366): frequencies that are off weigh more. Float32 even in mixed
    precision.
    """
    off = torch.fft.rfft2(image.float() - target.float(), norm="ortho")
    power = off.real**2 + off.imag**2
    weight = power.detach().sqrt()
    weight = weight / weight.amax(dim=(-2, -1), keepdim=True).clamp_min(1e-12)
    # columns but the first (and the Nyquist one) stand for two
    twice = torch.full((power.shape[-1],), 2.0, device=power.device)
    twice[0] = 1
    if image.shape[-1] % 2 == 0:
        twice[-1] = 1
    size = image.shape[-1] * image.shape[-2] * image.shape[0] * image.shape[1]
    return (weight * power * twice).sum() / size
