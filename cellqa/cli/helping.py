"""How both commands explain themselves: options in groups, examples, exit statuses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from cellqa.cli.running import FAILING, LONG
from cellqa.terminal import Commands

FAILED, BELOW = 3, 4
STATUSES = {
    0: "done",
    1: "a wrong input: one line says what, and what to do",
    2: "a wrong option",
    FAILED: "done, but some images failed, each named with its reason",
    BELOW: "done, but a mean is worse than --fail-under allows",
    130: "interrupted by Ctrl-C (143 by SIGTERM, 129 by SIGHUP)",
}
_USUAL = (0, 1, 2, 130)
SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}

# Options by what they are about, wherever they occur; what stands in none is the command's own.
_SECTIONS = {
    "Images": "--pred --gt --input --mask --valid --strip --match --pairs --group --pixel-size "
    "--colour --channel --z --t --time --missing --max-pixels",
    "Measures": "--metrics --data-range --frc-threshold --fit --register --foreground --objects "
    "--objects-time --scale --camera --compat --fail-under",
    "Network": "--preset --config --set --from --generator --context --normalize --crop "
    "--batch-size --rate --vgg-weights --samples --tile-size --hot-pixels --keep-flux --precision "
    "--compile",
    "When to stop, what to keep": "--monitor --max-invented --every --patience --min-delta "
    "--min-steps --steps --max-time",
    "Fields and tiles": "--match-levels --min-contrast --split --split-within --field --tile",
    "Results": "--out --gallery --files --table --no-report --maps --overwrite --plot --write "
    "--map --json",
    "Running": "--jobs --engine --shard --resume --allow-failures --device --devices --workers "
    "--seed --log --progress --help",
}
_SECTION_OF = {name: title for title, names in _SECTIONS.items() for name in names.split()}
_FEW = 6  # options that need no sections


class Explained(NamedTuple):
    """What the help of a command says beside its options.

    Attributes
    ----------
    examples : sequence of (str, str)
        A line to type, and what it is for.
    exits : sequence of int
        Statuses beside 0, 1, 2 and 130. With 3, the command has `--allow-failures`.
    long : bool
        The command may take long: it has `--log` and `--progress`.
    """

    examples: Sequence[tuple[str, str]]
    exits: Sequence[int] = ()
    long: bool = True


class Command(click.Command):
    """A command whose help has sections, examples and exit statuses.

    What is said of it (`Explained`) also gives it the options that long commands have.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters, those of long commands, and --help."""
        explained = explained_of(ctx)
        params = super().get_params(ctx)
        if explained is None:
            return params
        added = [*(LONG if explained.long else ()), *(FAILING if FAILED in explained.exits else ())]
        return [*params[:-1], *added, *params[-1:]]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by what they are about."""
        records = [
            (_SECTION_OF.get(p.opts[-1], "Options"), record)
            for p in self.get_params(ctx)
            if (record := p.get_help_record(ctx)) is not None
        ]
        titles = ("Options", *_SECTIONS) if len(records) > _FEW else ("Options",)
        for title in titles:
            shown = [r for of, r in records if of == title or len(titles) == 1]
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown, col_max=26)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit statuses."""
        super().format_epilog(ctx, formatter)
        explained = explained_of(ctx)
        if explained is None:
            return
        with formatter.section("Examples"):
            for line, what in explained.examples:
                formatter.write_text(f"# {what}")
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        statuses = sorted({*_USUAL, *explained.exits})
        with formatter.section("Exit status"):
            formatter.write_dl([(str(code), STATUSES[code]) for code in statuses])


class Group(Commands):
    """Commands that explain themselves; `explained` has what to say, by the command's path."""

    command_class = Command

    def __init__(
        self, *args: Any, explained: Mapping[str, Explained] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.explained = explained or {}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say how to go on from the list of commands."""
        super().format_epilog(ctx, formatter)
        name = ctx.command_path
        if ctx.parent is None:
            formatter.write_paragraph()
            formatter.write_text(
                f"`{name} COMMAND --help` has examples and the exit statuses of a command. "
                f'Completion in the shell: eval "$(_{name.upper()}_COMPLETE=bash_source {name})", '
                "or zsh_source, or fish_source."
            )


class Subcommands(click.Group):
    """Commands below one of the group's."""

    command_class = Command


Group.group_class = Subcommands


def explained_of(ctx: click.Context) -> Explained | None:
    """What is said of the command of a context."""
    root = ctx.find_root().command
    path = ctx.command_path.split()[1:]
    return root.explained.get(" ".join(path)) if isinstance(root, Group) else None


def example_words(line: str) -> list[str]:
    """An example as the arguments of the program that it names.

    Examples
    --------
    >>> example_words("cellqa score --pred out/ --gt 'my gt/'")
    ['score', '--pred', 'out/', '--gt', 'my gt/']
    """
    return shlex.split(line)[1:]
