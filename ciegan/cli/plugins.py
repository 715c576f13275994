"""`ciegan plugins`."""

from __future__ import annotations

import click

from cellqa.cli.plugins import list_tables
from ciegan.cli.group import main, need_torch

_TABLES = (
    "ciegan.models:GENERATORS",
    "ciegan.losses:TERMS",
    "ciegan.data.degrade:DEGRADATIONS",
)


@main.command()
def plugins() -> None:
    """List generators, terms of the loss and degradations, each with the package that brings it."""
    need_torch()
    click.echo(list_tables(_TABLES))
