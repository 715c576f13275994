"""Devices to compute on: their names, which are here, and what is said when one fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cellqa.errors import CellqaError, first_line
from ciegan.config.devices import DEVICES, is_device

# what PyTorch's errors say where it is the device that failed, and not the program or its data
_FAILED = re.compile(r"\bCUDA error|cuDNN error|CUBLAS_STATUS|MPS backend|or unavailable", re.I)


class DeviceError(CellqaError):
    """A device that is busy, failed or was lost: nothing else can be computed on it."""


def choose_device(name: str) -> torch.device:
    """The device to compute on.

    Parameters
    ----------
    name : str
        `cpu`; `cuda`, the first that is visible; `cuda:N`, from 0, of those that are visible
        (`CUDA_VISIBLE_DEVICES`, which batch systems set); `mps`, Apple's; `auto`: CUDA where it is
        there, else Apple's, else the CPU.

    Raises
    ------
    CellqaError
        It is not there.
    """
    if not is_device(name):
        raise CellqaError(f"--device {name}: take {DEVICES}")
    if name == "auto":
        name = "cuda" if _cuda() else "mps" if _mps() else "cpu"
    if name.startswith("cuda") and not _cuda():
        raise CellqaError(f"--device {name}: no CUDA device can be used here; take --device cpu")
    if name == "mps" and not _mps():
        raise CellqaError("--device mps: this is no Apple device; take --device cpu")
    device = torch.device("cuda", 0) if name == "cuda" else torch.device(name)
    if device.index is not None and device.index >= number_of(device):
        raise CellqaError(
            f"--device {name}: there are {number_of(device)} CUDA devices here, from cuda:0"
        )
    return device


def number_of(device: torch.device) -> int:
    """Devices of a kind that can be used here."""
    return torch.cuda.device_count() if device.type == "cuda" else 1


def name_of(device: torch.device) -> str:
    """The model of a CUDA device, else the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _cuda() -> bool:
    return torch.cuda.is_available()


def _mps() -> bool:
    return bool(torch.backends.mps.is_available())


@contextmanager
def device_errors() -> Iterator[None]:
    """Say in one line that a device failed.

    Raises
    ------
    DeviceError
        In place of the error that says so.
    """
    try:
        yield
    except RuntimeError as error:
        if is_memory_error(error) or not _FAILED.search(str(error)):
            raise
        raise DeviceError(
            f"the device is busy, failed or was lost ({first_line(error)}); what is done stays: "
            "run the command again to go on, with another --device if need be"
        ) from None


def is_memory_error(error: BaseException) -> bool:
    """Whether memory ran out, on the CPU or a device."""
    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate" in text)
    )
