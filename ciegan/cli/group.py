"""The command `ciegan`."""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from cellqa.cli.helping import SETTINGS, Group
from cellqa.errors import MissingExtraError
from cellqa.extras import install_line
from ciegan.cli.examples import EXAMPLES


@click.group(cls=Group, explained=EXAMPLES, context_settings=SETTINGS)
@click.version_option(package_name="cellqa")
def main() -> None:
    """Sharpen microscope images with a network, trained and stopped by what cellqa measures."""


_EXTRA = (
    "torch",
    "lightning",
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
                f"training needs {name}; install it with: {install_line('gan')}"
            )


def _check_device(ctx: Any, parameter: Any, value: str) -> str:
    from ciegan.config.devices import DEVICES, is_device

    if not is_device(value):
        raise click.BadParameter(f"{value!r} is none of {DEVICES}")
    return value


device_option: Any = click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N|mps",
    default="auto",
    show_default=True,
    callback=_check_device,
    help="Where to compute; auto takes CUDA or Apple's device if it is there.",
)
