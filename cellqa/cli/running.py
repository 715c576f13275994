"""Options of every long command: where it tells how far it is, and how many images may fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import click

from cellqa.errors import printable
from cellqa.progress import MODES, outlet
from cellqa.terminal import ALLOWED


class Allowed(NamedTuple):
    """How many images may fail.

    Attributes
    ----------
    text : str
        As it was given.
    number : int or None
    share : float
        Of all, where there is no number.
    """

    text: str
    number: int | None
    share: float = 0.0

    def of(self, total: int) -> float:
        """How many of so many."""
        return self.share * total if self.number is None else self.number


class Allowance(click.ParamType[Allowed]):
    """A number, or a share: 5, 0.1 or 10%."""

    name = "number"

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> Allowed:
        """Return what is allowed."""
        if isinstance(value, Allowed):
            return value
        text = str(value).strip()
        if text.isdecimal():
            return Allowed(text, int(text))
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(
                f"{value!r} is neither a number of images nor a share as 0.1 or 10%", parameter, ctx
            )
        return Allowed(text, None, share)


def _take_allowance(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        ctx.meta[ALLOWED] = value


def _take_log(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    """Open the log, at its end, until the command ends."""
    if value is None or ctx.resilient_parsing:
        return
    try:
        file = value.open("a", encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{str(value)!r} cannot be written: {error.strerror}") from None
    outlet.log = file
    outlet.note(printable(f"begin: {' '.join(sys.argv)}"))

    def close() -> None:
        outlet.note("end")
        outlet.log = None
        file.close()

    ctx.call_on_close(close)


def _take_mode(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    outlet.mode = value
    ctx.call_on_close(lambda: setattr(outlet, "mode", None))


LONG: list[click.Parameter] = [
    click.Option(
        ["--log"],
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_take_log,
        expose_value=False,
        metavar="FILE",
        help="Add to a file, a line each: how far it is, every minute; warnings; failures.",
    ),
    click.Option(
        ["--progress"],
        type=click.Choice(MODES),
        callback=_take_mode,
        expose_value=False,
        help="On stderr; plain and json: a line every minute  [default: bar on a terminal, else "
        "plain].",
    ),
]
FAILING: list[click.Parameter] = [
    click.Option(
        ["--allow-failures"],
        type=Allowance(),
        callback=_take_allowance,
        expose_value=False,
        metavar="N|SHARE",
        help="End with status 0 if no more images fail, as 5, 0.1 or 10%  [default: none may].",
    )
]
