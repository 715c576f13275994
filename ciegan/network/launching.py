"""A generator on a device: windows in, results out, and nothing that waits in between."""

from __future__ import annotations

import copy
import logging
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cellqa.errors import ImageError, first_line
from cellqa.planes import Array
from ciegan.models import Generator
from ciegan.network.device import device_errors, is_memory_error
from ciegan.network.neighbours import is_colour
from ciegan.network.normalisation import RAW
from ciegan.network.precision import exact_products
from ciegan.network.turns import turned_tensor, turned_tensor_back

PRECISIONS = ("auto", "16", "32")

# Of the largest value, what half precision changes at most: 2**-11 for each rounding of the sums
# that matter (0.0013 was seen on an H100, with the presets' networks and random weights).
_HALF = 0.002
_PAYS = 20.0  # seconds that a device was busy with one size after which kernels are made for it

_log = logging.getLogger(__name__)


class Window(NamedTuple):
    """A part of an image on its way through a network.

    Attributes
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, C)
        As they are in the file, with the margins that the result depends on.
    kept : (slice, slice)
        Rows and columns of the result.
    limits : (float, float)
        Grey levels of black and white.
    dtype : numpy.dtype or None
        Of the result; None for unrounded grey levels.
    samples : int
        Flips and turns of which the mean is taken.
    """

    pixels: Array
    kept: tuple[slice, slice]
    limits: tuple[float, float]
    dtype: np.dtype[Any] | None = None
    samples: int = 1


NOT_FINITE = "the network's result is not finite: are its weights damaged?"


class Result(NamedTuple):
    """What became of a window.

    Attributes
    ----------
    pixels : ndarray, shape (Y, X) or (Y, X, C)
    spread : ndarray of float32, or None
        Standard deviation over the samples, in grey levels.
    clipped : int
        Values beyond the range of the type.
    """

    pixels: Array
    spread: Array | None
    clipped: int


@dataclass(eq=False)
class Asked:
    """A window that waits: raw, or scaled already (C, Y, X)."""

    window: Window | Array
    narrow: bool
    done: Future[Any] = field(default_factory=Future)

    @property
    def kind(self) -> tuple[Any, ...]:
        """Those of one kind go through together."""
        if isinstance(self.window, Window):
            pixels = self.window.pixels
            return self.narrow, pixels.shape, pixels.dtype, self.window.samples
        return self.narrow, self.window.shape

    @property
    def size(self) -> int:
        """Pixels."""
        if isinstance(self.window, Window):
            return math.prod(self.window.pixels.shape[:2])
        return math.prod(self.window.shape[1:])


@dataclass
class Flight:
    """A batch that the device was given, and what will be there when it is done."""

    group: list[Asked]
    outputs: Tensor
    finite: Tensor
    spreads: Tensor | None = None
    clipped: Tensor | None = None
    key: tuple[Any, ...] = ()
    begun: torch.cuda.Event | None = None
    ended: torch.cuda.Event | None = None


