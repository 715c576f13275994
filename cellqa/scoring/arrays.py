"""All metrics of arrays at once, without files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cellqa.metrics.registry import for_run
from cellqa.pairs.roles import of_labels
from cellqa.planes.labels import Mask
from cellqa.planes.plane import Plane
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.plane import Scorer

Scores = dict[str, float]


def score_arrays(
    image: npt.ArrayLike,
    *,
    reference: npt.ArrayLike | None = None,
    raw: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    valid: npt.ArrayLike | None = None,
    metrics: Iterable[str] | None = None,
    fit: bool = False,
    **options: Any,
) -> Scores | list[Scores]:
    """Score an image, or a batch, as `cellqa score` does.

    Parameters
    ----------
    image : array_like, shape (Y, X) or (N, Y, X)
        The enhanced image, or a batch of them.
    reference : array_like, optional
        The ground truth: of the image's shape; (Y, X) serves a whole batch.
    raw : array_like, optional
        The unenhanced image: likewise, or with 1 / `scale` of the pixels along each side.
    mask : array_like, optional
        Labels or true and false: the foreground, for the scores over it.
    valid : array_like, optional
        0 where there is no picture; images may hold NaN there.
    metrics : iterable of str, optional
        Default: all that what is given allows.
    fit : bool
        Also scores after the best gain and offset.
    **options
        Of `ScoreOptions`: data_range, pixel_size, register, scale, ...

    Returns
    -------
    dict, or list of dict
        Metric to value, in the order of the registry. What is undefined is nan that carries its
        reason (`Undefined`).

    Raises
    ------
    ValueError, TypeError
        Shapes do not fit, a metric or option is unknown, a type is no image's, or an image holds
        NaN or infinity where it is scored.
    CellqaError
        Nothing is valid.

    Examples
    --------
    >>> import numpy as np
    >>> from cellqa import score_arrays
    >>> from cellqa.simulate import acquire, filaments
    >>> truth = filaments((256, 256), cutoff=0.6, photons=1000, seed=1)
    >>> raw = acquire(truth.structure, cutoff=0.3, photons=300, seed=2).image
    >>> scores = score_arrays(raw, reference=truth.image, raw=raw)
    >>> round(scores["ssim"], 2), round(scores["measured"] + scores["noise"], 2)
    (0.64, 1.0)
    >>> batch = score_arrays(np.stack([raw, truth.image]), reference=truth.image, metrics=["psnr"])
    >>> [round(each["psnr"], 1) for each in batch]
    [18.3, inf]
    """
    chosen = for_run(metrics, fit=fit, foreground=mask is not None)
    settings = ScoreOptions(chosen, **options)
    pixels = np.asarray(image)
    parts = {"reference": reference, "raw": raw, "mask": mask, "valid": valid}
    given = {name: np.asarray(part) for name, part in parts.items() if part is not None}
    if pixels.ndim == 2:
        return _score(pixels, given, settings)
    if pixels.ndim != 3:
        raise ValueError(f"`image` must have the shape (Y, X) or (N, Y, X), got {pixels.shape}")
    for name, part in given.items():
        if part.ndim == 3 and len(part) != len(pixels):
            raise ValueError(f"`{name}` must be one, or {len(pixels)} as `image`, got {len(part)}")
    return [
        _score(plane, {n: p if p.ndim == 2 else p[k] for n, p in given.items()}, settings)
        for k, plane in enumerate(pixels)
    ]


def scorer_of(
    given: Mapping[str, Any],
    settings: ScoreOptions,
    value_range: tuple[float, float] | None = None,
    *,
    reference: str = "reference",
    raw: str = "raw",
) -> Scorer:
    """The scorer of an image's arrays.

    Parameters
    ----------
    given : mapping
        Arrays, also `mask`, `valid` and `labels:METHOD`; what is not there is not known.
    settings : ScoreOptions
    value_range : (float, float), optional
        As `Scorer` takes it.
    reference, raw : str
        What ground truth and raw image are called, there and in errors.
    """
    planes = {n: Plane.with_gaps(given[n], n) for n in (reference, raw) if n in given}
    return Scorer(
        planes.get(reference),
        settings,
        value_range,
        raw=planes.get(raw),
        mask=Mask.of(given["mask"]) if "mask" in given else None,
        valid=given.get("valid"),
        labels={name: Mask.of(each, labels=True) for name, each in of_labels(given).items()},
    )


def _score(image: Any, given: dict[str, Any], settings: ScoreOptions) -> Scores:
    scorer = scorer_of(given, settings)
    scored = scorer.score("", "image", Plane.with_gaps(image, "image"), settings.pixel_size)
    return dict(scored.row.values)
