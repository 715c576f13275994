"""`ciegan compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from cellqa.cli.kinds import Seconds
from cellqa.cli.options import AnyPath, OutPath, jobs_option, overwrite_option, parse_settings
from cellqa.terminal import interrupted, progress_bar, report_failures, tell_over_bar, warn
from ciegan.cli.group import device_option, main, need_torch

_METHODS = "te,te_tuned,wiener,rl,pix2pix,paper,paper+egt,default"


def _by_preset(ctx: Any, parameter: Any, values: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Parse [PRESET:]KEY=VALUE."""
    from ciegan.config import PRESETS

    settings: dict[str, dict[str, str]] = {}
    for name, text in parse_settings(ctx, parameter, values).items():
        preset, colon, key = name.rpartition(":")
        if colon and preset not in PRESETS:
            raise click.BadParameter(f"{preset!r} is no preset: {', '.join(PRESETS)}")
        settings.setdefault(preset, {})[key] = text
    return settings


@main.command()
@click.option("--data", type=AnyPath(), required=True, help="As `ciegan prepare` makes it.")
@click.option(
    "--methods",
    "names",
    default=_METHODS,
    show_default=True,
    metavar="NAME,...",
    help="Of `cellqa enhance` and te_tuned; presets; PRESET+egt; NAME=WEIGHTS of any network.",
)
@click.option(
    "--budget",
    type=Seconds(),
    help="Training time of each network, as 30m or 2h  [default: 30m]",
)
@click.option("--steps", type=click.IntRange(10), help="In place of it: training steps of each.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Times that each network is trained.",
)
@click.option("--out", type=OutPath(), required=True, metavar="DIR", help="Where to write.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="[PRESET:]KEY=VALUE",
    callback=_by_preset,
    help="A setting of training, as paper:data.batch_size=4; again for more.",
)
@click.option(
    "--kernel",
    type=AnyPath(),
    help="Measured kernel of Wiener and Richardson-Lucy  [default: a Gaussian is fitted]",
)
@device_option
@jobs_option
@overwrite_option
def compare(
    data: Path,
    names: str,
    budget: float | None,
    steps: int | None,
    seeds: int,
    out: Path,
    settings: dict[str, dict[str, str]],
    kernel: Path | None,
    device: str,
    jobs: int,
    overwrite: bool,
) -> None:
    """Train networks with the same budget, and judge them beside classical methods.

    Trains on the train split of DATA, keeps the weights that are best on val, enhances test with
    every method, scores against ground truth and enhanced ground truth, and makes the report:
    OUT/results/report.html. The same command again goes on where it was ended.
    """
    need_torch()
    if budget is not None and steps is not None:
        raise click.UsageError("--budget and --steps are two budgets; give one")
    from cellqa.tables.means import terminal_summary
    from cellqa.terminal import align
    from ciegan.judging.comparing import compare as compare_methods
    from ciegan.judging.methods import parse_methods
    from ciegan.training.run import Interrupted

    try:
        with progress_bar("Comparing") as progress:
            compared = compare_methods(
                data,
                out,
                parse_methods(names),
                seconds=(budget or 1800.0) if steps is None else None,
                steps=steps,
                seeds=seeds,
                settings=settings,
                kernel=kernel,
                device=device,
                jobs=jobs,
                overwrite=overwrite,
                command=["ciegan", *sys.argv[1:]],
                tell=tell_over_bar,
                progress=progress,
            )
    except (Interrupted, KeyboardInterrupt):
        interrupted(": the same command goes on")
    click.echo(terminal_summary(compared.finished))
    for rows in filter(None, (_short(compared.costs), compared.seeds)):
        click.echo(f"\n{align(rows)}")
    click.echo(f"\nwrote {out}: {compared.page}")
    warn(compared.warnings)
    failures = [(r.image, r.method, r.reason) for r in compared.finished.tally.failures]
    failures += [(name, "method", reason) for name, reason in compared.failures]
    total = compared.finished.tally.rows + len(compared.failures)
    report_failures(total, failures, compared.finished.paths[0])


def _short(costs: list[list[str]]) -> list[list[str]]:
    """Without what the methods are, which is long."""
    return [row[:-1] for row in costs]
