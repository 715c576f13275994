"""Images that show the same place: frames of one field that would stand in several splits."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from cellqa.errors import printable
from cellqa.io import luminance
from cellqa.planes import Array

_SIDE, _COARSE = 48, 6  # pixels of a look; of the Gaussian whose blur, the uneven light, is removed
_ALIKE = 0.6  # correlation of two looks; of other fields it is 0, give or take 0.06
_AT_ONCE = 2048


def look_of(pixels: Array) -> Array:
    """A small picture of an image without its uneven light, of mean 0 and norm 1.

    Parameters
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, 3)
    """
    small = cv2.resize(
        np.asarray(luminance(pixels), np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
    )
    look = (small - cv2.GaussianBlur(small, (0, 0), _COARSE)).ravel()
    look -= look.mean()
    norm = np.linalg.norm(look)
    return (look / norm if norm else look).astype(np.float16)


def in_several_splits(looks: Mapping[str, Array], split_of: Mapping[str, str]) -> list[str]:
    """A warning where images of different splits show the same place, else none.

    Parameters
    ----------
    looks : mapping of str to ndarray
        Of each source; see `look_of`.
    split_of : mapping of str to str
    """
    trained = [name for name in looks if split_of[name] == "train"]
    held = [name for name in looks if split_of[name] != "train"]
    if not trained or not held:
        return []
    every = np.stack([looks[name] for name in trained]).astype(np.float32)
    alike, most, example = 0, 0.0, ("", "")
    for start in range(0, len(held), _AT_ONCE):
        names = held[start : start + _AT_ONCE]
        correlation = np.stack([looks[name] for name in names]).astype(np.float32) @ every.T
        best = correlation.max(axis=1)
        alike += int((best > _ALIKE).sum())
        if best.max() > most:
            row = int(best.argmax())
            most, example = float(best[row]), (names[row], trained[int(correlation[row].argmax())])
    if not alike:
        return []
    return [
        f"{alike} of {len(held)} images to validate and test on look like one that is trained on "
        f"({' and '.join(map(printable, example))}, correlation {most:.2f}): frames of one field, "
        "or an image twice? --field REGEX keeps those of a field together"
    ]
