"""Trained networks beside what they have to beat, on images that they have never seen."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cellqa.disk import StrPath, own_folder, take_folder
from cellqa.engines import LocalEngine
from cellqa.enhance import ENHANCERS, Enhancer
from cellqa.enhance.filters import as_type
from cellqa.errors import CellqaError, Interrupted, first_line, printable
from cellqa.io import split_suffix, write_tiff
from cellqa.metrics.registry import for_run
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import pair_folders
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.reporting.figures import save_figure
from cellqa.reporting.page import Table, report
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.run import score_to_folder
from cellqa.shown import one_line
from cellqa.tables.files import write_csv
from cellqa.tables.finished import Finished
from cellqa.tables.folder import FIGURES
from cellqa.terminal import Progress
from ciegan.data.prepare import PAIRS
from ciegan.data.tile_pairs import TilePair, check_scale_of, in_context, read_split, scale_of
from ciegan.data.tiles import INPUT, TARGET
from ciegan.judging.classical import FITTED, NAMES, fitted, pairs_to_fit
from ciegan.judging.nulls import check_nothing
from ciegan.judging.reliability import HEADER, NOTE, draw_reliability, reliability
from ciegan.network.checkpoint import Checkpoint, load
from ciegan.network.cost import parameters
from ciegan.network.device import choose_device
from ciegan.network.windows import enhance_plane

if TYPE_CHECKING:
    import pandas as pd

FIELDS = "fields.csv"
_MARK = ".made-by-ciegan-validate"  # what --overwrite may remove
_OTHERS = {*NAMES, *Role}


@dataclass(frozen=True)
class Validated:
    """What a validation left.

    Attributes
    ----------
    finished : cellqa.scoring.run.Finished
    page : Path
    results : Path
    settings : dict
        Method to what it is, in a line.
    warnings : list of str
    """

    finished: Finished
    page: Path
    results: Path
    settings: dict[str, str]
    warnings: list[str]

    __repr__ = one_line

    def to_frame(self) -> pd.DataFrame:
        """Its scores: a row for each image and method; nan is undefined."""
        return self.finished.to_frame()


def validate(
    runs: Mapping[str, StrPath],
    data: StrPath,
    out: StrPath,
    *,
    split: str = "test",
    device: str = "auto",
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Validated:
    """Enhance a split with trained networks, score it beside classical methods, make the report.

    The others are the untouched input, traditional enhancement (TE), enhanced ground truth (EGT,
    where the targets are ground truth); and TE with other strengths (`te_tuned`), a Wiener filter
    and Richardson-Lucy with the settings of the highest mean PSNR on the validation split.
    Tiles of a field count as one group.

    Parameters
    ----------
    runs : mapping of str to path
        Name of each network to its run folder or weights.
    data : path
        As `ciegan prepare` makes it.
    out : path
        Receives `enhanced/METHOD/` and `results/` with report.html.
    split : str
    device : str
        See `ciegan.network.device.choose_device`.
    jobs : int
        Processes that score.
    overwrite : bool
    progress : callable, optional

    Raises
    ------
    CellqaError
        A run or the split cannot be used, or `out` is in use.
    """
    data, out = Path(data), Path(out)
    runs = {name: Path(path) for name, path in runs.items()}
    chosen = choose_device(device)
    taken = sorted(set(runs) & _OTHERS)
    if taken:
        raise CellqaError(f"{taken[0]!r} is the name of another method: give NAME=RUN")
    networks = {name: load(path) for name, path in runs.items()}
    tiles = read_split(data, split)
    for network in networks.values():
        check_scale_of(tiles, network)
    take_folder(
        out, _MARK, role="--out", what="validation", overwrite=overwrite, replaced=["enhanced"]
    )
    methods = _classical(data, split)
    warnings = [
        f"{name}: {warning}" for name, network in networks.items() for warning in network.warnings
    ]
    for name, network in networks.items():
        if remembered := network.trained_on.warning(tiles):
            warnings.append(f"{name}: {remembered}")
        warnings += [f"{name}: {n.warning}" for n in check_nothing(network) if n.warning]
    if len(methods) == 1:
        warnings.append("no validation split to tune Wiener and Richardson-Lucy on: left out")
    if targets_of(data) == Role.EGT:
        warnings.append("the targets are enhanced ground truth (EGT): no EGT beside them")
    total = len(tiles) * (len(networks) + len(methods))
    written = _enhanced(networks, methods, tiles, data, out / "enhanced", chosen, warnings)
    for done, _ in enumerate(written, 1):
        if progress:
            progress(done, total)
    names = [*networks, *methods]
    if targets_of(data) != Role.EGT:
        names.append(Role.EGT)
    results = out / "results"
    finished = score_tiles(
        {name: out / "enhanced" / name for name in names},
        tiles,
        data / split / TARGET,
        data / split / INPUT,
        results,
        jobs=jobs,
        overwrite=overwrite,
        command=["ciegan", "validate", *map(str, runs.values())],
    )
    tables = _reliability(networks, tiles, out)
    page = report(results, jobs=jobs, tables=tables)
    settings = {
        **{name: describe(network) for name, network in networks.items()},
        **{name: method.describe() for name, method in methods.items()},
    }
    return Validated(finished, page, results, settings, warnings)


def _reliability(
    networks: Mapping[str, Checkpoint], tiles: Sequence[TilePair], out: Path
) -> list[Table]:
    """How the intervals of the networks that have some fare here: a table, and a figure."""
    found = {}
    for name, network in networks.items():
        each = reliability(network, tiles, out / "enhanced" / name)
        if each is not None:
            found[name] = each
    if not found:
        return []
    figures = own_folder(out / "results" / FIGURES, out)
    drawn = draw_reliability(found)
    for suffix in (".png", ".svg"):
        save_figure(drawn, figures / f"reliability{suffix}")
    rows = [list(HEADER), *(row for name, each in found.items() for row in each.rows(name))]
    return [Table("Do the intervals hold?", rows, NOTE, "reliability.png")]


def _enhanced(
    networks: Mapping[str, Checkpoint],
    methods: Mapping[str, Enhancer],
    tiles: Sequence[TilePair],
    data: Path,
    out: Path,
    device: torch.device,
    failures: list[str],
) -> Iterator[tuple[str, Path]]:
    """Write what each method makes of each tile, and EGT of its target."""
    for network in networks.values():
        network.generator.to(device)
    egt = targets_of(data) != Role.EGT
    views = {n: views_of(tiles, network) for n, network in networks.items()}
    for tile in tiles:
        try:
            source, target, size = tile.load()
        except CellqaError as error:
            failures.append(f"{printable(tile.name)} is left out: {error}")
            continue
        for name, network in networks.items():
            seen = views[name][tile.name].seen(source)
            yield name, write_tile(out / name, tile, enhanced(network, seen, tile.limits), size)
        for name, method in methods.items():
            yield name, write_tile(out / name, tile, method(source), size)
        if egt:
            write_tile(out / Role.EGT, tile, ENHANCERS[Role.EGT](target), size)


def views_of(tiles: Sequence[TilePair], network: Checkpoint) -> dict[str, TilePair]:
    """Tiles by name, with the neighbours that a network sees beside them.

    Raises
    ------
    CellqaError
        They have none, or were enlarged otherwise than those that it was trained on.
    """
    check_scale_of(tiles, network)
    return {t.name: t for t in in_context(tiles, "DATA", network.config.data.context)}


def enhanced(network: Checkpoint, pixels: Array, whole: tuple[float, float] | None = None) -> Array:
    """An image enhanced, in its own type.

    Parameters
    ----------
    network : Checkpoint
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
        With the neighbours that the network sees (`TilePair.seen`).
    whole : (float, float), optional
        Black and white of the image that the pixels were cut from.

    Raises
    ------
    CellqaError
        The network was trained on other channels.
    """
    network.check_channels(pixels.shape, "the image has")
    values = enhance_plane(network.generator, pixels, network.normalisation, whole=whole)
    return as_type(values, pixels.dtype)


def write_tile(folder: Path, tile: TilePair, pixels: Array, size: float | None) -> Path:
    """Write what a method made of a tile, under the tile's name."""
    return write_tiff(folder / f"{tile.name}.tif", pixels, size)


