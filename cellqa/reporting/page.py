"""One page that shows a run: report.html beside its tables, its pictures inside."""

from __future__ import annotations

import base64
import json
import shlex
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files as resources
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from cellqa.disk import StrPath, appearing, appearing_text, remove_folder
from cellqa.errors import CellqaError
from cellqa.pairs.roles import Role
from cellqa.reporting.budget import MEANING, budget_of
from cellqa.reporting.data import columns_of, data_of
from cellqa.reporting.leaders import (
    comparisons_of,
    lead,
    misled,
    unit_of,
    verdict_of,
    verdicts,
)
from cellqa.reporting.load import LoadedRun, choose, in_turn, load_run
from cellqa.reporting.objects import object_section
from cellqa.reporting.pictures import Pictures, draw_pictures
from cellqa.reporting.plate import plates_of
from cellqa.reporting.sections import Section
from cellqa.reporting.time import over_time
from cellqa.tables.files import plain
from cellqa.tables.folder import ARCHIVE, FIGURES, GALLERY, PAGE, PICTURES, TABLES
from cellqa.tables.reading import read_json, unfit
from cellqa.tables.standing import Board, shown_p
from cellqa.terminal import Progress

MAILED = 15_000_000  # bytes: mail adds a third, and most servers take 20 to 25 MB
SCRIPTS = ("page.js", "images.js", "plots.js", "viewer.js")
_PICTURES_HERE, _MORE_HERE = "<!-- pictures -->", "<!-- more -->"  # in the template alone
_DIGITS = 6  # significant, of the numbers of plates
# between belief and distrust
SECTIONS: tuple[Callable[[LoadedRun], Section | None], ...] = (object_section, over_time)


