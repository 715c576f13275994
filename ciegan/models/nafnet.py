"""A generator of NAFNet blocks (Chen et al. 2022, doi 10.1007/978-3-031-20071-7_2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ciegan.models.resunet import ResidualUNet


class NAFBlock(nn.Module):
    """Gated depth-wise convolutions, without nonlinear activations.

    Layer normalisation and the channel attention of the original are left out: the latter pools
    over the image, so that a tile's result would depend on the tile's extent.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.spread = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.mix = nn.Conv2d(width, width, 1)
        self.gate = nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.first = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.second = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        a, b = self.spread(self.widen(x)).chunk(2, 1)
        x = x + self.first * self.mix(a * b)
        a, b = self.gate(x).chunk(2, 1)
        return x + self.second * self.out(a * b)


class NAFNet(ResidualUNet):
    """The shape of `ResidualUNet` with NAFNet's blocks.

    Parameters
    ----------
    channels, widths, blocks, residual, planes
        As in `ResidualUNet`.
    """

    block = NAFBlock
    reach = ((1, 1, 1), (3, 1, 1), (1, 1, 1))

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (48, 96, 192),
        blocks: Sequence[int] = (1, 1, 2),
        residual: bool = True,
        planes: int = 1,
    ) -> None:
        super().__init__(channels, widths, blocks, residual, planes)
