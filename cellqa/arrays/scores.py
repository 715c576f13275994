"""What `cellqa.score` returns: tables, comparisons, the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellqa.arrays.given import Batch, paired
from cellqa.disk import StrPath, fresh_folder
from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Pairing
from cellqa.pairs.roles import GIVEN, LABELS, Role
from cellqa.reporting.page import report
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.rows import rows_to_folder
from cellqa.scoring.run import given_of
from cellqa.tables.agreement import Agreement, ObjectSums, object_doubts
from cellqa.tables.comparisons import Comparison, Friedman, compare_all
from cellqa.tables.files import object_table
from cellqa.tables.finished import Finished
from cellqa.tables.folder import GALLERY
from cellqa.tables.means import terminal_summary
from cellqa.tables.measuring import doubts
from cellqa.tables.rows import Row
from cellqa.tables.summary import Summary, summarise
from cellqa.tables.tally import Tally
from cellqa.tables.undefined import lacking_of, told as without
from cellqa.tables.verdict import verdict

if TYPE_CHECKING:
    import pandas as pd

IMAGES = "images"  # of arrays, beside the page that shows them


class Scores:
    """Scores of images, methods side by side.

    Attributes
    ----------
    rows : list of Row
        An entry for each image and method.
    options : ScoreOptions
    source : Pairing or Batch
        Where the images are: files, or arrays.
    grouping : Grouping or None
    """

    def __init__(
        self,
        rows: Sequence[Row],
        options: ScoreOptions,
        source: Pairing | Batch,
        *,
        grouping: Grouping | None = None,
    ) -> None:
        self.rows = list(rows)
        self.options, self.source, self.grouping = options, source, grouping

    @property
    def methods(self) -> list[str]:
        """In the order of tables; `input` and `gt` among them where they were given."""
        return list(self.source.methods)

    @property
    def tally(self) -> Tally:
        """What summaries and comparisons are made from."""
        return self._counted[0]

    @cached_property
    def _counted(self) -> tuple[Tally, list[Agreement]]:
        roles = self.source.images if isinstance(self.source, Batch) else self.source.folders
        given = given_of(roles, self.options)
        tally = Tally(self.methods, self.options.metrics, given, self.grouping)
        sums = ObjectSums(tally.methods)
        for row in self.rows:
            tally.add(row)
            sums.add(row, tally.scored[row.method] - 1)
        return tally, list(sums.agreements(tally))

    @cached_property
    def summaries(self) -> list[Summary]:
        """Statistics of each method and metric, as objects."""
        return summarise(self.tally)

    @cached_property
    def _compared(self) -> tuple[list[Comparison], list[Friedman]]:
        return compare_all(self.tally)

    @cached_property
    def warnings(self) -> list[str]:
        """What to know before the numbers are believed, a line each.

        Time series are followed by `cellqa score` alone, and `score_to_folder`; they too look for a
        pattern in all ground truths, and try other data ranges.
        """
        pairing = self.source if isinstance(self.source, Pairing) else Pairing({}, ())
        told = [
            *self.tally.warnings(pairing),
            *without(lacking_of(self.summaries, self.tally.metrics)),
        ]
        told += doubts(self.summaries, {})
        return told + object_doubts(self._counted[1])

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each image and method, the columns of scores.csv; nan is undefined.

        `status` is `ok` or `failed`, `reason` says why a row failed or values are undefined.
        """
        import pandas as pd  # slow to import

        names = [metric.name for metric in self.options.metrics]
        columns: dict[str, list[Any]] = {
            "image": [row.image for row in self.rows],
            "method": [row.method for row in self.rows],
            "pixel_size": [_number(row.pixel_size) for row in self.rows],
            "data_range": [_number(row.data_range) for row in self.rows],
            **{n: [_number(row.values.get(n)) for row in self.rows] for n in names},
            "status": [row.status for row in self.rows],
            "reason": [row.reason for row in self.rows],
        }
        return pd.DataFrame(columns)

    def to_frame(self) -> pd.DataFrame:
        """The same as `frame`, as other results have it."""
        return self.frame

    @property
    def summary(self) -> pd.DataFrame:
        """A row for each method and metric, the columns of summary.csv: mean, interval, ..."""
        import pandas as pd

        known = [asdict(s) for s in self.summaries if s.n or s.infinite or s.failed]
        return pd.DataFrame(known, columns=list(Summary.__dataclass_fields__))

    @property
    def objects(self) -> pd.DataFrame:
        """A row for each image, method and object, the columns of objects.csv.

        Empty without a mask of labels or `objects`.
        """
        import pandas as pd

        found = self.options.objects is not None
        header, lines = object_table(self.rows, found=found)
        return pd.DataFrame(lines, columns=header)

    @property
    def agreement(self) -> pd.DataFrame:
        """A row for each method and quantity of its objects, the columns of agreement.csv.

        Empty where no objects were looked for (`objects`, `labels`).
        """
        import pandas as pd

        known = [asdict(line) for line in self._counted[1]]
        return pd.DataFrame(known, columns=list(Agreement.__dataclass_fields__))

    def compare(self, metrics: str | Iterable[str] | None = None) -> pd.DataFrame:
        """Each pair of methods: paired difference, interval, test; the columns of comparisons.csv.

        Parameters
        ----------
        metrics : str or iterable of str, optional
            Only these; corrections for several tests are made within a metric.

        Raises
        ------
        ValueError
            A metric was not scored.
        """
        import pandas as pd

        pairs, tests = self._compared
        p = {test.metric: test.p for test in tests}
        table = pd.DataFrame(
            [{**asdict(pair), "friedman_p": p.get(pair.metric)} for pair in pairs],
            columns=[*Comparison.__dataclass_fields__, "friedman_p"],
        )
        if metrics is None:
            return table
        wanted = metrics.split(",") if isinstance(metrics, str) else list(metrics)
        known = [metric.name for metric in self.options.metrics]
        missing = next((name for name in wanted if name not in known), None)
        if missing is not None:
            raise ValueError(f"{missing!r} was not scored; there are {', '.join(known)}")
        return table[table["metric"].isin(wanted)].reset_index(drop=True)

    @property
    def table(self) -> str:
        """The means, and which method is best, as `cellqa score` prints them."""
        return terminal_summary(self._finished)

    @property
    def verdict(self) -> list[str]:
        """Which method is best, how sure that is and what to distrust: a sentence each."""
        return verdict(self._finished).lines

    @property
    def _finished(self) -> Finished:
        tally, agreements = self._counted
        return Finished(tally, self.summaries, self._compared[0], self.warnings, [], agreements)

    def save(self, folder: StrPath, *, overwrite: bool = False) -> Finished:
        """Write the folder of a run: scores.csv, summary.csv, comparisons.csv, run.json.

        Images given as arrays are written beside them, as `images/METHOD/NAME.tif`, so that they
        can be shown, and scored again by `cellqa score`.

        Parameters
        ----------
        folder : path
        overwrite : bool
            Replace an earlier run in it.

        Raises
        ------
        CellqaError
            It holds an earlier run and `overwrite` is false, or cannot be written; or the images
            were not kept.
        """
        folder = Path(folder)
        options, rows, source, grouping = self.options, self.rows, self.source, self.grouping
        if isinstance(source, Pairing):
            return rows_to_folder(source, rows, folder, options, grouping, overwrite=overwrite)
        if not all(source.images.values()):
            raise CellqaError("the images were not kept: give them to cellqa.score for a page")
        if grouping is not None:
            grouping = replace(
                grouping, table={f"{n}.tif": g for n, g in grouping.table.items()}, unmatched=0
            )
        return rows_to_folder(
            lambda: _written(source, folder / IMAGES, options),
            [replace(row, image=f"{row.image}.tif") for row in rows],
            folder,
            options,
            grouping,
            overwrite=overwrite,
        )

    def report(
        self, folder: StrPath, *, gallery: int = GALLERY, overwrite: bool = False, jobs: int = 1
    ) -> Path:
        """Write the folder of a run (see `save`) with its page, and return the page's path.

        Parameters
        ----------
        folder : path
        gallery : int
            Images that get pictures.
        overwrite : bool
            Replace an earlier run in it.
        jobs : int
            Processes that draw.

        Raises
        ------
        CellqaError
            As `save`.
        ValueError
            `folder` is named like a page.
        """
        if Path(folder).suffix.lower() in (".html", ".htm"):
            raise ValueError(
                f"`folder` is where report.html and its tables go; give a folder, got {folder!r}"
            )
        self.save(folder, overwrite=overwrite)
        return report(folder, gallery=gallery, jobs=jobs)

    def __len__(self) -> int:
        return len({row.image for row in self.rows})

    def __repr__(self) -> str:
        count = f"{len(self)} image{'s' * (len(self) != 1)}"
        parts = [f"{count}, methods {', '.join(self.methods)}"]
        if self.tally.failed.total():
            parts.append(f"{self.tally.failed.total()} of {len(self.rows)} rows failed")
        parts += self._leading()
        return f"Scores({'; '.join(parts)})"

    def _leading(self) -> list[str]:
        """Two means of each of the first methods."""
        of = {(s.method, s.metric): s for s in self.summaries}
        told = []
        for method in [m for m in self.methods if m not in GIVEN][:3]:
            means = [
                f"{m.name} {m.shown(of[method, m.name].mean)}"
                for m in self.options.metrics
                if m.ranks and (method, m.name) in of and of[method, m.name].n
            ]
            if means:
                told.append(f"{method}: {', '.join(means[:2])}")
        return told

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, means by method, and what to distrust."""
        shown = [m for m in self.options.metrics if m.listed]
        of = {(s.method, s.metric): s for s in self.summaries}
        shown = [m for m in shown if any(_known(of.get((k, m.name))) for k in self.methods)]
        sized = bool(self.tally.sized[True])
        head = "".join(
            f"<th>{escape(m.name)} {m.arrow}<br><small>{escape(m.unit_where(sized))}</small></th>"
            for m in shown
        )
        body = "".join(
            f"<tr><th>{escape(method)}</th><td>{self.tally.scored[method]}</td>"
            + "".join(f"<td>{_cell(m, of.get((method, m.name)))}</td>" for m in shown)
            + "</tr>"
            for method in self.methods
        )
        warned = "".join(f"<li>{escape(line)}</li>" for line in self.warnings)
        failures = "".join(
            f"<li>failed: {escape(f'{r.image} ({r.method}): {r.reason}')}</li>"
            for r in self.tally.failures[:10]
        )
        notes = f"<ul>{failures}{warned}</ul>" if failures or warned else ""
        lines = "".join(f"<p>{escape(line)}</p>" for line in self.verdict)
        return (
            f"{lines}<table><thead><tr><th>mean (95 % interval)</th><th>images</th>{head}"
            f"</tr></thead><tbody>{body}</tbody></table>{notes}"
        )


def _number(value: float | None) -> float:
    """A plain float: nan for what is undefined, and without the reason that it carries."""
    return float("nan") if value is None else float(value)


def _known(summary: Summary | None) -> bool:
    return summary is not None and bool(summary.n or summary.infinite)


def _cell(metric: Any, summary: Summary | None) -> str:
    if summary is None or not _known(summary):
        return "–"
    if not summary.n:
        return "inf"
    mean = str(metric.shown(summary.mean))
    if summary.ci_low != summary.ci_low:  # nan: there is none
        return mean
    low, high = (metric.shown(v) for v in (summary.ci_low, summary.ci_high))
    return f"{mean}<br><small>{low} to {high}</small>"


def _written(batch: Batch, folder: Path, options: ScoreOptions) -> Pairing:
    """Images as files, paired again by the names that they were given."""
    fresh_folder(folder)
    for role, images in batch.images.items():
        size = options.pixel_size
        if size is not None and role == Role.RAW:
            size *= options.scale
        for name, image in zip(batch.names, images, strict=True):
            write_tiff(_place(folder, role) / f"{name}.tif", image, size)
    return paired({role: _place(folder, role) for role in batch.images})


def _place(folder: Path, role: str) -> Path:
    """Where the images of a role are written; labels below a folder of their own."""
    if role.startswith(LABELS):
        return folder / "labels" / role.removeprefix(LABELS)
    return folder / role
