"""The command line: one file for each group of commands, each importing what it needs when run."""

from ciegan.cli import enhance, prepare, train, validate, watch  # noqa: F401 - they add their commands
from ciegan.cli.group import main

__all__ = ["main"]
