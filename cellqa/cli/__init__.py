"""The command `cellqa`: each command parses its options, calls one function, prints the result."""

from cellqa.cli import (  # noqa: F401 - they add their commands
    analyse,
    demo,
    doctor,
    enhance,
    merge,
    plugins,
    questionnaire,
    report,
    score,
)
from cellqa.cli.group import main

__all__ = ["main"]
