"""What the per-image tables of the CIEGAN paper say, computed again.

python benchmarks/paper_tables.py TABLE.csv ... [--figures DIR]

The tables are those that the paper's authors published with their program: a row for each tile,
columns METRIC_METHOD and METRIC_METHOD~REFERENCE. Printed: means with 95 % intervals, of tiles as
if they were independent and of scans; paired tests of scans; what is suspicious; which scans
dominate.
With --figures, the box plots of Figure 5E are drawn again.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from cellqa.pairs.grouping import Grouping
from cellqa.tables.external import read_table, run_of_table
from cellqa.tables.summary import summarise
from cellqa.tables.suspicions import suspicions

SCAN = r"^(CD\d+F?~S\d+)"
SHOWN = ("resolution", "ms_ssim", "ms_ssim~EGT", "psnr", "psnr~EGT", "ssim", "ssim~EGT", "entropy")


def report(path: Path, figures: Path | None) -> None:
    """Print one table's findings."""
    table = read_table(path)
    images = {row.image for row in table.rows}
    print(f"\n## {path.name}: {len(images)} tiles\n")
    scans = Counter(Grouping.parse(SCAN).group(image) or "?" for image in images)
    shown = ", ".join(f"{name} {count}" for name, count in scans.most_common(4))
    print(f"{len(scans)} scans; tiles of the largest: {shown}\n")
    with tempfile.TemporaryDirectory() as folder:
        single = run_of_table(path, Path(folder) / "tiles").tally
        alone = {(s.metric, s.method): s for s in summarise(single)}
        grouped = Path(folder) / "scans"
        of_scans = run_of_table(path, grouped, grouping=Grouping.parse(SCAN))
        print("| metric | method | mean | median | 95 %, tiles | 95 %, scans | wider |")
        print("|---|---|---|---|---|---|---|")
        for s in of_scans.summaries:
            if s.metric in SHOWN:
                plain = alone[s.metric, s.method]
                print(
                    f"| {s.metric} | {s.method} | {s.mean:.4g} | {s.median:.4g} "
                    f"| {plain.ci_low:.4g} to {plain.ci_high:.4g} "
                    f"| {s.ci_low:.4g} to {s.ci_high:.4g} | {s.widened:.1f} × |"
                )
        print("\n| metric | first | second | difference | 95 %, scans | first better | p (Holm) |")
        print("|---|---|---|---|---|---|---|")
        for c in of_scans.comparisons:
            if c.metric in SHOWN[:5]:
                print(
                    f"| {c.metric} | {c.first} | {c.second} | {c.mean_difference:.4g} "
                    f"| {c.ci_low:.4g} to {c.ci_high:.4g} | {c.better:.0%} | {c.p_holm:.2g} |"
                )
        print("\nSuspicious:\n")
        for line in suspicions(of_scans.tally):
            print(f"- {line}")
        if figures is not None:
            from cellqa.reporting.charts import save_charts
            from cellqa.reporting.load import load_run

            for drawn in save_charts(load_run(grouped), figures / path.stem):
                print(f"wrote {drawn}")


def main() -> None:
    arguments = sys.argv[1:]
    figures = None
    if "--figures" in arguments:
        place = arguments.index("--figures")
        figures = Path(arguments[place + 1])
        del arguments[place : place + 2]
    if not arguments:
        raise SystemExit(__doc__)
    for argument in arguments:
        report(Path(argument), figures)


if __name__ == "__main__":
    main()
