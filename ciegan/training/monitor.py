"""What a validation says: metrics of cellqa, computed on what the network makes of whole tiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cellqa.io import luminance
from cellqa.metrics.registry import metric, select
from cellqa.planes import Array
from cellqa.planes.plane import Plane, as_plane
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.plane import Scorer
from ciegan.config import Monitor
from ciegan.training.objective import TrainingError

_ALWAYS = ("psnr", "ssim")  # told whatever is watched
_ECHO, _LEAST_ECHO = "echo", -0.003  # of the noise that was added, in units of its difference


@dataclass(frozen=True)
class Scores:
    """Means over the validation images.

    Attributes
    ----------
    values : dict
        Metric to the mean of its finite values; nan where there is none.
    score : float
        What is monitored: higher is better; nan where a metric of it is undefined on all images.
    undefined : dict
        Metric to why it could not be computed, for those that have no value on any image.
    echo: float
        Of noise that was added to learn from (--target self), the share that results hold, 0 where
        none was. A network that takes noise away holds some, above 0; below, it tells the noise
        that was added from the image's own, and learns to give that one back.
    """

    values: dict[str, float]
    score: float
    undefined: dict[str, str] = field(default_factory=dict)
    echo: float = 0.0


def watched(monitor: Monitor) -> tuple[str, ...]:
    """Metrics that a validation computes, in the order of the registry."""
    names = {*_ALWAYS, *monitor.metrics}
    if monitor.max_invented < 1:
        names.add("invented")
    return tuple(m.name for m in select(names))


class Judge:
    """Scores enhanced images against their targets, as `cellqa score` does.

    Parameters
    ----------
    monitor : Monitor
    added : bool
        Whether input and target are one image with noise of opposite sign (--target self).
    """

    def __init__(self, monitor: Monitor, added: bool = False) -> None:
        self.monitor, self.added = monitor, added
        self.names = watched(monitor)
        self.options = ScoreOptions(select(self.names))
        self._scorers: dict[int, Scorer] = {}

    def values(
        self, key: int, image: Array, source: Array, target: Array, pixel_size: float | None
    ) -> dict[str, float]:
        """Value of each metric; those that are undefined say why (`cellqa.Undefined`).

        Parameters
        ----------
        key : int
            Of the target, which is prepared once.
        image, source, target : ndarray, shape (Y, X) or (Y, X, 3)
            The enhanced image, its input and its target; colour counts as luminance.
        pixel_size : float or None
            In micrometres.
        """

        def plane(pixels: Array, name: str) -> Plane:
            return Plane(as_plane(luminance(pixels), name), pixels.dtype)

        if key not in self._scorers:
            reference, raw = plane(target, "target"), plane(source, "input")
            self._scorers[key] = Scorer(reference, self.options, raw=raw)
        scored = self._scorers[key].score("", "ciegan", plane(image, "image"), pixel_size)
        values = dict(scored.row.values)
        if self.added:
            noise = np.asarray(luminance(source), np.float64) - luminance(target)
            result = np.asarray(luminance(image), np.float64)
            power = float((noise**2).sum())
            values[_ECHO] = float((noise * (result - result.mean())).sum() / power) if power else 0
        return values

    def summarise(self, rows: Sequence[Mapping[str, float]]) -> Scores:
        """Means over images, and the score."""
        means: dict[str, float] = {}
        undefined: dict[str, str] = {}
        for name in self.names:
            values = [row[name] for row in rows if name in row]
            finite = [value for value in values if math.isfinite(value)]
            sign = 1 if metric(name).higher_is_better else -1
            if any(sign * value == -math.inf for value in values):
                finite = [-sign * math.inf]  # agreement nowhere is the worst there is
            means[name] = float(np.mean(finite)) if finite else math.nan
            if not finite:
                reasons = (getattr(value, "reason", "") for value in values)
                undefined[name] = next(filter(None, reasons), "infinite on every image")
        score = sum(
            weight * means[name] * (1 if metric(name).higher_is_better else -1)
            for name, weight in self.monitor.metrics.items()
        )
        echoes = [row[_ECHO] for row in rows if _ECHO in row]
        return Scores(means, float(score), undefined, float(np.mean(echoes)) if echoes else 0.0)

    def vetoes(self, scores: Scores) -> bool:
        """Whether there is more invented detail than is allowed, or noise is given back."""
        limit = self.monitor.max_invented
        return scores.echo < _LEAST_ECHO or (limit < 1 and not scores.values["invented"] <= limit)

    def check_defined(self, scores: Scores) -> None:
        """Refuse to go on where what is watched has no value.

        Raises
        ------
        TrainingError
            A metric of the monitor, or invented where it is limited, is undefined on every image.
        """
        monitor = self.monitor
        needed = [*monitor.metrics, *(["invented"] if monitor.max_invented < 1 else [])]
        for name in needed:
            if name in scores.undefined:
                raise TrainingError(
                    f"--monitor: {name} is undefined on every validation image "
                    f"({scores.undefined[name]})"
                )
