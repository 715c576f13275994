"""The command `cellqa`: each command parses its options, calls one function, prints the result."""

from cellqa.cli import analyse, demo, enhance, questionnaire, report, score  # noqa: F401 - they add their commands
from cellqa.cli.group import main

__all__ = ["main"]
