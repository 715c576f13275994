"""`cellqa.score`: whatever is given, as `cellqa score` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from cellqa.arrays.given import Batch, batch_of, is_of_paths, methods_of, pairing_of
from cellqa.arrays.scores import Scores
from cellqa.disk import StrPath
from cellqa.engines import LocalEngine
from cellqa.errors import CellqaError
from cellqa.metrics.metric import Metric
from cellqa.metrics.registry import for_run
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.roles import LABELS, UNSCORED, Role, is_scored
from cellqa.planes.plane import Plane
from cellqa.scoring.arrays import scorer_of
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.references import judged_part
from cellqa.scoring.run import score_pairing
from cellqa.scoring.segmenting import BY_LABELS
from cellqa.tables.rows import Row, failed
from cellqa.terminal import Progress

_Images = tuple[str, Mapping[str, Any]]
_OF_THE_IMAGE = (CellqaError, ValueError, ArithmeticError)  # it holds nothing finite, say


def score(
    pred: Any,
    gt: Any = None,
    *,
    raw: Any = None,
    mask: Any = None,
    valid: Any = None,
    labels: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    group: StrPath | Sequence[object] | None = None,
    metrics: str | Iterable[str] | None = None,
    fit: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
    **options: Any,
) -> Scores:
    """Score enhanced images against ground truth, or alone.

    The numbers, the rows and the warnings are those of `cellqa score` (but for what
    `Scores.warnings` names): the raw images are scored as the method `input`, and methods are
    compared on the images that they share.

    Parameters
    ----------
    pred : array_like, tensor, list of them, path, or dict of these
        The enhanced images: (Y, X), (N, Y, X) or (N, 1, Y, X); a list of images, whose sizes may
        differ; a folder, a file or a list of files. A dict names the methods to compare.
    gt : as `pred`, optional
        The ground truth; one image serves a whole batch of arrays.
    raw : as `pred`, optional
        The untouched images.
    mask : as `pred`, optional
        Labels, or true and false: the foreground, for the scores over it.
    valid : as `pred`, optional
        0 where there is no picture.
    labels : dict, optional
        Method, or `gt`, to the labels of its objects, each as `pred`: in place of finding them.
        With `objects`, what has no labels is segmented.
    names : sequence of str, optional
        Of the images of arrays, for tables; numbers by default.
    group : str or sequence, optional
        What makes images belong together, as tiles of a field: an expression or a table, as
        `cellqa.Grouping.parse` takes it, or the group of each image of arrays.
    metrics : str or iterable of str, optional
        Names, or one text with commas; default: all that what is given allows.
    fit : bool
        Also scores after the best gain and offset.
    jobs : int
        Processes. For more than one, a script needs `if __name__ == "__main__":`.
    progress : callable, optional
        Called with the number of images done and of all images.
    **options
        Of `ScoreOptions`: data_range, pixel_size (micrometres), register, scale, objects="auto"
        (whether the same objects are found and measured), ...

    Returns
    -------
    Scores
        `.frame`, `.summary`, `.compare()`, `.warnings`, `.report(folder)`; of objects `.objects`
        and `.agreement`. An image that cannot be scored is a row with status `failed`; the others
        are scored all the same.

    Raises
    ------
    ValueError, TypeError
        Shapes or numbers of images do not fit; a metric or option is unknown.
    CellqaError
        A folder is missing or holds no image, or no names agree.

    Examples
    --------
    >>> import numpy as np
    >>> import cellqa
    >>> from cellqa.simulate import acquire, filaments
    >>> truths = [filaments((256, 256), cutoff=0.6, photons=1000, seed=k) for k in range(3)]
    >>> taken = {"cutoff": 0.3, "photons": 300, "seed": 9}
    >>> raw = np.stack([acquire(truth.structure, **taken).image for truth in truths])
    >>> gt = np.stack([truth.image for truth in truths])
    >>> scores = cellqa.score({"net": (raw + gt) / 2}, gt, raw=raw, metrics=["psnr", "ssim"])
    >>> scores
    Scores(3 images, methods input, net, gt; net: psnr 24.38, ssim 0.9173)
    >>> round(scores.frame.query("method == 'net'")["psnr"].min())
    24
    """
    named = metrics.split(",") if isinstance(metrics, str) else metrics
    masked = mask is not None or options.get("foreground") is not None
    methods = methods_of(pred)
    given = {Role.RAW: raw, **methods, Role.REFERENCE: gt, Role.MASK: mask, Role.VALID: valid}
    given = {str(role): value for role, value in given.items() if value is not None}
    if labels is not None:
        given |= _labels(labels, given)
        options.setdefault("objects", BY_LABELS)
        if options["objects"] == BY_LABELS and len(labels) < 2:
            raise ValueError(
                "`labels` of the ground truth are compared with those of methods: give these, or "
                '`objects="auto"`, which segments what has no labels'
            )
    settings = ScoreOptions(_chosen(named, fit, masked, options), **options)
    if settings.objects is not None and gt is None:
        raise ValueError("`objects` are compared with those of the ground truth: give `gt`")
    if named is not None:
        check_needs(settings, {Role.REFERENCE: gt, Role.RAW: raw, Role.MASK: mask})
    if is_of_paths(given):
        if names is not None:
            raise ValueError("`names` are those of arrays; files have their own")
        pairing = pairing_of(given)
        rows = score_pairing(pairing, options=settings, jobs=jobs, progress=progress)
        return Scores(rows, settings, pairing, grouping=_grouping(group, None))
    batch = batch_of(given, names)
    rows = score_images(batch, settings, jobs=jobs, progress=progress)
    return Scores(rows, settings, batch, grouping=_grouping(group, batch.names))


def _labels(labels: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Labels of objects as roles."""
    if not isinstance(labels, Mapping) or not labels:
        raise TypeError('`labels` must be a dict, as {"gt": ..., "net": ...}')
    unknown = next((name for name in labels if name not in given or name in UNSCORED), None)
    if unknown is not None:
        raise ValueError(f"`labels`: there is no method {unknown!r} (gt for the ground truth)")
    if Role.REFERENCE not in labels:
        raise ValueError("`labels` of a method need those of the ground truth: `gt`")
    missing = next((name for name, value in labels.items() if value is None), None)
    if missing is not None:
        raise ValueError(f"`labels` of {missing!r} are None")
    return {f"{LABELS}{name}": value for name, value in labels.items()}


