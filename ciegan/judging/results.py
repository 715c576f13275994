"""A comparison's scores, tables, figures and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cellqa.pairs.roles import Role
from cellqa.reporting.charts import save_charts
from cellqa.reporting.load import load_run
from cellqa.reporting.montage import save_montage
from cellqa.reporting.page import Table, report
from cellqa.shown import one_line
from cellqa.tables.files import write_csv
from cellqa.tables.finished import Finished
from cellqa.tables.folder import FIGURES
from ciegan.data.tiles import INPUT, TARGET
from ciegan.judging.methods import Method
from ciegan.judging.store import COSTS, SEEDS
from ciegan.judging.tables import COMPARED, by_seed, cost_note, costs, means
from ciegan.judging.validation import score_tiles
from ciegan.judging.work import Work

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Compared:
    """What a comparison left.

    Attributes
    ----------
    finished : cellqa.scoring.run.Finished
        The scores against ground truth, of the first seed.
    page : Path
    costs, seeds : list of list of str
        Tables with a header.
    failures : list of (method, reason)
        Methods that could not be trained or used.
    warnings : list of str
    """

    finished: Finished
    page: Path
    costs: list[list[str]]
    seeds: list[list[str]]
    failures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    __repr__ = one_line

    def to_frame(self) -> pd.DataFrame:
        """Its scores: a row for each image and method; nan is undefined."""
        return self.finished.to_frame()


def write_results(
    work: Work,
    methods: Sequence[Method],
    folders: Mapping[int, Mapping[str, Path]],
    networks: Mapping[tuple[str, int], Path],
    jobs: int,
    command: Sequence[str],
) -> Compared:
    """Score against ground truth and enhanced ground truth, draw, and make the page."""
    order = [m.name for m in methods if m.name in folders[0]]
    egt = work.out / "enhanced" / Role.EGT
    first = {name: folders[0][name] for name in order}
    target, source = (work.data / "test" / role for role in (TARGET, INPUT))
    runs: list[tuple[str, Mapping[str, Path], Path]] = [
        ("results", {**first, Role.EGT: egt}, target),
        ("results-egt", first, egt),
        *((f"results-seed{k}", folders[k], target) for k in sorted(folders) if k),
    ]
    finished: dict[str, Finished] = {}
    for name, pred, reference in runs:
        work.tell(f"scoring: {name}")
        results = work.out / name
        finished[name] = score_tiles(
            pred,
            work.tiles["test"],
            reference,
            source,
            results,
            jobs=jobs,
            resume=True,
            command=command,
            progress=work.progress,
        )
    weights = {name: path for (name, seed), path in networks.items() if not seed}
    notes = work.store.content
    shown = {n: notes["enhanced"][f"{n}/seed0" if n in weights else n] for n in order}
    cost = costs(order, shown, weights)
    against = means(finished["results-egt"], (*order, Role.RAW), COMPARED)
    seeds = by_seed(finished, [m.name for m in methods if m.preset])
    tables = [
        Table("Cost", cost, cost_note(work.device, notes["networks"])),
        Table(
            "Against enhanced ground truth",
            against,
            "Mean and 95 % interval over fields; the target is the ground truth after TE, as "
            "CIEGANP was trained and judged. Details in results-egt/.",
        ),
        *(
            [Table("Other seeds", seeds, "Mean over the test split for each seed.")]
            if seeds
            else []
        ),
    ]
    write_csv(work.out / COSTS, cost[0], cost[1:])
    if seeds:
        write_csv(work.out / SEEDS, seeds[0], seeds[1:])
    else:
        (work.out / SEEDS).unlink(missing_ok=True)
    work.tell("drawing")
    pages = []
    for name, more in (("results", tables), ("results-egt", ())):
        loaded = load_run(work.out / name)
        save_charts(loaded, work.out / name / FIGURES)
        save_montage(loaded, work.out / name / FIGURES, jobs=jobs)
        pages.append(report(work.out / name, jobs=jobs, tables=more))
    warnings = [*work.warnings, *(w for f in finished.values() for w in f.warnings)]
    return Compared(
        finished["results"], pages[0], cost, seeds, work.failures, list(dict.fromkeys(warnings))
    )
