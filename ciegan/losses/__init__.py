"""Terms of the loss. A new term is a function here or in a module, and a line in `TERMS`.

Images are (B, C, Y, X), -1 to 1. Each term is 0 for identical images (but `tv`), lower is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ciegan.losses.adversarial import discriminator_loss, feature_matching, generator_loss
from ciegan.losses.features import VGG19, load_vgg, perceptual, style
from ciegan.losses.pixel import charbonnier, focal_frequency, l1, l2, total_variation
from ciegan.losses.structure import ms_ssim

# Name in the configuration to function of (enhanced, target); `perceptual` and `style`, which share
# their features, and the adversarial terms, which need the discriminator, are computed apart.
TERMS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "l2": l2,
    "charbonnier": charbonnier,
    "ms_ssim": ms_ssim,
    "focal_frequency": focal_frequency,
    "tv": lambda image, target: total_variation(image),
}

__all__ = [
    "TERMS",
    "VGG19",
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