def _chosen(
    names: Iterable[str] | None, fit: bool, masked: bool, options: Mapping[str, Any]
) -> tuple[Metric, ...]:
    found = options.get("objects") is not None
    return for_run(names, fit=fit, foreground=masked, objects=found)


def check_needs(options: ScoreOptions, given: Mapping[Role, Any]) -> None:
    """Refuse a metric that needs what is not there, rather than leave it empty.

    Raises
    ------
    ValueError
        It names the first, and what it needs.
    """
    words = {Role.REFERENCE: "ground truth", Role.RAW: "raw images", Role.MASK: "a mask"}
    there = {role for role, part in given.items() if part is not None}
    if options.foreground is not None:
        there.add(Role.MASK)
    for metric in options.metrics:
        for need in metric.needs:
            if need in words and need not in there:
                raise ValueError(f"{metric.name} needs {words[need]}, which is not given")


def _grouping(
    group: StrPath | Sequence[object] | None, names: Sequence[str] | None
) -> Grouping | None:
    if group is None:
        return None
    if isinstance(group, (list, tuple, np.ndarray)):
        if names is None:
            raise ValueError("`group` of files must be an expression, or a table's path")
        if len(group) != len(names):
            raise ValueError(f"`group` must be {len(names)} as the images, got {len(group)}")
        return Grouping("given", table={n: str(g) for n, g in zip(names, group, strict=True)})
    return Grouping.parse(group)  # type: ignore[arg-type]


def score_images(
    batch: Batch,
    options: ScoreOptions,
    *,
    methods: Sequence[str] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Row]:
    """The rows of a batch, those of each image together; by default of all methods and roles.

    Raises
    ------
    ValueError, TypeError
        As `cellqa.score`.
    """
    scored = list(methods or batch.methods)
    items: list[_Images] = [(name, batch.of(k)) for k, name in enumerate(batch.names)]
    value_range = _range_of_all(batch, options)
    work = partial(_score_image, methods=scored, options=options, value_range=value_range)
    rows: list[Row] = []
    engine = LocalEngine(jobs)
    done = engine.map(work, items, on_crash=_crashed, isolate=False, bytes_each=0)
    for number, of_image in enumerate(done, 1):
        rows += of_image
        if progress:
            progress(number, len(items))
    return rows


def _score_image(
    item: _Images,
    *,
    methods: Sequence[str],
    options: ScoreOptions,
    value_range: tuple[float, float] | None = None,
) -> list[Row]:
    name, given = item
    try:
        scorer = scorer_of(given, options, value_range, reference=Role.REFERENCE, raw=Role.RAW)
    except _OF_THE_IMAGE as error:
        return [failed(name, method, str(error)) for method in methods]
    rows = []
    for method in methods:
        try:
            plane = Plane.with_gaps(given[method], method)
            size = options.pixel_size
            if size is not None and method == Role.RAW:
                size *= options.scale
            rows.append(scorer.score(name, method, plane, size).row)
        except _OF_THE_IMAGE as error:
            rows.append(failed(name, method, str(error)))
    return rows


def _range_of_all(batch: Batch, options: ScoreOptions) -> tuple[float, float] | None:
    truths = batch.images.get(Role.REFERENCE)
    if options.data_range != "set" or not truths:
        return None
    found = []
    masks: Sequence[Any] = batch.images.get(Role.VALID) or [None] * len(truths)
    for truth, valid in zip(truths, masks, strict=True):
        with suppress(ValueError):  # its row says that it holds no number
            part = judged_part(Plane.with_gaps(truth, Role.REFERENCE), valid)
            found += [part.extremes] if part is not None else []
    if not found:
        return None
    lows, highs = zip(*found, strict=True)
    return min(lows), max(highs)


def _crashed(item: _Images, reason: str) -> list[Row]:
    name, given = item
    scored = [role for role in given if is_scored(role)]
    return [failed(name, method, f"scoring this image {reason}") for method in scored]
