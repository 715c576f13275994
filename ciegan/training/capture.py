"""Steps as CUDA graphs: what the host would launch a thousand times is launched once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_WARM = 3  # steps of a phase before it is captured: kernels are chosen, constants made


@dataclass
class _Phase:
    """The steps of one phase."""

    taken: int = 0
    graph: torch.cuda.CUDAGraph | None = None
    source: Tensor | None = None
    target: Tensor | None = None


class Knobs:
    """Numbers that change from step to step; on a CUDA device, tensors that captured steps read.

    Parameters
    ----------
    device : torch.device, optional
        Where steps are captured; without it, numbers stay numbers.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device
        self._there: dict[str, Tensor] = {}

    def turn(self, name: str, value: float) -> float | Tensor:
        """The knob of a name, set to a value; the device does not wait."""
        if self.device is None:
            return value
        if name not in self._there:
            self._there[name] = torch.zeros((), device=self.device)
        return self._there[name].fill_(value)


class CapturedSteps:
    """Steps that are captured as CUDA graphs, one for each phase, and launched at once.

    A step of the default preset is a thousand small kernels; launched one by one they leave the
    device idle most of the time. The first steps of a phase are taken as they come, on the stream
    that captures; they are ordinary steps of the training, and nothing is computed twice. A step
    that is captured must not wait for the device, nor make anything on the host; what changes from
    step to step beside the batch, as the learning rate, must be in tensors on the device.

    Parameters
    ----------
    device : torch.device
        A CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._phases: dict[str, _Phase] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def run(
        self, name: str, source: Tensor, target: Tensor, take: Callable[[Tensor, Tensor], None]
    ) -> bool:
        """Take a step; return whether Python ran `take` for it, once.

        Parameters
        ----------
        name : str
            Of the phase.
        source, target : Tensor
            The batch, of one shape in all steps.
        take : callable
            What a step does with a batch.
        """
        phase = self._phases.setdefault(name, _Phase())
        current = torch.cuda.current_stream()
        if phase.taken < _WARM:
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                take(source, target)
            current.wait_stream(self._stream)
            phase.taken += 1
            return True
        if phase.graph is None:
            phase.source, phase.target = source.clone(), target.clone()
            phase.graph = torch.cuda.CUDAGraph()
            # other threads may read and copy meanwhile
            with torch.cuda.graph(
                phase.graph, self._pool, self._stream, capture_error_mode="thread_local"
            ):
                take(phase.source, phase.target)
            phase.graph.replay()
            return True
        assert phase.source is not None
        assert phase.target is not None
        phase.source.copy_(source)
        phase.target.copy_(target)
        phase.graph.replay()
        return False
