"""Terms on the features of VGG-19 (Simonyan and Zisserman 2014, arXiv 1409.1556)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from cellqa.errors import CellqaError, first_line

URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"  # its name holds its SHA-256
_WIDTHS = (64, 128, 256, 512, 512)
_DEPTHS = (2, 2, 4, 4, 4)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red green blue
LAYERS = tuple(f"conv{k + 1}_{j + 1}" for k, n in enumerate(_DEPTHS) for j in range(n))


class VGG19(nn.Module):
    """The convolutions of VGG-19 up to the last layer asked for; features are taken after ReLU.

    Parameters
    ----------
    layers : sequence of str
        As `conv1_2`.
    imagenet : bool
        Remove ImageNet's mean and deviation from images of 0 to 1, and pool maxima, as the network
        was trained; otherwise images enter as -1 to 1 and means are pooled, as in the CIEGAN
        authors' program.
    """

    def __init__(self, layers: tuple[str, ...], imagenet: bool = True) -> None:
        super().__init__()
        for name in layers:
            if name not in LAYERS:
                raise CellqaError(
                    f"losses.layers: {name!r} is no layer of VGG-19 (conv1_1 to conv5_4)"
                )
        if not layers:
            raise CellqaError("losses.layers: name at least one layer, as conv1_2")
        self.wanted = set(layers)
        self.imagenet = imagenet
        self.convolutions = nn.ModuleDict()
        self.places: dict[str, int] = {}  # of each layer in torchvision's `features`
        before, place = 3, 0
        last = max(LAYERS.index(name) for name in layers)
        for name in LAYERS[: last + 1]:
            if name.endswith("_1") and name != "conv1_1":
                place += 1  # pooling
            after = _WIDTHS[int(name[4]) - 1]
            self.convolutions[name] = nn.Conv2d(before, after, 3, padding=1)
            self.places[name] = place
            before, place = after, place + 2
        # standardises each layer where the weights are random
        for name in self.convolutions:
            self.register_buffer(f"scale_{name}", torch.ones(1))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(3, 1, 1))
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features of each layer asked for, of images (B, 1 or 3, Y, X), -1 to 1."""
        x = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        if self.imagenet:
            x = ((x + 1) / 2 - self.mean) / self.deviation
        features = {}
        for name, convolution in self.convolutions.items():
            if name.endswith("_1") and name != "conv1_1":
                x = self._pool(x)
            x = F.relu(convolution(x)) * getattr(self, f"scale_{name}")
            if name in self.wanted:
                features[name] = x
        return features

    def _pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if self.imagenet else F.avg_pool2d(x, 2)

    def load(self, state: Mapping[str, Any]) -> None:
        """Take the weights of torchvision's `vgg19` state dict.

        Raises
        ------
        CellqaError
            It lacks a layer, or one has another shape.
        """
        for name, convolution in self.convolutions.items():
            for part, parameter in convolution.named_parameters():
                key = f"features.{self.places[name]}.{part}"
                value = state.get(key)
                if not isinstance(value, Tensor) or value.shape != parameter.shape:
                    raise CellqaError(f"these are no weights of torchvision's vgg19: {key} differs")
                parameter.data.copy_(value)

    def randomise(self, seed: int) -> None:
        """Take random weights and standardise each layer.

        He-normal weights; then each layer is scaled so that its features of white noise have
        the mean square 1. Such features serve restoration about as well as trained ones (Liu et al.
        2021, arXiv 2103.10571).
        """
        generator = torch.Generator().manual_seed(seed)
        for convolution in self.convolutions.values():
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            fan = convolution.weight[0].numel()
            convolution.weight.data.normal_(0, (2 / fan) ** 0.5, generator=generator)
            convolution.bias.data.zero_()
        x = torch.randn(1, 3, 64, 64, generator=generator)
        for name, convolution in self.convolutions.items():
            if name.endswith("_1") and name != "conv1_1":
                x = self._pool(x)
            x = F.relu(convolution(x))
            scale = x.pow(2).mean().rsqrt().reshape(1)
            getattr(self, f"scale_{name}").copy_(scale)
            x = x * scale


def load_vgg(
    source: str, layers: tuple[str, ...], *, imagenet: bool = True, seed: int = 0
) -> tuple[VGG19, str]:
    """VGG-19 with weights, and a warning if they are random.

    Parameters
    ----------
    source : str
        A file with torchvision's `vgg19` state dict (.pth or .safetensors); `download` fetches it
        once through torch.hub, its hash checked; `random`.
    layers : tuple of str
    imagenet : bool
    seed : int
        Of random weights.

    Raises
    ------
    CellqaError
        The file is no such state dict, or cannot be downloaded. Pickles with code in them are
        refused, never run.
    """
    vgg = VGG19(layers, imagenet)
    if source == "random":
        vgg.randomise(seed)
        return vgg.eval(), (
            "perceptual and style loss use seeded random features, not VGG-19 trained on ImageNet: "
            "give --vgg-weights FILE (torchvision's vgg19), or --vgg-weights download"
        )
    try:
        if source == "download":
            state = torch.hub.load_state_dict_from_url(
                URL, map_location="cpu", check_hash=True, weights_only=True, progress=False
            )
        elif source.endswith(".safetensors"):
            from safetensors.torch import load_file

            state = load_file(source)
        elif not Path(source).is_file():
            raise CellqaError("there is no such file")
        else:
            state = torch.load(source, map_location="cpu", weights_only=True)
    except CellqaError as error:
        raise CellqaError(f"--vgg-weights {source}: {error}") from None
    except Exception as error:  # a hostile file can bring any error up
        raise CellqaError(
            f"--vgg-weights {source}: cannot be loaded as weights alone ({first_line(error)})"
        ) from None
    try:
        vgg.load(state)
    except CellqaError as error:
        raise CellqaError(f"--vgg-weights {source}: {error}") from None
    return vgg.eval(), ""


def perceptual(image: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Sum over layers of the mean squared difference of features.

    Johnson et al. 2016 (doi 10.1007/978-3-319-46475-6_43).
    """
    return torch.stack([F.mse_loss(image[name], target[name]) for name in image]).sum()


def style(image: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
    """Sum over layers of the mean squared difference of Gram matrices.

    Gram = features times their transpose / (channels x pixels) (Gatys et al. 2016, doi
    10.1109/CVPR.2016.265, with the CIEGAN authors' norm).
    """
    return torch.stack(
        [F.mse_loss(_gram(image[name]), _gram(target[name])) for name in image]
    ).sum()


def _gram(features: Tensor) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):  # sums over all pixels
        flat = features.float().flatten(2)
        return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])
