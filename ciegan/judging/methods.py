"""What `ciegan compare` can compare, and how presets are trained for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cellqa.errors import CellqaError, did_you_mean, printable
from cellqa.pairs.roles import Role
from cellqa.shown import one_line
from ciegan.config import PRESETS, Config, from_dict, preset_on, with_settings
from ciegan.judging.classical import NAMES
from ciegan.training.budget import every_of

FIXED = {"seed", "schedule.steps"}  # or networks would not be alike
_EGT = "+egt"
_NAME = re.compile(r"\w([\w.+-]*\w)?")
# Every network sees as many validations, and stops at the end of the budget alone. The phases of
# the paper become shares: its 7,500 first steps would be all that most budgets have room for.
_FAIR: Mapping[str, Any] = {"monitor": {"patience": 0, "images": 24, "samples": 4}}
_ADAPTED: Mapping[str, Mapping[str, Any]] = {
    "paper": {"schedule": {"generator": 0.5, "discriminator": 0.1}},
}
# Batches that a CPU can take steps of.
_ON_CPU: Mapping[str, Mapping[str, Any]] = {
    "paper": {"data": {"crop": 128, "batch_size": 2}},
    "pix2pix": {"data": {"batch_size": 1}},
}


@dataclass(frozen=True)
class Method:
    """A method to compare.

    Attributes
    ----------
    name : str
        In tables, and of its folder.
    preset : str
        Of a network that is trained here.
    egt : bool
        Whether it is trained towards enhanced ground truth.
    weights : Path or None
        Of a network that is not trained here: a run, or a file that `ciegan enhance` takes.
    """

    name: str
    preset: str = ""
    egt: bool = False
    weights: Path | None = None

    __repr__ = one_line


def parse_methods(text: str) -> list[Method]:
    """Methods from their names: classical ones, presets, PRESET+egt, and NAME=WEIGHTS.

    Raises
    ------
    CellqaError
        A name is unknown, given twice, or no name of a folder.

    Examples
    --------
    >>> [m.name for m in parse_methods("te,rl,paper+egt,default")]
    ['te', 'rl', 'paper+egt', 'default']
    """
    methods: dict[str, Method] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, path = part.partition("=")
        preset = name.removesuffix(_EGT)
        if equals:
            method = Method(name, weights=Path(path))
            taken = name.casefold() in (*Role, *NAMES, *PRESETS) or preset != name
            if taken or not path or not _NAME.fullmatch(name):
                raise CellqaError(
                    f"--methods: {printable(part)!r} is not NAME=WEIGHTS with a name of its "
                    "own, of letters and digits"
                )
        elif preset in PRESETS:
            method = Method(name, preset, name.endswith(_EGT))
        elif name in NAMES:
            method = Method(name)
        else:
            known = ", ".join((*NAMES, *PRESETS))
            raise CellqaError(
                f"--methods: {printable(name)!r} is none of {known}, PRESET+egt, NAME=WEIGHTS"
                f"{did_you_mean(name, (*NAMES, *PRESETS))}"
            )
        # names become folders, and some systems do not tell A from a
        if name.casefold() in methods:
            raise CellqaError(f"--methods: {printable(name)!r} is there twice")
        methods[name.casefold()] = method
    if not methods:
        raise CellqaError("--methods: name one at least")
    return list(methods.values())


def config_of(
    method: Method,
    seed: int,
    device: torch.device,
    steps: int | None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
) -> Config:
    """How a preset is trained here: as published, where that fits into a budget at all.

    Parameters
    ----------
    method : Method
    seed : int
    device : torch.device
    steps : int, optional
        Where steps are the budget.
    settings : mapping of str to mapping of str to str, optional
        Preset, or "" for all, to settings as of `ciegan train --set`.

    Raises
    ------
    CellqaError
        A setting is wrong, or the comparison's own.
    """
    config = preset_on(device.type, method.preset)
    for changes in (
        _FAIR,
        _ADAPTED.get(method.preset, {}),
        _ON_CPU.get(method.preset, {}) if device.type == "cpu" else {},
    ):
        config = from_dict(changes, config)
    if steps is not None:
        config = replace(
            config,
            schedule=replace(config.schedule, steps=steps),
            monitor=replace(config.monitor, every=every_of(config, steps)),
        )
    config = replace(config, seed=seed)
    for name in ("", method.preset):
        own = (settings or {}).get(name, {})
        for key in FIXED & set(own):
            raise CellqaError(f"--set {key}: it is the comparison's own; see --seeds and --steps")
        config = with_settings(config, own)
    return config
