"""The generator of the default preset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ciegan.models.base import Generator, radius_of


class ResidualBlock(nn.Module):
    """x + conv(leaky(conv(x))), which begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.second(F.leaky_relu(self.first(x), 0.1))


class ResidualUNet(Generator):
    """A U-shaped network of residual blocks on 2 x 2 pixels at once; it learns what to add.

    Without normalisation and without pooling over the image, so that a pixel's result depends on
    its surroundings alone, whatever the tile and the batch. Dense 3 x 3 convolutions at half the
    resolution are what a CPU does best: in the same time they reach a higher PSNR than blocks
    with depth-wise convolutions (NAFNet), see benchmarks/networks.md.

    Parameters
    ----------
    channels : int
    widths : sequence of int
        Features at each level; each level halves the sides.
    blocks : sequence of int
        Residual blocks at each level, on the way down, and again on the way up (but the last).
    residual : bool
        Learn what to add to the input; otherwise the whole image, which is better where the input
        is nothing like the target, as far out of focus in brightfield.
    planes : int
        Images that are seen: the one that is enhanced, and its neighbours. What is learned is added
        to their weighted sum then, whose weights are learned, too, and begin as those of the mean:
        it has a third of the noise of one of three, and the rest is easier to learn.
    """

    block: Callable[[int], nn.Module] = ResidualBlock
    reach: tuple[tuple[int, int, int], ...] = ((3, 1, 1), (3, 1, 1))  # of a block

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (1, 1, 1),
        residual: bool = True,
        planes: int = 1,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not widths:
            raise ValueError(f"`blocks` must be as many as `widths`, got {blocks} and {widths}")
        self.channels, self.planes = channels, planes
        self.residual = residual
        self.stride = 2 ** len(widths)

        def level(width: int, number: int) -> nn.Sequential:
            return nn.Sequential(*(type(self).block(width) for _ in range(number)))

        steps = list(pairwise(widths))
        self.head = nn.Conv2d(4 * self.inputs, widths[0], 3, padding=1)
        self.down = nn.ModuleList(map(level, widths, blocks))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in steps)
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in steps)
        self.up = nn.ModuleList(map(level, widths[:-1], blocks[:-1]))
        self.tail = nn.Conv2d(widths[0], 4 * channels, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        if residual and planes > 1:
            self.shares = nn.Parameter(torch.full((planes,), 1 / planes))

        within = list(self.reach)
        deep = [layer for n in blocks for layer in [*(within * n), (2, 2, 1)]][:-1]
        back = [layer for n in reversed(blocks[:-1]) for layer in [(1, 0, 1), *(within * n)]]
        chain = [(2, 2, 1), (3, 1, 1), *deep, *back, (3, 1, 1)]
        # a block of pixels goes through together: up to one stride more
        self.radius = radius_of(chain) + self.stride

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same sides."""
        x = self.head(F.pixel_unshuffle(images, 2))
        skips = []
        for k, level in enumerate(self.down):
            x = level(x)
            if k < len(self.shrink):
                skips.append(x)
                x = self.shrink[k](x)
        for k in reversed(range(len(self.up))):
            x = self.up[k](F.pixel_shuffle(self.grow[k](x), 2) + skips[k])
        added = F.pixel_shuffle(self.tail(x), 2)
        return self._base(images) + added if self.residual else added

    def _base(self, images: Tensor) -> Tensor:
        """What is learned is added to it."""
        if self.planes == 1:
            return images
        planes = images.split(self.channels, dim=1)
        weighted = [share * plane for share, plane in zip(self.shares, planes, strict=True)]
        return torch.stack(weighted).sum(0)
