"""What the measures of time series catch, and how often they accuse an honest method.

    python benchmarks/following.py [--seeds 10]

Simulated time-lapses of known truth (`cellqa.simulate.timelapse`), 12 frames of 192 x 192 pixels.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from cellqa.enhance import ENHANCERS
from cellqa.metrics.series import SeriesMeasures, series_measures
from cellqa.simulate import Timelapse, timelapse
from cellqa.tables.time import FollowedSeries, time_doubts, unsteady

T = 12
MICROSCOPES: dict[str, dict[str, object]] = {
    "steady": {},
    "bleaching 5 %": {"bleaching": 0.05},
    "two flashes": {"flashes": {4: 2.0, 9: 0.5}},
    "focus drifts by 3 pixels": {"defocus": 3.0},
    "camera's offset jumps": {"offset": [100, 160, 90, 180] * 3},
    "20 photons": {"photons": 20.0},
    "growth and division": {"growth": 0.03, "divisions": 2},
}


def smooth(stack: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in stack])


def each(name: str) -> Callable[[Timelapse], np.ndarray]:
    enhancer = ENHANCERS[name]
    return lambda s: np.stack([enhancer(f) for f in s.image]).astype(float)


def averaged(stack: np.ndarray, frames: int) -> np.ndarray:
    half = frames // 2
    padded = np.pad(stack, ((half, half), (0, 0), (0, 0)), mode="edge")
    return np.stack([padded[t : t + frames].mean(axis=0) for t in range(len(stack))])


def stretched(stack: np.ndarray) -> np.ndarray:
    low, high = np.percentile(stack, (1, 99.8), axis=(1, 2))[:, :, None, None]
    return np.clip((stack - low) / (high - low), 0, 1)


def with_frame(s: Timelapse, change: Callable[[np.ndarray], None]) -> np.ndarray:
    made = smooth(s.image.astype(float))
    change(made)
    return made


def twice(made: np.ndarray) -> None:
    made[6] = made[5]


def flashed(made: np.ndarray) -> None:
    made[7] = (made[7] - 100) * 1.5 + 100


def unsteady_gain(size: float) -> Callable[[Timelapse], np.ndarray]:
    def method(s: Timelapse) -> np.ndarray:
        drawn = np.random.default_rng(int(s.image[0].sum())).standard_normal(T)
        gains = 1 + size * (drawn - drawn.mean()) / drawn.std()
        return (smooth(s.image.astype(float)) - s.offset[:, None, None]) * gains[:, None, None]

    return method


def jumping(s: Timelapse) -> np.ndarray:
    return smooth(s.image.astype(float)) + np.array([0, 10, -5, 15] * 3)[:, None, None]


def dropped(s: Timelapse) -> np.ndarray:
    made = smooth(s.image.astype(float))
    return np.concatenate([made[:5], made[6:], made[-1:]])


HONEST: dict[str, Callable[[Timelapse], np.ndarray]] = {
    "Gaussian, sigma 1": lambda s: smooth(s.image.astype(float)),
    "Gaussian, sigma 2.5": lambda s: smooth(s.image.astype(float), 2.5),
    "Wiener": each("wiener"),
    "unsharp mask": each("unsharp"),
    "the truth (no noise)": lambda s: s.ideal,
}
FAULTY: dict[str, Callable[[Timelapse], np.ndarray]] = {
    "percentiles of each frame": lambda s: stretched(s.image.astype(float)),
    "TE (CLAHE of each frame)": each("te"),
    "gain varies by 5 %": unsteady_gain(0.05),
    "gain varies by 10 %": unsteady_gain(0.1),
    "offset jumps": jumping,
    "bleaching undone": lambda s: (s.image - s.offset[:, None, None]) / s.decay[:, None, None],
    "mean of 3 frames": lambda s: averaged(s.image.astype(float), 3),
    "mean of 5 frames": lambda s: averaged(s.image.astype(float), 5),
    "a frame twice": lambda s: with_frame(s, twice),
    "a frame dropped": dropped,
    "a frame 1.5 times as bright": lambda s: with_frame(s, flashed),
}


def told(s: Timelapse, own: SeriesMeasures, made: np.ndarray) -> set[str]:
    """What a run would say, by kind; `own` is of the raw images."""
    series = [FollowedSeries("s", "input", (own, series_measures(s.image, made)))]
    lines = [*unsteady(series).values(), *time_doubts(series)]
    words = {
        "flicker": ("flickers", "evened out"),
        "drift": ("drifts",),
        "offset": ("background jumps",),
        "motion": ("moves otherwise",),
        "frames": ("out of line",),
    }
    return {kind for kind, texts in words.items() if any(t in w for w in lines for t in texts)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for microscope, options in MICROSCOPES.items():
        for seed in range(seeds):
            chosen: dict[str, Any] = {"photons": 100.0, "speed": 2.0, "seed": seed, **options}
            s = timelapse((T, 192, 192), **chosen)
            own = replace(series_measures(s.image, s.image), method="input")
            for name, method in {**HONEST, **FAULTY}.items():
                kinds = told(s, own, method(s))
                counts[name, microscope].update(kinds)
                counts[name, microscope]["any"] += bool(kinds)
    print(f"warned of, of {seeds} series each\n")
    print("| method | " + " | ".join(MICROSCOPES) + " |")
    print("|---" * (1 + len(MICROSCOPES)) + "|")
    for name in (*HONEST, *FAULTY):
        cells = []
        for microscope in MICROSCOPES:
            found = counts[name, microscope]
            kinds = ", ".join(f"{k} {n}" for k, n in sorted(found.items()) if k != "any" and n)
            cells.append(kinds or "0")
        print(f"| {name} | " + " | ".join(cells) + " |")
    honest = sum(counts[n, m]["any"] for n in HONEST for m in MICROSCOPES)
    print(f"\nhonest: {honest} of {seeds * len(HONEST) * len(MICROSCOPES)} series accused")


if __name__ == "__main__":
    main()
