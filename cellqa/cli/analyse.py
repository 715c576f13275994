"""`cellqa metrics`, `cellqa resolution` and `cellqa sharpest`."""

from __future__ import annotations

from pathlib import Path

import click

from cellqa.cli.group import main
from cellqa.cli.options import (
    AnyPath,
    OutPath,
    TableChoice,
    jobs_option,
    overwrite_option,
    pixel_size_option,
)
from cellqa.errors import CellqaError
from cellqa.terminal import align, progress_bar, report_failures


@main.command()
@click.option("--markdown", is_flag=True, help="As the table of the README.")
def metrics(markdown: bool) -> None:
    """List the metrics: what they measure, direction, unit, range, definition, needs, DOI."""
    from cellqa.metrics.registry import markdown_table
    from cellqa.metrics.table import METRICS

    if markdown:
        click.echo(markdown_table())
        return
    head = ["name", "better", "unit", "measures", "range", "definition", "needs", "doi", "package"]
    rows = [
        [
            *(m.name, m.arrow, m.unit or "-", m.measures, m.range or "-", m.definition, m.asks),
            *(m.doi or "-", METRICS.package_of(m.name)),
        ]
        for m in METRICS.values()
    ]
    click.echo(align([head, *rows], left=True))


@main.command()
@click.argument("images", nargs=-1, required=True, type=AnyPath())
@pixel_size_option
@click.option("--fast", is_flag=True, help="The authors' fast mode, another estimator.")
@click.option(
    "--frc",
    is_flag=True,
    help="Also Fourier ring correlation of each image with itself; for raw images only.",
)
@click.option(
    "--sectors",
    type=click.IntRange(2, 36),
    metavar="N",
    help="Also the resolution in N directions: astigmatism, motion, scan lines.",
)
@click.option(
    "--map",
    "map_",
    type=OutPath(),
    metavar="DIR",
    help="Also local resolution: a TIFF, in µm or pixels, and a figure of each plane.",
)
@click.option(
    "--tile",
    type=click.IntRange(41, 4096),
    default=128,
    show_default=True,
    metavar="PX",
    help="Side of the overlapping tiles of --map.",
)
@click.option(
    "--plot",
    type=OutPath(),
    metavar="PNG|SVG",
    help="Draw the curves (and sectors); of several planes into NAME-1.png, NAME-2.png ...",
)
@overwrite_option
def resolution(
    images: tuple[Path, ...],
    pixel_size: float | None,
    fast: bool,
    frc: bool,
    sectors: int | None,
    map_: Path | None,
    tile: int,
    plot: Path | None,
    overwrite: bool,
) -> None:
    """Resolution of each plane by decorrelation analysis: kc, resolution, A0."""
    from cellqa.scoring.resolution import (
        analyse_resolution,
        files_of,
        map_paths,
        sector_rows,
        write_maps,
    )
    from cellqa.tables.folder import check_outputs, numbered

    _check_plot(plot)
    files = files_of(images)
    if plot:
        check_outputs({"--plot": [plot]}, files, overwrite=overwrite)
    if map_ and map_.exists() and not map_.is_dir():
        raise CellqaError(f"--map: {str(map_)!r} is a file; give a folder")
    inside = next((i for i in images if map_ and i.is_dir() and _within(map_, i)), None)
    if inside:
        raise CellqaError(f"--map: {str(map_)!r} is in {str(inside)!r}, whose images are read")
    with progress_bar("Analysing") as progress:
        rows, failures, analyses = analyse_resolution(
            files,
            pixel_size=pixel_size,
            fast=fast,
            frc=frc,
            sectors=sectors or 0,
            tile=tile if map_ else 0,
            progress=progress,
        )
    if analyses:
        click.echo(align(rows, left=True))
    for plane in analyses if sectors else ():
        click.echo(f"\n{plane.name}\n" + align(sector_rows(plane), left=True))
    mapped = [plane for plane in analyses if plane.local is not None]
    maps = map_paths(map_, mapped) if map_ else []
    curves = numbered(plot, len(analyses)) if plot and analyses else []
    turned = [pair for pair in zip(curves, analyses, strict=False) if pair[1].sectors]
    polar = [path.with_stem(f"{path.stem}-sectors") for path, _ in turned]
    outputs = {"--map": [p for m in maps for p in (m, m.with_suffix(".png"))]}
    outputs["--plot"] = [*curves, *polar]
    check_outputs(outputs, files, overwrite=overwrite)
    written: list[Path] = []
    if maps or curves:
        from cellqa.reporting.figures import save_decorrelation, save_resolution_map, save_sectors

        written += write_maps(maps, mapped, draw=save_resolution_map)
        written += save_decorrelation(curves, analyses) if curves else []
        written += save_sectors(polar, [plane for _, plane in turned])
    if written:
        click.echo("\nwrote " + ", ".join(map(str, written)))
    report_failures(len(analyses) + len(failures), failures)


