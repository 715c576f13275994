"""A generator: convolutions in a chain, which learn what to add to the input."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ciegan import Generator


class Plain(Generator):
    """Convolutions of 3 x 3 with ReLU between them.

    Parameters
    ----------
    channels : int
    width, depth : int
        Features, and convolutions; set by `--set generator.options.width=32`.
    """

    stride = 1  # sides of the images may be of any length

    def __init__(self, channels: int = 1, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"`depth` must be 2 at least, got {depth}")
        self.channels = channels
        self.radius = depth  # each convolution reaches one pixel further
        widths = [channels, *[width] * (depth - 1)]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same shape."""
        added: Tensor = self.layers(images)
        return images + added
