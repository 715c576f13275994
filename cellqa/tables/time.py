"""time.csv and frames.csv: what time series show, and what speaks against following them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cellqa.metrics._following import Following
from cellqa.metrics.series import Outlier, SeriesMeasures
from cellqa.tables.cells import cell
from cellqa.tables.files import write_csv
from cellqa.tables.folder import FRAMES, TIME
from cellqa.tables.reading import read_table

FLICKER = 0.03  # of the brightness, from which it is told
MOTION = 0.95  # agreement of changes, below which it is told
_KEPT = 0.2  # relative error of a decay, from which it is told
_SHOWN = 3  # frames that a warning names


class FrameRow(NamedTuple):
    """A line of frames.csv: a method's frame; levels are grey levels, gains of the raw image."""

    series: str
    method: str
    frame: str
    time: float
    background: float
    light: float
    gain: float
    snr: float
    outlier: str


@dataclass(frozen=True)
class FollowedSeries:
    """A time series: what every method makes of it.

    Attributes
    ----------
    name : str
    raw : str
        What it was compared with: `input`, or `gt` where there are no raw images.
    measures : tuple of SeriesMeasures
        The raw images' own, then those of each method.
    frames : tuple of FrameRow
    """

    name: str
    raw: str
    measures: tuple[SeriesMeasures, ...]
    frames: tuple[FrameRow, ...] = ()

    @classmethod
    def failed(cls, name: str, raw: str, why: str) -> FollowedSeries:
        """One that could not be followed."""
        return cls(name, raw, (SeriesMeasures(raw, reason=why),))

    @property
    def problem(self) -> str:
        """Why it could not be followed."""
        own = self.measures[0]
        return own.reason if not own.frames else ""


def frame_rows(following: Following, names: Sequence[str]) -> Iterator[FrameRow]:
    """The frames of a series that was followed, without the names of what stands out."""
    of_time = dict(zip((f.at for f in following.facts[following.raw]), names, strict=False))
    for method, facts in following.facts.items():
        for each in facts:
            light, dark = each.light, each.background
            yield FrameRow(
                "", method, of_time[each.at], each.at, dark, light, each.gain, each.snr, ""
            )


_TEXTS = ("method", "frames", "outliers", "reason")
_NUMBERS = tuple(f.name for f in fields(SeriesMeasures) if f.name not in _TEXTS)
TIME_HEADER = ("series", "method", "against", "frames", *_NUMBERS, "outliers", "reason")


def write_time(path: Path, followed: Sequence[FollowedSeries]) -> Path:
    """Write time.csv: a line for each series and method."""
    lines = (
        [
            each.name,
            one.method,
            each.raw if one.method != each.raw else "",
            cell(one.frames),
            *(cell(getattr(one, name)) for name in _NUMBERS),
            "; ".join(f"{_time(each, one, o.frame)}: {o.what}" for o in one.outliers),
            one.reason,
        ]
        for each in followed
        for one in each.measures
    )
    return write_csv(path, TIME_HEADER, lines)


def write_frames(path: Path, followed: Sequence[FollowedSeries]) -> Path:
    """Write frames.csv: a line for each frame and method."""
    return write_csv(path, FrameRow._fields, _frame_lines(followed))


def _frame_lines(followed: Sequence[FollowedSeries]) -> Iterator[list[str]]:
    for each in followed:
        odd: dict[tuple[str, int], list[str]] = defaultdict(list)
        for one in each.measures:
            for outlier in one.outliers:
                odd[one.method, outlier.frame].append(outlier.what)
        place: dict[str, int] = defaultdict(int)
        for row in each.frames:
            what = "; ".join(odd[row.method, place[row.method]])
            place[row.method] += 1
            whole = row._replace(series=each.name, outlier=what)
            yield [value if isinstance(value, str) else cell(value) for value in whole]


def _time(series: FollowedSeries, one: SeriesMeasures, place: int) -> str:
    """The time of a method's frame, as the names or the file's axis count it."""
    own = [row for row in series.frames if row.method == one.method]
    return f"{own[place].time:g}" if place < len(own) else str(place)


def read_followed(folder: Path) -> list[FollowedSeries]:
    """What `write_time` and `write_frames` wrote; empty where there is nothing.

    Raises
    ------
    CellqaError
        The tables were changed, or cut short.
    """
    if not (folder / TIME).is_file():
        return []
    numbers = [n for n in FrameRow._fields if FrameRow.__annotations__[n] == "float"]
    texts = ["series", "method", "frame"]
    frames = read_table(folder / FRAMES, texts, numbers, texts=["outlier"])
    table = read_table(
        folder / TIME,
        ("series", "method"),
        ("frames",),
        optional=_NUMBERS,
        texts=("against", "reason"),
    )
    found = []
    for name, lines in table.groupby("series", sort=False):
        of_series = frames[frames["series"] == name]
        rows = [FrameRow(**row) for row in of_series.to_dict("records")]
        measures = []
        for line in lines.to_dict("records"):
            own = [row.outlier for row in rows if row.method == line["method"]]
            odd = [(k, what) for k, text in enumerate(own) if text for what in text.split("; ")]
            values = {n: line[n] for n in (*_NUMBERS, "method", "reason")}
            outliers = tuple(Outlier(k, what) for k, what in odd)
            measures.append(SeriesMeasures(**values, frames=int(line["frames"]), outliers=outliers))
        raw = next((m.method for m, a in zip(measures, lines["against"], strict=True) if not a), "")
        found.append(FollowedSeries(str(name), raw, tuple(measures), tuple(rows)))
    return found


