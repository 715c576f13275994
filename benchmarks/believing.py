"""Is invented detail told from restored detail? For docs/explanation/believing.md.

python benchmarks/believing.py [--seeds N] [--network] [--figures] [--pairs RAW GT]

`--network` trains a small network on other scenes first (a minute or two): the honest method
that infers. `--pairs` judges the honest methods, and forgeries, on real images of two folders.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.ndimage as ndi
from forgery import (
    AMOUNTS,
    BLURRED,
    FORGED,
    HONEST,
    KINDS,
    Image,
    Method,
    brightened,
    forgeries,
    scene,
    small_network,
    wavelet,
)

import cellqa
from cellqa import simulate
from cellqa.metrics.case import Case
from cellqa.metrics.detail import SHARES, measure
from cellqa.metrics.unexplained import measure as measure_unexplained

MEASURES = ("invented", "unexplained", "overclaim")


def judged(truth: Image, raw: Image, image: Image) -> dict[str, float]:
    """The budget, what is not explained, and what `overclaim` was."""
    levels = np.clip(np.rint(image), 0, 65535).astype(np.uint16)
    case = Case.of(levels, reference=truth, raw=raw)
    values = measure(case, {*SHARES, "invented_amplitude", "supported"})
    values |= measure_unexplained(case, {"unexplained"})
    resolution, agreed = cellqa.resolution(levels), cellqa.frc_resolution(truth, levels)
    claim = max(0.0, 1 - resolution / agreed) if math.isfinite(agreed) else 1.0
    return {
        **values,
        "overclaim": claim,
        "resolution": float(resolution),
        "frc_resolution": float(agreed),
        "rsp": cellqa.rsp(raw, levels),
    }


def trial(seeds: int = 12, network: Method | None = None) -> pd.DataFrame:
    """Every measure of every honest method, and of forgeries on the Wiener restoration."""
    honest = {**HONEST, **({"network": network} if network else {})}
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        for seed in range(seeds):
            of = scene(kind, seed)
            about = {"kind": kind, "seed": seed, "amount": 0.0}

            def add(method: str, image: Image, about: Any = about, of: Any = of) -> None:
                rows.append({**about, "method": method, **judged(of["gt"], of["raw"], image)})

            add("raw image", brightened(of["raw"]))
            add("Wiener", of["Wiener"])
            for name, method in honest.items():
                add(name, brightened(method(of["raw"])))
            for name, amount, image in forgeries(of["Wiener"], of):
                add(name, image, {**about, "amount": amount})
    return pd.DataFrame(rows)


def area_under_curve(honest: pd.Series, forged: pd.Series) -> float:
    """Share of pairs in which the forged image has the larger value; undefined counts as 0."""
    a, b = (s.fillna(0).to_numpy() for s in (honest, forged))
    return float((b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean())


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """How well each measure tells each forgery.

    Columns for each measure: the area under its ROC curve against all honest images; the share of
    forgeries above the honest ones' 95 % quantile; and the share in which it is larger than that of
    the same image before the forgery.
    """
    honest = table[(table["amount"] == 0) & (table["method"] != "raw image")]
    before = honest[honest["method"] == "Wiener"].set_index(["kind", "seed"])
    lines = {}
    forged = table[table["amount"] > 0]
    for (method, amount), part in forged.groupby(["method", "amount"], sort=False):
        line = {}
        for name in MEASURES:
            values, own = honest[name].fillna(0), part.set_index(["kind", "seed"])[name]
            limit = float(np.quantile(values, 0.95))
            line[f"{name}: AUC"] = area_under_curve(values, part[name])
            line[f"{name}: found"] = float((part[name] > limit).mean())
            line[f"{name}: raised"] = float((own > before[name].loc[own.index]).mean())
        lines[f"{method}, {amount:g}"] = line
    return pd.DataFrame(lines).T


def amounts(table: pd.DataFrame) -> pd.DataFrame:
    """Medians of each honest method, and of forgeries; the largest `invented` beside."""
    name = table["method"].where(
        table["amount"] == 0, table["method"] + ", " + table["amount"].map("{:g}".format)
    )
    columns = [*SHARES, "invented_amplitude", "unexplained", "resolution", "overclaim"]
    groups = table.assign(name=name).groupby("name", sort=False)
    return groups[columns].median().assign(**{"invented, most": groups["invented"].max()})


def real_pairs(raw_folder: Path, truth_folder: Path) -> pd.DataFrame:
    """The honest methods on real pairs, and forgeries on the wavelet's image."""
    rows: list[dict[str, Any]] = []
    folders = cellqa.pair_folders({"raw": raw_folder}, reference=truth_folder)
    loaded = []
    for image in folders.images:
        planes = []
        for role in ("raw", "gt"):
            with cellqa.open_image(folders.folders[role] / image.files[role][0]) as file:
                planes.append(file.load(file.planes[0]).astype(float))
        loaded.append(planes)
    for k, (raw, truth) in enumerate(loaded):
        about = {"kind": "real", "seed": k, "amount": 0.0}
        for name, method in HONEST.items():
            if "Lucy" not in name:  # the point spread function is not known
                rows.append({**about, "method": name, **judged(truth, raw, method(raw))})
        base = wavelet(raw)
        rows.append({**about, "method": "Wiener", **judged(truth, raw, base)})  # what is forged
        other = _another(truth, [t for _, t in loaded[k + 1 :] + loaded])
        missing = float((truth - ndi.gaussian_filter(truth, 1.5)).std())
        texture = other[: truth.shape[0], : truth.shape[1]]
        for amount in AMOUNTS:
            size = amount * missing
            made = {
                "fine": simulate.paste_texture(base, texture, beyond=BLURRED, amount=size),
                "coarse": simulate.paste_texture(
                    base, simulate.optical_blur(texture, BLURRED), beyond=0.1, amount=size
                ),
            }
            for name, image in made.items():
                values = judged(truth, raw, image)
                rows.append({**about, "amount": amount, "method": name, **values})
    return pd.DataFrame(rows)


