"""What the commands of `cellqa` and `ciegan` share on the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from cellqa import interrupts, plugins
from cellqa.disk import is_full
from cellqa.errors import CellqaError, printable
from cellqa.progress import Stage, outlet

Progress = Callable[[int, int], None]  # of what is done, and of all
Tell = Callable[[str], None]  # of a line about what happens

DONE_WITH_FAILURES = 3
BELOW_LIMIT = 4
PACKAGES = ("cellqa", "ciegan")
ALLOWED = "cellqa.allow-failures"  # in the context of a command


def interrupted(more: str = "") -> NoReturn:
    """End as the signal has it, with one line: that it was interrupted, and how to go on."""
    click.echo(f"\ninterrupted{more}", err=True)
    raise SystemExit(interrupts.status()) from None


class Commands(click.Group):
    """Commands of which every error that a user can cause is one line and exit status 1."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt:
            interrupted()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        logs, shown = [logging.getLogger(n) for n in PACKAGES], _Shown(logging.WARNING)
        for log in logs:
            log.addHandler(shown)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            interrupted()
        except CellqaError as error:
            raise click.ClickException(printable(" ".join(str(error).split()))) from None
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            name = f"{error.filename}: " if error.filename else ""
            more = "; make room, and run it again: what was there before stays"
            more = more if is_full(error) else ""
            raise click.ClickException(
                printable(f"{name}{error.strerror or error}{more}")
            ) from None
        finally:
            for log in logs:
                log.removeHandler(shown)
            warn(plugins.take_problems())


class _Shown(logging.Handler):
    """What the library has to say, among the command's own warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        warn([record.getMessage()])


@contextmanager
def progress_bar(label: str, more: int = 0) -> Iterator[Progress]:
    """Tells how far the work is, as --progress and --log have it.

    Parameters
    ----------
    label : str
    more : int
        Items of what comes after, which count in the time left.
    """
    stage = Stage(label, more)
    try:
        yield stage
    finally:
        stage.end()


def tell(line: str) -> None:
    """A line for who waits at a terminal, and for the log."""
    outlet.note(line.removeprefix("\r\x1b[K"))
    if sys.stderr.isatty():
        click.echo(line, err=True)


def tell_over_bar(line: str) -> None:
    """A line in place of the progress bar, which comes again below it."""
    tell(f"\r\x1b[K{line}")


def warn(warnings: Iterable[str]) -> None:
    """What to distrust, a line each."""
    for warning in warnings:
        _say(f"warning: {warning}")


def _say(line: str) -> None:
    """A line on stderr, and in the log."""
    outlet.note(printable(line))
    click.echo(printable(line), err=True)


def report_failures(
    total: int,
    failures: list[tuple[str, str, str]],
    table: Path | None = None,
    *,
    count: int | None = None,
    worst: tuple[int, int] | None = None,
) -> None:
    """Name what failed and end with status 3; where a table has the rest, ten are enough.

    With `--allow-failures`, no more than it allows are no reason to end so. `count` is how many
    there are where `failures` holds the first of them alone; `worst`, how many images failed of
    how many, by the method with the most, where there are several rows an image.
    """
    if not failures:
        return
    number = len(failures) if count is None else count
    shown = failures[:10] if table else failures
    for image, method, reason in shown:
        _say(f"failed: {image} ({method}): {reason}")
    if number > len(shown):
        rest = number - len(shown)
        _say(f"... and {rest} more, each with its reason in {table}")
    context = click.get_current_context(silent=True)
    allowed = context.meta.get(ALLOWED) if context else None
    bad, every = worst or (number, total)
    if allowed is not None and bad <= allowed.of(every):
        what = " images" if worst else ""
        _say(f"{bad} of {every}{what} failed, which --allow-failures {allowed.text} allows")
        return
    _say(f"{number} of {total} failed")
    raise SystemExit(DONE_WITH_FAILURES)


def align(rows: Sequence[Sequence[str]], left: bool = False) -> str:
    """Rows as columns: the first to the left, the others to the right unless `left`.

    Examples
    --------
    >>> print(align([["name", "psnr"], ["net", "30"]]))
    name  psnr
    net     30
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append(
            "  ".join(
                f"{c:{'<' if left or not k else '>'}{w}}" for k, (c, w) in enumerate(cells)
            ).rstrip()
        )
    return "\n".join(lines)