def unsteady(followed: Sequence[FollowedSeries]) -> dict[str, str]:
    """Of methods whose brightness changes over time beyond the raw images', a line each."""
    told = {}
    for method, (raw, series) in _by_method(followed).items():
        own = [each.measures[0].own_flicker for each, _ in series]
        line = _brightness(method, _against(raw), [one for _, one in series], _median(own))
        if line:
            told[method] = line
    return told


def time_doubts(followed: Sequence[FollowedSeries]) -> Iterator[str]:
    """What else speaks against following things in a method's time series, a line each."""
    for each in followed:
        if each.problem:
            yield f"{each.name} was not followed over time: {each.problem}"
    yield from _unfollowed(followed)
    for method, (raw, series) in _by_method(followed, with_raw=True).items():
        against = _against(raw)
        level = _median([one.flicker_level for _, one in series])
        if level > FLICKER:
            yield (
                f"{method}: the background jumps from frame to frame by {level:.0%} of the "
                f"brightness, and that of {against} does not ({_n(series)})"
            )
        motion = _median([one.motion for _, one in series])
        if motion < MOTION:
            yield (
                f"{method}: what moves in {against} moves otherwise in it: their changes agree to "
                f"{max(motion, 0):.0%} ({_n(series)}); frames are averaged over time, or lag"
            )
        odd: dict[str, list[str]] = defaultdict(list)
        for each, one in series:
            for outlier in one.outliers:
                odd[f"{each.name}, time {_time(each, one, outlier.frame)}"].append(outlier.what)
        if odd:
            named = "; ".join(f"{k}: {', '.join(odd[k])}" for k in list(odd)[:_SHOWN])
            more = "; the others in frames.csv" if len(odd) > _SHOWN else ""
            yield f"{method}: {len(odd)} frame{'s' * (len(odd) > 1)} out of line ({named}{more})"


def _unfollowed(followed: Sequence[FollowedSeries]) -> Iterator[str]:
    """What could not be followed, and why, a line for each reason."""
    short = Counter(s.measures[0].reason for s in followed if s.measures[0].frames)
    for reason, n in short.items():
        if reason:
            yield f"{n} of {len(followed)} time series were not followed: {reason}"
    fit = [s for s in followed if not s.measures[0].reason]
    for method in dict.fromkeys(m.method for s in fit for m in s.measures[1:]):
        own = [m for s in fit for m in s.measures[1:] if m.method == method]
        lost = Counter(m.reason for m in own if math.isnan(m.flicker))
        for reason, n in lost.items():
            yield f"{method}: {n} of {len(own)} time series could not be judged: {reason}"


Series = list[tuple[FollowedSeries, SeriesMeasures]]


def _by_method(
    followed: Sequence[FollowedSeries], *, with_raw: bool = False
) -> dict[str, tuple[str, Series]]:
    found: dict[str, tuple[str, Series]] = {}
    for each in followed:
        for one in each.measures:
            if with_raw or one.method != each.raw:
                found.setdefault(one.method, (each.raw, []))[1].append((each, one))
    return found


def _brightness(
    method: str, against: str, series: Sequence[SeriesMeasures], raw_flicker: float
) -> str:
    flicker = _median([one.flicker_contrast for one in series])
    noise = _median([one.flicker_noise for one in series])
    drift = _median([one.drift for one in series])
    if math.isnan(flicker):
        return ""
    told, rest = [], ""
    if flicker > math.hypot(FLICKER, 2 * noise):
        steady = _median([one.own_flicker for one in series]) < raw_flicker / 2
        what = "is evened out, changed" if steady else "flickers"
        told.append(f"{what} by {flicker:.0%} from frame to frame")
    if abs(drift) > FLICKER + flicker + 2 * noise:
        rates = [_median([getattr(one, n) for one in series]) for n in ("decay_raw", "decay")]
        told.append(f"drifts by {drift:+.0%} from the first to the last frame")
        if abs(rates[1] - rates[0]) > _KEPT * abs(rates[0]):
            theirs, own = map(_course, rates)
            rest = f"theirs {theirs} from one time to the next, its own {own}; "
    if not told:
        return ""
    n = f"median of {len(series)} series" if len(series) > 1 else "1 series"
    return (
        f"{method}: brightness {' and '.join(told)}, against {against} ({rest}{n}): do not "
        "follow intensities in it"
    )


def _course(rate: float) -> str:
    return f"{'falls' if rate > 0 else 'rises'} by {-math.expm1(-abs(rate)):.2%}"


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan


def _against(raw: str) -> str:
    return "the raw images" if raw == "input" else "the ground truth"


def _n(series: Series) -> str:
    return f"median of {len(series)} series" if len(series) > 1 else series[0][0].name
