"""Flips and quarter turns of an image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cellqa.planes import Array

MOST_SAMPLES = 8


def turned(window: Array, number: int) -> Array:
    """One of the eight flips and quarter turns of (C, Y, X)."""
    flipped = window[:, :, ::-1] if number % 2 else window
    return np.ascontiguousarray(np.rot90(flipped, number // 2, (1, 2)))


def turned_back(window: Array, number: int) -> Array:
    """The inverse of `turned`."""
    straight = np.rot90(window, -(number // 2), (1, 2))
    return straight[:, :, ::-1] if number % 2 else straight


def turned_tensor(windows: Tensor, number: int) -> Tensor:
    """`turned`, of a tensor (..., Y, X)."""
    flipped = windows.flip(-1) if number % 2 else windows
    return torch.rot90(flipped, number // 2, (-2, -1))


def turned_tensor_back(windows: Tensor, number: int) -> Tensor:
    """The inverse of `turned_tensor`."""
    straight = torch.rot90(windows, -(number // 2), (-2, -1))
    return straight.flip(-1) if number % 2 else straight
