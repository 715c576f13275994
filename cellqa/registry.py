"""The metrics, in one table: the command line, the reports and early stopping read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cellqa.metrics._family import Family
from cellqa.metrics.information import INFORMATION, entropy, mi, nmi
from cellqa.metrics.pixel import PIXEL, nrmse, psnr
from cellqa.metrics.resolution import RESOLUTION, resolution
from cellqa.metrics.structural import STRUCTURAL, ms_ssim, ssim


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : str
        The column in every table.
    function : callable
        The public function.
    family : Family
        How a scoring run computes it, together with its relatives.
    reference : bool
        Whether it compares with a ground truth.
    higher_is_better : bool
    unit : str
        Empty for a ratio.
    range : str
    measures : str
        What it tells, in a few words.
    definition : str
        The variant, in one line.
    doi : str
    """

    name: str
    function: Callable[..., float]
    family: Family
    reference: bool
    higher_is_better: bool
    unit: str
    range: str
    measures: str
    definition: str
    doi: str

    @property
    def arrow(self) -> str:
        """Which direction is better."""
        return "↑" if self.higher_is_better else "↓"


# fmt: off
METRICS = (
    Metric("psnr", psnr, PIXEL, True, True, "dB", "unbounded, inf if identical",
           "error of the grey values",
           "10 log10(L² / MSE)", "10.1049/el:20080522"),
    Metric("nrmse", nrmse, PIXEL, True, False, "", "0 to inf",
           "error relative to the signal",
           "Euclidean: ‖gt - image‖ / ‖gt‖", "10.1364/AO.36.008352"),
    Metric("ssim", ssim, STRUCTURAL, True, True, "", "-1 to 1",
           "local structure and contrast",
           "Wang 2004: Gaussian 11 × 11, sigma 1.5, K 0.01 / 0.03, valid region",
           "10.1109/TIP.2003.819861"),
    Metric("ms_ssim", ms_ssim, STRUCTURAL, True, True, "", "0 to 1",
           "structure over five scales",
           "Wang 2003: five scales, published weights, 2 × 2 means",
           "10.1109/ACSSC.2003.1292216"),
    Metric("mi", mi, INFORMATION, True, True, "nat", "0 to 5.545",
           "shared information of the grey levels",
           "256 equal bins over the ground truth's range", "10.1002/j.1538-7305.1948.tb01338.x"),
    Metric("nmi", nmi, INFORMATION, True, True, "", "0 to 1",
           "shared part of both entropies",
           "mi over the arithmetic mean of the entropies", "10.1162/153244303321897735"),
    Metric("entropy", entropy, INFORMATION, False, True, "bit", "0 to 8",
           "variety of the grey levels, noise included",
           "256 equal bins over the ground truth's range", "10.1002/j.1538-7305.1948.tb01338.x"),
    Metric("resolution", resolution, RESOLUTION, False, False, "µm", "2 pixels to inf",
           "finest detail above the noise",
           "decorrelation analysis: 2 × pixel size / kc; in pixels where the size is unknown",
           "10.1038/s41592-019-0515-7"),
)
# fmt: on


def metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises
    ------
    ValueError
        There is none; the message lists the names.

    Examples
    --------
    >>> metric("ssim").higher_is_better
    True
    """
    for entry in METRICS:
        if entry.name == name:
            return entry
    choices = ", ".join(entry.name for entry in METRICS)
    raise ValueError(f"no metric is called {name!r}; choose from {choices}")


def select(names: Iterable[str]) -> tuple[Metric, ...]:
    """Return the metrics of these names, in the order of the table.

    Raises
    ------
    ValueError
        A name is unknown.
    """
    wanted = {metric(name.strip()).name for name in names}
    return tuple(entry for entry in METRICS if entry.name in wanted)


def markdown_table() -> str:
    """The registry as the table that the README shows."""
    rows = ["| name | measures | better | unit | range | definition | DOI |", "|---" * 7 + "|"]
    rows += [
        f"| `{m.name}` | {m.measures} | {m.arrow} | {m.unit or '-'} | {m.range} "
        f"| {m.definition} | [{m.doi}](https://doi.org/{m.doi}) |"
        for m in METRICS
    ]
    return "\n".join(rows)
