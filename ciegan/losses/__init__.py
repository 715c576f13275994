"""Terms of the loss. A new term is a function in a module here, and a line in `TERMS`.

Images are (B, C, Y, X), -1 to 1. Each term is 0 for identical images (but `tv`, which sees the
enhanced image alone, and `adversarial`), lower is better.
"""

from __future__ import annotations

from torch import Tensor

from cellqa.plugins import Registry, instance_of
from ciegan.losses.adversarial import discriminator_loss, feature_matching, generator_loss
from ciegan.losses.base import FEATURES, VERDICTS, Term, Verdict
from ciegan.losses.features import VGG19, load_vgg, perceptual, style
from ciegan.losses.pixel import charbonnier, focal_frequency, l1, l2, total_variation
from ciegan.losses.structure import ms_ssim


def _adversarial(image: Verdict, target: Verdict | None, kind: str) -> Tensor:
    real = None if target is None else target.logits.float()
    return generator_loss(image.logits.float(), kind, real)


def _feature_matching(image: Verdict, target: Verdict, kind: str) -> Tensor:
    return feature_matching(image.features, target.features)


TERMS: Registry[Term] = Registry(
    "ciegan.losses",
    [
        Term("l1", l1),
        Term("l2", l2),
        Term("charbonnier", charbonnier),
        Term("ms_ssim", ms_ssim),
        Term("focal_frequency", focal_frequency),
        Term("tv", lambda image, target: total_variation(image)),
        Term("perceptual", perceptual, FEATURES),
        Term("style", style, FEATURES),
        Term("adversarial", _adversarial, VERDICTS),
        Term("feature_matching", _feature_matching, VERDICTS),
    ],
    wrong=instance_of(Term),
)

__all__ = [
    "TERMS",
    "VGG19",
    "Term",
    "Verdict",
    "charbonnier",
    "discriminator_loss",
    "feature_matching",
    "focal_frequency",
    "generator_loss",
    "l1",
    "l2",
    "load_vgg",
    "ms_ssim",
    "perceptual",
    "style",
    "total_variation",
]