class DeviceNetwork:
    """A generator on a device, in half precision and in float32.

    Parameters
    ----------
    generator : Generator
        On the device.
    device : torch.device
    precision : str
        See `PRECISIONS` and `ciegan.network.runner.Runner`.
    compiled : bool or None
        See there.

    Attributes
    ----------
    widths : frozenset of int
        Bits that were computed with so far.
    """

    def __init__(
        self, generator: Generator, device: torch.device, precision: str, compiled: bool | None
    ) -> None:
        self.generator, self.device, self.precision = generator, device, precision
        self.widths: frozenset[int] = frozenset()
        self.finite = True  # in half precision
        self._cuda = device.type == "cuda"
        self._compile = compiled
        self._half = generator
        if self._cuda:
            exact_products()
            if precision != "32" and any(True for _ in generator.parameters()):
                self._half = copy.deepcopy(generator).half().requires_grad_(False)
        self._made: dict[tuple[Any, ...], Callable[[Tensor], Tensor]] = {}
        self._busy: defaultdict[tuple[Any, ...], float] = defaultdict(float)
        self._making: set[tuple[Any, ...]] = set()

    def narrow(self, window: Window | Array) -> bool:
        """Whether a window takes half precision."""
        if not self._cuda or self.precision == "32" or not self.finite:
            return False
        if self.precision == "16":
            return True
        if not isinstance(window, Window) or window.dtype is None or window.dtype.kind == "f":
            return False
        return _HALF * (window.limits[1] - window.limits[0]) / 2 <= 0.5

    def launch(self, group: list[Asked]) -> Flight:
        """Give a batch to the device; nothing waits for it.

        Raises
        ------
        MemoryError, DeviceError
        """
        try:
            with torch.inference_mode(), device_errors(), self._here():
                return self._launch(group)
        except (RuntimeError, MemoryError) as error:
            if not is_memory_error(error):
                raise
            if self._cuda:
                torch.cuda.empty_cache()
            raise MemoryError(str(error)) from None

    def _launch(self, group: list[Asked]) -> Flight:
        begun = self._event()
        narrow, first = group[0].narrow, group[0].window
        windows: Any = [asked.window for asked in group]
        batch = self._scaled(windows) if isinstance(first, Window) else self._sent(windows)
        batch = batch.to(
            torch.float16 if narrow else torch.float32, memory_format=torch.channels_last
        )
        samples = first.samples if isinstance(first, Window) else 1
        forward = self._forward(narrow, batch.shape)
        outputs = [
            turned_tensor_back(forward(turned_tensor(batch, k) if k else batch), k).float()
            for k in range(samples)
        ]
        mean = outputs[0] if samples == 1 else torch.stack(outputs).mean(0)
        self.widths |= {16 if narrow else 32}
        flight = Flight(group, mean, self._back(torch.isfinite(mean).flatten(1).all(1)))
        if not isinstance(first, Window):
            flight.outputs = self._back(mean)
        else:
            self._round(flight, windows, mean)
            if samples > 1:
                half = self._per_item([(w.limits[1] - w.limits[0]) / 2 for w in windows])
                spread = torch.stack(outputs).std(0, correction=1) * half
                flight.spreads = self._back(spread.permute(0, 2, 3, 1))
        flight.key = (narrow, *batch.shape[1:])
        flight.begun, flight.ended = begun, self._event()
        return flight

    def finish(self, flight: Flight) -> list[Any] | None:
        """Wait for a batch; its results, or None where half precision does not hold them.

        An error in place of a result that is not finite.
        """
        with device_errors():
            if flight.ended is not None and flight.begun is not None:
                flight.ended.synchronize()
                self._spent(flight.key, flight.begun.elapsed_time(flight.ended) / 1000)
        if not bool(flight.finite.all()) and flight.group[0].narrow:
            self.finite = False
            return None
        pixels = flight.outputs.numpy()
        if flight.clipped is None:
            return list(pixels)
        results: list[Result | ImageError] = []
        for k, asked in enumerate(flight.group):
            window = asked.window
            assert isinstance(window, Window)
            if not bool(flight.finite[k]):
                results.append(ImageError(NOT_FINITE))
                continue
            rows, columns = window.kept
            colour = is_colour(window.pixels, self.generator)
            kept = pixels[k, rows, columns] if colour else pixels[k, rows, columns, 0]
            spread = None
            if flight.spreads is not None:
                whole = flight.spreads.numpy()[k, rows, columns]
                spread = whole if colour else whole[:, :, 0]
            results.append(Result(kept.view(window.pixels.dtype), spread, int(flight.clipped[k])))
        return results

    # grey levels, on the device

    def _scaled(self, windows: Sequence[Window]) -> Tensor:
        """Raw pixels as -1 to 1, (B, C, Y, X)."""
        pixels = [w.pixels if w.pixels.ndim == 3 else w.pixels[:, :, None] for w in windows]
        low = self._per_item([w.limits[0] for w in windows])
        factor = self._per_item([2 / (w.limits[1] - w.limits[0]) for w in windows])
        return scaled_tensor(self._sent(pixels), low, factor)

    def _round(self, flight: Flight, windows: Sequence[Window], planes: Tensor) -> None:
        """-1 to 1 as grey levels of the type, and how many values were beyond it."""
        dtype = windows[0].dtype
        assert dtype is not None
        largest = float(np.iinfo(dtype).max)
        half = self._per_item([(w.limits[1] - w.limits[0]) / 2 for w in windows])
        low = self._per_item([w.limits[0] for w in windows])
        levels = (planes + 1).mul_(half).add_(low)
        beyond = (levels < -0.5) | (levels > largest + 0.5)
        parts = [part[:, w.kept[0], w.kept[1]] for part, w in zip(beyond, windows, strict=True)]
        flight.clipped = self._back(torch.stack([part.sum() for part in parts]))
        levels = levels.round_().clamp_(0, largest).permute(0, 2, 3, 1)
        if dtype.itemsize == 1:
            flight.outputs = self._back(levels.to(torch.uint8))
        else:
            flight.outputs = self._back(levels.to(torch.int32).to(torch.int16))

    def _per_item(self, values: Sequence[float]) -> Tensor:
        made = torch.tensor(values, dtype=torch.float32, pin_memory=self._cuda)
        return made.to(self.device, non_blocking=True).view(-1, 1, 1, 1)

    # copies: through memory that the device reads and writes by itself

    def _sent(self, arrays: Sequence[Array]) -> Tensor:
        """Arrays of one shape, together, on the device."""
        kind = np.dtype(np.int16) if arrays[0].dtype == np.uint16 else arrays[0].dtype
        of_torch = {1: torch.uint8, 2: torch.int16, 4: torch.float32}[kind.itemsize]
        shape = (len(arrays), *arrays[0].shape)
        staged = torch.empty(shape, dtype=of_torch, pin_memory=self._cuda)
        place = staged.numpy()
        for k, array in enumerate(arrays):
            np.copyto(place[k], array.view(kind) if array.dtype != kind else array)
        return staged.to(self.device, non_blocking=True)

    def _back(self, values: Tensor) -> Tensor:
        """Values on their way to the host."""
        if not self._cuda:
            return values.contiguous()
        made = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        return made.copy_(values.contiguous(), non_blocking=True)

    def _here(self) -> AbstractContextManager[Any]:
        """The device of several that is meant."""
        return torch.cuda.device(self.device) if self._cuda else nullcontext()

    def _event(self) -> torch.cuda.Event | None:
        if not self._cuda:
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    # kernels of its own

    def _network(self, narrow: bool) -> Generator:
        return self._half if narrow else self.generator

    def _forward(self, narrow: bool, shape: torch.Size) -> Callable[[Tensor], Tensor]:
        """Kernels that were made for windows of this size; a window alone does without."""
        key = (narrow, *shape[1:])
        alone = shape[0] == 1  # for one, the compiler would make others
        if self._compile and self._cuda and not alone and key not in self._making:
            self._making.add(key)
            self._make(key)
        made = None if alone else self._made.get(key)
        return made or self._network(narrow)

    def _spent(self, key: tuple[Any, ...], seconds: float) -> None:
        """Make kernels beside the work once the device was busy with one size for long."""
        self._busy[key] += seconds
        if self._compile is None and self._busy[key] > _PAYS and key not in self._making:
            self._making.add(key)
            threading.Thread(target=self._make, args=(key,), daemon=True).start()

    def _make(self, key: tuple[Any, ...]) -> None:
        narrow, *shape = key
        kind = torch.float16 if narrow else torch.float32
        try:
            with torch.inference_mode(), self._here():
                made = torch.compile(self._network(narrow), dynamic=False)
                zeros = torch.zeros((2, *shape), dtype=kind, device=self.device)
                zeros = zeros.to(memory_format=torch.channels_last)
                torch._dynamo.mark_dynamic(zeros, 0)  # batches are of any size
                made(zeros)
        except Exception as error:  # of the compiler, whose errors are its own; the work goes on
            _log.warning("torch.compile failed, going on without (%s)", first_line(error))
            return
        self._made[key] = made


def scaled_tensor(raw: Tensor, low: Tensor, factor: Tensor) -> Tensor:
    """Raw pixels (B, Y, X, C) as -1 to 1, float32, (B, C, Y, X): `scaled`, to the bit, on a device.

    16 bits come as a signed type, of which PyTorch has more arithmetic. `low` is black, `factor` 2
    over the distance to white.
    """
    levels = (raw.to(torch.int32) & 0xFFFF if raw.dtype == torch.int16 else raw).float()
    return levels.permute(0, 3, 1, 2).sub_(low).mul_(factor).sub_(1)


def is_raw(window: Window) -> bool:
    """Whether a device can take the pixels as they are, and give them back so."""
    return window.dtype in RAW and window.pixels.dtype == window.dtype
