"""A training run: prepared data to a folder with the best weights."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.loggers import TensorBoardLogger

from cellqa.disk import StrPath, alone, appearing_text, own_folder
from cellqa.errors import CellqaError, first_line, printable
from cellqa.scoring.compiling import compile_kernels
from cellqa.tables.files import write_json
from cellqa.terminal import Progress, Tell
from ciegan.config import Config, read_config, to_toml
from ciegan.data.crops import Crops
from ciegan.data.tile_pairs import TilePair, read_split, scale_of, spread
from ciegan.losses import VGG19, load_vgg
from ciegan.losses.base import FEATURES
from ciegan.network.checkpoint import BEST, LAST, make_generator
from ciegan.network.device import choose_device, device_errors, name_of, number_of
from ciegan.network.memory import keep
from ciegan.network.normalisation import channels_of
from ciegan.training.budget import Replanning, planned, planned_before, with_precision
from ciegan.training.calibration import calibrate_own
from ciegan.training.callbacks import RunWriter, Stopping, WholeCheckpoints
from ciegan.training.folder import CONFIG, EVENTS, RUN_SUMMARY, check_last, check_run, clear_folder
from ciegan.training.memory import check_sizes
from ciegan.training.monitor import Scores
from ciegan.training.objective import TrainingError
from ciegan.training.schedule import unheard
from ciegan.training.starting import started, take_weights, without_truth
from ciegan.training.step import Networks
from ciegan.training.trained import Trained

_WAITING = 0.1  # share of the time waiting for data from which a run warns


class Interrupted(Exception):  # noqa: N818 - not an error
    """The user stopped the training; it can be resumed."""


def train(
    data: StrPath,
    out: StrPath,
    config: Config,
    *,
    device: str = "auto",
    devices: int = 1,
    max_time: float | None = None,
    fit_time: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    tell: Tell = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> Trained:
    """Train on prepared data, and keep the weights that are best on its validation split.

    Parameters
    ----------
    data : path
        Folder with `train` and `val`, as `ciegan prepare` makes it.
    out : path
        Folder of the run: config.toml, metrics.csv, tensorboard/, samples/, best.safetensors,
        last.ckpt, summary.json.
    config : Config
        Ignored with `resume`: then that of the run counts.
    device : str
        See `ciegan.network.device.choose_device`.
    devices : int
        Processes; each takes batches of its own.
    max_time : float, optional
        Seconds after which training stops; what was done before a resume counts.
    fit_time : bool
        Choose the number of steps so that they end within `max_time`, by timing a few.
    resume, overwrite : bool
        Go on with, or replace, the run in `out`.
    tell : callable
        Called with a line when something happened.
    progress : callable
        Called with the number of steps done and of all.

    Raises
    ------
    CellqaError
        Wrong data or settings; a loss that is not finite; too little memory; a full disk.
    Interrupted
        By the user.
    """
    data, out = Path(data), Path(out)
    chosen = choose_device(device)
    _check_devices(chosen, devices)
    if chosen.type == "cpu":
        keep()
    elif chosen.type == "cuda":  # or products of matrices are not the same from run to run
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    child = is_child()
    if child:
        config = read_config(out / CONFIG)
        tell, progress = lambda line: None, lambda done, total: None
    else:
        config = check_run(out, config, resume=resume, overwrite=overwrite)
    config = without_truth(config) if not resume and not child else config
    config.losses.check_terms()
    config, first = started(config)
    make_generator(config, 1)  # what is wrong with its name or options is told first
    compile_kernels(tell)
    tell("reading the tiles")
    crops = Crops(read_split(data, "train", config.data.context), config.data, config.seed)
    crops.check_targets()
    validation = read_split(data, "val", config.data.context)
    _check_validation(validation, crops, config, devices)
    vgg, notes = _features(config)
    if known := crops.trained_on.warning(spread(validation, config.monitor.images)):
        notes.append(f"val: {known}")
    if crops.noise is not None:
        tell(crops.noise.describe())
    notes += crops.warnings()
    if not resume and not child:
        config = with_precision(config, crops, validation, vgg, chosen, tell)
    replanning: Replanning | None = None
    if max_time and resume and not child:
        replanning = planned_before(out / LAST, max_time, config)
    elif max_time and fit_time:
        config, replanning = planned(max_time, config, crops, validation, vgg, chosen, tell, child)
    if replanning is not None:
        max_time = replanning.seconds
    networks = Networks(config, crops, validation, vgg)
    notes += take_weights(networks, first, crops.channels) if first else []
    check_sizes(networks)
    untouched = _untouched(networks)
    networks.judge.check_defined(untouched)
    notes += [*config.monitor.warnings(), *unheard(config.schedule, networks.discriminator)]
    keeper = RunWriter(out, tell, progress, notes, untouched)
    trainer = _trainer(out, config, chosen, devices, max_time, keeper, replanning)
    if resume and not child:
        check_last(out, networks)
    with nullcontext() if child else alone(out, "OUT"):
        if not child and not resume:
            clear_folder(out)  # now that nothing is left that could be wrong
            with appearing_text(out / CONFIG) as file:
                file.write(to_toml(config))
        _fit(trainer, networks, out / LAST if resume and (out / LAST).exists() else None)
        trained = _trained(trainer, networks, keeper, untouched.values)
        if trainer.is_global_zero:
            trained.warnings.extend(
                calibrate_own(out / BEST, crops.tiles, networks.validation, config)
            )
            noise = crops.noise.describe() if crops.noise else ""
            write_json(out / RUN_SUMMARY, _summary(trained, chosen, devices) | {"noise": noise})
    return trained


def _fit(trainer: pl.Trainer, networks: Networks, last: Path | None) -> None:
    """Train, from a checkpoint if there is one."""
    try:
        with _quiet(), device_errors():
            trainer.fit(networks, ckpt_path=last, weights_only=True)
    except SystemExit:  # what Lightning makes of SIGINT
        if trainer.interrupted:
            raise Interrupted from None
        raise
    except OSError as error:
        raise CellqaError(
            f"{error.filename or 'OUT'}: {error.strerror or first_line(error)}; the files before "
            "stay whole: make room and go on with --resume"
        ) from None


def _trained(
    trainer: pl.Trainer, networks: Networks, keeper: RunWriter, untouched: dict[str, float]
) -> Trained:
    """What came of a run.

    Raises
    ------
    TrainingError
        No weights were kept.
    """
    config, notes = networks.config, list(keeper.warnings)
    if not keeper.best:
        raise TrainingError(
            f"no weights were kept: at each of {keeper.vetoed} validations the share of invented "
            f"detail was above {config.monitor.max_invented:g} (--max-invented), or noise came "
            "back: validate sooner (--every), or learn from two captures (--target other)"
        )
    notes += keeper.worse(keeper.best["score"])
    stopped = "steps" if networks.steps_done >= config.schedule.steps else "early"
    timer = next((c for c in trainer.callbacks if isinstance(c, Timer)), None)  # type: ignore[attr-defined]
    left = timer.time_remaining() if timer is not None else None
    if stopped == "early" and left is not None and left <= 0:
        stopped = "time"
    waiting = keeper.waited / max(keeper.elapsed, 1e-9)
    if waiting > _WAITING:
        notes.append(
            f"{waiting:.0%} of the time was spent waiting for data: set --workers, or more memory "
            "for images (--set data.memory=...)"
        )
    return Trained(
        keeper.out,
        networks.steps_done,
        stopped,
        keeper.best,
        untouched,
        keeper.elapsed,
        waiting,
        notes,
        next((c.plans for c in trainer.callbacks if isinstance(c, Replanning)), []),  # type: ignore[attr-defined]
    )


def is_child() -> bool:
    """Whether Lightning started this process for another device of a run."""
    return int(os.environ.get("LOCAL_RANK") or 0) > 0


def _check_devices(device: torch.device, devices: int) -> None:
    there = number_of(device) - (device.index or 0)
    if device.type != "cpu" and devices > there:
        raise CellqaError(f"--devices {devices}: there are {there} {device.type} devices here")
    if os.environ.get("LOCAL_RANK") == "":
        del os.environ["LOCAL_RANK"]  # Lightning takes it for a number


def _check_validation(tiles: list[TilePair], crops: Crops, config: Config, devices: int) -> None:
    """Read what will be validated on, so that what is wrong is told before hours pass."""
    fields = {tile.field for tile in crops.tiles} & {tile.field for tile in tiles}
    if fields:
        raise CellqaError(
            f"the field {printable(min(fields))!r} is in the training and in the validation "
            "split; prepare the data again"
        )
    if scale_of(tiles) != crops.scale:
        raise CellqaError(
            f"val: its targets have {scale_of(tiles)} times the pixels of its inputs along each "
            f"side, those of train {crops.scale} times"
        )
    chosen = spread(tiles, config.monitor.images)
    if len(chosen) < devices:
        raise CellqaError(
            f"--devices {devices}: each process validates, and there are {len(chosen)} images"
        )
    for tile in chosen:
        source, _, _ = tile.load()
        channels = channels_of(source.shape)
        if channels != crops.channels:
            raise CellqaError(
                f"val, {printable(tile.name)}: {channels} channels, train has {crops.channels}"
            )


def _features(config: Config) -> tuple[VGG19 | None, list[str]]:
    losses = config.losses
    if not losses.seen(FEATURES):
        return None, []
    vgg, warning = load_vgg(losses.vgg, losses.layers, imagenet=losses.imagenet, seed=config.seed)
    return vgg, [warning] if warning else []


def _untouched(networks: Networks) -> Scores:
    """What the validation inputs themselves score."""
    rows = []
    for place, tile in enumerate(networks.validation):
        source, target, size = networks.crops.loaded(tile)
        rows.append(networks.judge.values(place, source, source, target, size))
    return networks.judge.summarise(rows)


def _trainer(
    out: Path,
    config: Config,
    device: torch.device,
    devices: int,
    max_time: float | None,
    keeper: RunWriter,
    replanning: Replanning | None,
) -> pl.Trainer:
    callbacks: list[pl.Callback] = [keeper]
    if replanning is not None:
        callbacks.append(replanning)
    if config.monitor.patience:
        callbacks.append(Stopping(config.monitor))
    if max_time:
        callbacks.append(Timer(timedelta(seconds=max_time)))
    callbacks.append(
        ModelCheckpoint(
            out,
            filename=Path(LAST).stem,
            save_top_k=1,
            monitor=None,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
    )
    with _quiet():
        return pl.Trainer(
            accelerator={"cuda": "gpu"}.get(device.type, device.type),
            devices=_places(device, devices),
            # a plain "ddp" fails where only one of two networks learns at a step
            strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto",
            max_epochs=-1,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            logger=TensorBoardLogger(own_folder(out / EVENTS, out).parent, name="", version=EVENTS),
            callbacks=callbacks,
            plugins=[WholeCheckpoints(), LightningEnvironment()],  # a Slurm job is one run
            enable_progress_bar=False,
            enable_model_summary=False,
            deterministic="warn" if device.type == "cuda" else True,
        )


def _places(device: torch.device, devices: int) -> int | list[int]:
    """Devices as Lightning counts them."""
    if device.type != "cuda" or device.index is None:
        return devices
    return list(range(device.index, device.index + devices))


def _summary(trained: Trained, device: torch.device, devices: int) -> dict[str, Any]:
    return {
        "steps": trained.steps,
        "stopped": trained.stopped,
        "best": trained.best,
        "input": trained.untouched,
        "seconds": round(trained.seconds, 1),
        "waiting": round(trained.waiting, 4),
        "device": name_of(device),
        "devices": devices,
        "warnings": trained.warnings,
        "plans": trained.plans,
        "versions": {p: version(p) for p in ("cellqa", "torch", "lightning")},
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice is for who writes the program, not for who runs it."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", category=FutureWarning)
            # the first steps of a phase are not captured yet
            warnings.filterwarnings("ignore", message=".*capturable=True")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
