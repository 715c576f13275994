"""The discriminator of the default preset."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ciegan.models.base import Discriminator


class PatchGAN(Discriminator):
    """Judges overlapping patches (Isola et al. 2017, doi 10.1109/CVPR.2017.632).

    4 x 4 convolutions with leaky ReLU (0.2), spectral normalisation (Miyato et al. 2018,
    arXiv 1802.05957) in place of batch normalisation.

    Parameters
    ----------
    channels : int
    size : int
        Ignored: it takes images of any size.
    width : int
        Features of the first layer; each doubles them.
    layers : int
        Of stride 2.
    conditional : bool
        Whether it sees the input beside the image.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 0,
        width: int = 32,
        layers: int = 3,
        conditional: bool = True,
    ) -> None:
        super().__init__()
        self.conditional = conditional
        widths = [channels * (1 + conditional), *(width * 2**k for k in range(layers + 1))]
        strides = [2] * layers + [1]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride, 1))
            for a, b, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, images: Tensor, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits (B, 1, Y', X') and the features of the layers within."""
        x = torch.cat([images, inputs], dim=1) if self.conditional else images
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.last(x), features
