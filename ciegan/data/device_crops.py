"""Crops that are cut, turned and scaled on a device, where the tiles are kept."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from cellqa.planes import Array
from ciegan.data.crops import Crops
from ciegan.network.launching import scaled_tensor
from ciegan.network.normalisation import RAW

_AHEAD = 4  # steps
_SHARE = 0.25  # of the device's free memory that tiles may take

# From a place in the crop to one in the tile, for each number of quarter turns: rows and columns
# grow with rows and columns (yy, yx, xy, xx), or shrink.
_TURNS = ((1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0))


class DeviceCrops:
    """`Crops` on a device: the same batches, to the bit, at the cost of a few kernels.

    On the host a crop takes a tenth of a millisecond, which is more than its share of a step on a
    fast device. Here only what is drawn is copied to it: a dozen numbers a crop.

    Parameters
    ----------
    crops : Crops
        All of whose tiles are kept, of one shape, in 8 or 16 bits; see `fits`.
    device : torch.device
    """

    def __init__(self, crops: Crops, device: torch.device) -> None:
        self.crops, self.device = crops, device
        self._pairs = [
            self._placed([crops.kept[k][role] for k in range(len(crops.tiles))]) for role in (0, 1)
        ]
        limits = [crops.limits(k) for k in range(len(crops.tiles))]
        # as NumPy takes them for float32 images
        self._low = torch.tensor([low for low, _ in limits], dtype=torch.float32).to(device)
        self._factor = torch.tensor([2 / (b - a) for a, b in limits], dtype=torch.float32).to(
            device
        )
        self._reach = torch.arange(crops.data.crop, device=device)

    @staticmethod
    def fits(crops: Crops, device: torch.device) -> bool:
        """Whether a CUDA device can keep the tiles, and they are of one shape, of raw pixels."""
        if crops.data.target != "truth":
            return False
        if device.type != "cuda" or len(crops.kept) < len(crops.tiles):
            return False
        tiles = [p for pair in crops.kept.values() for p in pair]
        shapes = {tuple(p.shape for p in pair) for pair in crops.kept.values()}
        if len(shapes) > 1 or any(p.dtype not in RAW for p in tiles):
            return False
        size = sum(p.size for p in tiles) * max(p.dtype.itemsize for p in tiles)
        return bool(size <= _SHARE * torch.cuda.mem_get_info(device)[0])

    def _placed(self, tiles: Sequence[Array]) -> Tensor:
        """Tiles on the device, (N, Y, X, C), in the wider of their types; 16 bits as signed."""
        stacked = np.stack([tile if tile.ndim == 3 else tile[:, :, None] for tile in tiles])
        if stacked.dtype == np.uint16:
            stacked = stacked.view(np.int16)
        return torch.from_numpy(stacked).to(self.device)

    def steps(self, first: int, last: int) -> DeviceLoader:
        """Batches of the steps from `first` to below `last`."""
        return DeviceLoader(self, first, last)

    def drawn(self, step: int) -> Tensor:
        """What is drawn for a step, one row a crop, in memory that the device reads by itself."""
        size = self.crops.data.batch_size
        rows = [self._numbers(k) for k in range(step * size, (step + 1) * size)]
        made = torch.tensor(rows, dtype=torch.int64)
        return made.pin_memory() if self.device.type == "cuda" else made

    def _numbers(self, k: int) -> tuple[int, ...]:
        """Tile, where the crop's first pixel lies there, and where its rows and columns lead."""
        place, y, x, turns, flip = self.crops.draw(k)
        last = self.crops.data.crop - 1
        yy, yx, xy, xx = _TURNS[turns]
        # where rows or columns of the tile shrink, the first pixel is at their end
        y += last * (yy + yx < 0)
        x += last * (xy + xx < 0)
        if flip:  # it is the last of its row, and columns count backwards
            y, x, yx, xx = y + yx * last, x + xx * last, -yx, -xx
        return place, y, x, yy, yx, xy, xx

    def batch(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets, float32, (B, C, crop, crop), of what was drawn for each."""
        numbers = numbers.to(self.device, non_blocking=True)
        place, y, x, yy, yx, xy, xx = (column.view(-1, 1, 1) for column in numbers.unbind(1))
        rows, columns = self._reach.view(1, -1, 1), self._reach.view(1, 1, -1)
        at = (place, y + yy * rows + yx * columns, x + xy * rows + xx * columns)
        low, factor = (v[place.view(-1)].view(-1, 1, 1, 1) for v in (self._low, self._factor))
        source, target = (scaled_tensor(tiles[at], low, factor) for tiles in self._pairs)
        return source, target


class DeviceLoader:
    """Batches of some steps; what is drawn for them is drawn ahead.

    Attributes
    ----------
    waited : float
        Seconds.
    """

    def __init__(self, crops: DeviceCrops, first: int, last: int) -> None:
        self.crops, self.first, self.last = crops, first, last
        self.waited = 0.0

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        with ThreadPoolExecutor(1) as ahead:
            steps = iter(range(self.first, self.last))
            pending = deque(ahead.submit(self.crops.drawn, step) for step in islice(steps, _AHEAD))
            while pending:
                start = time.perf_counter()
                numbers = pending.popleft().result()
                self.waited += time.perf_counter() - start
                pending.extend(ahead.submit(self.crops.drawn, step) for step in islice(steps, 1))
                yield self.crops.batch(numbers)
