"""What a training run left."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellqa.errors import CellqaError
from cellqa.shown import one_line
from ciegan.training.folder import HISTORY

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes
    ----------
    out : Path
    steps : int
    stopped : str
        Why it ended: `steps`, `early` or `time`.
    best : dict
        `step`, `score` and `values` of the weights that are kept.
    untouched : dict
        The values of the validation inputs themselves.
    seconds : float
        Of training, with validations.
    waiting : float
        Share of them spent waiting for data.
    warnings : list of str
    plans : list of (int, int)
        Of a run that is to end in a time: a step, and the steps in all, planned from it on.
    """

    out: Path
    steps: int
    stopped: str
    best: dict[str, Any]
    untouched: dict[str, float]
    seconds: float
    waiting: float
    warnings: list[str]
    plans: list[tuple[int, int]] = field(default_factory=list)
    __repr__ = one_line

    def describe(self) -> str:
        """A few lines for the terminal."""
        values = self.best["values"]
        why = {"steps": "all steps done", "early": "stopped early", "time": "time is up"}
        lines = [f"{self.steps} steps in {self.seconds:.0f} s ({why[self.stopped]})"]
        lines.append(f"best at step {self.best['step']}, on the validation split:")
        for name, value in values.items():
            before = self.untouched.get(name, math.nan)
            lines.append(f"  {name} {value:.4g} (input {before:.4g})")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """metrics.csv as pandas has it: a row for each validation; nan is undefined.

        Columns are step, phase, seconds, the share of them waiting for data, rate, score, the
        metrics, and the mean of each term of the loss since the row before.

        Raises
        ------
        CellqaError
            The file is gone or damaged.
        """
        import pandas as pd

        path = self.out / HISTORY
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise CellqaError(f"{path} cannot be read: {error}") from error
