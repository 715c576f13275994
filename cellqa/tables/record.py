"""run.json: what a run was told, what it was made with, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cellqa.errors import CellqaError, first_line
from cellqa.metrics.metric import Metric
from cellqa.metrics.registry import of_facts
from cellqa.metrics.table import METRICS
from cellqa.shown import one_line
from cellqa.tables.files import write_json
from cellqa.tables.folder import RUN
from cellqa.tables.reading import read_json, unfit

FORMAT = 2  # of run.json; 1 had no number


@dataclass(frozen=True)
class Paired:
    """What was paired with what.

    Attributes
    ----------
    images : int
        Of all shards together.
    digest : str
        Of the list of images, so that shards of other lists are not joined.
    unpaired : dict
        Role or method to the files without a partner.
    naming : dict
        How names became those of images; see `cellqa.pairs.naming.Naming`.
    notes : list of str
        What was taken off names, and which files were passed over.
    """

    images: int = 0
    digest: str = ""
    unpaired: dict[str, list[str]] = field(default_factory=dict)
    naming: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    __repr__ = one_line


@dataclass(frozen=True)
class RunRecord:
    """A run.

    Attributes
    ----------
    command : list of str
    settings : dict
        Options by name; of a table of other people's, `table`, where it lies.
    metrics : list of dict
        What is known of each metric of the run; see `Metric.facts`.
    folders : dict
        Role or method to its folder.
    engine : str
    pairing : Paired
    shard : list of int
        [I, N].
    merged : int
        Shards that were joined; 0 where the run was not split.
    group : str or None
        The expression or table that says which images belong together.
    rows, failed : int
    failures : list of dict
        `image`, `method` and `reason` of the first thousand.
    warnings : list of str
    range_sensitivity : dict or None
        PSNR and SSIM of the median image under each data range.
    friedman : list of dict
    versions : dict
    machine : str
    seconds : float
    format : int
    """

    command: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)
    engine: str = ""
    pairing: Paired = field(default_factory=Paired)
    shard: list[int] = field(default_factory=lambda: [1, 1])
    merged: int = 0
    group: str | None = None
    rows: int = 0
    failed: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    range_sensitivity: dict[str, Any] | None = None
    friedman: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    seconds: float = 0.0
    format: int = FORMAT

    __repr__ = one_line

    @property
    def external(self) -> bool:
        """Whether the scores are from somebody else's table."""
        return "table" in self.settings

    def known_metrics(self) -> tuple[Metric, ...]:
        """The metrics of the run, in its order."""
        return tuple(of_facts(facts) for facts in self.metrics)

    def write(self, folder: Path) -> Path:
        """Write run.json into the folder of a run."""
        return write_json(folder / RUN, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read run.json in the folder of a run.

        Raises
        ------
        CellqaError
            There is none, or it is no run.json of this version or an earlier one.
        """
        path = folder / RUN
        try:
            content = read_json(path, "the run.json of a scoring run")
        except OSError as error:
            raise CellqaError(f"{folder}: no finished run ({RUN}: {error.strerror})") from None
        return cls.of(content, path)

    @classmethod
    def of(cls, content: Any, path: Path) -> RunRecord:
        """A record of what a file holds; the file's name is for errors.

        Raises
        ------
        CellqaError
            It is no run.json of this version or an earlier one.
        """
        if not isinstance(content, dict):
            raise CellqaError(f"{path}: not the run.json of a scoring run")
        number = content.get("format", 1)
        if number == 1:
            content = _of_format_1(content)
        elif number != FORMAT:
            raise CellqaError(
                f"{path}: of format {number!r}, which this version of cellqa does not know"
            )
        if isinstance(content.get("pairing"), dict):  # earlier versions paired by name alone
            content = {**content, "pairing": {"naming": {}, "notes": [], **content["pairing"]}}
        problem = _problem(content)
        if problem:
            raise CellqaError(f"{path}: not the run.json of a scoring run ({problem})")
        own = {f.name: content[f.name] for f in fields(cls)}
        pairing = {f.name: content["pairing"][f.name] for f in fields(Paired)}
        return cls(**{**own, "pairing": Paired(**pairing)})


def _problem(content: Mapping[str, Any]) -> str:
    """What is missing or of a wrong type; empty where all is right."""
    problem = unfit(content, RunRecord)
    if problem:
        return problem
    if wrong := unfit(content["settings"].get("max_pixels", 1), int, "settings.max_pixels"):
        return wrong
    first, number = (content["shard"] + [0, 0])[:2]
    if len(content["shard"]) != 2 or not 1 <= first <= number:
        return "shard is not [I, N]"
    try:
        for facts in content["metrics"]:
            of_facts(facts)
    except (TypeError, ValueError) as error:
        return f"metrics: {first_line(error)}"
    return ""


def _of_format_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """What versions before 0.2 wrote, with what they left out."""
    settings = content.get("settings")
    names = settings.get("metrics", METRICS) if isinstance(settings, dict) else ()
    others = content.get("metrics")
    metrics = [METRICS[name] for name in names if name in METRICS]
    if isinstance(others, dict):
        metrics += [Metric(name=n, higher_is_better=better) for n, better in others.items()]
    needed = (
        "command",
        "settings",
        "folders",
        "rows",
        "failed",
        "failures",
        "warnings",
        "versions",
    )
    usual = {k: v for k, v in asdict(RunRecord()).items() if k not in needed}
    return {**usual, **content, "metrics": [m.facts() for m in metrics], "format": FORMAT}
