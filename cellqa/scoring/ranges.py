"""How much PSNR and SSIM depend on the data range: said once for each run that is not 8-bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.metrics.registry import select
from cellqa.pairs.pairing import Image
from cellqa.pairs.roles import Role
from cellqa.scoring.image import score_image
from cellqa.scoring.options import ScoreOptions
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally


def median_place(tally: Tally) -> tuple[str, int, float] | None:
    """Method, place and PSNR of the median image of the first method; None in 8-bit runs."""
    for method in tally.methods:
        values = np.array(tally.values.get((method, "psnr"), ()), dtype=float)
        finite = np.flatnonzero(np.isfinite(values))
        if tally.limits is None or method in (Role.RAW, Role.REFERENCE) or not finite.size:
            continue
        middle = finite[np.argsort(values[finite], kind="stable")[(finite.size - 1) // 2]]
        return method, tally.places[method][middle], float(values[middle])
    return None


def under_ranges(
    image: Image,
    *,
    row: Row,
    folders: Mapping[str, Path],
    options: ScoreOptions,
    limits: tuple[float, float],
) -> dict[str, Any] | None:
    """PSNR and SSIM of a row under the type's range, all ground truths', and its own.

    Returns
    -------
    dict or None
        `image`, `method` and `ranges`: for each of `dtype`, `set`, `image` the range and both
        values; what is undefined is left out. None where the image cannot be scored any more.
    """
    files = {
        role: names for role, names in image.files.items() if role in (Role.REFERENCE, row.method)
    }
    ranges = {}
    for name, how in (("dtype", "dtype"), ("set", "set"), ("image", "auto")):
        own = replace(
            options,
            metrics=select(["psnr", "ssim"]),
            data_range=how,
            foreground=None,
            maps=None,
            objects=None,
        )
        _, rows = score_image(
            Image(image.name, files),
            folders=folders,
            options=own,
            value_range=limits if name == "set" else None,
        )
        rescored = next((r for r in rows if (r.image, r.method) == (row.image, row.method)), None)
        if rescored is None or rescored.status != "ok":
            return None
        if rescored.data_range is not None:
            ranges[name] = {"data_range": rescored.data_range, **rescored.values}
    return {"image": row.image, "method": row.method, "ranges": ranges}


def sentence(sensitivity: Mapping[str, Any]) -> str:
    """The same in one line.

    Examples
    --------
    >>> values = {"data_range": 4095.0, "psnr": 28.61, "ssim": 0.8}
    >>> print(sentence({"image": "a.tif", "method": "net", "ranges": {"image": values}}))
    the data range decides PSNR and SSIM: of a.tif (net), the median image, 28.6 dB and 0.800 \
with its own range (4095)
    """
    words = {"dtype": "the type's range", "set": "the range of all", "image": "its own range"}
    parts = [
        f"{v['psnr']:.1f} dB and {v['ssim']:.3f} with {words[name]} ({v['data_range']:g})"
        for name, v in sensitivity["ranges"].items()
    ]
    return (
        f"the data range decides PSNR and SSIM: of {sensitivity['image']} "
        f"({sensitivity['method']}), the median image, {', '.join(parts)}"
    )


def row_at(rows: Sequence[Row], method: str, psnr: float) -> Row | None:
    """The row of a method with this PSNR."""
    matching = (r for r in rows if r.method == method and r.values.get("psnr") == psnr)
    return next(matching, None)
