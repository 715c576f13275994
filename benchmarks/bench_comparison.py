"""The paper's comparison, run again: `python benchmarks/bench_comparison.py TASK OUT [options]`.

TASK is one of `ciegan prepare task`; on simulated fields, or with --sharp on real sharp images.
Prints the tables in Markdown: scores against ground truth and enhanced ground truth, cost, seeds,
and the tests that were planned before: `default` against each of its rivals.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from statsmodels.stats.multitest import multipletests
from timing import heading

from cellqa.comparisons import Comparison
from ciegan.comparing import METRICS, compare, parse_methods
from ciegan.prepare.tasks import TASKS, prepare_task

METHODS = "te,te_tuned,unsharp,clahe,bicubic,wiener,rl,pix2pix,paper,paper+egt,default"
RIVALS = ("input", "te", "wiener", "rl", "pix2pix", "paper")  # Holm's correction is over these
SHOWN = (*METRICS, "overclaim", "resolution", "nrmse", "mi", "entropy")


def markdown(rows: list[list[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def scores(results: Path, metrics: tuple[str, ...]) -> list[list[str]]:
    """Mean and 95 % interval over fields, from summary.csv."""
    with (results / "summary.csv").open(newline="", encoding="utf-8") as file:
        found = {(r["method"], r["metric"]): r for r in csv.DictReader(file)}
    methods = list(dict.fromkeys(method for method, _ in found))
    rows = [["", *metrics]]
    for method in methods:
        row = [f"`{method}`"]
        for metric in metrics:
            r = found.get((method, metric))
            if r is None or not r["mean"]:
                row.append("")
                continue
            text = f"{float(r['mean']):.4g}"
            if r["ci_low"]:
                text += f" ({float(r['ci_low']):.4g} to {float(r['ci_high']):.4g})"
            infinite = int(float(r.get("infinite") or 0))
            row.append(f"{text}, {infinite} inf" if infinite else text)
        rows.append(row)
    return rows


def planned(
    comparisons: Sequence[Comparison],
    rivals: Sequence[str] = RIVALS,
    metrics: Sequence[str] = (*METRICS, "overclaim"),
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
    parser.add_argument("task", choices=list(TASKS))
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
    if not (data / "pairs.csv").exists():
        cut = replace(TASKS[options.task].cut(), pixel_size=options.pixel_size)
        prepared = prepare_task(options.task, data, sharp=options.sharp, cut=cut, jobs=2)
        print(prepared.describe(), flush=True)
    out = options.out / options.task
    found = compare(
        data,
        out,
        parse_methods(options.methods),
        seconds=60 * options.minutes,
        seeds=options.seeds,
        device=options.device,
        jobs=2,
        tell=lambda line: print(line, flush=True),
    )
    for name, why in found.failures:
        print(f"failed: {name}: {why}")
    for title, rows in (
        ("against ground truth", scores(out / "results", SHOWN)),
        ("against enhanced ground truth", scores(out / "results-egt", METRICS)),
        ("cost", found.costs),
        ("seeds", found.seeds),
        (
            "default against its rivals (Wilcoxon of field means)",
            planned(found.finished.comparisons),
        ),
    ):
        if rows:
            print(f"\n{title}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
