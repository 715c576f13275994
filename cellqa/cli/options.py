"""Options of the command line: types, and what turns their text into values."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from cellqa.cli.kinds import Positive as Positive
from cellqa.errors import CellqaError, by_name, did_you_mean
from cellqa.pairs.roles import GIVEN, LABELS
from cellqa.tables.folder import GALLERY


class TableChoice(click.ParamType[str]):
    """A name in a table, which is loaded when it is needed.

    Parameters
    ----------
    table : str
        Where it is, as `cellqa.enhance:ENHANCERS`.
    """

    name = "name"

    def __init__(self, table: str) -> None:
        self._table = table

    @property
    def names(self) -> list[str]:
        """What can be chosen, other packages' among them."""
        module, _, name = self._table.partition(":")
        return list(getattr(importlib.import_module(module), name))

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The names, as `click.Choice` shows them."""
        return f"[{'|'.join(self.names)}]"

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name."""
        names = self.names
        found = by_name(str(value), names)
        if found is None:
            near = did_you_mean(str(value), names)
            self.fail(f"{value!r} is not one of {', '.join(names)}{near}", parameter, ctx)
        return found

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so."""
        return [CompletionItem(n) for n in self.names if n.startswith(incomplete)]


def given_options() -> list[str]:
    """Names of the running command's options that stand on its command line."""
    context = click.get_current_context()
    line = click.core.ParameterSource.COMMANDLINE
    return [name for name in context.params if context.get_parameter_source(name) is line]


class AnyPath(click.Path):
    """A path; an empty one (a shell variable that is not set) is an error."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Return the path."""
        if not str(value):
            self.fail("the path is empty", parameter, ctx)
        return Path(value)


class OutPath(AnyPath):
    """A path to write to: on this machine."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Return the path."""
        from cellqa.io.stores import url_of

        path = super().convert(value, parameter, ctx)
        if url_of(path):
            self.fail(
                f"{value!r} is a URL, and results are written to the disk; give a folder there",
                parameter,
                ctx,
            )
        return path


