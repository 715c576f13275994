"""`ciegan watch`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import click

from cellqa import interrupts
from cellqa.cli.kinds import Seconds
from cellqa.cli.options import AnyPath, OutPath
from cellqa.terminal import report_failures, tell, warn
from ciegan.cli.enhance import network_options
from ciegan.cli.group import main, need_torch


@main.command()
@click.argument("run", type=AnyPath())
@click.argument("source", metavar="IN", type=AnyPath())
@click.argument("target", metavar="OUT", type=OutPath())
@network_options
@click.option(
    "--score", is_flag=True, help="Score results without reference: resolution, entropy, rsp, rse."
)
@click.option(
    "--settle",
    type=Seconds(0.1),
    default="2s",
    show_default=True,
    metavar="TIME",
    help="How long a file must not grow, where its writer did not close it.",
)
@click.option(
    "--rescan",
    type=Seconds(0.5),
    default="20s",
    show_default=True,
    metavar="TIME",
    help="Time between looks through the whole folder.",
)
@click.option(
    "--until-idle",
    type=Seconds(0.1),
    metavar="TIME",
    help="End when nothing has come for so long [default: go on until interrupted].",
)
@click.option(
    "--hold",
    type=Seconds(0),
    default="60s",
    show_default=True,
    metavar="TIME",
    help="How long a frame waits for the next, where the network looks at it; then goes without.",
)
@click.option(
    "--polling", is_flag=True, help="For network drives whose changes are not told to programs."
)
def watch(
    run: Path,
    source: Path,
    target: Path,
    *,
    score: bool,
    settle: float,
    rescan: float,
    until_idle: float | None,
    hold: float,
    polling: bool,
    **network: Any,
) -> None:
    """Enhance files as they appear in a folder.

    A file of IN is enhanced into OUT, as by `ciegan enhance`, when its writer closes it or it no
    longer grows. OUT receives enhanced.csv and watch.html, which shows how it goes. Ctrl-C ends
    after the files in work; the same command goes on where it ended, however it did.
    """
    need_torch()
    from ciegan.cli.enhance import open_network
    from ciegan.enhancing.watcher import WatchOptions
    from ciegan.enhancing.watching import watch

    if network["normalize"] == "folder":
        raise click.UsageError(
            "--normalize folder needs all images, and here they are yet to come: take train, which "
            "is the same for all"
        )
    checkpoint, options, runners = open_network(run, **network)
    stop = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends at once
        tell("ending after the files in work")
        stop.set()

    for number in interrupts.numbers():
        signal.signal(number, interrupt)
    warn(checkpoint.warnings)
    tell(f"watching {source}; {target / 'watch.html'} shows how it goes; Ctrl-C ends")
    watched = watch(
        checkpoint,
        source,
        target,
        options,
        watching=WatchOptions(settle, rescan, until_idle, polling, score, hold),
        runners=runners,
        stop=stop,
    )
    counts = watched.counts
    click.echo(f"enhanced {counts['ok']} images, moved {counts['moved']}: {target}")
    report_failures(
        sum(counts.values()), [(name, "enhance", why) for name, why in watched.failures.items()]
    )
