"""The discriminator of the presets `default` and `pix2pix`."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ciegan.models.base import Discriminator, draw_weights


class PatchGAN(Discriminator):
    """Judges overlapping patches (Isola et al. 2017, doi 10.1109/CVPR.2017.632).

    4 x 4 convolutions with leaky ReLU (0.2), spectral normalisation (Miyato et al. 2018,
    arXiv 1802.05957) in place of batch normalisation. With 64 features and `batch` it is the
    paper's, which judges 70 x 70 pixels at once: 2,768,705 parameters in colour.

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
    norm : str
        `spectral`; or `batch`, as in the paper: after all but the first and the last convolution.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 0,
        width: int = 32,
        layers: int = 3,
        conditional: bool = True,
        norm: str = "spectral",
    ) -> None:
        super().__init__()
        if norm not in ("spectral", "batch"):
            raise ValueError(f"`norm` must be spectral or batch, got {norm!r}")
        self.conditional = conditional
        widths = [channels * (1 + conditional), *(width * 2**k for k in range(layers + 1))]
        strides = [2] * layers + [1]
        steps = zip(widths, widths[1:], strides, strict=False)
        if norm == "spectral":
            self.layers = nn.ModuleList(
                spectral_norm(nn.Conv2d(a, b, 4, stride, 1)) for a, b, stride in steps
            )
            self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 4, 1, 1))
            return
        # a bias before batch normalisation does nothing
        convolutions = [
            nn.Conv2d(a, b, 4, stride, 1, bias=k == 0) for k, (a, b, stride) in enumerate(steps)
        ]
        self.layers = nn.ModuleList(
            nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels)) if k else layer
            for k, layer in enumerate(convolutions)
        )
        self.last = nn.Conv2d(widths[-1], 1, 4, 1, 1)
        draw_weights(self)

    def forward(self, images: Tensor, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits (B, 1, Y', X') and the features of the layers within."""
        x = torch.cat([images, inputs], dim=1) if self.conditional else images
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.last(x), features