@main.command()
@click.argument("stacks", nargs=-1, required=True, type=AnyPath(), metavar="STACK...")
@click.option(
    "--modality",
    type=TableChoice("cellqa.focus.vote:MODALITIES"),
    default="fluorescence",
    show_default=True,
    help="Brightfield: thin phase objects have least contrast at focus, most on both sides.",
)
@click.option("--table", type=OutPath(), metavar="CSV", help="Write the value of every measure.")
@click.option("--plot", type=OutPath(), metavar="PNG|SVG", help="Draw the measures.")
@click.option(
    "--write",
    type=OutPath(),
    metavar="TIFF",
    help="Save the sharpest plane; of several stacks into NAME-1.tif, NAME-2.tif ...",
)
@jobs_option
@overwrite_option
def sharpest(
    stacks: tuple[Path, ...],
    modality: str,
    table: Path | None,
    plot: Path | None,
    write: Path | None,
    jobs: int,
    overwrite: bool,
) -> None:
    """Find the in-focus plane of Z-stacks, or of folders of planes, by a vote of six measures.

    STACK is a file of any format that can be read, or a folder. Each scene, time and channel is a
    stack of its own. The position is the median of the measures' votes, to a fraction of a plane.
    """
    from cellqa.focus.files import focus_rows, measure_files, save_planes, write_focus
    from cellqa.tables.folder import check_outputs, numbered

    _check_plot(plot)
    if write and write.suffix.lower() not in (".tif", ".tiff"):
        raise CellqaError(f"--write: {str(write)!r} must end in .tif")
    given = {"--table": table, "--plot": plot, "--write": write}
    outputs = {option: [path] for option, path in given.items() if path}
    missing = next((o for o, (path,) in outputs.items() if not path.parent.is_dir()), None)
    if missing:
        raise CellqaError(f"{missing}: there is no folder {str(outputs[missing][0].parent)!r}")
    check_outputs(outputs, [path for path in stacks if path.is_file()], overwrite=overwrite)
    with progress_bar("Measuring") as progress:
        measured, failures = measure_files(stacks, modality=modality, jobs=jobs, progress=progress)
    for focus, _ in measured:
        click.echo(f"{focus.name}\n{align(focus_rows(focus))}\n{focus.describe()}\n")
    for option in {"--plot", "--write"} & outputs.keys():
        outputs[option] = numbered(outputs[option][0], len(measured))
    read = {path for _, places in measured for path, _ in places}
    check_outputs(outputs, read, overwrite=overwrite)
    written: list[Path] = []
    if table and measured:
        written.append(write_focus(table, [focus for focus, _ in measured]))
    if write and measured:
        written += save_planes(outputs["--write"], measured)
    if plot and measured:
        from cellqa.reporting.figures import save_focus

        written += save_focus(outputs["--plot"], [focus for focus, _ in measured])
    if written:
        click.echo("wrote " + ", ".join(map(str, written)))
    planes = sum(len(places) for _, places in measured)
    report_failures(max(planes, len(failures)), failures)


def _within(folder: Path, other: Path) -> bool:
    return folder.resolve().is_relative_to(other.resolve())


def _check_plot(plot: Path | None) -> None:
    if plot and (plot.suffix.lower() not in (".png", ".svg", ".pdf") or not plot.parent.is_dir()):
        raise CellqaError(f"--plot: {str(plot)!r} must end in .png, .svg or .pdf, in a folder")
