"""An optimizer that moves weights by orthogonal matrices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ciegan.config import Config

# Of the iteration that brings singular values between 0 and 1 to about 1 (Jordan et al. 2024).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_LEAST = 16  # inputs and outputs of a weight that is a matrix; those of images are fewer
_MOVED = 0.6  # root mean square of an entry's step, of the rate; Adam's is some 0.2 to 0.4
_TINY = 1e-30


class Muon(torch.optim.Optimizer):
    """Muon for the weights between features, Adam for all others, with one rate.

    The step of a weight is the momentum of its gradient with all singular values brought to about
    1: directions that the gradient rarely takes are learned as fast as those that it takes always.
    A weight of a convolution is taken as a matrix of outputs by inputs and taps. Biases, the first
    and last layer and those of single channels have Adam. What it gains: benchmarks/networks.md.

    PyTorch's own `torch.optim.Muon` takes matrices alone, and no convolutions.

    Parameters
    ----------
    params : iterable of Tensor
    lr : float
    betas : (float, float)
        The first is that of the momentum, too.
    fused, capturable : bool
        See `torch.optim.Adam`.

    References
    ----------
    K. Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks,
    https://kellerjordan.github.io/posts/muon; J. Liu et al. 2025, arXiv 2502.16982 (steps of one
    root mean square, whatever the shape).

    Examples
    --------
    >>> network = torch.nn.Conv2d(16, 32, 3)
    >>> optimizer = Muon(network.parameters(), 1e-3)
    >>> network(torch.ones(1, 16, 3, 3)).sum().backward()
    >>> before = network.weight.detach().clone()
    >>> optimizer.step()
    >>> step = (network.weight.detach() - before).flatten(1)
    >>> int(torch.linalg.matrix_rank(step, rtol=0.1))  # the gradient's, all of one direction
    1
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        fused: bool = False,
        capturable: bool = False,
    ) -> None:
        weights = list(params)
        matrices = [w for w in weights if _is_matrix(w)]
        others = [w for w in weights if not _is_matrix(w)]
        # moves the others; groups and state are those of this one
        self._adam = torch.optim.Adam(weights, lr, betas=betas, fused=fused, capturable=capturable)
        groups = [{"params": g} for g in (matrices, others)]
        super().__init__(groups, self._adam.defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move all weights that have a gradient."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        self._move(self.param_groups[0])
        self._adam.param_groups, self._adam.state = self.param_groups[1:], self.state
        self._adam.step()
        return result

    def _move(self, group: dict[str, Any]) -> None:
        """Move the matrices of a group."""
        weights = [w for w in group["params"] if w.grad is not None]
        if not weights:
            return
        for weight in weights:
            if "momentum" not in self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        gradients: list[Tensor] = [w.grad for w in weights]
        momenta: list[Tensor] = [self.state[w]["momentum"] for w in weights]
        kept = group["betas"][0]
        torch._foreach_lerp_(momenta, gradients, 1 - kept)
        ahead = torch._foreach_lerp(gradients, momenta, kept)  # as Nesterov's
        steps = orthogonal([step.flatten(1) for step in ahead])
        # entries of a matrix with orthonormal rows are that small
        torch._foreach_mul_(steps, [-_MOVED * max(step.shape) ** 0.5 for step in steps])
        torch._foreach_mul_(steps, group["lr"])
        torch._foreach_add_(
            weights, [step.view(w.shape) for step, w in zip(steps, weights, strict=True)]
        )


def by_muon(config: Config) -> bool:
    """Whether the generator learns with Muon.

    Not by itself where targets are noisy: it learns sooner to give the noise back, and is then
    behind Adam on what is beneath (low-dose pairs of 12 kinds: 31.7 dB, Adam 32.1).

    Examples
    --------
    >>> from ciegan.config import DEFAULT, with_settings
    >>> [by_muon(with_settings(DEFAULT, {"data.target": t})) for t in ("truth", "self")]
    [True, False]
    """
    name = config.optimizer.name
    return name == "muon" or (name == "auto" and config.data.target == "truth")


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and min(weight.shape[:2]) >= _LEAST


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Matrices of the same singular vectors whose singular values are about 1 (0.7 to 1.2).

    Newton and Schulz's iteration on the products of the rows, which are small squares: matrices of
    as many rows go through together, and each is multiplied itself but once. Singular values
    below a thousandth of the norm stay smaller.

    Parameters
    ----------
    matrices : sequence of Tensor, shape (M, N)
        float32. One of zeros stays so.
    """
    flat = [m if m.shape[0] <= m.shape[1] else m.T for m in matrices]
    places: dict[int, list[int]] = defaultdict(list)
    for place, each in enumerate(flat):
        places[each.shape[0]].append(place)
    result: list[Tensor] = list(flat)
    for group in places.values():
        squares = torch.stack([flat[k] @ flat[k].T for k in group])
        size = squares.diagonal(dim1=1, dim2=2).sum(1).clamp_min(_TINY)[:, None, None]
        factors = _factors(squares / size) * size.rsqrt()
        for factor, k in zip(factors, group, strict=True):
            result[k] = factor @ flat[k]
    turned = zip(result, matrices, strict=True)
    return [r if r.shape == m.shape else r.T.contiguous() for r, m in turned]


def _factors(squares: Tensor) -> Tensor:
    """What matrices X are multiplied by, from X Xᵀ (K, N, N) of norm 1."""
    factors = torch.eye(squares.shape[-1], device=squares.device).expand_as(squares)
    for left in reversed(range(_ITERATIONS)):
        # X becomes (a + S) X, where S = b X Xᵀ + c (X Xᵀ)²
        part = torch.baddbmm(squares, squares, squares, beta=_B, alpha=_C)
        factors = torch.baddbmm(factors, part, factors, beta=_A)
        if left:  # the products of the new rows
            once = torch.baddbmm(squares, part, squares, beta=_A)
            squares = torch.baddbmm(once, once, part, beta=_A)
    return factors
