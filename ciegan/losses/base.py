"""What a term of the loss says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from cellqa.shown import one_line

IMAGES, FEATURES, VERDICTS = "images", "features", "verdicts"


class Verdict(NamedTuple):
    """What the discriminator makes of images.

    Attributes
    ----------
    logits : Tensor
        Above 0 for what it takes for targets.
    features : list of Tensor
        Of its layers.
    """

    logits: Tensor
    features: list[Tensor]


@dataclass(frozen=True)
class Term:
    """A term of the generator's loss.

    Attributes
    ----------
    name : str
        In the configuration, where it gets its weight.
    compute : callable
        Of what it sees of the enhanced image, and of its target; lower is better. Verdicts come
        with the kind of adversarial loss as a third argument, and a target's verdict is None where
        that kind needs none and no other term sees verdicts.
    sees : str
        `images`: both images (B, C, Y, X), float32, -1 to 1. `features`: those of VGG-19, layer to
        features. `verdicts`: what the discriminator makes of both (`Verdict`).
    """

    name: str
    compute: Callable[..., Tensor]
    sees: str = IMAGES

    __repr__ = one_line

    def __post_init__(self) -> None:
        if self.sees not in (IMAGES, FEATURES, VERDICTS):
            raise ValueError(f"`sees` must be images, features or verdicts, got {self.sees!r}")
