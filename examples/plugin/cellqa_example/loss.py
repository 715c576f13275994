"""A term of the generator's loss."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ciegan import Term


def gradient(image: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the gradients of images (B, C, Y, X)."""
    along_y = F.l1_loss(image.diff(dim=-2), target.diff(dim=-2))
    along_x = F.l1_loss(image.diff(dim=-1), target.diff(dim=-1))
    return along_y + along_x


GRADIENT = Term("gradient", gradient)
