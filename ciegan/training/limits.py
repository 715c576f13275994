"""Time and memory of a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text


def _move_average(
    decay: float, averages: Sequence[Tensor], values: Sequence[Tensor], number: Tensor | int
) -> None:
    """Averages += (1 - d) (values - averages), d growing from 0.1 to `decay` with the steps."""
    begun = (1 + int(number)) / (10 + int(number))
    torch._foreach_lerp_(list(averages), list(values), 1 - min(decay, begun))
