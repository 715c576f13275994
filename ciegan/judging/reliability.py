"""Whether intervals hold on images that they were not made from: a table and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from cellqa.errors import CellqaError
from cellqa.reporting.figures import COLOURS, STYLE, label
from cellqa.tables.cells import cell
from ciegan.data.pixels import load_image
from ciegan.data.tile_pairs import TilePair
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.intervals import COVERAGES, joined, pixels_known

HEADER = ("network", "stated", "within", "brightest 5 %", "field that fares worst", "mean width")
NOTE = (
    "Share of the test split's pixels whose truth lies within the interval of `ciegan enhance "
    "--interval`; width as a share of the distance from black to white. Bright pixels are those "
    "above the 95th percentile of a field's results."
)
_PIXELS = 4_000_000  # that are looked at, of each network


@dataclass(frozen=True)
class Reliability:
    """How a network's intervals fare.

    Attributes
    ----------
    within, bright : dict
        Coverage in per cent to the share within of each field, and of its bright pixels.
    width : dict
        Coverage to the mean width, as a share of the distance from black to white.
    unknown : float
        Share of pixels without an interval, which count nowhere.
    """

    within: dict[int, dict[str, float]]
    bright: dict[int, dict[str, float]]
    width: dict[int, float]
    unknown: float

    def rows(self, name: str) -> list[list[str]]:
        """Lines of the table."""
        rows = []
        for coverage in COVERAGES:
            fields = self.within[coverage]
            worst = min(fields, key=lambda field: fields[field])
            shares = (np.mean(list(v[coverage].values())) for v in (self.within, self.bright))
            rows.append(
                [
                    name,
                    f"{coverage} %",
                    *(f"{share:.1%}" for share in shares),
                    f"{fields[worst]:.1%} ({worst})",
                    cell(self.width[coverage], 3),
                ]
            )
        return rows


def reliability(
    network: Checkpoint, tiles: Sequence[TilePair], results: Path
) -> Reliability | None:
    """How the intervals of a network fare on tiles that it enhanced; None where it has none.

    Parameters
    ----------
    network : Checkpoint
    tiles : sequence of TilePair
    results : Path
        Folder of what the network made of them.
    """
    if network.intervals is None:
        return None
    fields: dict[str, list[Any]] = {}
    for tile in tiles:
        try:
            source, target, _ = tile.load()
            image = load_image(results / f"{tile.name}.tif", as_is=True).pixels
        except CellqaError:  # left out, and told
            continue
        limits = network.normalisation.limits(source, tile.limits)
        step = max(1, round(source.size * len(tiles) / _PIXELS))
        fields.setdefault(tile.field, []).append(pixels_known(image, source, target, limits, step))
    if not fields:
        return None
    within: dict[int, dict[str, float]] = {coverage: {} for coverage in COVERAGES}
    bright: dict[int, dict[str, float]] = {coverage: {} for coverage in COVERAGES}
    widths: dict[int, list[float]] = {coverage: [] for coverage in COVERAGES}
    unknown = []
    for field, parts in fields.items():
        of_field = joined(parts)
        for coverage in COVERAGES:
            inside, top, width = network.intervals.holding(of_field, coverage)
            known = np.isfinite(width)
            if known.any():
                within[coverage][field] = float(inside[known].mean())
                widths[coverage].append(float(width[known].mean()))
            if (known & top).any():
                bright[coverage][field] = float(inside[known & top].mean())
        unknown.append(float(1 - known.mean()))
    if not all(within.values()) or not all(bright.values()):
        return None
    means = {coverage: float(np.mean(values)) for coverage, values in widths.items()}
    return Reliability(within, bright, means, float(np.mean(unknown)))


def draw_reliability(found: Mapping[str, Reliability]) -> Figure:
    """Stated against observed coverage: a panel for each network, a line for each field."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(found), 3.5), layout="constrained")
        panels = figure.subplots(1, len(found), squeeze=False)[0]
        for axes, (name, each) in zip(panels, found.items(), strict=True):
            fields = sorted({field for shares in each.within.values() for field in shares})
            for number, field in enumerate(fields):
                shares = [100 * each.within[c].get(field, np.nan) for c in COVERAGES]
                label_ = "a field" if not number else None
                axes.plot(COVERAGES, shares, color="#bbbbbb", lw=0.8, label=label_)
            for shares_of, text, colour in (
                (each.within, "all pixels", COLOURS[0]),
                (each.bright, "brightest 5 %", COLOURS[1]),
            ):
                means = [100 * np.mean(list(shares_of[c].values())) for c in COVERAGES]
                axes.plot(COVERAGES, means, "o-", color=colour, ms=4, label=text)
            axes.plot((40, 100), (40, 100), color="black", lw=0.8, ls=":", label="as stated")
            axes.set(xlim=(45, 100), ylim=(0, 102), xlabel="stated, %", ylabel="truth within, %")
            axes.set_title(label(name, 30))
            axes.legend(loc="lower right", fontsize=7, frameon=False)
    return figure
