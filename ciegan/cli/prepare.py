"""`ciegan prepare`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cellqa.cli.helping import Command
from cellqa.cli.options import (
    AnyPath,
    OutPath,
    Positive,
    TableChoice,
    given_options,
    naming_options,
    parse_settings,
)
from cellqa.errors import CellqaError, did_you_mean
from cellqa.pairs.roles import Role
from cellqa.plugins import settings_of, with_settings
from cellqa.terminal import progress_bar, report_failures, warn
from ciegan.cli.group import main
from ciegan.cli.prepare_options import Range, check_options, scale_option, tiling_options


@main.group()
def prepare() -> None:
    """Make training data: pairs of tiles, split by field of view."""


def _run(prepare_it: Callable[..., Any], options: dict[str, Any]) -> None:
    """Call a preparation with what is common to all, and tell what came of it."""
    from ciegan.data import TilingOptions

    names = ("tile", "min_contrast", "split", "within", "field", "seed", "target", "pixel_size")
    try:
        tiling = TilingOptions(**{name: options.pop(name) for name in names})
        with progress_bar("Preparing") as progress:
            prepared = prepare_it(tiling=tiling, progress=progress, **options)
    except (ValueError, re.error) as error:
        raise click.UsageError(str(error)) from None
    click.echo(prepared.describe())
    click.echo(f"wrote {prepared.out}")
    warn(prepared.warnings)
    failures = [(source, plane or "image", why) for source, plane, why in prepared.failures]
    report_failures(prepared.tiles.total() + len(failures), failures)


@prepare.command()
@click.argument("stacks", metavar="STACK...", nargs=-1, required=True, type=AnyPath())
@click.argument("out", type=OutPath())
@click.option(
    "--distances",
    metavar="A,B,...",
    help="From the focus, in µm (in planes if no step is known) [default: every plane].",
)
@click.option("--tolerance", type=Positive(), help="Of the distances [default: half a step].")
@click.option(
    "--z-step",
    type=Positive(),
    metavar="UM",
    help="Between planes, in µm [default: as the file states].",
)
@click.option(
    "--z-pattern", metavar="REGEX", help="Its first group is a plane's µm in its file's name."
)
@click.option(
    "--modality",
    type=TableChoice("cellqa.focus.vote:MODALITIES"),
    default="fluorescence",
    show_default=True,
    help="How contrast behaves at focus; see `cellqa sharpest`.",
)
@click.option("--no-register", is_flag=True, help="Do not undo displacements between planes.")
@click.option(
    "--max-shift",
    type=Positive(),
    default=5.0,
    show_default=True,
    help="Leave out planes that are displaced by more pixels.",
)
@tiling_options()
def zstack(
    stacks: tuple[Path, ...],
    out: Path,
    distances: str | None,
    tolerance: float | None,
    z_step: float | None,
    z_pattern: str | None,
    modality: str,
    no_register: bool,
    max_shift: float,
    **options: Any,
) -> None:
    """Pair the sharpest plane of each STACK with planes out of focus, into OUT.

    A STACK is a file, a folder of planes, or a folder of stacks. The sharpest plane is found as
    `cellqa sharpest` does.
    """
    from ciegan.data import ZStack, prepare_zstack

    try:
        chosen = ZStack(
            tuple(float(part) for part in (distances or "").split(",") if part),
            tolerance,
            z_step,
            z_pattern,
            modality,
            not no_register,
            max_shift,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _run(lambda **rest: prepare_zstack(stacks, out, chosen, **rest), options)


@prepare.command()
@click.argument("gt", type=AnyPath())
@click.argument("out", type=OutPath())
@click.option(
    "--degradation",
    type=TableChoice("ciegan.data.degrade:DEGRADATIONS"),
    default="gaussian",
    show_default=True,
    help="The defocus models need the pixel size.",
)
@click.option(
    "--preset",
    type=TableChoice("ciegan.data.degrade:PUBLISHED"),
    help="paper: the authors' Gaussian, 13 x 13, sigma 2.3, no noise.",
)
@click.option(
    "--sigma",
    type=Range(),
    help="Of the Gaussian, in pixels; drawn for each image [default: 1:3].",
)
@click.option("--distance", type=Range(), help="From the focus, in µm; drawn for each image.")
@click.option("--na", type=Positive(), help="Numerical aperture [default: 0.75].")
@click.option("--wavelength", type=Positive(), metavar="UM", help="[default: 0.55]")
@click.option("--index", type=Positive(), help="Refractive index of the medium [default: 1].")
@click.option("--condenser-na", type=Positive(), help="Brightfield only [default: 0.2].")
@click.option(
    "--phase", type=float, help="Brightfield: phase shift over absorption at 10 µm [default: 1]."
)
@click.option(
    "--slope", type=float, help="Brightfield: how that falls with frequency [default: 0]."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=parse_settings,
    help="Any setting of the degradation, as kernel=13; again for more.",
)
@click.option(
    "--photons",
    type=click.FloatRange(0),
    default=1000.0,
    show_default=True,
    help="At the white level; 0 for no photon noise.",
)
@click.option(
    "--read-noise", type=click.FloatRange(0), default=0.0, show_default=True, help="Grey levels."
)
@click.option(
    "--offset", type=click.FloatRange(0), default=0.0, show_default=True, help="Of the camera."
)
@click.option(
    "--hot-pixels",
    type=click.FloatRange(0, 0.1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Of the pixels, to which up to white is added: networks learn to leave them out.",
)
@click.option(
    "--draws", type=click.IntRange(1), default=1, show_default=True, help="Copies of each image."
)
@click.option(
    "--bleaching",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Of the signal above --offset, left in the last of --draws copies; 1 for none.",
)
@click.option(
    "--of",
    type=AnyPath(),
    metavar="DIR",
    help="Degrade the images of these names in place of GT's own: another acquisition, or one "
    "without noise, so that input and target share none.",
)
@scale_option
@tiling_options()
def blur(
    gt: Path,
    out: Path,
    degradation: str,
    preset: str | None,
    settings: dict[str, str],
    photons: float,
    read_noise: float,
    offset: float,
    hot_pixels: float,
    draws: int,
    bleaching: float,
    of: Path | None,
    scale: int,
    **options: Any,
) -> None:
    """Degrade the sharp images in GT, and pair them with themselves, into OUT."""
    from ciegan.data import prepare_blur
    from ciegan.data.degrade import DEGRADATIONS, PUBLISHED, Noise

    short = {name: options.pop(name) for name in _SHORT}
    short = {name: value for name, value in short.items() if value is not None}
    if preset:
        for name in given_options():
            if name in {
                *_SHORT,
                "degradation",
                "settings",
                "photons",
                "read_noise",
                "offset",
                "hot_pixels",
            }:
                raise click.UsageError(f"{_option(name)} does nothing with {preset}")
        how, noise = PUBLISHED[preset]
    else:
        how = DEGRADATIONS[degradation]
        for name in short:
            if _SHORT[name] not in settings_of(how):
                raise click.UsageError(f"{_option(name)} does nothing with {degradation}")
        try:
            noise = Noise(photons, read_noise, offset, hot_pixels)
            how = with_settings(how, {_SHORT[n]: v for n, v in short.items()} | settings)
        except (CellqaError, ValueError) as error:
            raise click.UsageError(str(error)) from None
    options |= {"noise": noise, "draws": draws, "bleaching": bleaching, "of": of, "scale": scale}
    _run(lambda **rest: prepare_blur(gt, out, how, **rest), options)


# Options that are short for a setting of a degradation.
_SHORT = {
    "sigma": "sigma",
    "distance": "distance",
    "na": "microscope.na",
    "wavelength": "microscope.wavelength",
    "index": "microscope.index",
    "condenser_na": "microscope.condenser_na",
    "phase": "microscope.phase",
    "slope": "microscope.slope",
}


def _option(name: str) -> str:
    return "--set" if name == "settings" else "--" + name.replace("_", "-")


@prepare.command()
@click.argument("blurred", type=AnyPath())
@click.argument("sharp", type=AnyPath())
@click.argument("out", type=OutPath())
@naming_options
@check_options
@scale_option
@tiling_options()
def pairs(
    blurred: Path,
    sharp: Path,
    out: Path,
    *,
    strip: tuple[str, ...],
    match: tuple[str, ...],
    pairs: Path | None,
    **options: Any,
) -> None:
    """Cut the images of two folders, which pair by name, into OUT.

    The roles of names, as in --strip ROLE=TEXT, are `blurred` and `gt`.
    """
    from cellqa.pairs.naming import parse_naming
    from ciegan.data import prepare_pairs

    naming = parse_naming(strip, match, pairs, ("blurred", Role.REFERENCE))
    _run(lambda **rest: prepare_pairs(blurred, sharp, out, naming=naming, **rest), options)


@prepare.command()
@click.argument("source", metavar="IN", type=AnyPath())
@click.argument("out", type=OutPath())
@tiling_options()
def noisy(source: Path, out: Path, **options: Any) -> None:
    """Cut noisy images, all planes of each, into OUT, for `ciegan train --target self`.

    Two noisy captures of the same are `ciegan prepare pairs`, for `ciegan train --target other`.
    """
    from ciegan.data import prepare_noisy

    _run(lambda **rest: prepare_noisy(source, out, **rest), options)


@prepare.command("side-by-side")
@click.argument("ab", type=AnyPath())
@click.argument("out", type=OutPath())
@check_options
@tiling_options()
def side_by_side(ab: Path, out: Path, **options: Any) -> None:
    """Cut images that hold the sharp one on the left and the blurred one on the right, into OUT.

    That is how the CIEGAN authors store their pairs.
    """
    from ciegan.data import prepare_side_by_side

    _run(lambda **rest: prepare_side_by_side(ab, out, **rest), options)


class _TaskCommand(Command):
    """Lists the tasks below its options."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        from ciegan.data import TASKS

        with formatter.section("Tasks"):
            formatter.write_dl([(task.name, task.description) for task in TASKS.values()])
        super().format_epilog(ctx, formatter)


@prepare.command(cls=_TaskCommand)
@click.argument("name")
@click.argument("out", type=OutPath())
@click.option(
    "--sharp",
    type=AnyPath(),
    metavar="DIR",
    help="Sharp images of your own, to degrade instead of simulated scenes.",
)
@click.option(
    "--offset",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Of the camera that took --sharp.",
)
@tiling_options(min_contrast=None, split="0.6,0.15,0.25")
def task(name: str, out: Path, sharp: Path | None, offset: float, **options: Any) -> None:
    """Prepare a task to compare methods by, into OUT.

    NAME is one of those below. Sharp scenes are simulated, into OUT/sharp, and degraded.
    """
    from ciegan.data import TASKS, prepare_task

    if name not in TASKS:
        near = did_you_mean(name, TASKS)
        raise click.UsageError(f"NAME must be one of {', '.join(TASKS)}, got {name!r}{near}")
    if options["min_contrast"] is None:
        options["min_contrast"] = TASKS[name].min_contrast
    _run(lambda **rest: prepare_task(name, out, sharp=sharp, offset=offset, **rest), options)