class Table(NamedTuple):
    """A table of a page, beside those of the run.

    Attributes
    ----------
    title : str
    rows : sequence of sequence of str
        The first is the header; the first cell of the others names what the row is of.
    note : str
        Below the title.
    figure : str
        Name of a PNG in the run's `figures/`, which is shown below the table.
    """

    title: str
    rows: Sequence[Sequence[str]]
    note: str = ""
    figure: str = ""

    def picture(self, folder: Path) -> str:
        """The figure as the page holds it; empty where there is none."""
        path = folder / FIGURES / Path(self.figure).name  # a name of ours, wherever it came from
        if not self.figure or not path.is_file():
            return ""
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def report(
    folder: StrPath,
    *,
    gallery: int = GALLERY,
    files: bool = False,
    tables: Sequence[Table] = (),
    jobs: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Write report.html of a run: one file, its pictures inside.

    A page of more than 15 MB is too large for most mail: then report.html has the pictures of as
    many images as fit, and report.zip holds the page with all of them.

    Parameters
    ----------
    folder : path
        Of the run.
    gallery : int
        Images that get pictures: the worst, median, best, those that methods disagree on most,
        most invented detail. The others have their numbers.
    files : bool
        Pictures lie in report_files/ beside the page.
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
    (folder / ARCHIVE).unlink(missing_ok=True)  # of an earlier page
    chosen = choose(run, gallery)
    with tempfile.TemporaryDirectory() as temporary:
        place = folder / PICTURES if files else Path(temporary)
        pictures = draw_pictures(run, in_turn(chosen), place, jobs=jobs, progress=progress)
        text = _text(run, chosen, pictures, files=files)
        if files:
            with appearing_text(folder / PAGE) as file:
                file.writelines(_whole(text, (), (), ""))
        else:
            _write(folder, text, list(pictures.values()), place)
    return folder / PAGE


def archive_of(page: Path) -> list[Path]:
    """The archive beside a page, where there is one."""
    return [path for path in [page.with_name(ARCHIVE)] if path.exists()]


def _write(folder: Path, text: str, pictures: Sequence[Pictures], place: Path) -> None:
    """Write the page with its pictures; an archive too, where it is too large to be mailed."""
    sizes = [sum((place / name).stat().st_size for name in p.files.values()) for p in pictures]
    room = MAILED - len(text)
    fit = sum(4 / 3 * size <= room for size in accumulate(sizes))  # base64
    all_of_it = fit == len(pictures) and room >= 0
    # a page that is too large by its numbers alone cannot be made smaller
    fit = len(pictures) if room < 0 else fit
    more = ""
    if fit < len(pictures):
        more = (
            f"Pictures of {fit} of {len(pictures)} images are in this file, to keep it small; all "
            f"are in {ARCHIVE} beside it, which opens with a click."
        )
    with appearing_text(folder / PAGE) as file:
        file.writelines(_whole(text, pictures[:fit], [place] * fit, more))
    if all_of_it:
        return
    with (
        appearing(folder / ARCHIVE) as target,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(PAGE, "w", force_zip64=True) as inside,
    ):
        for part in _whole(text, pictures, [place] * len(pictures), ""):
            inside.write(part.encode(errors="backslashreplace"))


def _whole(
    text: str, pictures: Sequence[Pictures], places: Sequence[Path], more: str
) -> Iterator[str]:
    """The page part by part: each image's pictures are an element of their own, read when shown."""
    head, _, rest = text.partition(_PICTURES_HERE)
    yield head.replace(_MORE_HERE, more)
    for number, (each, place) in enumerate(zip(pictures, places, strict=True)):
        coded = {
            key: base64.b64encode((place / name).read_bytes()).decode("ascii")
            for key, name in each.files.items()
        }
        yield f'<script type="application/json" id="p{number}">{as_json(coded)}</script>\n'
    yield rest


def _text(
    run: LoadedRun,
    chosen: Mapping[str, Sequence[str]],
    pictures: Mapping[str, Pictures],
    *,
    files: bool,
) -> str:
    """The page without its pictures."""
    templates = resources("cellqa.reporting") / "templates"
    plates, all_plates = plates_of(run)
    scripts = [*SCRIPTS, *(["plate.js"] if plates else []), "start.js"]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["p"] = shown_p
    page = environment.from_string((templates / "page.html").read_text(encoding="utf-8"))
    found = verdict_of(run)
    first = [m for m in found.best if m in run.judged] or _ahead(run)
    data = data_of(run, pictures, leader=first[0] if first else "", files=files)
    gallery = {why: [i for i in images if i in pictures] for why, images in chosen.items()}
    return page.render(
        style=Markup((templates / "page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((templates / s).read_text(encoding="utf-8") for s in scripts)),
        data=as_json({**data, "gallery": gallery, "plates": plates}),
        columns=inert(json.dumps(columns_of(run, pictures), separators=(",", ":"))),
        pictures_here=Markup(_PICTURES_HERE),
        more_here=Markup(_MORE_HERE),
        run=run,
        settings=run.record,
        command=shlex.join(str(part) for part in run.record.command),
        verdict=found,
        verdicts=verdicts(run),
        budget=budget_of(run),
        sections=[section for make in SECTIONS if (section := make(run)) is not None],
        meaning=MEANING,
        warnings=run.record.warnings,
        summary=_summary(run),
        comparisons=_comparisons(run),
        pictures=pictures,
        metrics=run.columns,
        plates=plates,
        all_plates=all_plates,
        total=run.scores["image"].nunique(),
        tables=[(t, t.picture(run.folder)) for t in _tables(run.folder / TABLES)],
    )


def _ahead(run: LoadedRun) -> list[str]:
    """Who is ahead in the main metric, sure or not."""
    known = lead(run, run.main) if run.main else None
    return known.leaders if known else []


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
    return inert(json.dumps(plain(data, _DIGITS), ensure_ascii=True, separators=(",", ":")))


def inert(text: str) -> Markup:
    """JSON in which nothing can end the element that it stands in."""
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _summary(run: LoadedRun) -> list[dict[str, Any]]:
    """Of each metric, what each method has, who leads, and who is worse than the untouched."""
    rows = []
    pairs = comparisons_of(run)
    for of in run.metrics:
        board = Board.of(of, pairs)
        decides = not misled(run, of)
        best = [] if board.few or not decides else board.leaders
        worse = [m for m in board.methods if decides and board.surely(Role.RAW, m)]
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
