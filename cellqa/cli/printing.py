"""What `cellqa score` and `cellqa merge` do with a finished run: its page, and what is printed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cellqa.errors import printable
from cellqa.terminal import BELOW_LIMIT, progress_bar, report_failures, warn


def write_page(out: Path, gallery: int, jobs: int, files: bool = False) -> list[Path]:
    """Make the page of a run; the files that were written."""
    from cellqa.reporting.page import archive_of, report

    with progress_bar("Drawing") as progress:
        page = report(out, gallery=gallery, files=files, jobs=jobs, progress=progress)
    return [page, *archive_of(page)]


def print_finished(
    finished: Any,
    limits: dict[str, float] | None = None,
    methods: tuple[str, ...] = (),
    *,
    as_json: bool = False,
) -> None:
    """Print the means, what to distrust and what failed; end with the status for that."""
    from cellqa.tables.agreement import verdicts
    from cellqa.tables.files import plain
    from cellqa.tables.means import terminal_summary
    from cellqa.tables.summary import below

    missed = below(finished.tally, finished.summaries, limits or {}, methods)
    if as_json:
        click.echo(json.dumps(plain(_content(finished, missed)), indent=2, ensure_ascii=False))
    else:
        if not finished.tally.rows:
            click.echo("this part of the run holds no images")
        click.echo(terminal_summary(finished))
        if finished.agreements:
            click.echo("\nobjects, against those of the ground truth:")
            for each in verdicts(finished.agreements):
                click.echo(f"  {printable(each.line)}")
        click.echo("\nwrote " + ", ".join(str(path) for path in finished.paths))
    warn(finished.warnings)
    for line in missed:
        click.echo(printable(f"below the limit: {line}"), err=True)
    failures = [(r.image, r.method, r.reason) for r in finished.tally.failures]
    try:
        report_failures(
            finished.tally.rows,
            failures,
            finished.paths[0],
            count=finished.tally.failed.total(),
            worst=max(
                ((bad, bad + finished.tally.scored[m]) for m, bad in finished.tally.failed.items()),
                key=lambda both: both[0] / both[1],
                default=None,
            ),
        )
    finally:
        if missed:
            raise SystemExit(BELOW_LIMIT)


def _content(finished: Any, missed: list[str]) -> dict[str, Any]:
    """What --json prints; docs/reference/conventions.md says what each part is."""
    from cellqa.tables.verdict import verdict

    tally = finished.tally
    return {
        "rows": tally.rows,
        "failed": tally.failed.total(),
        "methods": list(tally.methods),
        "verdict": verdict(finished).lines,
        "summary": [asdict(each) for each in finished.summaries if each.n or each.infinite],
        "comparisons": [asdict(each) for each in finished.comparisons],
        "below_limits": missed,
        "warnings": list(finished.warnings),
        "failures": tally.named_failures(),
        "files": [str(path) for path in finished.paths],
    }
