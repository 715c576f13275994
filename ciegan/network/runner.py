"""A generator on a device, with what makes it fast there."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from weakref import WeakKeyDictionary

import numpy as np
import torch

from cellqa.errors import ImageError
from cellqa.planes import Array
from ciegan.models import Generator
from ciegan.network.batches import LARGEST_BATCH, Batches
from ciegan.network.device import device_errors, is_memory_error
from ciegan.network.launching import NOT_FINITE, DeviceNetwork, Result, Window, is_raw
from ciegan.network.memory import keep
from ciegan.network.neighbours import is_colour
from ciegan.network.normalisation import rounded, scaled, unscaled
from ciegan.network.precision import float32
from ciegan.network.turns import turned, turned_back

# Bytes of activations of a window on the CPU. More would fit, but not into its caches: windows of
# 1024 pixels of the default are 1.3 times as fast as those of 1936, whose margins are smaller.
WORKING_MEMORY = 0.17e9


_MOST_MEMORY = 1.2e9  # of windows that would be mostly margins


_ALONE = 0.5e9  # bytes of a window on the CPU beside which no other is computed


_SHARE = 0.4  # of a CUDA device's free memory


_LARGEST_WINDOW = 2048


SMALLEST_TILE = 64


_PIPELINES = 4  # files in work at most


_bytes: WeakKeyDictionary[Generator, float] = WeakKeyDictionary()  # of a pixel


class Runner:
    """A generator on a device, with what makes it fast there.

    On CUDA, windows of several threads go through together; pixels of 8 and 16 bits go to the
    device and come back as they are in files, and are scaled and rounded there. Where memory does
    not suffice, fewer go through at once, and then smaller ones.

    Parameters
    ----------
    generator : Generator
        In evaluation mode.
    device : torch.device
    precision : str
        Of CUDA devices. `16`: half precision, twice as fast or more. `32`: float32, without
        TF32. `auto`: half precision where its rounding stays below half a grey level of the
        result, as in images of 8 bits; float32 for others.
    compiled : bool or None
        Let torch.compile make kernels for this device: at once, never, or, with None, beside the
        work once a device has been busy so long with windows of one size that it pays.
    batch : int, optional
        Windows that go through at once; by default one on the CPU, as many as fit on CUDA.
    share : float
        Of the device, where several processes use it.

    Attributes
    ----------
    window : int
        Side of the windows that fit into memory, with their margins.
    pipelines : int
        Files to have in work, so that the device is never idle.

    Raises
    ------
    DeviceError
        The device is busy or lost.
    """

    def __init__(
        self,
        generator: Generator,
        device: torch.device | None = None,
        *,
        precision: str = "auto",
        compiled: bool | None = None,
        batch: int | None = None,
        share: float = 1.0,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.generator, self.precision, self.compiled = generator, precision, compiled
        cuda = self.device.type == "cuda"
        if generator not in _bytes:
            _bytes[generator] = generator.bytes_of_a_pixel()
        with device_errors():
            if device is not None:
                generator.to(device)
            memory = WORKING_MEMORY
            if cuda:
                memory = share * _SHARE * torch.cuda.mem_get_info(self.device)[0]
        # convolutions are 1.6 times as fast with it on the CPU, too
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not cuda:
            keep()
        self.window, self.pixels = _window(generator, memory)  # pixels: of all windows of a batch
        self.batch = batch or (LARGEST_BATCH if cuda else 1)
        if not generator.local:
            self.batch = 1  # the result of a window would depend on its neighbours
        self.pipelines = _PIPELINES if cuda else min(_PIPELINES, torch.get_num_threads())
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._cores, self._active = torch.get_num_threads(), 0
        self._batches: Batches | None = None
        if cuda or self.batch > 1:
            network = DeviceNetwork(generator, self.device, precision, compiled)
            self._batches = Batches(network, self.batch, self.pixels, self.pipelines)

    @property
    def widths(self) -> frozenset[int]:
        """Bits that were computed with so far, on a CUDA device."""
        return self._batches.network.widths if self._batches else frozenset()

    def submit(self, window: Window) -> Callable[[], Result]:
        """Begin to enhance a window; return what waits for the result.

        Any thread may call. What waits raises MemoryError where memory does not suffice.
        """
        if self._batches is not None and self.device.type == "cuda" and is_raw(window):
            return self._batches.ask(window).result
        done = self._enhance(window)
        return lambda: done

    def _enhance(self, window: Window) -> Result:
        """Scaled and rounded on the CPU."""
        scaled_pixels = scaled(window.pixels, window.limits)
        rows, columns = window.kept
        outputs = [
            turned_back(self(turned(scaled_pixels, k)), k)[:, rows, columns]
            for k in range(window.samples)
        ]
        planes = outputs[0] if window.samples == 1 else np.mean(outputs, axis=0)
        if not np.isfinite(planes).all():
            raise ImageError(NOT_FINITE)
        colour = is_colour(window.pixels, self.generator)
        spread = None
        if window.samples > 1:
            spread = in_grey(np.std(outputs, axis=0, ddof=1), window.limits, colour)
        if window.dtype is None:
            return Result(unscaled(planes, window.limits, colour), spread, 0)
        pixels, clipped = rounded(planes, window.limits, colour, window.dtype)
        return Result(pixels, spread, clipped)

    def __call__(self, window: Array) -> Array:
        """Enhance a window (C, Y, X), float32, -1 to 1, whose sides are multiples of the stride.

        Any thread may call.

        Raises
        ------
        MemoryError
            It does not fit into memory.
        DeviceError
            The device failed.
        """
        if self._batches is not None:
            return self._batches.ask(window).result()
        bytes_ = math.prod(window.shape[1:]) * _bytes[self.generator]
        turn = self._turn if self.device.type == "cpu" and bytes_ > _ALONE else nullcontext()
        with turn, self._shared_cores():
            return self._run(window)

    @contextmanager
    def _shared_cores(self) -> Iterator[None]:
        """Cores shared out to those that compute: threads that wait for each other are slower."""
        with self._lock:
            self._active += 1
            if self.device.type == "cpu":
                torch.set_num_threads(max(1, self._cores // self._active))  # of this thread
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1

    def _run(self, window: Array) -> Array:
        try:
            with torch.inference_mode(), float32(), device_errors():
                batch = torch.from_numpy(window[None])
                batch = batch.to(self.device, memory_format=torch.channels_last)
                image: Array = self.generator(batch).float().cpu().numpy()[0]
        except (RuntimeError, MemoryError) as error:
            if not is_memory_error(error):
                raise
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            raise MemoryError(str(error)) from None
        return image


def in_grey(spread: Array, limits: tuple[float, float], colour: bool) -> Array:
    """A deviation of (C, Y, X) in -1 to 1, in grey levels, as an image."""
    low, high = limits
    grey = (spread * ((high - low) / 2)).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(grey, 0, -1)) if colour else grey[0]


def _window(generator: Generator, memory: float) -> tuple[int, float]:
    """Side of the window that takes so much memory, and its pixels."""
    pixels = memory / _bytes[generator]
    # two thirds of each side are kept, or most of the work would be for the margins; but as memory
    # allows
    reach = 2 * generator.radius
    most = math.isqrt(int(max(memory, _MOST_MEMORY) / _bytes[generator]))
    side = min(math.isqrt(int(pixels)), _LARGEST_WINDOW)
    return max(side, min(3 * reach, most), SMALLEST_TILE + reach), pixels
