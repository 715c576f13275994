"""`ciegan validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cellqa.cli.options import AnyPath, OutPath, jobs_option, overwrite_option
from cellqa.terminal import progress_bar, report_failures, warn
from ciegan.cli.group import device_option, main, need_torch


def _parse_runs(ctx: Any, parameter: Any, values: tuple[str, ...]) -> dict[str, Path]:
    """Parse [NAME=]RUN; the name is the folder's where none is given."""
    from cellqa.cli.options import parse_folders

    return parse_folders(ctx, parameter, values)


@main.command()
@click.argument("runs", metavar="[NAME=]RUN...", nargs=-1, required=True, callback=_parse_runs)
@click.option("--data", type=AnyPath(), required=True, help="As `ciegan prepare` makes it.")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    default="test",
    show_default=True,
    help="Which part of DATA to enhance.",
)
@click.option(
    "--out", type=OutPath(), metavar="DIR", help="Where to write [default: RUN/validation-SPLIT]."
)
@device_option
@jobs_option
@overwrite_option
def validate(
    runs: dict[str, Path],
    data: Path,
    split: str,
    out: Path | None,
    device: str,
    jobs: int,
    overwrite: bool,
) -> None:
    """Enhance a split with trained networks, score it beside classical methods, make the report.

    RUN is the folder of `ciegan train`, or its best.safetensors; several are compared. Beside them
    stand the input, traditional enhancement (TE), enhanced ground truth (EGT), a Wiener filter and
    Richardson-Lucy, tuned on the validation split.
    """
    need_torch()
    from cellqa.tables.means import terminal_summary
    from ciegan.judging.validation import validate as validate_runs

    first = next(iter(runs.values()))
    folder = out or (first if first.is_dir() else first.parent) / f"validation-{split}"
    with progress_bar("Enhancing") as progress:
        validated = validate_runs(
            runs,
            data,
            folder,
            split=split,
            device=device,
            jobs=jobs,
            overwrite=overwrite,
            progress=progress,
        )
    for name, what in validated.settings.items():
        click.echo(f"{name}: {what}")
    click.echo(terminal_summary(validated.finished))
    click.echo("\nwrote " + ", ".join(map(str, [*validated.finished.paths, validated.page])))
    warn([*validated.warnings, *validated.finished.warnings])
    failures = [(r.image, r.method, r.reason) for r in validated.finished.tally.failures]
    report_failures(validated.finished.tally.rows, failures, validated.finished.paths[0])
