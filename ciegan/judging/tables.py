"""The tables of a comparison: cost, means with intervals, seeds."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from cellqa.tables.finished import Finished
from ciegan.config import PRESETS, from_dict
from ciegan.judging.methods import FIXED
from ciegan.network.checkpoint import load
from ciegan.network.cost import multiplications, parameters
from ciegan.network.device import name_of
from ciegan.training.folder import RUN_SUMMARY

COMPARED = ("psnr", "ssim", "ms_ssim", "frc_resolution")
_SEED_METRICS = (*COMPARED, "invented", "resolution")
_SIDE = 256  # of the image whose multiplications are counted
_SPEEDS = {"tiles": 1.0, "pixels": 1e6}


def summary_of(folder: Path) -> dict[str, Any] | None:
    """What a finished run says of itself; None where it is not finished."""
    try:
        summary = json.loads((folder / RUN_SUMMARY).read_text(encoding="utf-8"))
        return summary if {"seconds", "steps", "best"} <= set(summary) else None
    except (OSError, ValueError, TypeError):
        return None


def costs(
    order: Sequence[str],
    enhanced: Mapping[str, Mapping[str, Any]],
    networks: Mapping[str, Path],
) -> list[list[str]]:
    """What each method takes: size, arithmetic, training, time for an image.

    Parameters
    ----------
    order : sequence of str
        Methods.
    enhanced : mapping of str to mapping
        Method to what it is, and the tiles, pixels and seconds of its images.
    networks : mapping of str to Path
        Run or weights of those that are networks.
    """
    header = ["method", "parameters", f"GMAC of {_SIDE} x {_SIDE}", "training, s", "steps"]
    rows = [[*header, "kept step", "images/s", "MP/s", "what"]]
    for name in order:
        size = arithmetic = training = steps = kept = ""
        about = enhanced[name]
        path = networks.get(name)
        if path is not None:
            generator = load(path).generator
            if count := parameters(generator):
                size = f"{count:,}"
                arithmetic = f"{multiplications(generator, _SIDE) / 1e9:.3g}"
            if summary := summary_of(path):
                training, steps = f"{summary['seconds']:.0f}", str(summary["steps"])
                kept = str(summary["best"]["step"])
        speed = [f"{about[k] / about['seconds'] / unit:.3g}" for k, unit in _SPEEDS.items()]
        rows.append([name, size, arithmetic, training, steps, kept, *speed, about["what"]])
    return rows


def cost_note(device: torch.device, networks: Mapping[str, Mapping[str, Any]]) -> str:
    """Where and how, and what is other than in the presets.

    Parameters
    ----------
    device : torch.device
    networks : mapping of str to mapping
        METHOD/seedK to its budget and configuration.
    """
    threads = f"{torch.get_num_threads()} threads"
    place = threads if device.type == "cpu" else name_of(device)
    changes = []
    for name, about in networks.items():
        if not name.endswith("/seed0"):
            continue
        config = from_dict(tomllib.loads(about["config"]))
        for key, was, value in _differences(asdict(PRESETS[config.preset]), asdict(config)):
            changes.append(f"{name.removesuffix('/seed0')}: {key} {value} (of {was})")
    return (
        f"On {device.type} ({place}). Images/s of one test tile after the other, in memory. "
        "Every network had the same budget, data, and images to choose its best weights by. Other "
        f"than in the presets: {'; '.join(changes) or 'nothing'}."
    )


def _differences(
    first: Mapping[str, Any], second: Mapping[str, Any], at: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Dotted names of what differs, with both values; how long and which seed is told elsewhere."""
    for name, value in second.items():
        was = first.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            yield from _differences(was, value, f"{at}{name}.")
        elif value != was and f"{at}{name}" not in FIXED:
            yield f"{at}{name}", was, value


def means(finished: Finished, methods: Sequence[str], metrics: Sequence[str]) -> list[list[str]]:
    """Mean and interval of some metrics for each method."""
    of = {(s.method, s.metric): s for s in finished.summaries}
    rows = [["method", *metrics]]
    for method in methods:
        row = [method]
        for metric in metrics:
            s = of.get((method, metric))
            row.append(interval(s.mean, s.ci_low, s.ci_high) if s is not None and s.n else "")
        rows.append(row)
    return rows


def interval(mean: float, low: float, high: float) -> str:
    """A mean, and its interval where it has one.

    Examples
    --------
    >>> interval(1.23456, 1.0, 2.0), interval(3.0, float("nan"), float("nan"))
    ('1.235 (1 to 2)', '3')
    """
    if math.isnan(mean):
        return ""
    return f"{mean:.4g}" + ("" if math.isnan(low) else f" ({low:.4g} to {high:.4g})")


def by_seed(finished: Mapping[str, Finished], names: Sequence[str]) -> list[list[str]]:
    """The mean of each seed, and how much they differ."""
    others = sorted(
        (n for n in finished if n.startswith("results-seed")), key=lambda n: int(n[12:])
    )
    if not others or not names:
        return []
    runs = [finished["results"], *(finished[name] for name in others)]
    numbers = ["0", *(name.removeprefix("results-seed") for name in others)]
    rows = [["method", "metric", *(f"seed {k}" for k in numbers), "mean", "std"]]
    for name in names:
        for metric in _SEED_METRICS:
            values = [
                next((s.mean for s in r.summaries if (s.method, s.metric) == (name, metric)), None)
                for r in runs
            ]
            there = [v for v in values if v is not None and math.isfinite(v)]
            if not there:
                continue
            spread = f"{stdev(there):.3g}" if len(there) > 1 else ""
            cells = ["" if v is None or not math.isfinite(v) else f"{v:.4g}" for v in values]
            rows.append([name, metric, *cells, f"{fmean(there):.4g}", spread])
    return rows
