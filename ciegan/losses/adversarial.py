"""Terms through the discriminator. Logits are above 0 for what it takes for a target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def discriminator_loss(real: Tensor, fake: Tensor, kind: str = "non-saturating") -> Tensor:
    """Sigmoid cross-entropy of the discriminator (Goodfellow et al. 2014, arXiv 1406.2661).

    -log s(real) - log(1 - s(fake)), s the sigmoid, both averaged; `relativistic` puts
    real - mean(fake) and fake - mean(real) in their places and halves the sum (Jolicoeur-Martineau
    2018, arXiv 1807.00734, relativistic average).

    Parameters
    ----------
    real, fake : Tensor
        Logits of targets and of enhanced images.
    kind : str
        `non-saturating`, `saturating` or `relativistic`.
    """
    if kind == "relativistic":
        real, fake = real - fake.mean(), fake - real.mean()
    loss = F.softplus(-real).mean() + F.softplus(fake).mean()
    return loss / 2 if kind == "relativistic" else loss


def generator_loss(
    fake: Tensor, kind: str = "non-saturating", real: Tensor | None = None
) -> Tensor:
    """What the generator is told by the discriminator.

    `non-saturating` -log s(fake), as the CIEGAN authors' program; `saturating` log(1 - s(fake)), as
    their text, whose gradient vanishes where the discriminator is sure; `relativistic` the loss of
    the discriminator with the roles exchanged, which needs `real`.

    Raises
    ------
    ValueError
        `kind` is unknown, or relativistic without `real`.
    """
    if kind == "relativistic":
        if real is None:
            raise ValueError("`real` is needed for the relativistic loss")
        return discriminator_loss(fake, real, kind)
    if kind == "non-saturating":
        return F.softplus(-fake).mean()
    if kind == "saturating":
        return -F.softplus(fake).mean()
    raise ValueError(f"`kind` must be non-saturating, saturating or relativistic, got {kind!r}")


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean |fake - real| of the discriminator's features.

    Wang et al. 2018, Eq. 4 (doi 10.1109/CVPR.2018.00917); targets have no gradient.
    """
    terms = [F.l1_loss(f, r.detach()) for f, r in zip(fake, real, strict=True)]
    return torch.stack(terms).mean()
