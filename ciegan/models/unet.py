"""The generator that the paper names as its next step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ciegan.models.base import Generator, radius_of


class UNet(Generator):
    """The U-Net of Ronneberger et al. 2015 (doi 10.1007/978-3-319-24574-4_28), padded.

    Two 3 x 3 convolutions with ReLU at each level, max pooling down, transposed convolutions up,
    skips concatenated; it learns what to add to the input.

    Parameters
    ----------
    channels : int
    widths : sequence of int
        Features at each level.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        if not widths:
            raise ValueError("`widths` must name at least one level")
        self.channels = channels
        self.stride = 2 ** (len(widths) - 1)
        steps = list(pairwise(widths))

        def pair(before: int, after: int) -> nn.Sequential:
            convolutions = (nn.Conv2d(n, after, 3, padding=1) for n in (before, after))
            return nn.Sequential(*(m for c in convolutions for m in (c, nn.ReLU())))

        self.down = nn.ModuleList(pair(a, b) for a, b in [(channels, widths[0]), *steps])
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in steps)
        self.up = nn.ModuleList(pair(2 * a, a) for a, _ in steps)
        self.last = nn.Conv2d(widths[0], channels, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        down = [(3, 1, 1), (3, 1, 1), (2, 2, 1)] * len(steps)
        up = [(2, 0, 1), (3, 1, 1), (3, 1, 1)] * len(steps)
        self.radius = radius_of([*down, (3, 1, 1), (3, 1, 1), *up]) + self.stride

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same shape."""
        x = self.down[0](images)
        skips = []
        for level in list(self.down)[1:]:
            skips.append(x)
            x = level(F.max_pool2d(x, 2))
        for k in reversed(range(len(self.up))):
            x = self.up[k](torch.cat([skips[k], self.grow[k](x)], dim=1))
        return images + self.last(x)
