"""Is invented detail told from restored detail? Tables and figures of docs/believing.md.

python benchmarks/believing.py [--figures]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import cellqa
from cellqa import simulate

SIDE = 256
BLURRED, SHARP = 0.3, 0.7  # cut-offs of the raw image and of the ground truth
FEW, MANY = 400, 1500  # photons of both
THRESHOLD = 0.1  # of overclaim
KINDS = {
    "filaments": simulate.filaments,
    "spots": simulate.spots,
    "nuclei": simulate.nuclei,
}


def scene(kind: str, seed: int, amount: float = 1.0) -> dict[str, np.ndarray]:
    """Ground truth, raw image and its enhancements, all in the ground truth's grey levels.

    `amount` is what is invented, relative to the true detail beyond the raw image's cut-off.
    """
    draw = KINDS[kind]
    truth = draw((SIDE, SIDE), cutoff=SHARP, photons=MANY, seed=seed)
    raw = simulate.acquire(truth.structure, cutoff=BLURRED, photons=FEW, seed=seed + 1000)
    other = draw((SIDE, SIDE), cutoff=SHARP, photons=MANY, seed=seed + 500).ideal
    coarse = simulate.optical_blur(other, BLURRED)
    missing = truth.ideal - simulate.optical_blur(truth.ideal, BLURRED)
    size = amount * float(missing.std())

    def brightened(image: np.ndarray) -> np.ndarray:
        return (image.astype(float) - simulate.OFFSET) * MANY / FEW + simulate.OFFSET

    restored, noisy = (
        brightened(simulate.deconvolve(raw, photons=FEW, cutoff=SHARP, trust=trust))
        for trust in (1, 30)
    )
    images = {
        "input": brightened(raw.image),
        "restored": restored,
        "stretched": 1.7 * restored + 130,
        "over-sharpened": noisy,
        "invented": simulate.paste_texture(restored, other, beyond=BLURRED, amount=size),
        "misplaced": simulate.paste_texture(restored, coarse, beyond=0.1, amount=size),
    }
    counts = {name: np.clip(np.rint(i), 0, 65535).astype(np.uint16) for name, i in images.items()}
    return {"gt": truth.image, "raw": raw.image, **counts}


def average_gradient(image: np.ndarray) -> float:
    """Mean magnitude of the gradient, a popular measure of sharpness without reference."""
    return float(np.hypot(*np.gradient(image.astype(float))).mean())


def trial(seeds: int = 12, amount: float = 1.0) -> pd.DataFrame:
    """Every measure of every enhancement of `seeds` scenes of each kind."""
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        for seed in range(seeds):
            images = scene(kind, seed, amount)
            truth, raw = images.pop("gt"), images.pop("raw")
            data_range = float(np.ptp(truth))
            for name, image in images.items():
                pair = truth, image
                rows.append(
                    {
                        "kind": kind,
                        "seed": seed,
                        "image": name,
                        "resolution": cellqa.resolution(image),
                        "frc_resolution": cellqa.frc_resolution(*pair),
                        "overclaim": cellqa.overclaim(*pair),
                        "rsp": cellqa.rsp(raw, image),
                        "entropy": cellqa.entropy(image),
                        "gradient": average_gradient(image),
                        "psnr": cellqa.psnr(*pair, data_range=data_range),
                        "psnr_fit": cellqa.psnr_fit(*pair, data_range=data_range),
                        "ssim": cellqa.ssim(*pair, data_range=data_range),
                    }
                )
    return pd.DataFrame(rows)


def area_under_curve(honest: pd.Series, invented: pd.Series) -> float:
    """Share of pairs in which the invented image has the larger value; undefined counts as 0."""
    a, b = (s.fillna(0).to_numpy() for s in (honest, invented))
    larger = (b[:, None] > a[None, :]).mean()
    return float(larger + 0.5 * (b[:, None] == a[None, :]).mean())


def rates(table: pd.DataFrame, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Share of the scenes in which each enhancement is flagged.

    Columns: overclaim above the threshold; the area under overclaim's ROC curve against restored
    images; RSP below that of the restored image of the same scene.
    """
    parts = {name: part.reset_index() for name, part in table.groupby("image", sort=False)}
    honest = parts["restored"]
    return pd.DataFrame(
        {
            name: {
                f"overclaim > {threshold:g}": (part.overclaim > threshold).mean(),
                "area under ROC": area_under_curve(honest.overclaim, part.overclaim),
                "rsp below restored": (part.rsp < honest.rsp).mean(),
            }
            for name, part in parts.items()
            if name not in ("input", "stretched")
        }
    ).T


