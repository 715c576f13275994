"""What happens beside the steps: files of the run folder, stopping, progress."""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.plugins.io import TorchCheckpointIO

from cellqa.disk import appearing, appearing_text, open_ours, own_folder
from cellqa.errors import printable
from cellqa.io import luminance
from cellqa.pairs.roles import Role
from cellqa.reporting.figures import label, save_image_grid
from cellqa.terminal import Progress, Tell
from ciegan.config import Monitor
from ciegan.data.tile_pairs import spread
from ciegan.network.checkpoint import BEST, save
from ciegan.training.folder import HISTORY, SAMPLES
from ciegan.training.monitor import Scores
from ciegan.training.schedule import adversarial_steps
from ciegan.training.step import Networks


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that replace the one before only when they are complete and on the disk."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write beside, then rename."""
        with appearing(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # what torch makes of a full disk
                raise OSError(None, f"cannot be written ({error})", str(path)) from None


class Stopping(EarlyStopping):
    """Lightning's early stopping, which waits for the adversarial phase.

    Parameters
    ----------
    monitor : Monitor
    """

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(
            "score",
            monitor.min_delta,
            monitor.patience,
            mode="max",
            check_finite=False,
            check_on_train_epoch_end=False,
        )
        self.settings = monitor

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count validations without a better score, once stopping is allowed."""
        assert isinstance(pl_module, Networks)
        step, schedule = pl_module.steps_done, pl_module.config.schedule
        together = pl_module.discriminator is None or (
            adversarial_steps(step, schedule) >= self.settings.min_adversarial_steps
        )
        if step >= self.settings.min_steps and together:
            super().on_validation_end(trainer, pl_module)


class RunWriter(Callback):
    """Writes what a run leaves: best.safetensors, metrics.csv, sample montages.

    Parameters
    ----------
    out : Path
    tell : callable
        Called with a line for each validation.
    progress : callable
        Called with the number of steps done and of all.
    warnings : list of str
        Kept with the weights.
    untouched : Scores
        Of the validation inputs themselves.
    """

    def __init__(
        self,
        out: Path,
        tell: Tell,
        progress: Progress,
        warnings: list[str],
        untouched: Scores,
    ) -> None:
        self.untouched = untouched
        self.out, self.tell, self.progress, self.warnings = out, tell, progress, warnings
        self.best: dict[str, Any] = {}  # step, score, values
        self.vetoed = 0
        self.seconds = 0.0
        self.waited = 0.0
        self._began = time.perf_counter()
        self._waited_before = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What `--resume` needs."""
        return {
            "best": self.best,
            "vetoed": self.vetoed,
            "seconds": self.elapsed,
            "waited": self.waited,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the checkpoint was written."""
        self.best, self.vetoed = dict(state_dict["best"]), int(state_dict["vetoed"])
        self.seconds, self.waited = float(state_dict["seconds"]), float(state_dict["waited"])
        self._waited_before = self.waited

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resume among them."""
        return self.seconds + time.perf_counter() - self._began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, and forget rows of steps that will be done again."""
        assert isinstance(pl_module, Networks)
        self._began = time.perf_counter()
        if trainer.is_global_zero:
            _keep_rows(self.out / HISTORY, pl_module.steps_done)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Tell how far it is."""
        assert isinstance(pl_module, Networks)
        self.progress(pl_module.steps_done, pl_module.config.schedule.steps)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the row, the samples, and the weights if they are the best."""
        assert isinstance(pl_module, Networks)
        scores = pl_module.scores
        assert scores is not None
        losses = pl_module.take_losses()
        loader = pl_module.loader
        self.waited = self._waited_before + (loader.waited if loader else 0.0)
        veto = pl_module.judge.vetoes(scores)
        best = not veto and scores.score > self.best.get("score", -math.inf)
        self.vetoed += veto
        if best:
            self.best = {
                "step": pl_module.steps_done,
                "score": scores.score,
                "values": dict(scores.values),
            }
        if not trainer.is_global_zero:
            return
        row = self._row(pl_module, scores, losses)
        _add_row(self.out / HISTORY, row)
        for logger in trainer.loggers:
            numbers = {k: v for k, v in row.items() if isinstance(v, float) and math.isfinite(v)}
            logger.log_metrics(numbers, step=pl_module.steps_done)
        if best:
            save(
                self.out / BEST,
                pl_module.kept.state_dict(),
                config=pl_module.config,
                channels=pl_module.crops.channels,
                scale=pl_module.crops.scale,
                normalisation=pl_module.normalisation,
                step=pl_module.steps_done,
                scores={k: v for k, v in scores.values.items() if math.isfinite(v)},
                warnings=[*self.warnings, *self.worse(scores.score)],
                trained_on=pl_module.crops.trained_on.with_other(pl_module.known_before),
            )
        self._samples(pl_module)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in scores.values.items())
        why = "noise comes back" if scores.echo < 0 else "invented detail"
        mark = " (best)" if best else f" (vetoed: {why})" if veto else ""
        self.tell(f"step {pl_module.steps_done}: {shown}{mark}")

    def worse(self, score: float) -> list[str]:
        """A warning where weights of this score are worse than nothing."""
        if not score < self.untouched.score:
            return []
        return [
            f"the best weights are worse than the untouched input (score {score:.4g}, input "
            f"{self.untouched.score:.4g}): do not use them; train longer, or change the settings"
        ]

    def _row(
        self, networks: Networks, scores: Scores, losses: Mapping[str, float]
    ) -> dict[str, Any]:
        rate = networks.trainer.optimizers[0].param_groups[0]["lr"]
        return {
            "step": networks.steps_done,
            "phase": networks.phase.name,
            "seconds": self.elapsed,
            "waiting": self.waited / max(self.elapsed, 1e-9),
            "rate": float(rate),
            "score": scores.score,
            **scores.values,
            **{f"loss_{name}": losses.get(name, math.nan) for name in loss_names(networks)},
        }

    def _samples(self, networks: Networks) -> None:
        rows = {}
        for tile in spread(networks.validation, networks.config.monitor.samples):
            image, source, target, _ = networks.enhanced(tile)
            shown = {Role.RAW: source, "enhanced": image, Role.REFERENCE: target}
            name = label(printable(tile.name), 40).replace("_", "\n", 1)
            rows[name] = {role: np.asarray(luminance(p)) for role, p in shown.items()}
        if rows:
            folder = own_folder(self.out / SAMPLES, self.out)
            save_image_grid(folder / f"step_{networks.steps_done:07d}.png", rows)


def loss_names(networks: Networks) -> list[str]:
    """Terms that are logged, in the order of the configuration."""
    names = networks.config.losses.weights
    return ["total", *names, *(["discriminator"] if networks.discriminator is not None else [])]


def _keep_rows(table: Path, step: int) -> None:
    """Drop rows of steps after this one."""
    if not table.exists():
        return
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    kept = rows[:1] + [
        row for row in rows[1:] if row and row[0].isdecimal() and int(row[0]) <= step
    ]
    with appearing_text(table) as file:
        csv.writer(file, lineterminator="\n").writerows(kept)


def _add_row(table: Path, row: Mapping[str, Any]) -> None:
    cells = [
        "" if isinstance(v, float) and math.isnan(v) else f"{v:.8g}" if isinstance(v, float) else v
        for v in row.values()
    ]
    ours = open_ours(table, keep=True)
    new = not ours.seek(0, os.SEEK_END)
    with io.TextIOWrapper(ours, encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(row)
        writer.writerow(cells)
