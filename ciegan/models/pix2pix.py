"""The generator of pix2pix (Isola et al. 2017, doi 10.1109/CVPR.2017.632, arXiv 1611.07004)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ciegan.models.base import Generator, draw_weights, radius_of


class Norm(nn.BatchNorm2d):
    """Batch normalisation with scale and shift.

    In use, mean and variance are the running averages, or, with `batch_statistics`, those of the
    batch there too.
    """

    def __init__(self, channels: int, batch_statistics: bool) -> None:
        super().__init__(channels)
        self.batch_statistics = batch_statistics

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, Y, X)."""
        if self.batch_statistics and not self.training:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(x)


class Pix2PixGenerator(Generator):
    """The paper's U-Net (section 6.1.1): 54,413,955 parameters in colour.

    Eight 4 x 4 convolutions of stride 2 down to 1 / 256 of the sides, eight transposed ones up,
    skips concatenated, batch normalisation, tanh. Dropout (0.5) in the first three of the way up,
    in training alone; the paper keeps it in use, as its source of noise. No convolution has a bias
    but the last: this gives the count of the authors' programs, which leave the bias out before
    batch normalisation, where it does nothing, and in the first and the innermost convolution as
    well, which have no normalisation.

    A pixel depends on all within 765 pixels. A tile of 256 thus takes a window of 1792, and large
    images many times the work of small ones; images up to some 1500 pixels are computed whole.
    It is exact all the same: every tile becomes what it becomes in the whole image.

    Parameters
    ----------
    channels : int
    width : int
        Features of the first layer; they double up to eight times as many.
    depth : int
        Convolutions on the way down, 2 or more.
    batch_statistics : bool
        Normalise with the batch's own statistics in use as well, as the authors do. Then images
        are computed whole, and their results depend on all of the image.
    """

    bounded = True

    def __init__(
        self,
        channels: int = 1,
        width: int = 64,
        depth: int = 8,
        batch_statistics: bool = False,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"`depth` must be 2 or more, got {depth}")
        self.channels = channels
        self.stride = 2**depth
        self.radius = radius_of([(4, 2, 1)] * depth + [(4, 0, 1)] * depth)
        self.local = not batch_statistics
        widths = [width * min(2**k, 8) for k in range(depth)]

        def norms(of: list[int]) -> nn.ModuleList:
            return nn.ModuleList(Norm(n, batch_statistics) for n in of)

        # level k has widths[k] features; the first and the innermost are not normalised
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise([channels, *widths])
        )
        self.down_norms = norms(widths[1:-1])
        given = [*(2 * n for n in widths[:-1]), widths[-1]]  # a skip beside, but not innermost
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)
            for a, b in zip(given[1:], widths, strict=False)
        )
        self.up_norms = norms(widths[:-1])
        self.last = nn.ConvTranspose2d(given[0], channels, 4, 2, 1)
        draw_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same shape."""
        x = self.down[0](images)
        skips = [x]
        for k, norm in enumerate(self.down_norms):
            x = norm(self.down[k + 1](F.leaky_relu(x, 0.2)))
            skips.append(x)
        x = self.down[-1](F.leaky_relu(x, 0.2))
        for k in reversed(range(len(self.up))):
            x = self.up_norms[k](self.up[k](F.relu(x)))
            if k >= len(self.up) - 3:
                x = F.dropout(x, 0.5, self.training)
            x = torch.cat([skips[k], x], dim=1)
        return torch.tanh(self.last(F.relu(x)))