def _classical(data: Path, split: str) -> dict[str, Enhancer]:
    """TE, and what was fitted on the validation split if there is one beside the one to score."""
    methods: dict[str, Enhancer] = {"te": ENHANCERS["te"]}
    if split != "val" and (data / "val").is_dir():
        pairs = pairs_to_fit(data)
        methods |= {name: fitted(name, pairs) for name in FITTED}
    return methods


def targets_of(data: Path) -> str:
    """What the targets are: `gt` unless pairs.csv says `egt`."""
    if not (data / PAIRS).exists():
        return Role.REFERENCE
    try:
        with (data / PAIRS).open(newline="", encoding="utf-8") as file:
            row = next(csv.DictReader(file), {})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CellqaError(f"{data / PAIRS}: {first_line(error)}") from None
    return row.get("target") or Role.REFERENCE


def score_tiles(
    pred: Mapping[str, Path],
    tiles: Sequence[TilePair],
    reference: Path,
    raw: Path,
    results: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    command: Sequence[str] = (),
    progress: Progress | None = None,
) -> Finished:
    """Score folders of enhanced tiles with every metric; tiles of a field count as one group.

    Parameters
    ----------
    pred : mapping of str to Path
        Name of each method to its folder.
    tiles : sequence of TilePair
        Which name the fields.
    reference, raw : Path
        Folders of targets and inputs.
    results : Path
        Receives what `cellqa score` writes, and fields.csv.
    jobs, resume, overwrite, command, progress
        As in `cellqa.scoring.run.score_to_folder`.
    """
    pairing = pair_folders(dict(pred), reference=reference, raw=raw)
    results.mkdir(parents=True, exist_ok=True)
    try:
        return score_to_folder(
            pairing,
            results,
            options=ScoreOptions(for_run(None, fit=True), scale=scale_of(tiles)),
            engine=LocalEngine(jobs),
            grouping=_grouping(tiles, pairing.images, results),
            resume=resume,
            overwrite=overwrite,
            command=command,
            progress=progress,
        )
    except Interrupted:
        raise KeyboardInterrupt from None


def _grouping(tiles: Sequence[TilePair], images: Sequence[Any], folder: Path) -> Grouping:
    """Tiles of a field as one group, through a table that the run refers to."""
    field_of = {printable(tile.name): tile.field for tile in tiles}
    table = folder / FIELDS
    fields = ((each.name, printable(field_of[split_suffix(each.name)[0]])) for each in images)
    write_csv(table, ["image", "group"], fields)
    return Grouping.parse(str(table))


def describe(network: Checkpoint) -> str:
    """A network in a line."""
    config = network.config
    return (
        f"preset {config.preset}, generator {config.generator.name} "
        f"({parameters(network.generator):,} parameters), step {network.step}"
    )
