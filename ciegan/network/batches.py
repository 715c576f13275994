"""Windows of several threads, which go through a network together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from cellqa.planes import Array
from ciegan.network.launching import Asked, DeviceNetwork, Flight, Window

LARGEST_BATCH = 64

_PATIENCE = 0.001  # seconds that a batch waits for more windows
_IN_FLIGHT = 2  # batches that the device has before it


class Batches:
    """Gathers windows of one kind that wait, and sends them through together.

    Parameters
    ----------
    network : DeviceNetwork
    batch : int
        Windows that go through at once.
    pixels : float
        Of all windows of a batch.
    callers : int
        Threads that ask.
    """

    def __init__(self, network: DeviceNetwork, batch: int, pixels: float, callers: int) -> None:
        self.network, self.batch, self.pixels, self.callers = network, batch, pixels, callers
        self._waiting: queue.Queue[Asked] = queue.Queue()
        self._held: list[Asked] = []
        self._flights: queue.Queue[Flight] = queue.Queue(_IN_FLIGHT - 1)
        for loop in (self._serve, self._land):
            threading.Thread(target=loop, daemon=True).start()

    def ask(self, window: Window | Array) -> Future[Any]:
        """What will become of a window: a `Result`, or the enhanced (C, Y, X)."""
        asked = Asked(window, self.network.narrow(window))
        self._waiting.put(asked)
        return asked.done

    def _serve(self) -> None:
        while True:
            group = self._gather()
            try:
                self._send(group)
            except Exception as error:  # whoever waits would wait for ever
                _refuse(group, error)

    def _gather(self) -> list[Asked]:
        first = self._held.pop(0) if self._held else self._waiting.get()
        group = [first]
        room = min(self.batch, max(1, int(self.pixels / first.size)))
        for asked in [a for a in self._held if a.kind == first.kind][: room - 1]:
            self._held.remove(asked)
            group.append(asked)
        until = time.monotonic() + _PATIENCE
        while len(group) < room:
            try:
                asked = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            (group if asked.kind == first.kind else self._held).append(asked)
        return group

    def _send(self, group: list[Asked]) -> None:
        try:
            flight = self.network.launch(group)
        except MemoryError as error:
            if len(group) == 1:
                group[0].done.set_exception(error)
                return
            half = len(group) // 2
            self.batch = max(2, half)
            self._send(group[:half])
            self._send(group[half:])
        except Exception as error:  # of the network: it belongs to whoever waits
            _refuse(group, error)
        else:
            self._flights.put(flight)

    def _land(self) -> None:
        while True:
            flight = self._flights.get()
            try:
                results = self.network.finish(flight)
            except Exception as error:
                _refuse(flight.group, error)
                continue
            if results is None:  # again, in float32
                for asked in flight.group:
                    asked.narrow = False
                    self._waiting.put(asked)
                continue
            for asked, result in zip(flight.group, results, strict=True):
                if isinstance(result, Exception):
                    asked.done.set_exception(result)
                else:
                    asked.done.set_result(result)


def _refuse(group: Sequence[Asked], error: Exception) -> None:
    """Hand an error to those who wait."""
    for asked in group:
        if not asked.done.done():
            asked.done.set_exception(error)