def _another(truth: Image, others: list[Image]) -> Image:
    """The next ground truth that shows another field: data sets hold fields more than once."""

    def alike(other: Image) -> float:
        ny, nx = (min(a, b) for a, b in zip(truth.shape, other.shape, strict=True))
        return float(np.corrcoef(truth[:ny, :nx].ravel(), other[:ny, :nx].ravel())[0, 1])

    return next(other for other in others if abs(alike(other)) < 0.5)


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


def print_tables(table: pd.DataFrame) -> None:
    scenes = table[["kind", "seed"]].drop_duplicates().shape[0]
    print(f"Medians over {scenes} images\n")
    print(markdown(amounts(table), "{:.3f}"))
    if table["kind"].nunique() > 1:
        print("`invented` of each kind, medians\n")
        honest = table[table["amount"] == 0]
        print(markdown(honest.pivot_table("invented", "method", "kind", "median"), "{:.3f}"))
    print("How each forgery is told\n")
    print(markdown(rates(table), "{:.2f}"))


def draw_figures(folder: Path, table: pd.DataFrame) -> list[Path]:
    """The figures of docs/explanation/believing.md."""
    import matplotlib

    from cellqa.reporting.figures import STYLE

    with matplotlib.rc_context(STYLE):
        return [_draw_budgets(folder), _draw_rates(folder, table)]


