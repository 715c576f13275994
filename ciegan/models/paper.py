"""The networks of the CIEGAN paper (Sun et al. 2022, doi 10.3389/fgene.2022.913372)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ciegan.models.base import Discriminator, Generator, radius_of

# Side, stride, dilation and channels of each convolution; a stride of 0 doubles the sides.
_LAYERS = (
    (5, 1, 1, 128),
    (3, 2, 1, 128),
    (3, 1, 1, 128),
    (3, 2, 1, 256),
    (3, 1, 1, 256),
    (3, 1, 1, 256),
    (3, 1, 2, 256),
    (3, 1, 4, 256),
    (3, 1, 8, 256),
    (3, 1, 16, 256),
    (3, 1, 1, 256),
    (3, 1, 1, 256),
    (4, 0, 1, 128),
    (3, 1, 1, 128),
    (4, 0, 1, 64),
    (3, 1, 1, 32),
)


class ShiftNorm(nn.BatchNorm2d):
    """Batch normalisation without scale: (x - mean) / sqrt(variance + 1e-3) + shift.

    In training, mean and variance are those of the batch. In use they are the running averages,
    or, with `batch_statistics`, those of the batch there too, as in the authors' program: then an
    image's result depends on its neighbours in the batch.
    """

    def __init__(self, channels: int, batch_statistics: bool) -> None:
        # the authors' average, 0.999 a step, is never used by them and needs thousands of steps
        super().__init__(channels, eps=1e-3, momentum=0.05, affine=False)
        self.shift = nn.Parameter(torch.zeros(channels))
        self.batch_statistics = batch_statistics

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, Y, X)."""
        if self.batch_statistics and not self.training:
            x = F.batch_norm(x, None, None, training=True, eps=self.eps)
        else:
            x = super().forward(x)
        return x + self.shift[:, None, None]


class PaperGenerator(Generator):
    """The paper's generator: 17 convolutions, no skip connections; 6,146,211 parameters in colour.

    All but the last are followed by batch normalisation and a leaky ReLU (0.2), the last by tanh.

    Parameters
    ----------
    channels : int
    batch_statistics : bool
        Normalise with the batch's own statistics in use as well, as the authors do.
    """

    stride = 4
    radius = radius_of([*(layer[:3] for layer in _LAYERS), (3, 1, 1)]) + stride

    bounded = True

    def __init__(self, channels: int = 1, batch_statistics: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.local = not batch_statistics
        body: list[nn.Module] = []
        before = channels
        for side, stride, dilation, after in _LAYERS:
            if stride:
                padding = dilation * (side // 2)
                body.append(nn.Conv2d(before, after, side, stride, padding, dilation))
            else:
                body.append(nn.ConvTranspose2d(before, after, side, 2, 1))
            body += [ShiftNorm(after, batch_statistics), nn.LeakyReLU(0.2)]
            before = after
        self.body = nn.Sequential(*body)
        self.last = nn.Conv2d(before, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same shape."""
        return torch.tanh(self.last(self.body(images)))


class PaperDiscriminator(Discriminator):
    """The paper's discriminator: 44,626,817 parameters at 256 pixels, in colour.

    Five 5 x 5 convolutions of stride 2 with ReLU, a dense layer of 1024, one logit. It sees the
    image alone, and only images of the one size.

    Parameters
    ----------
    channels : int
    size : int
        Side of the images, a multiple of 32.
    """

    def __init__(self, channels: int = 1, size: int = 256) -> None:
        super().__init__()
        if size % 32:
            raise ValueError(f"`size` must be a multiple of 32 pixels, got {size}")
        widths = (channels, 128, 128, 256, 512, 512)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 5, 2, 2) for a, b in pairwise(widths))
        self.dense = nn.Linear(512 * (size // 32) ** 2, 1024)
        self.last = nn.Linear(1024, 1)

    def forward(self, images: Tensor, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits (B, 1) and the features of the layers within."""
        features = []
        for layer in self.layers:
            images = F.relu(layer(images))
            features.append(images)
        # as stored by rows, whatever the memory format
        dense = F.relu(self.dense(images.contiguous().flatten(1)))
        return self.last(dense), features
