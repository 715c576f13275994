"""The command `cellqa`."""

from __future__ import annotations

import click

from cellqa.cli.examples import EXAMPLES
from cellqa.cli.helping import SETTINGS, Group


@click.group(cls=Group, explained=EXAMPLES, context_settings=SETTINGS)
@click.version_option(package_name="cellqa")
def main() -> None:
    """Judge enhanced microscope images: how good, by how much, how sure."""
