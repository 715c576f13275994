"""Every figure of a run."""

from __future__ import annotations

from pathlib import Path

from cellqa.disk import StrPath
from cellqa.reporting.charts import save_charts
from cellqa.reporting.load import load_run
from cellqa.reporting.montage import save_curves, save_montage
from cellqa.tables.folder import FIGURES


def figures(
    run: StrPath, *, crop: tuple[int, int, int, int] | None = None, jobs: int = 1
) -> list[Path]:
    """Draw the figures of a finished run, as PNG and SVG, into RUN/figures.

    Box plots, paired differences, who wins, resolution against fidelity, a montage, decorrelation
    curves; as far as the run has what they show.

    Parameters
    ----------
    run : path
        The folder of the run.
    crop : (int, int, int, int), optional
        Top, left, height and width of the montage's images, in pixels; by default the liveliest
        square of each.
    jobs : int
        Processes that read the images.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    CellqaError
        The folder holds no finished run.

    Examples
    --------
    >>> from cellqa import figures
    >>> figures("results")  # doctest: +SKIP
    [PosixPath('results/figures/boxes.png'), ...]
    """
    loaded = load_run(Path(run))
    folder = Path(run) / FIGURES
    montage = save_montage(loaded, folder, crop=crop, jobs=jobs)
    return save_charts(loaded, folder) + montage + save_curves(loaded, folder)
