"""The metrics, in one table: the command line, the reports and early stopping read it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass

from cellqa.metrics._family import Family
from cellqa.metrics.alignment import ALIGNMENT, shift_x, shift_y
from cellqa.metrics.consistency import CONSISTENCY, rse, rsf_sigma, rsp
from cellqa.metrics.fitted import (
    FITTED,
    gain,
    ms_ssim_fit,
    nrmse_fit,
    offset,
    psnr_fit,
    si_psnr,
    ssim_fit,
)
from cellqa.metrics.foreground import FOREGROUND, nrmse_fg, psnr_fg, ssim_fg
from cellqa.metrics.frc import frc_resolution
from cellqa.metrics.information import INFORMATION, entropy, mi, nmi
from cellqa.metrics.overclaim import DETAIL, overclaim
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
    needs : tuple of str
        What it compares with: `gt`, `input` (the unenhanced image), `mask`.
    higher_is_better : bool or None
        None for a number that tells something and ranks nothing.
    unit : str
        Empty for a ratio.
    range : str
    measures : str
        What it tells, in a few words.
    definition : str
        The variant, in one line.
    doi : str
    option : str
        The option of `cellqa score` that adds it; empty for what every run computes.
    """

    name: str
    function: Callable[..., float]
    family: Family
    needs: tuple[str, ...]
    higher_is_better: bool | None
    unit: str
    range: str
    measures: str
    definition: str
    doi: str
    option: str = ""

    @property
    def arrow(self) -> str:
        """Which direction is better."""
        return {True: "↑", False: "↓", None: "·"}[self.higher_is_better]

    @property
    def uses_range(self) -> bool:
        """Whether the definition has the data range in it."""
        return "data_range" in inspect.signature(self.function).parameters

    def variant(self, data_range: float | None = None, several: bool = False) -> str:
        """Name with what tells it from other programs' metric of that name.

        Examples
        --------
        >>> metric("ssim").variant(255), metric("nrmse").variant()
        ('ssim [Wang 2004, L=255]', 'nrmse [Euclidean]')
        """
        known = [self.definition.partition(":")[0]]
        if self.uses_range:
            known.append(
                "L of each image" if several or data_range is None else f"L={data_range:g}"
            )
        return f"{self.name} [{', '.join(known)}]"

    @property
    def asks(self) -> str:
        """Options of `cellqa score` that it takes; `-` for what every run computes."""
        folders = [f"--{need}" for need in self.needs if need != "mask"]
        return ", ".join([*folders, self.option] if self.option else folders) or "-"

    def applies(self, method: str, given: Set[str]) -> bool:
        """Whether a method has this metric in a run that was given these things."""
        return given >= set(self.needs) and method not in self.needs


GT, RAW, MASK = ("gt",), ("input",), ("gt", "mask")

