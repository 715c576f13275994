"""The moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def averaging(updates: int, decay: float) -> float:
    """What the average keeps of itself at an update: nothing at first, `decay` at last.

    Examples
    --------
    >>> [round(averaging(n, 0.999), 4) for n in (0, 1, 10, 10_000, 100_000)]
    [0.0, 0.1818, 0.55, 0.999, 0.999]
    """
    return min(decay, (1 + updates) / (10 + updates)) if updates else 0.0


class MovingAverage(nn.Module):
    """A copy of a network whose weights follow those of the network.

    Parameters
    ----------
    network : Module

    Attributes
    ----------
    module : Module
        The copy.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, kept: float | Tensor) -> None:
        """Average = kept (average - weights) + weights; buffers are copied.

        Parameters
        ----------
        network : Module
        kept : float or Tensor
            See `averaging`; a tensor, of which the result is the same, stays on its device.
        """
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(network.parameters())
        # no `lerp`, which rounds otherwise where a number is given than where it is a tensor
        torch._foreach_sub_(averages, weights)
        torch._foreach_mul_(averages, kept)
        torch._foreach_add_(averages, weights)
        for own, buffer in zip(self.module.buffers(), network.buffers(), strict=True):
            own.copy_(buffer)
