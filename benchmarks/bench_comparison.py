"""The paper's comparison, run again: `python benchmarks/bench_comparison.py TASK OUT [options]`.

TASK is one of `ciegan prepare task`; on simulated fields, or with --sharp on real sharp images. Or
it is `focus`: real planes out of focus, of the one brightfield series in the folder --sharp, whose
upright strips stand in for fields.
Prints the tables in Markdown: scores against ground truth and enhanced ground truth, cost, seeds,
and the tests that were planned before: `default` against each of its rivals.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from statsmodels.stats.multitest import multipletests
from timing import heading

from cellqa.io import open_image, write_tiff
from cellqa.tables.comparisons import Comparison
from ciegan.data import TilingOptions, prepare_pairs
from ciegan.data.tasks import TASKS, prepare_task
from ciegan.judging.comparing import compare
from ciegan.judging.methods import parse_methods
from ciegan.judging.tables import COMPARED, interval

METHODS = "te,te_tuned,unsharp,clahe,bicubic,wiener,rl,pix2pix,paper,paper+egt,default"
RIVALS = ("input", "te", "wiener", "rl", "pix2pix", "paper")  # Holm's correction is over these
SHOWN = (*COMPARED, "invented", "resolution", "nrmse", "mi", "entropy")


FOCUS = "focus"
PLANES = {-25: "init_z1327.60", -10: "fine_z1341.95", 10: "fine_z1362.00", 25: "init_z1376.80"}
SHARP = "fine_z1352.25"
STRIPS = ("train", "train", "train", "val", "test")  # from left to right


def focus_series(folder: Path, out: Path) -> str:
    """Real planes out of focus, and the plane in focus, in strips."""
    size = 0.2005
    planes = {}
    for z, name in {**PLANES, 0: SHARP}.items():
        with open_image(folder / f"set1_{name}.tif") as file:
            planes[z] = file.load(file.planes[0])
    edges = np.linspace(0, planes[0].shape[1], len(STRIPS) + 1).astype(int)
    for k, (left, right) in enumerate(pairwise(edges)):
        for z in PLANES:
            name = f"strip{k}_{z:+d}um.tif"
            for role, plane in (("blurred", planes[z]), ("sharp", planes[0])):
                pixels = np.ascontiguousarray(plane[:, left:right])
                write_tiff(out.with_name("focus-planes") / role / name, pixels, size)
    table = "field,split\n" + "".join(f"strip{k},{split}\n" for k, split in enumerate(STRIPS))
    place = out.with_name("focus-planes")
    (place / "split.csv").write_text(table)
    tiling = TilingOptions(field="^(strip.)", split=str(place / "split.csv"), min_contrast=0)
    return prepare_pairs(place / "blurred", place / "sharp", out, tiling=tiling).describe()


def markdown(rows: list[list[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def scores(results: Path, metrics: tuple[str, ...]) -> list[list[str]]:
    """Mean and 95 % interval over fields, from summary.csv."""
    with (results / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows_of = {(r["method"], r["metric"]): r for r in csv.DictReader(file)}
    methods = list(dict.fromkeys(method for method, _ in rows_of))
    rows = [["", *metrics]]
    for method in methods:
        row = [f"`{method}`"]
        for metric in metrics:
            r = rows_of.get((method, metric))
            if r is None or not r["mean"]:
                row.append("")
                continue
            text = interval(*(float(r[name] or "nan") for name in ("mean", "ci_low", "ci_high")))
            infinite = int(float(r.get("infinite") or 0))
            row.append(f"{text}, {infinite} inf" if infinite else text)
        rows.append(row)
    return rows


def planned(
    comparisons: Sequence[Comparison],
    rivals: Sequence[str] = RIVALS,
    metrics: Sequence[str] = (*COMPARED, "invented"),
) -> list[list[str]]:
    """Differences of `default` to each rival, with their own Holm correction."""
    rows = [["metric", "against", "difference", "better on", "p, fields", "p (Holm)"]]
    for metric in metrics:
        pairs = {}
        for c in comparisons:
            if c.metric == metric and "default" in (c.first, c.second):
                pairs[c.second if c.first == "default" else c.first] = c
        there = [rival for rival in rivals if rival in pairs]
        if not there:
            continue
        corrected = multipletests([pairs[rival].p for rival in there], method="holm")[1]
        for rival, p in zip(there, corrected, strict=True):
            c = pairs[rival]
            ours = c.first == "default"
            difference = c.mean_difference if ours else -c.mean_difference
            share = c.better if ours else 1 - c.better
            rows.append(
                [metric, rival, f"{difference:+.4g}", f"{share:.0%}", f"{c.p:.2g}", f"{p:.2g}"]
            )
    return rows


def main() -> None:
    """Prepare, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=[*TASKS, FOCUS])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sharp", type=Path, help="sharp images to degrade; default: simulated")
    parser.add_argument("--pixel-size", type=float, help="of --sharp, in µm")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, each network")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    options = parser.parse_args()
    print(heading(f"Comparison: {options.task}", f"{options.minutes:g} minutes each"))
    data = options.out / f"{options.task}-data"
    if options.task == FOCUS:
        if not (data / "pairs.csv").exists():
            print(focus_series(options.sharp, data), flush=True)
    elif not (data / "pairs.csv").exists():
        tiling = replace(TASKS[options.task].tiling(), pixel_size=options.pixel_size)
        prepared = prepare_task(options.task, data, sharp=options.sharp, tiling=tiling, jobs=2)
        print(prepared.describe(), flush=True)
    out = options.out / options.task
    compared = compare(
        data,
        out,
        parse_methods(options.methods),
        seconds=60 * options.minutes,
        seeds=options.seeds,
        device=options.device,
        jobs=2,
        tell=lambda line: print(line, flush=True),
    )
    for name, why in compared.failures:
        print(f"failed: {name}: {why}")
    for title, rows in (
        ("against ground truth", scores(out / "results", SHOWN)),
        ("against enhanced ground truth", scores(out / "results-egt", COMPARED)),
        ("cost", compared.costs),
        ("seeds", compared.seeds),
        (
            "default against its rivals (Wilcoxon of field means)",
            planned(compared.finished.comparisons),
        ),
    ):
        if rows:
            print(f"\n{title}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
