"""Classical methods with the settings that suit the data best, as networks are trained on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellqa.enhance import ENHANCERS, Enhancer, RichardsonLucy, Traditional, Wiener
from cellqa.io import luminance
from cellqa.metrics.pixel import psnr
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from ciegan.data.tile_pairs import read_split, spread

_PAIRS = 12  # validation tiles that settings are chosen by
_SIGMAS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
_BALANCES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_ITERATIONS = (2, 5, 10, 20)
_UNSHARP = tuple(itertools.product((1.0, 2.3, 4.0), (0.5, 1.0), (0.5, 1.0, 2.0)))


def _te(kernel: str | None) -> list[Enhancer]:
    return [
        replace(Traditional("te_tuned"), sigma=sigma, amount=amount, clip_limit=limit)
        for sigma, amount, limit in _UNSHARP
    ]


def _wiener(kernel: str | None) -> list[Enhancer]:
    sigmas = _SIGMAS[:1] if kernel else _SIGMAS  # a measured kernel has none
    settings = itertools.product(sigmas, _BALANCES)
    return [Wiener(sigma, balance, kernel=kernel) for sigma, balance in settings]


def _rl(kernel: str | None) -> list[Enhancer]:
    sigmas = _SIGMAS[:1] if kernel else _SIGMAS
    settings = itertools.product(sigmas, _ITERATIONS)
    return [RichardsonLucy(sigma, n, kernel=kernel) for sigma, n in settings]


# What settings are chosen for; the others of `cellqa.enhance.ENHANCERS` are taken as they are.
FITTED: Mapping[str, Callable[[str | None], list[Enhancer]]] = {
    "te_tuned": _te,
    "wiener": _wiener,
    "rl": _rl,
}
NAMES = tuple(dict.fromkeys([*(name for name in ENHANCERS if name != Role.EGT), *FITTED]))


def pairs_to_fit(data: Path) -> list[tuple[Array, Array]]:
    """Some inputs and targets of the validation split of prepared data.

    Raises
    ------
    CellqaError
        There is none, or a tile cannot be read.
    """
    return [tile.load()[:2] for tile in spread(read_split(data, "val"), _PAIRS)]


def fitted(name: str, pairs: Sequence[tuple[Array, Array]], kernel: Path | None = None) -> Enhancer:
    """A classical method; where it has candidates, the one of the highest mean PSNR over pairs.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    pairs : sequence of (input, target)
    kernel : Path, optional
        An image of the measured kernel, for deconvolution; by default a Gaussian is fitted.
    """
    if name not in FITTED:
        return ENHANCERS[name]
    return best(FITTED[name](str(kernel.absolute()) if kernel else None), pairs)


def best(candidates: Sequence[Enhancer], pairs: Sequence[tuple[Array, Array]]) -> Enhancer:
    """The enhancer of the highest mean PSNR over pairs of input and target."""

    def score(method: Enhancer) -> float:
        values = []
        for source, target in pairs:
            reference, image = luminance(target), luminance(method(source))
            if reference.min() < reference.max():
                span = float(reference.max()) - float(reference.min())
                values.append(psnr(reference, image, data_range=span))
        return float(np.mean(values)) if values else -math.inf

    return max(candidates, key=score)
