"""Bits that a CUDA device computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32(*, exact: bool = True) -> Iterator[None]:
    """Products of float32 as float32, or with `exact` False as TF32 where the device has it.

    By default PyTorch lets convolutions on CUDA round their factors to 10 bits (TF32), which is 20
    grey levels of a 16-bit image. The CPU always computes in float32.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32, products.allow_tf32 = not exact, False
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def exact_products() -> None:
    """Products of float32 as float32 from now on, in all threads."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
