"""`cellqa questionnaire build` and `cellqa questionnaire analyse`."""

from __future__ import annotations

from pathlib import Path

import click

from cellqa.cli.group import main
from cellqa.cli.options import AnyPath, OutPath, naming_options, overwrite_option, pred_option
from cellqa.errors import printable
from cellqa.pairs.roles import Role
from cellqa.terminal import align, report_failures, warn


@main.group()
def questionnaire() -> None:
    """Ask experts, blinded: build a page for them, analyse what they say."""


@questionnaire.command()
@pred_option
@click.option("--gt", type=AnyPath(), metavar="DIR", help="Ground truth, shown like a method.")
@naming_options
@click.option("--out", type=OutPath(), required=True, metavar="DIR", help="Where to write.")
@click.option(
    "--images",
    type=click.IntRange(1),
    default=12,
    show_default=True,
    metavar="N",
    help="Drawn at random from those that all have.",
)
@click.option(
    "--repeats",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Tasks that come twice, to see how steady raters are.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of every random choice.")
@overwrite_option
def build(
    pred: dict[str, Path],
    gt: Path | None,
    out: Path,
    images: int,
    repeats: float,
    seed: int,
    strip: tuple[str, ...],
    match: tuple[str, ...],
    pairs: Path | None,
    overwrite: bool,
) -> None:
    """Make a blinded page: forced choices between methods, and ratings from 1 to 5.

    Give OUT/page to the raters, keep OUT/key.json to yourself. OUT/instructions.txt is shown first;
    edit it and build again with --overwrite.
    """
    from cellqa.experts.build import questionnaire as build_page
    from cellqa.pairs.naming import parse_naming

    built = build_page(
        pred,
        out,
        reference=gt,
        naming=parse_naming(strip, match, pairs, {*pred, Role.REFERENCE}),
        images=images,
        repeats=repeats,
        seed=seed,
        overwrite=overwrite,
    )
    warn(built.notes)
    click.echo(f"{built.tasks} tasks over {built.images} images\nwrote {built.page}, {built.key}")


@questionnaire.command()
@click.argument("folder", type=AnyPath(), metavar="Q")
@click.argument("answers", nargs=-1, required=True, type=AnyPath(), metavar="ANSWERS.json...")
@click.option(
    "--scores",
    type=AnyPath(),
    metavar="RUN",
    help="A scored run of the same images: which metric agrees with the experts?",
)
@click.option("--out", type=OutPath(), metavar="DIR", help="Where to write [default: Q/analysis].")
def analyse(folder: Path, answers: tuple[Path, ...], scores: Path | None, out: Path | None) -> None:
    """Opinion scores, ranking and agreement from the files that raters saved.

    Q is the --out folder of `cellqa questionnaire build`.
    """
    from cellqa.experts.analyse import analyse_answers

    given, tables, paths = analyse_answers(folder, answers, run=scores, out=out)
    means = {(r["method"], r["scale"]): r["mean"] for r in tables["mos.csv"]}
    strength = {r["method"]: r for r in tables["ranking.csv"]}
    rows = [["method", *given.scales, "preferred", "won"]]
    for method in given.methods:
        cells = [f"{means[method, s]:.2f}" if (method, s) in means else "-" for s in given.scales]
        row = strength.get(method)
        last = [f"{row['strength']:+.2f}", f"{row['won']} of {row['of']}"] if row else ["-", "-"]
        rows.append([printable(method), *cells, *last])
    click.echo(align(rows))
    warn(given.notes)
    click.echo("\nwrote " + ", ".join(map(str, paths)))
    report_failures(len(answers), given.failures)
