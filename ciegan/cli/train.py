"""`ciegan train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cellqa.cli.kinds import MetricNames, Seconds
from cellqa.cli.options import AnyPath, OutPath, TableChoice, overwrite_option, parse_settings
from cellqa.errors import by_name
from cellqa.terminal import interrupted, progress_bar, tell_over_bar, warn
from ciegan.cli.group import device_option, main, need_torch


def _parse_monitor(ctx: Any, parameter: Any, value: str | None) -> dict[str, float] | None:
    """Parse METRIC[=WEIGHT],... ."""
    if value is None:
        return None
    from cellqa.metrics.table import METRICS

    weights = {}
    for part in value.split(","):
        name, equals, weight = part.partition("=")
        try:
            number = float(weight) if equals else 1.0
        except ValueError:
            raise click.BadParameter(f"{part!r} is not METRIC or METRIC=WEIGHT") from None
        # one that is unknown is refused by the configuration, wherever it was named
        weights[by_name(name, METRICS) or name.strip()] = number
    return weights


BY_PRESET = "by preset"
# Options that are short for a key of the configuration.
_SHORT = {
    "start": "start",
    "target": "data.target",
    "context": "data.context",
    "steps": "schedule.steps",
    "batch_size": "data.batch_size",
    "crop": "data.crop",
    "workers": "data.workers",
    "normalize": "data.normalize",
    "generator": "generator.name",
    "rate": "optimizer.rate",
    "patience": "monitor.patience",
    "min_delta": "monitor.min_delta",
    "min_steps": "monitor.min_steps",
    "every": "monitor.every",
    "max_invented": "monitor.max_invented",
    "vgg_weights": "losses.vgg",
    "seed": "seed",
}


@main.command()
@click.argument("data", type=AnyPath())
@click.argument("out", type=OutPath())
@click.option("--preset", type=TableChoice("ciegan.config:PRESETS"), help="Where to start.")
@click.option(
    "--config", type=AnyPath(), metavar="TOML", help="Settings; see docs/explanation/ciegan.md."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=parse_settings,
    help="One setting, as data.crop=64; again for more.",
)
@click.option(
    "--from",
    "start",
    metavar="RUN",
    help="Begin from the weights of another run: fine-tuning, or more of a finished one.",
)
@click.option(
    "--target",
    type=TableChoice("ciegan.config.sections:TARGETS"),
    help="truth; other: another noisy capture; self: the noisy image itself [default: truth].",
)
@click.option(
    "--context",
    metavar="t:N|z:N",
    help="See N planes before and after in time or focus, too [default: the plane alone].",
)
@click.option(
    "--generator", show_default=BY_PRESET, help="The network; `ciegan plugins` lists them."
)
@click.option(
    "--monitor",
    type=MetricNames(),
    show_default=BY_PRESET,
    metavar="METRIC[=WEIGHT],...",
    callback=_parse_monitor,
    help="What the best weights are best in, on the validation split.",
)
@click.option(
    "--max-invented",
    type=float,
    show_default=BY_PRESET,
    help="Keep no weights whose mean share of invented detail is above.",
)
@click.option("--every", type=int, show_default=BY_PRESET, help="Steps between validations.")
@click.option(
    "--patience",
    type=int,
    show_default=BY_PRESET,
    help="Validations without a gain before stopping.",
)
@click.option("--min-delta", type=float, show_default=BY_PRESET, help="What counts as a gain.")
@click.option("--min-steps", type=int, show_default=BY_PRESET, help="Do not stop before.")
@click.option(
    "--steps", type=int, show_default=BY_PRESET, help="In all; without it --max-time decides."
)
@click.option("--max-time", type=Seconds(), help="As 15min or 2h; the schedule ends in it.")
@click.option(
    "--batch-size", type=int, show_default=BY_PRESET, help="Crops in a step, in each process."
)
@click.option(
    "--crop", type=int, show_default=BY_PRESET, help="Side of the training images, in pixels."
)
@click.option("--rate", type=float, show_default=BY_PRESET, help="Learning rate of the generator.")
@click.option("--normalize", show_default=BY_PRESET, help="image, train or range.")
@click.option("--workers", type=int, show_default=BY_PRESET, help="Processes that load images.")
@click.option(
    "--vgg-weights", metavar="FILE|download|random", help="For perceptual and style loss."
)
@click.option("--seed", type=int, show_default=BY_PRESET, help="Of the weights and of the crops.")
@device_option
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--resume", is_flag=True, help="Go on with the run in OUT, exactly.")
@overwrite_option
def train(
    data: Path,
    out: Path,
    preset: str | None,
    config: Path | None,
    settings: dict[str, str],
    monitor: dict[str, float] | None,
    max_time: float | None,
    device: str,
    devices: int,
    resume: bool,
    overwrite: bool,
    **short: Any,
) -> None:
    """Train a network on DATA, as `ciegan prepare` makes it, into the folder OUT.

    OUT receives config.toml, metrics.csv, TensorBoard events, sample montages, best.safetensors,
    last.ckpt (for --resume) and summary.json.
    """
    need_torch()
    from dataclasses import replace

    from ciegan.config import PRESETS, preset_on, read_config, with_settings
    from ciegan.network.device import choose_device
    from ciegan.training.run import Interrupted, is_child, train as train_networks

    given = {name: value for name, value in short.items() if value is not None}
    changes = [
        *given,
        *settings,
        *(
            n
            for n, v in (("preset", preset), ("config", config), ("monitor", monitor))
            if v is not None
        ),
    ]
    if resume and changes:
        first = {"start": "from"}.get(changes[0], changes[0]).replace("_", "-")
        name = f"--set {first}" if "." in first else f"--{first}"
        raise click.UsageError(f"--resume goes on with the run's own settings; drop {name}")
    if resume and overwrite:
        raise click.UsageError("--resume goes on with an earlier run, --overwrite replaces it")
    chosen = preset_on(choose_device(device).type, preset or "default")
    if config is not None:
        chosen = read_config(config, chosen)
    # a network's name first: its options are its own
    chosen = with_settings(chosen, {_SHORT[name]: str(value) for name, value in given.items()})
    chosen = with_settings(chosen, settings)
    if monitor is not None:
        chosen = replace(chosen, monitor=replace(chosen.monitor, metrics=monitor))
    usual = PRESETS[chosen.preset].schedule.steps
    fixed = chosen.schedule.steps != usual or "steps" in given or "schedule.steps" in settings
    try:
        with progress_bar("Training") as progress:
            trained = train_networks(
                data,
                out,
                chosen,
                device=device,
                devices=devices,
                max_time=max_time,
                fit_time=max_time is not None and not fixed,
                resume=resume,
                overwrite=overwrite,
                tell=tell_over_bar,
                progress=progress,
            )
    except Interrupted:
        interrupted(": go on from the last validation with the same DATA and OUT and --resume")
    if not is_child():
        click.echo(f"{trained.describe()}\nwrote {out}")
        warn(trained.warnings)
