"""One page that shows a run: report.html beside its tables, pictures in report_files/."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from cellqa.disk import StrPath, appearing_text, remove_folder
from cellqa.errors import CellqaError
from cellqa.pairs.roles import Role
from cellqa.reporting.budget import MEANING, budget_of
from cellqa.reporting.leaders import comparisons_of, unit_of, verdict_of, verdicts
from cellqa.reporting.load import LoadedRun, choose, load_run
from cellqa.reporting.pictures import Pictures, draw_pictures
from cellqa.reporting.plate import plates_of
from cellqa.reporting.sections import Section
from cellqa.tables.cells import cell
from cellqa.tables.files import plain
from cellqa.tables.folder import GALLERY, PAGE, PICTURES, TABLES
from cellqa.tables.reading import read_json, unfit
from cellqa.tables.verdict import Board, shown_p
from cellqa.terminal import Progress

_LARGEST_TABLE = 5000  # rows that a browser sorts at once
_DIGITS = 6  # significant, of the numbers that the page's script has
_NOTHING = "–"  # what stands for an undefined value
SECTIONS: tuple[Callable[[LoadedRun], Section | None], ...] = ()  # between belief and distrust


class Table(NamedTuple):
    """A table of a page, beside those of the run.

    Attributes
    ----------
    title : str
    rows : sequence of sequence of str
        The first is the header; the first cell of the others names what the row is of.
    note : str
        Below the title.
    """

    title: str
    rows: Sequence[Sequence[str]]
    note: str = ""


def report(
    folder: StrPath,
    *,
    gallery: int = GALLERY,
    tables: Sequence[Table] = (),
    jobs: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Write report.html of a run, and its pictures.

    Parameters
    ----------
    folder : path
        Of the run.
    gallery : int
        Images that get pictures: the worst, median, best, those that methods disagree on most,
        most invented detail. The others have their numbers.
    tables : sequence of Table
        What else there is to say of the methods; kept in tables.json, so that the page can be made
        again.
    jobs : int
    progress : callable, optional

    Raises
    ------
    CellqaError
        The folder holds no finished run.
    """
    folder = Path(folder)
    run = load_run(folder)
    if tables:
        with appearing_text(folder / TABLES) as file:
            json.dump([table._asdict() for table in tables], file, indent=1)
    remove_folder(folder / PICTURES)
    chosen = choose(run, gallery)
    names = [image for images in chosen.values() for image in images]
    pictures = draw_pictures(run, names, folder / PICTURES, jobs=jobs, progress=progress)
    templates = files("cellqa.reporting") / "templates"
    plates, all_plates = plates_of(run)
    scripts = ["page.js", *(["plate.js"] if plates else [])]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["number"] = shown
    environment.filters["p"] = shown_p
    page = environment.from_string((templates / "page.html").read_text(encoding="utf-8"))
    html = page.render(
        style=Markup((templates / "page.css").read_text(encoding="utf-8")),
        script=Markup("".join((templates / s).read_text(encoding="utf-8") for s in scripts)),
        data=as_json({**_data(run, pictures), "plates": plates}),
        run=run,
        settings=run.record,
        command=shlex.join(str(part) for part in run.record.command),
        verdict=verdict_of(run),
        verdicts=verdicts(run),
        budget=budget_of(run),
        sections=[section for make in SECTIONS if (section := make(run)) is not None],
        meaning=MEANING,
        warnings=run.record.warnings,
        summary=_summary(run),
        comparisons=_comparisons(run),
        chosen=chosen,
        pictures=pictures,
        metrics=run.columns,
        plates=plates,
        all_plates=all_plates,
        total=run.scores["image"].nunique(),
        tables=_tables(folder / TABLES),
    )
    with appearing_text(folder / PAGE) as file:
        file.write(html)
    return folder / PAGE


def _tables(path: Path) -> list[Table]:
    """The tables that were given when the page was first made."""
    if not path.exists():
        return []
    content = read_json(path, "tables of a page; remove it")
    wrong = unfit(content, list[Table])
    if wrong or not all(each["rows"] and all(each["rows"]) for each in content):
        raise CellqaError(f"{path}: damaged ({wrong or 'a row is empty'}); remove it")
    return [Table(**each) for each in content]


def as_json(data: Any) -> Markup:
    r"""Data for a script element: nothing in it can end the element or start another.

    Examples
    --------
    >>> print(as_json(["</script>"]))
    ["\u003c/script\u003e"]
    """
    text = json.dumps(plain(data, _DIGITS), ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def shown(value: Any) -> str:
    """A number as the page shows it.

    Examples
    --------
    >>> shown(0.123456), shown(float("nan")), shown(float("inf")), shown(12)
    ('0.1235', '–', 'inf', '12')
    """
    return cell(value, 4, undefined=_NOTHING)


def _summary(run: LoadedRun) -> list[dict[str, Any]]:
    """Of each metric, what each method has, who leads, and who is worse than the untouched."""
    rows = []
    pairs = comparisons_of(run)
    for of in run.metrics:
        board = Board.of(of, pairs)
        best = [] if board.few else board.leaders
        worse = [m for m in board.methods if board.surely(Role.RAW, m)]
        lines = run.summary[run.summary["metric"] == of.name].set_index("method")
        cells = [lines.loc[m].to_dict() if m in lines.index else None for m in run.methods]
        variants = list(lines["variant"].dropna()) if "variant" in lines else []
        variant = str(variants[0]) if variants else of.name
        rows.append(
            {
                "metric": of,
                "unit": unit_of(run, of),
                "cells": cells,
                "variant": variant,
                "best": best,
                "worse": worse,
            }
        )
    return rows


def _comparisons(run: LoadedRun) -> list[dict[str, Any]]:
    if run.comparisons.empty:
        return []
    of = {m.name: m for m in run.columns}
    return [
        {**row, "of": of[row["metric"]], "unit": unit_of(run, of[row["metric"]])}
        for row in run.comparisons.to_dict("records")
        if row["second"] != Role.REFERENCE
    ]


def _data(run: LoadedRun, pictures: dict[str, Pictures]) -> dict[str, Any]:
    """What the page's script needs: every row, or the first of them where there are too many."""
    names = list(dict.fromkeys([*pictures, *run.scores["image"]]))[:_LARGEST_TABLE]
    metrics = [m.name for m in run.columns]
    table = run.scores[run.scores["image"].isin(set(names))]
    rows: dict[str, dict[str, Any]] = {name: {} for name in names}
    for record in table.to_dict("records"):
        rows[record["image"]][record["method"]] = [
            [record[m] for m in metrics],
            record["status"],
            record["reason"],
        ]
    return {
        "methods": run.methods,
        "judged": run.judged,
        "main": run.main.name if run.main else None,
        "metrics": [
            {
                "name": m.name,
                "arrow": m.arrow,
                "unit": unit_of(run, m).strip(),
                "ranks": m.ranks,
            }
            for m in run.columns
        ],
        "total": run.scores["image"].nunique(),
        "images": [{"name": name, "rows": rows[name]} for name in names],
        "pictures": {
            name: {"files": p.files, "crop": p.crop, "shape": p.shape}
            for name, p in pictures.items()
        },
        "folder": PICTURES,
    }
