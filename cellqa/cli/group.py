"""The command `cellqa`."""

from __future__ import annotations

import click

from cellqa.terminal import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cellqa")
def main() -> None:
    """Judge enhanced microscope images: how good, by how much, how sure."""
