"""What a scoring run may be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from cellqa.io import MAX_PIXELS
from cellqa.io.base import missing_rule
from cellqa.metrics.frc import THRESHOLDS
from cellqa.metrics.metric import Metric
from cellqa.metrics.registry import for_run
from cellqa.scoring import data_range, segmenting
from cellqa.scoring.segmenting import SECONDS
from cellqa.shown import one_line
from cellqa.tables.files import scores_header


@dataclass(frozen=True)
class ScoreOptions:
    """What a scoring run may be told.

    Attributes
    ----------
    metrics : tuple of Metric
        Those of the table, or others.
    data_range : str or float
        `auto`: 255 for uint8, else max - min of the image's ground truth; `dtype`: the type's
        maximum; `set`: max - min over all ground truths; `percentile[:LOW,HIGH]`: between two
        percentiles of the image's ground truth (0.1 and 99.9); a number: 0 to that number.
    pixel_size : float or None
        In micrometres; None takes it from the files.
    compat : str or None
        `ciegan` for the definitions of the CIEGAN authors' program.
    max_pixels : int
        Larger planes are refused before memory is taken.
    foreground : str or None
        `otsu`: pixels of the ground truth above Otsu's threshold are the mask.
    register : bool
        Undo each image's displacement before it is compared with its ground truth, and with its
        raw image.
    colour : str
        `auto`: the one picture that colours show (pseudo-colour), else their luminance; `channels`:
        red, green and blue each by itself.
    camera : (float, float, float) or None
        Gain (grey levels a photon electron), offset and read noise (grey levels) of the raw
        images' camera, for `unexplained`; None for an estimate.
    frc_threshold : str
        `1/7`, `0.5` or `half-bit`: where agreement ends.
    scale : int
        How many times the pixels of the input the other images have along each side.
    maps : str or None
        Folder for maps of SSIM, error and consistency.
    objects : str or None
        How objects are found on ground truth and methods alike: `auto`, the built-in segmentation;
        a command with {in} and {out} or {folder} (see `cellqa.scoring.segmenting.Command`);
        `labels`, those of the pairing alone. None: no lines of objects.csv, and what metrics of
        objects were chosen use the built-in one.
    objects_seconds : float
        That the command may take for an image.

    Raises
    ------
    ValueError
        A value is out of range.
    """

    metrics: tuple[Metric, ...] = field(default_factory=for_run)
    data_range: str | float = "auto"
    pixel_size: float | None = None
    compat: str | None = None
    max_pixels: int = MAX_PIXELS
    foreground: str | None = None
    register: bool = False
    scale: int = 1
    maps: str | None = None
    frc_threshold: str = "1/7"
    colour: str = "auto"
    camera: tuple[float, float, float] | None = None
    objects: str | None = None
    objects_seconds: float = SECONDS

    __repr__ = one_line

    def __post_init__(self) -> None:
        self._check_metrics()
        try:
            object.__setattr__(self, "data_range", data_range.parse(self.data_range))
        except ValueError as error:
            raise ValueError(f"`data_range` {error}") from None
        if self.pixel_size is not None and not 0 < self.pixel_size < math.inf:
            raise ValueError(f"`pixel_size` must be above 0 micrometres, got {self.pixel_size}")
        if self.foreground not in (None, "otsu"):
            raise ValueError(f"`foreground` must be otsu, got {self.foreground!r}")
        if self.camera is not None and not (
            len(self.camera) == 3 and self.camera[0] > 0 and self.camera[2] >= 0
        ):
            raise ValueError(f"`camera` must be gain, offset, read noise, got {self.camera!r}")
        if self.objects is not None and not isinstance(self.objects, str):
            raise ValueError(f"`objects` must be auto, labels or a command, got {self.objects!r}")
        if self.objects is not None:
            try:
                segmenting.check(self.objects)
            except ValueError as error:
                raise ValueError(f"`objects`: {error}") from None
        if not 0 < self.objects_seconds < math.inf:
            raise ValueError(f"`objects_seconds` must be above 0, got {self.objects_seconds}")
        if self.colour not in ("auto", "channels"):
            raise ValueError(f"`colour` must be auto or channels, got {self.colour!r}")
        if self.frc_threshold not in THRESHOLDS:
            known = ", ".join(THRESHOLDS)
            raise ValueError(f"`frc_threshold` must be one of {known}, got {self.frc_threshold!r}")
        if self.scale < 1:
            raise ValueError(f"`scale` must be 1 or more, got {self.scale}")
        if self.compat not in (None, "ciegan"):
            raise ValueError(f"`compat` must be ciegan, got {self.compat!r}")

    def _check_metrics(self) -> None:
        """Refuse names that no table can hold."""
        if not self.metrics:
            raise ValueError("`metrics`: name at least one metric")
        columns = set(scores_header(()))
        seen: set[str] = set()
        for name in (metric.name for metric in self.metrics):
            if not name.isidentifier():
                raise ValueError(f"`metrics`: {name!r} is no name of a column")
            if name in columns:
                raise ValueError(f"`metrics`: {name!r} is a column of its own")
            if name in seen:
                raise ValueError(f"`metrics`: two metrics are called {name!r}")
            seen.add(name)

    def chosen(self) -> dict[str, Any]:
        """What rows depend on, as JSON."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "metrics": {m.name: m.definition for m in self.metrics},
            "maps": self.maps is not None,
            "missing": missing_rule(),
        }
