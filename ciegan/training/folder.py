"""The folder of a run: what is in it, whether it may be written to, what is gone on with."""

from __future__ import annotations

from pathlib import Path

import torch

from cellqa.disk import remove_folder
from cellqa.errors import CellqaError, first_line, printable
from ciegan.config import Config, read_config
from ciegan.network.checkpoint import BEST, LAST
from ciegan.training.step import Networks

CONFIG, HISTORY, RUN_SUMMARY = "config.toml", "metrics.csv", "summary.json"
SAMPLES, EVENTS = "samples", "tensorboard"
_FILES = (CONFIG, HISTORY, RUN_SUMMARY, BEST, LAST)
_FOLDERS = (SAMPLES, EVENTS)


def check_run(out: Path, config: Config, *, resume: bool, overwrite: bool) -> Config:
    """See that a run can be written, or find the one to go on with; nothing is changed yet."""
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise CellqaError(f"OUT: the name {printable(str(out))!r} is not valid text") from None
    if out.exists() and not out.is_dir():
        raise CellqaError(f"OUT: {str(out)!r} is a file; give a folder")
    if resume:
        if not (out / CONFIG).exists():
            raise CellqaError(f"--resume: {str(out)!r} holds no run (no {CONFIG})")
        if (out / BEST).exists() and not (out / LAST).exists() and _validations(out) > 1:
            raise CellqaError(
                f"--resume: {LAST} is gone, and {BEST} would be lost; move it away and use "
                "--overwrite to begin again"
            )
        return read_config(out / CONFIG)
    there = [name for name in (*_FILES, *_FOLDERS) if (out / name).exists()]
    if there and not overwrite:
        raise CellqaError(
            f"OUT: {str(out)!r} holds an earlier run; give another folder, --resume to go on with "
            "it, or --overwrite"
        )
    if there:
        try:
            read_config(out / CONFIG)
        except CellqaError:
            raise CellqaError(
                f"OUT: {str(out)!r} is no run's folder (no {CONFIG} of one, but {there[0]})"
            ) from None
    return config


def _validations(out: Path) -> int:
    """How often a run was validated: at the first, its end may come before the first checkpoint."""
    try:
        with (out / HISTORY).open(encoding="utf-8", errors="replace") as file:
            return max(0, sum(bool(line.strip()) for line in file) - 1)
    except OSError:
        return 0


def check_last(out: Path, networks: Networks) -> None:
    """Refuse a checkpoint that is damaged, holds more than weights, or is of other networks."""
    path = out / LAST
    if not path.exists():
        return
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = {name: value.shape for name, value in content["state_dict"].items()}
        content["pytorch-lightning_version"], content["steps_done"], content["drawn_from"]
        groups = [len(each["param_groups"]) for each in content["optimizer_states"]]
    except Exception as error:  # a hostile file can bring any error up
        raise CellqaError(
            f"{path}: damaged, or no checkpoint of weights alone ({first_line(error)}); without "
            f"it, and without {BEST}, --resume begins again at step 0"
        ) from None
    own = {name: value.shape for name, value in networks.state_dict().items()}
    if own != state:
        raise CellqaError(f"{path}: of other networks than {CONFIG} says; was that edited?")
    if groups != [len(each.param_groups) for each in networks.configure_optimizers()]:
        raise CellqaError(
            f"{path}: of another optimizer than {CONFIG} says; versions up to 0.2 had `name = "
            '"adam"` below [optimizer], unsaid'
        )


def clear_folder(out: Path) -> None:
    """Remove what an earlier run left."""
    for name in _FOLDERS:
        remove_folder(out / name)
    for name in sorted(_FILES, key=CONFIG.__eq__):  # last what tells that it is a run
        (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
