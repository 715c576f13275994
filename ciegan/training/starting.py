"""Where training begins: weights that are there, and what learns where there is no truth."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from cellqa.errors import CellqaError
from ciegan.config import PRESETS, Config, Losses
from ciegan.models import Generator
from ciegan.network.checkpoint import Checkpoint, load
from ciegan.network.onnx import SUFFIX
from ciegan.training.step import Networks


def started(config: Config) -> tuple[Config, Checkpoint | None]:
    """The weights that a configuration begins from, and the configuration with their generator.

    Raises
    ------
    CellqaError
        They cannot be read or trained, or another generator was asked for.
    """
    if not config.start:
        return config, None
    first = load(config.start)
    if first.path.suffix.lower() == SUFFIX:
        raise CellqaError(f"--from: {first.path.name} is ONNX, which is not trained; give the run")
    own = first.config.generator
    if config.generator not in (PRESETS[config.preset].generator, own):
        raise CellqaError(
            f"--from: {first.path.name} is of the generator {own.name}{own.options or ''}: drop "
            "--generator and its options"
        )
    return replace(config, generator=own), first


def take_weights(networks: Networks, first: Checkpoint, channels: int) -> list[str]:
    """Put weights into the generator and its average; return what to be warned of.

    Raises
    ------
    CellqaError
        They are of other channels.
    """
    if first.generator.channels != channels:
        raise CellqaError(
            f"--from: {first.path.name} is of {first.generator.channels} channels, the training "
            f"images have {channels}"
        )
    state = _widened(first, networks.generator)
    networks.generator.load_state_dict(state)
    if networks.average is not None:
        networks.average.module.load_state_dict(state)
    networks.known_before = first.trained_on
    told = [f"begun from {first.path.name}: {warning}" for warning in first.warnings]
    if first.scale != networks.crops.scale:
        told.append(
            f"--from: inputs of {first.path.name} were enlarged {first.scale} times, here they are "
            f"{networks.crops.scale} times"
        )
    rules = first.normalisation.rule, networks.normalisation.rule
    if len(set(rules)) == 2:
        told.append(
            f"--from: {first.path.name} was trained with --normalize {rules[0]}, this run "
            f"takes {rules[1]}"
        )
    return told


def _widened(first: Checkpoint, generator: Generator) -> dict[str, Tensor]:
    """Weights of a network, where neighbours are seen that it did not see: they count nothing yet.

    Raises
    ------
    CellqaError
        It saw more of them, or others.
    """
    before, now = first.config.data.context, first.generator.planes
    state, own = first.generator.state_dict(), generator.state_dict()
    if now > generator.planes:
        raise CellqaError(
            f"--from: {first.path.name} sees neighbours: give --set data.context={before}"
        )
    for name, value in own.items():
        known = state.get(name, value.new_ones(1))  # a single plane has no shares: all of it
        if known.shape != value.shape:
            wide = value.new_zeros(value.shape)
            wide[tuple(slice(n) for n in known.shape)] = known
            state[name] = wide
    return state


def without_truth(config: Config) -> Config:
    """What learns and is watched where targets are noisy: squares, whose least is at the mean.

    Other losses and metrics that were asked for stay.
    """
    usual = PRESETS[config.preset]
    if config.data.target == "truth":
        return config
    if config.losses == usual.losses:
        config = replace(config, losses=Losses({"l2": 1.0}))
    if config.monitor.metrics == usual.monitor.metrics:
        config = replace(config, monitor=replace(config.monitor, metrics={"psnr": 1.0}))
    return config
