"""The judge in somebody's training loop: `update`, `compute`, `reset`, as torchmetrics has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from cellqa.arrays.given import Batch, batch_of
from cellqa.arrays.score import check_needs, score_images
from cellqa.arrays.scores import Scores
from cellqa.errors import MissingExtraError
from cellqa.extras import install_line
from cellqa.metrics.registry import for_run
from cellqa.pairs.roles import Role
from cellqa.scoring.options import ScoreOptions
from cellqa.tables.rows import Row

try:
    import torch
    from torch import Tensor, distributed
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"cellqa.torch needs torch; install it with: {install_line('gan')}"
    ) from error

__all__ = ["Judge"]

_METHOD = "image"


class Judge(torch.nn.Module):
    """Metrics of batches in training and validation, collected until `compute`.

    Every metric of cellqa, as `cellqa.score` computes it. Nothing of it has a gradient, or weights,
    so that it may be a part of a model: its `state_dict` is empty. Where processes train together
    (`torch.distributed`), `compute` is over the images of all of them, and all have to call it.

    Parameters
    ----------
    metrics : iterable of str
        Names; see `cellqa.METRICS`.
    prefix : str
        Before each name, as `val/`.
    fit : bool
        Also scores after the best gain and offset.
    **options
        Of `cellqa.ScoreOptions`: data_range, pixel_size, ...

    Raises
    ------
    ValueError
        A metric or option is unknown, or a metric needs a mask.

    Examples
    --------
    >>> judge = Judge(["psnr", "ssim"], prefix="val/", data_range=1.0)
    >>> target = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> judge.update(0.9 * target, target)
    >>> {name: round(value.item(), 2) for name, value in judge.compute().items()}
    {'val/psnr': 24.75, 'val/ssim': 0.99}
    >>> judge.reset()

    In Lightning, which hands values on to its loggers (TensorBoard, MLflow, W&B):

    >>> def on_validation_epoch_end(self):  # of a LightningModule
    ...     self.log_dict(self.judge.compute())
    ...     self.judge.reset()
    """

    higher_is_better: dict[str, bool | None]

    def __init__(
        self,
        metrics: Iterable[str] = ("psnr", "ssim"),
        *,
        prefix: str = "",
        fit: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        masked = options.get("foreground") is not None
        self.options = ScoreOptions(for_run(metrics, fit=fit, foreground=masked), **options)
        if self.options.data_range == "set":
            raise ValueError("`data_range` set is that of all images, which come batch by batch")
        self.prefix = prefix
        self.higher_is_better = {prefix + m.name: m.higher_is_better for m in self.options.metrics}
        self._rows: list[Row] = []
        self._images = 0
        self._roles: dict[str, None] = {}

    def update(
        self,
        pred: Tensor,
        target: Tensor | None = None,
        raw: Tensor | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        """Score a batch and keep its scores.

        Parameters
        ----------
        pred, target, raw : tensor or array, shape (N, 1, Y, X), (N, Y, X) or (Y, X)
            Enhanced images, ground truth, untouched images; on any device, of any real type.
        names : sequence of str, optional
            Of the images, in `scores`; numbers by default.

        Raises
        ------
        ValueError, TypeError
            Shapes do not fit, or `target` is given to one batch and not to another.
        """
        self._score(pred, target, raw, names)

    def forward(
        self,
        pred: Tensor,
        target: Tensor | None = None,
        raw: Tensor | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """As `update`, and the means of this batch."""
        return self._means(self._score(pred, target, raw, names))

    def _score(self, pred: Any, target: Any, raw: Any, names: Sequence[str] | None) -> list[Row]:
        parts = {_METHOD: pred, Role.REFERENCE: target, Role.RAW: raw}
        given = {str(role): part for role, part in parts.items() if part is not None}
        if self._roles and set(self._roles) != set(given):
            had, has = (", ".join(sorted(roles)) for roles in (self._roles, given))
            raise ValueError(f"batches must have the same parts: had {had}, now {has}")
        check_needs(self.options, {Role.REFERENCE: target, Role.RAW: raw})
        batch = batch_of(given, names)
        if names is None:
            chosen = [f"{self._images + k:06d}" for k in range(len(batch.names))]
            batch = Batch(chosen, batch.images)
        rows = score_images(batch, self.options, methods=[_METHOD])
        self._roles = dict.fromkeys(given)
        self._images += len(batch.names)
        self._rows += rows
        return rows

    def compute(self) -> dict[str, Tensor]:
        """The mean of each metric over all images since `reset`.

        Returns
        -------
        dict
            Prefix and metric to a tensor of float64 without dimensions. Images whose value is
            undefined are left out, as are infinite ones where others are finite; nan where there
            is no value, inf where all are (PSNR of identical images).

        Raises
        ------
        RuntimeError
            No image was scored.
        """
        rows = [row for part in self._gathered() for row in part]
        if not rows:
            raise RuntimeError("compute() without an image: call update() before")
        failed = [row for row in rows if row.status != "ok"]
        if failed:
            warnings.warn(
                f"{len(failed)} of {len(rows)} images could not be scored and are in no mean, such "
                f"as {failed[0].image}: {failed[0].reason}",
                stacklevel=2,
            )
        return self._means(rows)

    def scores(self) -> Scores:
        """All of it: each image's scores, intervals, warnings. Of this process alone.

        It can be saved by no `report`: the images are not kept.
        """
        images: dict[str, list[Any]] = {role: [] for role in self._roles}
        names = list(dict.fromkeys(row.image for row in self._rows))
        return Scores(self._rows, self.options, Batch(names, images))

    def reset(self) -> None:
        """Forget all images."""
        self._rows, self._images, self._roles = [], 0, {}

    def _gathered(self) -> list[list[Row]]:
        """The rows of all processes."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return [self._rows]
        gathered: list[list[Row]] = [[] for _ in range(distributed.get_world_size())]
        distributed.all_gather_object(gathered, self._rows)
        return gathered

    def _means(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        means = {}
        for metric in self.options.metrics:
            values = torch.tensor(
                [float(row.values.get(metric.name, torch.nan)) for row in rows],
                dtype=torch.float64,
            )
            finite = values[values.isfinite()]
            known = finite if len(finite) else values[values.isinf()]
            means[self.prefix + metric.name] = (
                known.mean() if len(known) else values.new_tensor(torch.nan)
            )
        return means

    def extra_repr(self) -> str:
        """What it measures, for `print`."""
        return f"{', '.join(m.name for m in self.options.metrics)}; {self._images} images"
