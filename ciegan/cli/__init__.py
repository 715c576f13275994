"""The command line: one file for each group of commands, each importing what it needs when run."""

from ciegan.cli import (  # noqa: F401 - they add their commands
    calibrate,
    check,
    compare,
    demo,
    enhance,
    export,
    mosaic,
    plugins,
    prepare,
    train,
    validate,
    watch,
)
from ciegan.cli.group import main

__all__ = ["main"]