def parse_settings(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """Parse KEY=VALUE."""
    settings = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
        settings[name] = text
    return settings


def parse_folders(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Parse [NAME=]DIR; the name is the folder's where none is given."""
    methods: dict[str, Path] = {}
    for value in values:
        name, equals, folder = value.partition("=")
        if not equals or Path(value).exists():
            name, folder = Path(value).absolute().name, value
        if not name or not folder:
            raise click.BadParameter(f"{value!r} lacks a name or a folder; give [NAME=]DIR")
        if name in methods:
            raise click.BadParameter(f"two methods are called {name!r}; name them: NAME={folder}")
        if name in GIVEN or name.startswith(LABELS):
            raise click.BadParameter(
                f"{name!r} is the name of another role; give a name: NAME={folder}"
            )
        methods[name] = Path(folder)
    return methods


def parse_metrics(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> list[str] | None:
    """Parse A,B into names of metrics."""
    from cellqa.metrics.registry import select

    try:
        return None if value is None else [m.name for m in select(value.split(","))]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parse_objects(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str | None, dict[str, Path]]:
    """Parse auto, labels:[METHOD=]DIR, or a command: how objects are found, and whose labels."""
    from cellqa.scoring.segmenting import BY_LABELS, check

    how: str | None = None
    labels: dict[str, Path] = {}
    for value in values:
        if value.startswith(LABELS):
            given = value.removeprefix(LABELS)
            name, equals, folder = given.partition("=")
            if not equals or Path(given).exists():
                name, folder = "gt", given
            if not name or not folder:
                raise click.BadParameter(f"{value!r} is not labels:[METHOD=]DIR")
            if name in labels:
                raise click.BadParameter(f"{name} has two folders of labels")
            labels[name] = Path(folder)
            continue
        if how is not None:
            raise click.BadParameter("objects are segmented in one way: give auto or one command")
        how = value
        try:
            check(how)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return how or (BY_LABELS if labels else None), labels


def parse_data_range(ctx: click.Context, parameter: click.Parameter, value: str) -> str | float:
    """Parse auto, dtype, set, percentile or a number."""
    from cellqa.scoring.data_range import parse

    try:
        return parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parse_camera(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[float, float, float] | None:
    """Parse GAIN,OFFSET,READ."""
    if value is None:
        return None
    try:
        gain, offset, read = map(float, value.split(","))
    except ValueError:
        gain = offset = read = math.nan
    if not (gain > 0 and offset >= 0 and read >= 0 and math.isfinite(gain + offset + read)):
        raise click.BadParameter(f"must be three numbers GAIN,OFFSET,READ, got {value!r}")
    return gain, offset, read


def parse_limits(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, float]:
    """Parse METRIC=VALUE,... into limits of metrics that have a direction."""
    from cellqa.metrics.registry import metric

    limits: dict[str, float] = {}
    for part in (value or "").split(",") if value is not None else ():
        name, equals, text = part.partition("=")
        if not equals:
            raise click.BadParameter(f"{part!r} is not METRIC=VALUE")
        try:
            chosen, limit = metric(name.strip()), float(text)
        except ValueError as error:
            raise click.BadParameter(f"{part!r}: {error}") from None
        if math.isnan(limit):
            raise click.BadParameter(f"{part!r} is not METRIC=VALUE")
        if chosen.name in limits:
            raise click.BadParameter(f"{chosen.name} has two limits")
        if not chosen.ranks:
            raise click.BadParameter(f"{chosen.name} has no better and worse")
        limits[chosen.name] = limit
    return limits


def check_engine(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check the name of an engine."""
    from cellqa.engines import parse_engine

    try:
        parse_engine(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


@contextmanager
def opened_engine(name: str, jobs: int, after_loss: str) -> Iterator[Any]:
    """An engine, for as long as the block takes.

    Raises
    ------
    CellqaError
        It was lost; the line ends with `after_loss`, what is kept and what to do.
    """
    from cellqa.engines import EngineLostError, open_engine

    engine = open_engine(name, jobs)
    try:
        yield engine
    except EngineLostError as error:
        raise CellqaError(f"{error}; {after_loss}") from None
    finally:
        engine.close()


def parse_shard(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Parse I/N."""
    part, _, number = value.partition("/")
    if not (part.isdecimal() and number.isdecimal() and 1 <= int(part) <= int(number)):
        raise click.BadParameter(f"must be I/N with I from 1 to N, got {value!r}")
    return int(part), int(number)


def parse_jobs(ctx: click.Context, parameter: click.Parameter, value: int | None) -> int:
    """Take all cores by default."""
    from cellqa.engines.local import usable_cores

    return value or usable_cores()


jobs_option: Any = click.option(
    "--jobs", type=click.IntRange(1), callback=parse_jobs, help="Processes [default: one a core]."
)
overwrite_option: Any = click.option(
    "--overwrite", is_flag=True, help="Replace the results of an earlier run."
)
engine_option: Any = click.option(
    "--engine",
    default="local",
    show_default=True,
    callback=check_engine,
    metavar="NAME[=ADDRESS]",
    help="Where to run: local, dask, dask=ADDRESS or dask=FILE.json; or of another package.",
)


def _take_missing(ctx: click.Context, parameter: click.Parameter, value: str) -> None:
    """Tell this process and its workers."""
    from cellqa.io.base import MISSING

    os.environ[MISSING] = value


missing_option: Any = click.option(
    "--missing",
    type=click.Choice(["fail", "fill"]),
    default="fail",
    show_default=True,
    callback=_take_missing,
    expose_value=False,
    help="Planes that a file says it has, and has not: an error, or zeros.",
)
pred_option: Any = click.option(
    "--pred",
    multiple=True,
    required=True,
    metavar="[NAME=]DIR",
    callback=parse_folders,
    help="Folder of enhanced images; again for each method to compare.",
)


def together(*options: Any) -> Any:
    """One decorator for options and arguments that commands share, in this order."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


# what says which names belong together; for `cellqa.pairs.naming.parse_naming`
naming_options: Any = together(
    click.option(
        "--strip",
        multiple=True,
        metavar="[ROLE=]TEXT",
        help="Text at the beginning or end of names that is not the image's; ROLE is a method, or "
        "one of gt, input, mask, valid [default: an affix that all names have].",
    ),
    click.option(
        "--match",
        multiple=True,
        metavar="[ROLE=]REGEX",
        help="Expression on the path without suffix, whose named groups say which image it is.",
    ),
    click.option(
        "--pairs",
        type=AnyPath(),
        metavar="FILE.csv",
        help="A row for each image, a column for each role: its file. Nothing goes by names then.",
    ),
)
pixel_size_option: Any = click.option(
    "--pixel-size",
    type=Positive(),
    metavar="UM",
    help="In micrometres [default: as the files say].",
)
table_option: Any = click.option(
    "--table",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="parquet: scores.parquet and objects.parquet too, for tables of millions of rows.",
)
json_option: Any = click.option(
    "--json", "as_json", is_flag=True, help="Print the summary as JSON, in place of the table."
)
gallery_option: Any = click.option(
    "--gallery",
    type=click.IntRange(0),
    default=GALLERY,
    show_default=True,
    metavar="N",
    help="Images that get pictures in report.html; 0 for none.",
)
files_option: Any = click.option(
    "--files",
    is_flag=True,
    help="Pictures as files in report_files/ beside report.html, not inside it.",
)
