"""Bits that a device computes with."""

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


def cpu_has_bf16() -> bool:
    """Whether this processor multiplies in bf16 (AVX512-BF16 or AMX); others imitate it, slowly."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def exact_products() -> None:
    """Products of float32 as float32 from now on, in all threads."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