def bias(cutoffs: tuple[float, ...], seeds: int = 4) -> pd.DataFrame:
    """Decorrelation's kc over the true optical cut-off, minus 1, by object and photons."""
    shape = (512, 512)

    def mean(images: Callable[[float, int], np.ndarray]) -> list[float]:
        return [
            float(np.mean([cellqa.decorrelation(images(c, s)).kc for s in range(seeds)])) / c - 1
            for c in cutoffs
        ]

    def white(cutoff: float, seed: int) -> np.ndarray:
        return simulate.optical_blur(np.random.default_rng(seed).normal(size=shape), cutoff)

    means = {"white object, no noise": mean(white)}
    for kind, draw in KINDS.items():
        means[f"{kind}, no noise"] = mean(lambda c, s, d=draw: d(shape, cutoff=c, seed=s).ideal)
        for count in (10000, 1000, 100):
            means[f"{kind}, {count} photons"] = mean(
                lambda c, s, d=draw, n=count: d(shape, cutoff=c, photons=n, seed=s).image
            )
    return pd.DataFrame(means, index=list(cutoffs)).T


def markdown(table: pd.DataFrame, form: str) -> str:
    """A table for the docs."""
    head = ["", *map(str, table.columns)]
    lines = [head, ["---"] * len(head)]
    lines += [[str(name), *(form.format(v) for v in row)] for name, row in table.iterrows()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def print_tables() -> None:
    table = trial()
    scenes = table[["kind", "seed"]].drop_duplicates().shape[0]
    print(f"Medians over {scenes} scenes\n")
    medians = table.drop(columns=["seed", "kind"]).groupby("image", sort=False).median()
    print(markdown(medians, "{:.4g}"))
    for amount in (1.0, 0.5, 0.25):
        trials = table if amount == 1.0 else trial(amount=amount)
        print(f"Invented and misplaced: {amount:g} of the true detail\n")
        print(markdown(rates(trials), "{:.2f}"))
    print("kc against the true cut-off\n")
    print(markdown(bias((0.2, 0.3, 0.4, 0.5, 0.6, 0.7)), "{:+.0%}"))


def draw_figures(folder: Path) -> list[Path]:
    """The figures of docs/believing.md."""
    import matplotlib

    from cellqa.reporting.figures import STYLE

    with matplotlib.rc_context(STYLE):
        return [draw_overclaim(folder), draw_rates(folder)]


def draw_overclaim(folder: Path) -> Path:
    """Images, and below each its ring correlation with both cut-offs."""
    from matplotlib.figure import Figure

    from cellqa.reporting.figures import BLUE, GREY, ORANGE

    images = scene("filaments", 3)
    truth = images["gt"]
    shown = ["gt", "input", "restored", "invented"]
    titles = ["ground truth", "input", "restored (Wiener filter)", "with invented detail"]
    figure = Figure(figsize=(9.2, 4.9), layout="constrained")
    grid = figure.subplots(2, 4, height_ratios=[1.15, 1])
    low, high = np.percentile(truth, [0.5, 99.7])
    for column, (name, title) in enumerate(zip(shown, titles, strict=True)):
        axes = grid[0, column]
        axes.imshow(images[name][70:180, 70:180], cmap="gray", vmin=low, vmax=high)
        axes.set(xticks=[], yticks=[], title=title)
        axes.spines[:].set_visible(False)
        axes = grid[1, column]
        if name == "gt":
            axes.axis("off")
            text = (
                "Below each image: how far it\nagrees with the ground truth\n"
                "(curve and blue line), and how\nfar it seems to hold detail\n"
                "(orange line). Blue short of\norange is overclaim."
            )
            axes.text(0, 0.5, text, va="center", fontsize=8.5)
            continue
        curve = cellqa.frc(truth, images[name])
        claimed = cellqa.decorrelation(images[name]).kc
        axes.plot(curve.radii, curve.correlation, color=GREY, lw=0.6)
        axes.plot(curve.radii, curve.smoothed, color="black", lw=1.4)
        axes.axhline(1 / 7, color=GREY, lw=0.8, ls=":")
        axes.axvline(curve.cutoff, color=BLUE, lw=1.6)
        axes.axvline(claimed, color=ORANGE, lw=1.6, ls="--")
        if claimed > curve.cutoff:
            axes.axvspan(curve.cutoff, claimed, color=ORANGE, alpha=0.15, lw=0)
        over = cellqa.overclaim(truth, images[name])
        axes.set(xlim=(0, 1), ylim=(-0.15, 1.02), title=f"overclaim {over:.2f}")
        axes.set_xlabel("frequency (1 = Nyquist)")
        if name == "input":
            axes.set_ylabel("ring correlation")
    handles = [
        grid[1, 1].plot([], [], color=BLUE, lw=1.6, label="supported: 2 px / frc_resolution")[0],
        grid[1, 1].plot([], [], color=ORANGE, lw=1.6, ls="--", label="claimed: 2 px / resolution")[
            0
        ],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    path = folder / "believing-overclaim.png"
    figure.savefig(path)
    return path


def draw_rates(folder: Path) -> Path:
    """Claimed against supported cut-off, and how much pasted detail is found."""
    from matplotlib.figure import Figure

    from cellqa.reporting.figures import BLUE, COLOURS, GREY, ORANGE

    PINK = COLOURS[3]  # noqa: N806

    figure = Figure(figsize=(8.8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = {"restored": BLUE, "over-sharpened": GREY, "invented": ORANGE, "misplaced": PINK}
    marks = {"filaments": "o", "spots": "^", "nuclei": "s"}
    table = trial()
    for (name, kind), part in table.groupby(["image", "kind"], sort=False):
        if name in colours:
            supported, claimed = 2 / part.frc_resolution, 2 / part.resolution
            left.plot(supported, claimed, marks[kind], color=colours[name], ms=4, alpha=0.8)
    for name, colour in colours.items():
        left.plot([], [], "o", color=colour, ms=4, label=name)
    left.plot([0, 0.8], [0, 0.8], color=GREY, lw=0.8)
    left.text(0.43, 0.4, "below: honest", color=GREY, fontsize=8)
    left.set(xlim=(0.1, 0.7), ylim=(0.1, 0.7), xlabel="supported cut-off (FRC)")
    left.set_ylabel("claimed cut-off (decorrelation)")
    left.legend(frameon=False, fontsize=8, loc="upper right")
    amounts = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
    tables = [trial(seeds=6, amount=amount) for amount in amounts]
    invented_shares = {
        name: [rates(t).loc[name] for t in tables] for name in ("invented", "misplaced")
    }
    for name, values in invented_shares.items():
        shares = [row["overclaim > 0.1"] for row in values]
        right.plot(amounts, shares, "o-", color=colours[name], ms=4, label=f"{name}: overclaim")
    for name, width in (("invented", 4.0), ("misplaced", 1.5)):
        shares = [row["rsp below restored"] for row in invented_shares[name]]
        right.plot(amounts, shares, "--", color=colours[name], lw=width, label=f"{name}: rsp")
    right.set(xlabel="what was pasted, of the true detail", ylabel="share of scenes found")
    right.set(ylim=(-0.03, 1.05), xlim=(0, 1.03))
    right.legend(frameon=False, fontsize=8)
    path = folder / "believing-rates.png"
    figure.savefig(path)
    return path


if __name__ == "__main__":
    if "--figures" in sys.argv:
        images = Path(__file__).resolve().parent.parent / "docs" / "images"
        print(*draw_figures(images), sep="\n")
    else:
        print_tables()