def _draw_budgets(folder: Path) -> Path:
    """Images of one scene, and below each what its detail is made of."""
    from matplotlib.figure import Figure

    from cellqa.reporting.budget import MEANING

    of = scene("filaments", 3)
    images = {
        "ground truth": of["gt"],
        "raw image": brightened(of["raw"]),
        "restored (Wiener)": of["Wiener"],
        "median, 3 x 3": brightened(HONEST["median, 3 x 3"](of["raw"])),
    }
    forged = {(name, amount): i for name, amount, i in forgeries(of["Wiener"], of)}
    images["fine detail forged, 1/2"] = forged["fine", 0.5]
    images["coarse detail forged, 1/2"] = forged["coarse", 0.5]
    figure = Figure(figsize=(12.6, 3.1), layout="constrained")
    grid = figure.subplots(2, len(images), height_ratios=[6, 1])
    low, high = np.percentile(of["gt"], [0.5, 99.7])
    for column, (name, image) in enumerate(images.items()):
        grid[0, column].imshow(image[70:180, 70:180], cmap="gray", vmin=low, vmax=high)
        grid[0, column].set(xticks=[], yticks=[], title=name)
        grid[0, column].spines[:].set_visible(False)
        axes = grid[1, column]
        axes.axis("off")
        if column == 0:
            continue
        budget = cellqa.detail_budget(of["gt"], of["raw"], image)
        left = 0.0
        for share, (meaning, colour) in MEANING.items():
            if share in SHARES:
                width = max(getattr(budget, share), 0)
                axes.barh(0, width, left=left, color=colour, label=meaning)
                left += width
        axes.set(xlim=(0, 1))
        axes.set_title(f"invented: {max(budget.invented, 0):.1%}", fontsize=8.5)
    handles, labels = grid[1, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    path = folder / "believing-budget.png"
    figure.savefig(path)
    return path


def _draw_rates(folder: Path, table: pd.DataFrame) -> Path:
    """Amounts of honest methods and of forgeries, and what each forgery adds on the same image."""
    from matplotlib.figure import Figure

    from cellqa.reporting.figures import COLOURS, GREY

    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    honest = table[(table["amount"] == 0) & (table["method"] != "raw image")]
    names = list(honest["method"].unique())
    rng = np.random.default_rng(1)
    colours = dict(zip(KINDS, COLOURS, strict=False))
    forged = [(m, a) for m in FORGED for a in AMOUNTS]
    rows = [(n, honest[honest["method"] == n]) for n in names]
    rows += [
        (f"{m}, {a:g}", table[(table["method"] == m) & (table["amount"] == a)]) for m, a in forged
    ]
    for k, (_, part) in enumerate(rows):
        for kind, points in part.groupby("kind", sort=False):
            y = k + rng.uniform(-0.25, 0.25, len(points))
            colour = colours.get(kind, GREY)
            left.plot(points["invented"], y, "o", ms=2.6, mew=0, alpha=0.7, color=colour)
    for kind, colour in colours.items():
        left.plot([], [], "o", ms=4, color=colour, label=kind)
    left.axhline(len(names) - 0.5, color=GREY, lw=0.8)
    left.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    left.set(ylim=(len(rows) - 0.5, -0.5), xlabel="invented (share of the detail)")
    left.set_xscale("symlog", linthresh=0.01)
    left.set_xlim(-0.001, 1)
    left.legend(frameon=False, fontsize=8, loc="upper right")
    before = honest[honest["method"] == "Wiener"].set_index(["kind", "seed"])["invented"]
    for colour, method in zip(COLOURS, FORGED, strict=False):
        middle = []
        for amount in AMOUNTS:
            part = table[(table["method"] == method) & (table["amount"] == amount)]
            own = part.set_index(["kind", "seed"])["invented"]
            middle.append((own - before.loc[own.index]).quantile([0.1, 0.5, 0.9]).tolist())
        low, median, high = np.array(middle).T
        right.plot(AMOUNTS, median, "o-", ms=4, color=colour, label=method)
        right.fill_between(AMOUNTS, low, high, color=colour, alpha=0.15, lw=0)
    right.axhline(0, color=GREY, lw=0.8)
    right.set(xlabel="what was forged, of the true detail", ylabel="invented, more than before")
    right.legend(frameon=False, fontsize=8)
    path = folder / "believing-rates.png"
    figure.savefig(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=12, help="scenes of each kind")
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--pairs", nargs=2, type=Path, metavar=("RAW", "GT"))
    options = parser.parse_args()
    if options.pairs:
        print_tables(real_pairs(*options.pairs))
        return
    table = trial(options.seeds, small_network() if options.network else None)
    if options.figures:
        images = Path(__file__).resolve().parent.parent / "docs" / "images"
        print(*draw_figures(images, table), sep="\n")
    print_tables(table)
    print("kc against the true cut-off\n")
    print(markdown(bias((0.2, 0.3, 0.4, 0.5, 0.6, 0.7)), "{:+.0%}"))


if __name__ == "__main__":
    main()
