"""`cellqa plugins`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

from cellqa.cli.group import main
from cellqa.plugins import Registry
from cellqa.terminal import align

_TABLES = (
    "cellqa.metrics.table:METRICS",
    "cellqa.io:FORMATS",
    "cellqa.enhance:ENHANCERS",
    "cellqa.engines:ENGINES",
)


@main.command()
def plugins() -> None:
    """List metrics, formats, enhancers and engines, each with the package that brings it."""
    click.echo(list_tables(_TABLES))


def list_tables(tables: Sequence[str]) -> str:
    """The entries of open tables with their packages, for the terminal.

    Parameters
    ----------
    tables : sequence of str
        Where each is, as `cellqa.io:FORMATS`.
    """
    rows = [["entry point", "name", "package"]]
    for table in tables:
        module, _, attribute = table.partition(":")
        registry: Registry[object] = getattr(importlib.import_module(module), attribute)
        rows += [[registry.group, name, registry.package_of(name)] for name in registry]
    return align(rows, left=True)
