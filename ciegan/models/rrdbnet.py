"""The generator of ESRGAN and Real-ESRGAN.

Wang et al. 2018 (doi 10.1007/978-3-030-11021-5_5, arXiv 1809.00219), sections 3.1 and 3.2; Wang et
al. 2021 (doi 10.1109/ICCVW54120.2021.00217, arXiv 2107.10833), section 3.3. Layers have the names
of the published weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

_FEATURES, _GROWTH = 64, 32
_SHARE = 0.2  # of a block's result that is added


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it made."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _convolution(_FEATURES, _GROWTH)
        self.conv2 = _convolution(_FEATURES + _GROWTH, _GROWTH)
        self.conv3 = _convolution(_FEATURES + 2 * _GROWTH, _GROWTH)
        self.conv4 = _convolution(_FEATURES + 3 * _GROWTH, _GROWTH)
        self.conv5 = _convolution(_FEATURES + 4 * _GROWTH, _FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        known = x
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            known = torch.cat([known, F.leaky_relu(layer(known), 0.2)], dim=1)
        return x + _SHARE * self.conv5(known)


class ResidualDenseBlock(nn.Module):
    """Three dense blocks within a residual connection (RRDB)."""

    def __init__(self) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = DenseBlock(), DenseBlock(), DenseBlock()

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + _SHARE * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """Colour images, 0 to 1, made larger: 16,697,987 parameters with 23 blocks and scale 4.

    The blocks see the image at a quarter of the result's sides, by pixel-unshuffling: a result
    twice as large as the image comes from 2 x 2 pixels at once.

    Parameters
    ----------
    blocks : int
        23 in the published weights, 6 in those for drawings (4,467,779 parameters).
    scale : int
        How much larger the result's sides are: 4, 2 or 1.
    """

    def __init__(self, blocks: int = 23, scale: int = 4) -> None:
        super().__init__()
        if scale not in (1, 2, 4):
            raise ValueError(f"`scale` must be 1, 2 or 4, got {scale}")
        self.scale = scale
        self.unshuffle = 4 // scale
        self.conv_first = _convolution(3 * self.unshuffle**2, _FEATURES)
        self.body = nn.Sequential(*(ResidualDenseBlock() for _ in range(blocks)))
        self.conv_body = _convolution(_FEATURES, _FEATURES)
        self.conv_up1 = _convolution(_FEATURES, _FEATURES)
        self.conv_up2 = _convolution(_FEATURES, _FEATURES)
        self.conv_hr = _convolution(_FEATURES, _FEATURES)
        self.conv_last = _convolution(_FEATURES, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Return images (B, 3, scale Y, scale X) of (B, 3, Y, X)."""
        x = self.conv_first(F.pixel_unshuffle(images, self.unshuffle))
        x = x + self.conv_body(self.body(x))
        for layer in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(layer(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))
