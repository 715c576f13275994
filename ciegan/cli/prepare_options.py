"""Options that several preparations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cellqa.cli.options import (
    TableChoice,
    jobs_option,
    overwrite_option,
    pixel_size_option,
    together,
)
from cellqa.pairs.roles import Role


class Range(click.ParamType[tuple[float, float]]):
    """Two numbers, as 1:3, or one for both."""

    name = "low:high"

    def convert(self, value: Any, parameter: Any, ctx: Any) -> tuple[float, float]:
        """Return both numbers."""
        if isinstance(value, tuple):
            return value
        parts = value.split(":")
        try:
            low, high = (float(part) for part in (parts if len(parts) == 2 else parts * 2))
        except ValueError:
            self.fail(f"{value!r} is not LOW:HIGH", parameter, ctx)
        return low, high


def tiling_options(
    min_contrast: float | None = 0.1, split: str = "0.7,0.15,0.15"
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options of every kind of preparation; a contrast of None is for the command to fill in."""
    contrast_help = "Drop tiles whose target has less than this share of the field's contrast"
    return together(
        click.option("--tile", type=int, default=256, show_default=True, help="Side, in pixels."),
        click.option(
            "--min-contrast",
            type=float,
            default=min_contrast,
            show_default=True,
            help=contrast_help + (" [default: the task's]." if min_contrast is None else "."),
        ),
        click.option(
            "--split",
            default=split,
            show_default=True,
            metavar="SHARES|CSV",
            help="Fields for train, val, test; or a table with the columns field and split.",
        ),
        click.option(
            "--split-within",
            "within",
            is_flag=True,
            help="Cut each field into a part for train, val and test, for few fields.",
        ),
        click.option("--field", metavar="REGEX", help="What in a name tells its field of view."),
        click.option(
            "--target",
            type=TableChoice("ciegan.data.tiles:TARGETS"),
            default=Role.REFERENCE.value,
            show_default=True,
            help="egt: enhance the targets (CIEGANP).",
        ),
        click.option(
            "--seed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of the split and of what is drawn.",
        ),
        pixel_size_option,
        jobs_option,
        overwrite_option,
    )


scale_option = click.option(
    "--scale",
    type=click.IntRange(1, 4),
    default=1,
    show_default=True,
    metavar="N",
    help="Super-resolution: inputs have 1/N of the target's pixels along each side, and are "
    "enlarged.",
)

check_options = together(
    click.option("--register", is_flag=True, help="Bring the blurred image onto the sharp one."),
    click.option(
        "--match-levels",
        is_flag=True,
        help="Bring the sharp image's grey levels to the blurred one's, by a gain and an offset.",
    ),
    click.option(
        "--no-check",
        "check",
        flag_value=False,
        default=True,
        help="Take pairs that do not lie on each other, or do not belong together, as they are.",
    ),
)
