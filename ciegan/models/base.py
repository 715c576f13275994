"""What every network offers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """Enhances images (B, C, Y, X), -1 to 1, whose sides are multiples of `stride`.

    Attributes
    ----------
    channels : int
        Of the images that it makes.
    planes : int
        Images that it sees: the one to be enhanced, and neighbours in time or focus, whose channels
        follow.
    stride : int
        Sides of the images must be multiples of it.
    radius : int
        A pixel of the result depends on pixels up to this far away.
    local : bool
        Whether that is so: batch statistics make it depend on the whole image.
    bounded : bool
        Whether results end at -1 and 1, as those of tanh.
    """

    channels: int
    planes: int = 1
    stride: int
    radius: int
    local: bool = True
    bounded: bool = False

    @property
    def inputs(self) -> int:
        """Channels of all images that it sees."""
        return self.planes * self.channels

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same sides."""
        raise NotImplementedError

    def bytes_of_a_pixel(self) -> float:
        """Memory that a pixel of an image takes on its way, in float32, by a small image of zeros.

        What a layer takes in and gives out is there at once, twice, since activation functions and
        sums make copies, and what skips past it.
        """
        held = widest = 0

        def count(module: nn.Module, inputs: Any, output: Any) -> None:
            nonlocal held, widest
            sizes = [t.numel() for t in (*inputs, output) if isinstance(t, Tensor)]
            held, widest = max(held, sum(sizes)), max(widest, *sizes)

        # its own weights; but what a layer counts, as means over batches, is not to change, nor
        # are there to be hooks. (PyTorch's device for shapes alone takes seconds to import.)
        weights = {id(parameter): parameter for parameter in self.parameters()}
        network = copy.deepcopy(self, weights)
        for module in network.modules():
            if not list(module.children()):
                module.register_forward_hook(count)
        side = 4 * self.stride
        place = next(self.parameters(), torch.zeros(())).device
        with torch.no_grad():
            network(torch.zeros(1, self.inputs, side, side, device=place))
        return 4 * (2 * held + widest) / side**2


class Discriminator(nn.Module):
    """Tells targets from enhanced images."""

    def forward(self, images: Tensor, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits (any shape; above 0 for targets) and the features of the layers within.

        Parameters
        ----------
        images : Tensor, shape (B, C, Y, X)
            To be judged, -1 to 1.
        inputs : Tensor, shape (B, C, Y, X)
            What they were, or would be, enhanced from.
        """
        raise NotImplementedError


def draw_weights(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02), scales of batch normalisation from N(1, 0.02); biases are 0.

    Isola et al. 2017, section 6.2 (arXiv 1611.07004); of the scales their program tells alone.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def radius_of(layers: list[tuple[int, int, int]]) -> int:
    """Radius of a chain of convolutions (side, stride, dilation), upsampling as stride 0.

    Examples
    --------
    >>> radius_of([(3, 1, 1), (3, 2, 1), (3, 1, 1)])
    4
    """
    reach, step = 0.0, 1.0
    for side, stride, dilation in layers:
        if stride == 0:
            step /= 2
        reach += (side - 1) / 2 * dilation * step
        step *= stride or 1
    return int(reach + 0.5)
