"""The command `ciegan`."""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from cellqa.errors import MissingExtraError
from cellqa.terminal import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cellqa")
def main() -> None:
    """Sharpen microscope images with a network, trained and stopped by what cellqa measures."""


_EXTRA = (
    "torch",
    "lightning",
    "pytorch_msssim",
    "safetensors",
    "tensorboard",
    "tomli_w",
    "watchdog",
)


def need_torch() -> None:
    """Refuse in one line where the extra `gan` is not installed.

    Raises
    ------
    MissingExtraError
        A package of it is missing.
    """
    for name in _EXTRA:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(
                f"training needs {name}; install it with: pip install 'cellqa[gan]'"
            )


device_option: Any = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes CUDA if it is there.",
)