# fmt: off
METRICS = (
    Metric("psnr", psnr, PIXEL, GT, True, "dB", "unbounded, inf if identical",
           "error of the grey values",
           "10 log10(L² / MSE)", "10.1049/el:20080522"),
    Metric("nrmse", nrmse, PIXEL, GT, False, "", "0 to inf",
           "error relative to the signal",
           "Euclidean: ‖gt - image‖ / ‖gt‖", "10.1364/AO.36.008352"),
    Metric("ssim", ssim, STRUCTURAL, GT, True, "", "-1 to 1",
           "local structure and contrast",
           "Wang 2004: Gaussian 11 × 11, sigma 1.5, K 0.01 / 0.03, valid region",
           "10.1109/TIP.2003.819861"),
    Metric("ms_ssim", ms_ssim, STRUCTURAL, GT, True, "", "0 to 1",
           "structure over five scales",
           "Wang 2003: five scales, published weights, 2 × 2 means",
           "10.1109/ACSSC.2003.1292216"),
    Metric("mi", mi, INFORMATION, GT, True, "nat", "0 to 5.545",
           "shared information of the grey levels",
           "256 equal bins over the ground truth's range", "10.1002/j.1538-7305.1948.tb01338.x"),
    Metric("nmi", nmi, INFORMATION, GT, True, "", "0 to 1",
           "shared part of both entropies",
           "mi over the arithmetic mean of the entropies", "10.1162/153244303321897735"),
    Metric("entropy", entropy, INFORMATION, (), True, "bit", "0 to 8",
           "variety of the grey levels, noise included",
           "256 equal bins over the ground truth's range", "10.1002/j.1538-7305.1948.tb01338.x"),
    Metric("resolution", resolution, RESOLUTION, (), False, "µm", "2 pixels to inf",
           "finest detail above the noise",
           "decorrelation analysis: 2 × pixel size / kc; in pixels where the size is unknown",
           "10.1038/s41592-019-0515-7"),
    Metric("frc_resolution", frc_resolution, DETAIL, GT, False, "µm", "2 pixels to inf",
           "finest detail shared with the ground truth",
           "Fourier ring correlation, threshold 1/7; in pixels where the size is unknown",
           "10.1038/nmeth.2448"),
    Metric("overclaim", overclaim, DETAIL, GT, False, "", "0 to 1",
           "apparent detail that the ground truth does not support",
           "max(0, 1 - resolution / frc_resolution)", ""),
    Metric("rsp", rsp, CONSISTENCY, RAW, True, "", "-1 to 1",
           "consistency with the raw image",
           "SQUIRREL: Pearson correlation after a fitted blur", "10.1038/nmeth.4605"),
    Metric("rse", rse, CONSISTENCY, RAW, False, "grey", "0 to inf",
           "what of the raw image is not explained",
           "SQUIRREL: root mean square error after fitted blur, gain, offset",
           "10.1038/nmeth.4605"),
    Metric("rsf_sigma", rsf_sigma, CONSISTENCY, RAW, None, "px", "0 to side / 8",
           "how much blur takes the image to the raw one",
           "SQUIRREL: sigma of the fitted Gaussian", "10.1038/nmeth.4605"),
    Metric("shift_y", shift_y, ALIGNMENT, GT, None, "px", "- side / 2 to side / 2",
           "displacement downwards",
           "phase correlation, weighted by coherence", "10.1364/OL.33.000156"),
    Metric("shift_x", shift_x, ALIGNMENT, GT, None, "px", "- side / 2 to side / 2",
           "displacement to the right",
           "phase correlation, weighted by coherence", "10.1364/OL.33.000156"),
    Metric("gain", gain, FITTED, GT, None, "", "unbounded",
           "brightness: factor",
           "least squares of gain × image + offset to the ground truth", "", "--fit affine"),
    Metric("offset", offset, FITTED, GT, None, "grey", "unbounded",
           "brightness: summand",
           "least squares of gain × image + offset to the ground truth", "", "--fit affine"),
    Metric("psnr_fit", psnr_fit, FITTED, GT, True, "dB", "unbounded, inf if identical",
           "error that gain and offset cannot mend",
           "psnr of gain × image + offset", "10.1049/el:20080522", "--fit affine"),
    Metric("nrmse_fit", nrmse_fit, FITTED, GT, False, "", "0 to 1",
           "error that gain and offset cannot mend",
           "nrmse of gain × image + offset", "10.1364/AO.36.008352", "--fit affine"),
    Metric("ssim_fit", ssim_fit, STRUCTURAL, GT, True, "", "-1 to 1",
           "local structure, whatever the brightness",
           "ssim of gain × image + offset", "10.1109/TIP.2003.819861", "--fit affine"),
    Metric("ms_ssim_fit", ms_ssim_fit, STRUCTURAL, GT, True, "", "0 to 1",
           "structure over five scales, whatever the brightness",
           "ms_ssim of gain × image + offset", "10.1109/ACSSC.2003.1292216", "--fit affine"),
    Metric("si_psnr", si_psnr, FITTED, GT, True, "dB", "unbounded, inf if identical",
           "error that gain and offset cannot mend",
           "CARE: psnr_fit with L = max - min of the ground truth",
           "10.1038/s41592-018-0216-7", "--fit affine"),
    Metric("psnr_fg", psnr_fg, FOREGROUND, MASK, True, "dB", "unbounded, inf if identical",
           "error of the grey values of the foreground",
           "psnr over the mask", "10.1049/el:20080522", "--mask or --foreground"),
    Metric("nrmse_fg", nrmse_fg, FOREGROUND, MASK, False, "", "0 to inf",
           "error relative to the signal of the foreground",
           "nrmse over the mask", "10.1364/AO.36.008352", "--mask or --foreground"),
    Metric("ssim_fg", ssim_fg, STRUCTURAL, MASK, True, "", "-1 to 1",
           "local structure and contrast of the foreground",
           "mean of the SSIM map over the mask", "10.1109/TIP.2003.819861",
           "--mask or --foreground"),
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


def for_run(
    names: Iterable[str] | None = None, *, fit: bool = False, foreground: bool = False
) -> tuple[Metric, ...]:
    """Metrics of a run: those of these names (all by default), and what options add to them.

    `fit` adds gain, offset and `NAME_fit`, `foreground` adds `NAME_fg`, for each chosen NAME that
    has one; by default all.

    Raises
    ------
    ValueError
        A name is unknown.

    Examples
    --------
    >>> [m.name for m in for_run(["psnr", "mi"], fit=True)]
    ['psnr', 'mi', 'gain', 'offset', 'psnr_fit', 'si_psnr']
    """
    chosen = {m.name for m in (METRICS if names is None else select(names))}
    if names is None:
        chosen = {m.name for m in METRICS if not m.option}
    known = {m.name for m in METRICS}
    added = {f"{name}_fit" for name in chosen} | {"gain", "offset"} if fit else set()
    if fit and "psnr" in chosen:
        added.add("si_psnr")
    if foreground:
        added |= {f"{name}_fg" for name in chosen}
    return tuple(m for m in METRICS if m.name in chosen | (added & known))


def markdown_table() -> str:
    """The registry as the table that the README shows."""
    head = "| name | measures | better | unit | range | definition | needs | DOI |"
    rows = [head, "|---" * 8 + "|"]
    rows += [
        f"| `{m.name}` | {m.measures} | {m.arrow} | {m.unit or '-'} | {m.range} "
        f"| {m.definition} | {m.asks} | {f'[{m.doi}](https://doi.org/{m.doi})' if m.doi else '-'} |"
        for m in METRICS
    ]
    return "\n".join(rows)
