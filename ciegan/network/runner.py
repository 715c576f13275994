"""A generator on a device, with what makes it fast there."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from weakref import WeakKeyDictionary

import numpy as np
import torch

from cellqa.planes import Array
from ciegan.models import Generator
from ciegan.network.memory import keep

# Bytes of activations of a window on the CPU. More would fit, but not into its caches: windows of
# 1024 pixels of the default are 1.3 times as fast as those of 1936, whose margins are smaller.
WORKING_MEMORY = 0.17e9


_MOST_MEMORY = 1.2e9  # of windows that would be mostly margins


_ALONE = 0.5e9  # bytes of a window on the CPU beside which no other is computed


_SHARE = 0.5  # of a CUDA device's free memory


_LARGEST_WINDOW = 4096


_LARGEST_BATCH = 64


_SMALLEST_TILE = 64


_PIPELINES = 4  # files in work at most


_PATIENCE = 0.002  # seconds that a batch waits for more windows


_bytes: WeakKeyDictionary[Generator, float] = WeakKeyDictionary()  # of a pixel


class Runner:
    """A generator on a device, with what makes it fast there.

    On CUDA, windows of several threads go through together, in half precision.
    Where memory does not suffice, fewer go through at once, and then smaller ones.

    Parameters
    ----------
    generator : Generator
        In evaluation mode.
    device : torch.device
    precision : str
        `auto`: 16 bits on CUDA, where sums are faster for it; `32`. Results that are not finite in
        16 bits are computed again in 32, from then on.
    compiled : bool
        Let torch.compile make kernels for this device, which takes a minute.
    batch : int, optional
        Windows that go through at once; by default one on the CPU, as many as fit on CUDA.

    Attributes
    ----------
    window : int
        Side of the windows that fit into memory, with their margins.
    pipelines : int
        Files to have in work, so that the device is never idle.
    """

    def __init__(
        self,
        generator: Generator,
        device: torch.device | None = None,
        *,
        precision: str = "auto",
        compiled: bool = False,
        batch: int | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.generator = generator
        cuda = self.device.type == "cuda"
        if device is not None:
            generator.to(device)
        # convolutions are 1.6 times as fast with it on the CPU, too
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.half = cuda and precision == "auto"
        self.forward: Callable[[torch.Tensor], torch.Tensor] = generator
        if compiled:
            self.forward = torch.compile(generator, dynamic=True)
        memory = WORKING_MEMORY
        if not cuda:
            keep()
        else:
            memory = _SHARE * torch.cuda.mem_get_info(self.device)[0]
        self.window, self.pixels = _window(generator, memory)  # pixels: of all windows of a batch
        self.batch = batch or (_LARGEST_BATCH if cuda else 1)
        if not generator.local:
            self.batch = 1  # the result of a window would depend on its neighbours
        self.pipelines = _PIPELINES if cuda else min(_PIPELINES, torch.get_num_threads())
        self._waiting: queue.Queue[tuple[Array, Future[Array]]] = queue.Queue()
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._cores, self._active = torch.get_num_threads(), 0
        if self.batch > 1:
            threading.Thread(target=self._serve, daemon=True).start()

    def __call__(self, window: Array) -> Array:
        """Enhance a window (C, Y, X), float32, -1 to 1, whose sides are multiples of the stride.

        Any thread may call.

        Raises
        ------
        MemoryError
            It does not fit into memory.
        """
        if self.batch == 1:
            bytes_ = math.prod(window.shape[1:]) * _bytes[self.generator]
            turn = self._turn if self.device.type == "cpu" and bytes_ > _ALONE else nullcontext()
            with turn, self._shared_cores():
                return self._run(window[None])[0]
        done: Future[Array] = Future()
        self._waiting.put((window, done))
        return done.result()

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

    def _serve(self) -> None:
        """Gather windows of one shape that wait, and send them through together."""
        held: tuple[Array, Future[Array]] | None = None
        while True:
            group = [held or self._waiting.get()]
            held = None
            shape = group[0][0].shape
            room = min(self.batch, max(1, int(self.pixels / math.prod(shape[1:]))))
            while len(group) < room:
                try:
                    item = self._waiting.get(timeout=_PATIENCE)
                except queue.Empty:
                    break
                if item[0].shape != shape:
                    held = item
                    break
                group.append(item)
            self._send(group)

    def _send(self, group: list[tuple[Array, Future[Array]]]) -> None:
        try:
            outputs = self._run(np.stack([window for window, _ in group]))
        except MemoryError as error:
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            self.batch = max(2, len(group) // 2)
            half = len(group) // 2
            self._send(group[:half])
            self._send(group[half:])
        except Exception as error:  # of the network: it belongs to whoever waits
            for _, done in group:
                done.set_exception(error)
        else:
            for image, (_, done) in zip(outputs, group, strict=True):
                done.set_result(image)

    def _run(self, windows: Array) -> Array:
        try:
            with torch.inference_mode():
                batch = torch.from_numpy(windows).to(self.device, memory_format=torch.channels_last)
                narrow = torch.autocast(self.device.type, torch.float16)
                with narrow if self.half else nullcontext():
                    outputs = self.forward(batch)
                images: Array = outputs.float().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_memory_error(error):
                raise
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            raise MemoryError(str(error)) from None
        if self.half and not np.isfinite(images).all():
            self.half = False
            return self._run(windows)
        return images


def is_memory_error(error: BaseException) -> bool:
    """Whether memory ran out, on the CPU or a CUDA device."""
    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate" in text)
    )


def _window(generator: Generator, memory: float) -> tuple[int, float]:
    """Side of the window that takes so much memory, and its pixels."""
    if generator not in _bytes:
        _bytes[generator] = generator.bytes_of_a_pixel()
    pixels = memory / _bytes[generator]
    # two thirds of each side are kept, or most of the work would be for the margins; but as memory
    # allows
    reach = 2 * generator.radius
    most = math.isqrt(int(max(memory, _MOST_MEMORY) / _bytes[generator]))
    side = min(math.isqrt(int(pixels)), _LARGEST_WINDOW)
    return max(side, min(3 * reach, most), _SMALLEST_TILE + reach), pixels
