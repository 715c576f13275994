"""Damaged copies of a file: each is an error of the image, or pixels of the stated shape."""

import random
from pathlib import Path

from cellqa.errors import ImageError
from cellqa.io import open_image


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut short, or with some bytes changed, half of them where headers are."""
    if rng.random() < 0.25:
        return data[: rng.randrange(len(data))]
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        at = rng.randrange(min(600, len(out)) if rng.random() < 0.5 else len(out))
        out[at if rng.random() < 0.7 else -1 - at] = rng.randrange(256)
    return bytes(out)


def fuzz(whole: Path, cases: int, rng: random.Random) -> int:
    """Open and load so many damaged copies, and return how many were errors."""
    data = whole.read_bytes()
    path = whole.with_name(f"damaged{whole.suffix}")
    errors = 0
    for _ in range(cases):
        path.write_bytes(damaged(data, rng))
        try:
            with open_image(path, max_pixels=10**6) as file:
                for index in file.planes[:4]:
                    assert file.load(index).shape == file.shape_of(index)
                file.acquired()
        except ImageError as error:
            text = str(error)
        else:
            continue
        assert text.startswith(path.name)
        assert "\n" not in text
        errors += 1
    return errors
