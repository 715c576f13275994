"""Names of devices to compute on."""

from __future__ import annotations

import re

DEVICES = "auto, cpu, cuda, cuda:N or mps"
_NAME = re.compile(r"auto|cpu|cuda(:\d{1,4})?|mps")


def is_device(name: str) -> bool:
    """Whether a name is one of those that `--device` takes.

    Examples
    --------
    >>> [is_device(name) for name in ("auto", "cuda:1", "mps", "gpu")]
    [True, True, True, False]
    """
    return bool(_NAME.fullmatch(name))
