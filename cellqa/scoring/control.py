"""A control: ground truths of different images have nothing in common, unless a pattern is in all.

Scale bars, hot pixels, stripes and fixed patterns of a camera agree perfectly between any two
images, and every comparison then counts them as detail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from cellqa.engines import Engine
from cellqa.io import may_crash
from cellqa.io.stores import absolute
from cellqa.metrics._spectrum import unusable
from cellqa.metrics.frc import between
from cellqa.pairs.grouping import Grouping, sample_of
from cellqa.pairs.pairing import Image, Pairing
from cellqa.pairs.roles import Role
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.references import ROLES, parts_of

AGREE = "ground truths of different images agree with each other"
_IMAGES = 7  # of which neighbours are compared
_FEWEST = 3  # pairs without which nothing is said
_SHARE = 0.6  # of the pairs that agree

Pair = tuple[Image, Image]


def shared_pattern(
    pairing: Pairing, options: ScoreOptions, engine: Engine, grouping: Grouping | None
) -> list[str]:
    """One line where ground truths of different images agree with each other.

    Parameters
    ----------
    pairing : Pairing
    options : ScoreOptions
    engine : Engine
        What reads the images.
    grouping : Grouping or None
        Images of one group may agree, and without a grouping those of one well.
    """
    if Role.REFERENCE not in pairing.folders:
        return []
    chosen = _apart(pairing.images, grouping)
    pairs = list(pairwise(chosen))
    if len(pairs) < _FEWEST:
        return []
    folders: dict[str, Path] = {
        r: absolute(pairing.folders[r]) for r in ROLES if r in pairing.folders
    }
    names = [name for image in chosen for name in image.files[Role.REFERENCE]]
    found = engine.map(
        partial(_agreement, folders=folders, options=options),
        pairs,
        on_crash=_nothing,
        isolate=any(may_crash(name) for name in names),
        bytes_each=0,
    )
    known = [value for value in found if value is not None]
    agreeing = [value for value in known if math.isfinite(value)]
    if len(known) < _FEWEST or len(agreeing) < _SHARE * len(known):
        return []
    return [
        f"{AGREE}, down to {np.median(agreeing):.1f} pixels ({len(agreeing)} of {len(known)} "
        "pairs): they show one field (see --group), or a pattern is in all of them (scale bar, "
        "stripes, hot pixels, fixed pattern), which frc_resolution and all that compares counts as "
        "detail; see --valid"
    ]


def _apart(images: Sequence[Image], grouping: Grouping | None) -> list[Image]:
    """Images of different groups, evenly over the run."""
    if grouping is not None:
        first: dict[str, Image] = {}
        for image in images:
            first.setdefault(grouping.group(image.name) or image.name, image)
        images = list(first.values())
    else:  # images of a well follow each other
        images = [next(well) for _, well in groupby(images, lambda image: sample_of(image.name))]
    places = np.linspace(0, len(images) - 1, min(_IMAGES, len(images))).round().astype(int)
    return [images[place] for place in dict.fromkeys(places.tolist())]


def _agreement(pair: Pair, *, folders: Mapping[str, Path], options: ScoreOptions) -> float | None:
    """Finest detail in which two ground truths agree, in pixels; None where it cannot be told."""
    planes = []
    for image in pair:
        part = next(parts_of(image, folders=folders, options=options), None)
        if part is None:
            return None
        planes.append(part)
    shape = [min(p.shape[axis] for p in planes) for axis in (0, 1)]
    one, two = (p.cropped(slice(0, shape[0]), slice(0, shape[1])) for p in planes)
    if unusable(one, two) or np.array_equal(one.pixels, two.pixels):
        return None  # copies are told elsewhere
    return between(one, two).resolution()


def _nothing(pair: Any, reason: str) -> None:
    """What is known of a file that crashed: its rows tell why."""
    return
