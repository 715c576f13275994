"""The work of a run, over all its images: rows, and what is needed before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cellqa.engines import Engine, LocalEngine
from cellqa.engines.base import Result
from cellqa.io import may_crash
from cellqa.io.stores import absolute
from cellqa.pairs.pairing import Image, Pairing
from cellqa.pairs.roles import Role
from cellqa.scoring.image import file_states, score_image
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.references import ROLES, extremes
from cellqa.scoring.segmenting import AUTO, BY_LABELS
from cellqa.tables.rows import Row, failed

_LOOKED_AT = 1000  # images whose names say whether a format may crash
_WEIGHED = 20  # images whose files say how large all are


def scored(
    pairing: Pairing,
    images: Sequence[Image],
    options: ScoreOptions,
    value_range: tuple[float, float] | None,
    engine: Engine,
) -> Iterator[tuple[str, dict[str, Any], list[Row]]]:
    """Name, states of the files and rows of each image, in any order."""
    folders = {name: absolute(path) for name, path in pairing.folders.items()}
    work = partial(_score_one, folders=folders, options=options, value_range=value_range)
    if options.objects not in (None, AUTO, BY_LABELS) and isinstance(engine, LocalEngine):
        engine = replace(engine, seconds=None)  # each call of the command has a limit of its own
    return over_images(engine, work, images, pairing, _crashed_rows)


def over_images(
    engine: Engine,
    work: Callable[[Image], Result],
    images: Sequence[Image],
    pairing: Pairing,
    on_crash: Callable[[Image, str], Result],
) -> Iterator[Result]:
    """Run over images, isolated and sized by what their files are."""
    looked_at = (files for image in images[:_LOOKED_AT] for files in image.files.values())
    isolate = any(may_crash(name) for files in looked_at for name in files)
    some = images[:: max(1, len(images) // _WEIGHED)]
    states = [file_states(image, pairing.folders) for image in some]
    sizes = [state[0] for each in states for files in each.values() for state in files if state]
    return engine.map(
        work,
        images,
        on_crash=on_crash,
        isolate=isolate,
        bytes_each=sum(sizes) / max(len(some), 1),
    )


def range_of_all(
    pairing: Pairing, options: ScoreOptions, engine: Engine
) -> tuple[float, float] | None:
    """Smallest and largest value over all references, where the data range asks for it."""
    if options.data_range != "set" or Role.REFERENCE not in pairing.folders:
        return None
    folders = {r: absolute(pairing.folders[r]) for r in ROLES if r in pairing.folders}
    work = partial(extremes, folders=folders, options=options)
    of_each = over_images(engine, work, pairing.images, pairing, nothing)
    limits = [pair for pair in of_each if pair is not None]
    if not limits:
        return None
    return min(low for low, _ in limits), max(high for _, high in limits)


def nothing(image: Image, reason: str) -> None:
    """What is known of an image that crashed: its rows tell why."""
    return


def _score_one(image: Image, **settings: Any) -> tuple[str, dict[str, Any], list[Row]]:
    return image.name, *score_image(image, **settings)


def _crashed_rows(image: Image, reason: str) -> tuple[str, dict[str, Any], list[Row]]:
    text = f"reading or scoring this image {reason}"
    return image.name, {}, [failed(image.name, method, text) for method in image.methods]
