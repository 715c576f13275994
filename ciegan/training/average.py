"""The moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def averaging(updates: int, decay: float) -> float:
    """What the newest weights count in the average: all at first, ever less, 1 - `decay` at last.

    Examples
    --------
    >>> [round(averaging(n, 0.999), 4) for n in (0, 1, 10, 10_000, 100_000)]
    [1.0, 0.8182, 0.45, 0.001, 0.001]
    """
    return 1 - min(decay, (1 + updates) / (10 + updates)) if updates else 1.0


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
    def update(self, network: nn.Module, share: float | Tensor) -> None:
        """Average += share (weights - average); buffers are copied.

        Parameters
        ----------
        network : Module
        share : float or Tensor
            See `averaging`; a tensor stays on its device.
        """
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(network.parameters())
        if isinstance(share, Tensor):
            steps = torch._foreach_sub(weights, averages)
            torch._foreach_mul_(steps, share)
            torch._foreach_add_(averages, steps)
        else:
            torch._foreach_lerp_(averages, weights, share)
        for kept, buffer in zip(self.module.buffers(), network.buffers(), strict=True):
            kept.copy_(buffer)
