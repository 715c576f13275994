"""What a network costs: parameters and arithmetic, counted without computing anything."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from ciegan.models import Generator


def parameters(network: nn.Module) -> int:
    """Numbers that are learned.

    Examples
    --------
    >>> from ciegan.models import GENERATORS
    >>> parameters(GENERATORS["resunet"](1))
    564708
    """
    return sum(p.numel() for p in network.parameters())


def multiplications(generator: Generator, side: int = 256) -> int:
    """Multiply-accumulate operations of convolutions and linear layers for one square image.

    Parameters
    ----------
    generator : Generator
    side : int
        Of the image, in pixels; the result is for this side, whatever the stride.

    Examples
    --------
    A convolution of 9 weights from one channel to one:

    >>> class One(Generator):
    ...     channels, stride, radius = 1, 1, 1
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Conv2d(1, 1, 3, padding=1)
    ...     def forward(self, images):
    ...         return self.layer(images)
    >>> multiplications(One(), 10)
    900
    """
    total = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, Tensor)
        # each weight is used once for each pixel of the output; of a transposed convolution, input
        at = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        places = math.prod(at.shape[2:]) if at.ndim == 4 else math.prod(at.shape[:-1])
        total += weight.numel() * places

    shapes = copy.deepcopy(generator).to("meta")
    for module in shapes.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.register_forward_hook(count)
    padded = generator.stride * math.ceil(side / generator.stride)
    with torch.inference_mode():
        shapes(torch.zeros(1, generator.inputs, padded, padded, device="meta"))
    return round(total * (side / padded) ** 2)
