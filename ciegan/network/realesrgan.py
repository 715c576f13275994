"""Published weights of Real-ESRGAN (`RealESRGAN_x4plus.pth` and its like) as a generator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from cellqa.errors import CellqaError, printable
from ciegan.models import Generator
from ciegan.models.rrdbnet import RRDBNet

SUFFIX = ".pth"
NAME = "real-esrgan"  # of generator and preset
WARNING = (
    "Real-ESRGAN learned from photographs and invents texture: judge its results with --check and "
    "`cellqa score`"
)
_SCALES = {3: 4, 12: 2, 48: 1}  # by the channels that the first convolution sees
_MOST_BLOCKS = 100
_MARGIN = 32  # pixels as the blocks see them


class RealESRGAN(Generator):
    """`RRDBNet` on grey images, at their own size.

    Grey values go to all three colours. Of the result the luminance is taken (ITU-R BT.601), and
    the mean of the pixels that one has become. Images of three channels are not taken.

    `radius` is not exact here: through 347 convolutions a pixel depends on all within some 349
    times `stride`, but windows with such margins take 40 GB. It is 32 times `stride`, which leaves
    an error. With weights drawn at random (He et al. 2015, arXiv 1502.01852, times 1 and 1.5),
    windows differ from the whole image by less than 1e-5 of its range; times 2, where each block
    amplifies noise, by 4e-3 (scale 4) and 9e-3 (scale 2).

    Parameters
    ----------
    blocks, scale
        As in `RRDBNet`.
    """

    channels = 1

    def __init__(self, blocks: int = 23, scale: int = 4) -> None:
        super().__init__()
        self.network = RRDBNet(blocks, scale)
        self.stride = self.network.unshuffle
        self.radius = _MARGIN * self.stride
        self.options = {"blocks": blocks, "scale": scale}

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same shape."""
        red, green, blue = self.network((images.expand(-1, 3, -1, -1) + 1) / 2).split(1, dim=1)
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        return 2 * F.avg_pool2d(grey, self.network.scale) - 1


def read(path: Path) -> RealESRGAN:
    """A generator with weights that the authors published; nothing in the file is run.

    The averaged weights (`params_ema`) are taken where there are any, else `params`, else the file
    itself. The number of blocks and the scale are those of the weights.

    Raises
    ------
    CellqaError
        The file is damaged, holds more than weights (which could run code), or weights of another
        network: the first that differs is named.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd pickles, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a hostile file can bring any error up, and torch's are of many lines
        raise CellqaError(
            f"{path.name}: cannot be loaded as weights alone: damaged, or a pickle with more in "
            "it, which could run code and is not run"
        ) from None
    state = content
    if isinstance(content, Mapping):
        state = content.get("params_ema", content.get("params", content))
    try:
        return _filled(state)
    except CellqaError as error:
        raise CellqaError(f"{path.name}: not weights of Real-ESRGAN's RRDBNet ({error})") from None


def _filled(state: Any) -> RealESRGAN:
    """A generator of the weights' own size.

    Raises
    ------
    CellqaError
        They are of no such network; the line names the key.
    """
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise CellqaError("no table of weights")
    first = state.get("conv_first.weight")
    inputs = first.shape[1] if isinstance(first, Tensor) and first.ndim == 4 else 0
    if inputs not in _SCALES:
        raise CellqaError("conv_first.weight must see 3, 12 or 48 channels")
    blocks = {key.split(".")[1] for key in state if key.startswith("body.")}
    with torch.device("meta"):  # no memory before the sizes are compared
        generator = RealESRGAN(min(max(len(blocks), 1), _MOST_BLOCKS), _SCALES[inputs])
    own = generator.network.state_dict()
    for key in sorted(own.keys() | state.keys()):
        name, value = printable(key), state.get(key)
        if key not in own:
            raise CellqaError(f"{name} is not of it")
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta:
            raise CellqaError(f"{name} is missing or no tensor")
        if value.shape != own[key].shape:
            raise CellqaError(
                f"{name} must be of shape {tuple(own[key].shape)}, got {tuple(value.shape)}"
            )
        if not value.is_floating_point() or not torch.isfinite(value.float()).all():
            raise CellqaError(f"{name} must hold finite numbers")
    whole = {key: value.float().contiguous() for key, value in state.items()}
    generator.network.load_state_dict(whole, assign=True)
    return generator
