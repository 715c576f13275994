"""What a run comes to, in sentences: who is best, who is better than nothing, what to distrust."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cellqa.metrics.metric import Metric
from cellqa.metrics.resolution import OF_THE_FILTER
from cellqa.metrics.shared_noise import NAMED
from cellqa.metrics.table import METRICS
from cellqa.pairs.roles import Role
from cellqa.tables.comparisons import Comparison
from cellqa.tables.finished import Finished
from cellqa.tables.standing import Board
from cellqa.tables.undefined import Lacking, lacking_of

FRC = "frc_resolution"
UNTOUCHED = "the untouched images"
_LEFT_OUT = (
    f"{FRC} is left out: images have noise in common with their ground truth, and it takes that "
    "for detail."
)
_NO_TRUTH = "Without ground truth (--gt), none can be called best."
_DOUBTS = 2  # that are told, of those that there are
_LONGEST = 140  # letters of one
_AMOUNTS = 4  # methods whose invented detail is told


@dataclass(frozen=True)
class Verdict:
    """What a run comes to.

    Attributes
    ----------
    best : tuple of str
        Methods that no other surely beats in any metric of `by`; the first sentence names them.
    by : tuple of str
        Metrics that it was made from.
    sentences : tuple of str
        To be read in their order. Empty where nothing was compared.
    doubt : str
        The last sentence: what to distrust, or that nothing was found.
    """

    best: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def lines(self) -> list[str]:
        """All sentences."""
        return [*self.sentences, *([self.doubt] if self.sentences else [])]


def verdict(run: Finished) -> Verdict:
    """What a run that has just ended comes to."""
    return judge(
        run.tally.metrics,
        run.comparisons,
        {(s.method, s.metric): s.mean for s in run.summaries if s.n},
        run.warnings,
        lacking_of(run.summaries, run.tally.metrics),
        failed=run.tally.failed.total(),
        rows=run.tally.rows,
    )


def judge(
    metrics: Sequence[Metric],
    comparisons: Sequence[Comparison],
    means: Mapping[tuple[str, str], float],
    warnings: Sequence[str],
    lacking: Lacking | None = None,
    *,
    failed: int = 0,
    rows: int = 0,
) -> Verdict:
    """The verdict that paired tests allow.

    A difference is sure where Holm's corrected p is below 0.05. In each metric, those lead that no
    other method surely beats, the untouched images among them; the best are those that lead in
    every metric. Judged are the metrics of fidelity that lead the report (SSIM, MS-SSIM, PSNR, and
    FRC resolution where no noise is shared); without ground truth, those that need none, and nobody
    is called best.

    Parameters
    ----------
    metrics : sequence of Metric
        Of the run.
    comparisons : sequence of Comparison
    means : mapping of (method, metric) to float
    warnings : sequence of str
        Of the run; the sentence of doubt has those that concern the best.
    lacking : mapping of metric to methods, optional
        Methods that lack values which others have; they do not lead.
    failed, rows : int
        Rows of the run, and those that could not be scored.
    """
    short = lacking or {}
    by, faithful = _judged_by(metrics, comparisons, warnings)
    boards = [
        board for of in by if (board := Board.of(of, comparisons, short.get(of.name, ()))).methods
    ]
    left = _shared(warnings) and FRC in {c.metric for c in comparisons} - {m.name for m in by}
    if not boards:
        return Verdict((), (), (_LEFT_OUT,), "Nothing else was compared.") if left else Verdict()
    methods = list(dict.fromkeys(m for board in boards for m in board.methods))
    enhanced = [m for m in methods if m != Role.RAW]
    tested = [board for board in boards if not board.few]
    best: list[str] = []
    if not tested:
        sentences = [*([] if faithful else [_NO_TRUTH]), _too_few(boards, faithful=faithful)]
    else:
        best = [m for m in methods if all(m in b.leaders for b in tested if m in b.methods)]
        of_all = _best(best, tested) if len(enhanced) > 1 else ""
        sentences = [of_all if faithful else _ahead(tested)]
        if Role.RAW in methods:
            sentences += _against_untouched(enhanced, tested, faithful=faithful)
    if faithful and Role.RAW not in methods:
        sentences.append(
            "Nobody knows whether that is better than doing nothing: the untouched images are not "
            "among the compared (--input)."
        )
    sentences += [_LEFT_OUT] if left else []
    invented = Board.of(next((m for m in metrics if m.name == "invented"), None), comparisons)
    sentences += _invented(invented, enhanced, means)
    concerned = [m for m in (best if faithful else ()) or enhanced if m != Role.RAW]
    others = [*(m for m in enhanced if m not in concerned), Role.EGT]
    measured = {metric for _, metric in means}
    looked = faithful or any(Role.RAW in m.needs and m.name in measured for m in metrics)
    doubt = _doubt(concerned, others, warnings, failed, rows, looked=looked)
    return Verdict(
        tuple(best if faithful else ()),
        tuple(b.metric.name for b in boards),
        tuple(s for s in sentences if s),
        doubt,
    )


def _shared(warnings: Sequence[str]) -> bool:
    """Whether images have the noise of their ground truth, which FRC takes for detail."""
    return any(NAMED in warning for warning in warnings)


def _judged_by(
    metrics: Sequence[Metric], comparisons: Sequence[Comparison], warnings: Sequence[str]
) -> tuple[list[Metric], bool]:
    """The metrics that decide, and whether they tell who is true to the ground truth."""
    compared = {c.metric for c in comparisons}
    known = [m for m in metrics if m.ranks and m.name in compared]
    leading = sorted((m for m in known if m.leads), key=lambda m: m.leads)
    if faithful := [m for m in leading if set(m.needs) == {Role.REFERENCE}]:
        return [m for m in faithful if not (m.name == FRC and _shared(warnings))], True
    filtered = any(OF_THE_FILTER in warning for warning in warnings)
    alone = [m for m in leading if not (m.name == "resolution" and filtered)]
    if leading:
        return [m for m in alone if m.name != "invented"], False
    # what somebody else's table measures against, nobody knows
    return known, any(Role.REFERENCE in m.needs or m.name not in METRICS for m in known)


def _too_few(boards: Sequence[Board], *, faithful: bool) -> str:
    what = "groups" if any(c.groups for b in boards for c in b.pairs.values()) else "images"
    samples, needed = min(b.samples for b in boards), max(b.needed for b in boards)
    what = what[:-1] if samples == 1 else what
    told = _gathered((_names(b.first), b.metric.name) for b in boards if b.first)
    ahead = f"; ahead on these: {told}" if told else ""
    tests = max(b.tests for b in boards)
    several = f" to tell {tests} pairs of methods apart" if tests > 1 else ""
    what_of = "best" if faithful else "ahead"
    return (
        f"Too few to say who is {what_of}: {samples} {what}, {needed} are needed{several}{ahead}."
    )


def _best(best: Sequence[str], boards: Sequence[Board]) -> str:
    if len(best) == 1:
        close: dict[str, list[str]] = {}
        for board in boards:
            rivals = [m for m in board.leaders if m not in best]
            if rivals and best[0] in board.methods:
                close.setdefault(_names(rivals, "or"), []).append(board.metric.name)
        beside = "; ".join(f"in {_and(ms)} too close to call with {r}" for r, ms in close.items())
        found = _names(best)
        tied = {m for ms in close.values() for m in ms}
        where = _and([n for b in boards if (n := b.metric.name) not in tied] or sorted(tied))
        more = "; no method is better" if best[0] == Role.RAW else ""
        return f"Best: {found}, in {where}{more}{f' ({beside})' if beside else ''}."
    if best:
        every = {b.metric.name for b in boards if set(best) <= set(b.methods)}
        inside = [b.metric.name for b in boards if b.metric.name in every]
        return f"Best: {_names(best, 'or')} (too close to call in {_and(inside)})."
    led = [(_names(board.leaders, "or"), board.metric.name) for board in boards if board.leaders]
    if not led:
        return "Nobody is called best: those ahead have no value of some images."
    return f"No single best: {_gathered(led)}."


def _ahead(boards: Sequence[Board]) -> str:
    told = _gathered(
        (_names(board.leaders, "or"), f"{board.metric.name} ({board.metric.measures})")
        for board in boards
    )
    return f"{_NO_TRUTH} Ahead: {told}."


def _against_untouched(
    enhanced: Sequence[str], boards: Sequence[Board], *, faithful: bool
) -> list[str]:
    """Who is better than doing nothing, who is worse, who is both.

    Without ground truth, who is ahead or behind: a forgery is sharper, too.
    """
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for method in enhanced:
        known = [b for b in boards if {method, Role.RAW} <= set(b.methods)]
        if not known:
            continue
        better = [b.metric.name for b in known if b.surely(method, Role.RAW)]
        worse = [b.metric.name for b in known if b.surely(Role.RAW, method)]
        rest = [b.metric.name for b in known if b.metric.name not in (*better, *worse)]
        if better and worse:
            kind = ("both", _and(better), _and(worse))
        elif better:
            kind = ("better", _and(better) if rest or not faithful else "", _and(rest))
        elif worse:
            kind = ("worse", _and(worse) if rest or not faithful else "", _and(rest))
        else:
            kind = ("same", "", "")
        kinds.setdefault(kind, []).append(method)
    ahead, behind, nothing = (
        ("better than", "worse", "worse than doing nothing")
        if faithful
        else ("ahead of", "behind", f"behind {UNTOUCHED}")
    )
    told = []
    order = ("better", "both", "same", "worse")
    for found in sorted(kinds, key=lambda found: order.index(found[0])):
        methods, (what, some, others) = kinds[found], found
        names, several = _names(methods), len(methods) > 1
        be = "are" if several else "is"
        who = f"Both {names}" if len(methods) == 2 else f"All of {names}" if several else names
        unknown = f", with no sure difference in {others}" if others else ""
        unsure = f" in {some}{unknown}" if some else ""
        told.append(
            {
                "better": f"{who} {be} {ahead} {UNTOUCHED}{unsure}.",
                "worse": f"{who} {be} {nothing}{unsure}.",
                "both": f"{who} {be} {ahead} {UNTOUCHED} in {some}, {behind} in {others}.",
                "same": f"{who} {be} not surely different from {UNTOUCHED}.",
            }[what]
        )
    return told


def _invented(
    board: Board, enhanced: Sequence[str], means: Mapping[tuple[str, str], float]
) -> list[str]:
    """How much of the detail is in neither image; amounts alone prove nothing, differences do."""
    known = {m: means[m, "invented"] for m in enhanced if (m, "invented") in means}
    if not known:
        return []
    shares = {m: f"{100 * v:.1f} %" for m, v in sorted(known.items(), key=lambda item: item[1])}
    if len(known) == 1:
        ((method, share), *_) = shares.items()
        return [f"Invented detail: {share} of that of {method} (compare with a method you trust)."]
    least = [m for m in board.leaders if m in shares] if not board.few else []
    rest = [f"{m} {s}" for m, s in shares.items() if m not in least]
    more = ", ".join([*rest[:_AMOUNTS], *(["..."] if len(rest) > _AMOUNTS else [])])
    if not least:
        return [f"Invented detail: {more}."]
    if not rest:
        told = ", ".join(f"{m} {s}" for m, s in shares.items())
        return [f"Invented detail: {told}; no test tells them apart."]
    first = _and([f"{m} ({shares[m]})" for m in least], "or")
    return [f"Invented detail: surely least in {first}; {more}."]


def _doubt(
    concerned: Sequence[str],
    others: Sequence[str],
    warnings: Sequence[str],
    failed: int,
    rows: int,
    *,
    looked: bool,
) -> str:
    """Reasons for distrust: of the whole run, then of the best, then of what they are made of."""

    def names(warning: str, methods: Iterable[str]) -> bool:
        return any(re.search(rf"(?<!\w){re.escape(m)}(?!\w)", warning) for m in methods)

    def subject(warning: str, methods: Iterable[str]) -> bool:
        return any(re.match(rf"{re.escape(m)}(?!\w)", warning) for m in methods)

    given = (Role.RAW, Role.REFERENCE)
    own = [w for w in warnings if subject(w, concerned)]
    made_of = [w for w in warnings if subject(w, given)]
    general = [w for w in warnings if not subject(w, [*concerned, *others, *given])]
    general.sort(key=lambda w: names(w, others) and not names(w, concerned))
    lost = [f"{failed} of {rows} rows failed"] if failed else []
    every = "|".join(map(re.escape, [*concerned, *others]))
    alike: dict[str, str] = {}  # what is said of each method is said once
    for warning in [*general, *own, *made_of]:
        if OF_THE_FILTER not in warning and NAMED not in warning:
            alike.setdefault(re.sub(rf"(?<!\w)({every})(?!\w)", "*", warning), _brief(warning))
    told = [*lost, *alike.values()]
    rest = len(warnings) + len(lost) - len(told[:_DOUBTS])
    if not told and not looked:
        return (
            "Nothing was looked at that could speak against it: give the raw images (--input), or "
            "ground truth."
        )
    if not told:
        if rest:
            return f"Nothing was found that speaks against it; {_count(rest, 'other warning')}."
        return "Nothing was found that speaks against it."
    more = f" (and {_count(rest, 'more warning')})" if rest else ""
    return f"But distrust it: {'; '.join(told[:_DOUBTS])}{more}."


def _brief(warning: str) -> str:
    """A warning, or as much of a long one as says what it is.

    Examples
    --------
    >>> _brief("the data range decides PSNR: of a.tif, " + 140 * "9")
    'the data range decides PSNR ...'
    """
    if len(warning) <= _LONGEST:
        return warning
    cut = max(warning.rfind(mark, 20, _LONGEST) for mark in (": ", "; "))
    return (warning[:cut] if cut > 0 else warning[:_LONGEST]) + " ..."


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _names(methods: Iterable[str], word: str = "and") -> str:
    """Methods in words, the untouched images by what they are."""
    known = list(methods)
    last = [UNTOUCHED] if Role.RAW in known else []
    return _and([*(m for m in known if m != Role.RAW), *last], word)


def _and(names: Sequence[str], word: str = "and") -> str:
    """Names in words.

    Examples
    --------
    >>> _and(["a"]), _and(["a", "b"]), _and(["a", "b", "c"], "or")
    ('a', 'a and b', 'a, b or c')
    """
    *first, last = names or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


def _gathered(told: Iterable[tuple[str, str]]) -> str:
    """Who in what, each once.

    Examples
    --------
    >>> _gathered([("a", "ssim"), ("a", "psnr"), ("b", "mi")])
    'a in ssim and psnr; b in mi'
    """
    of: dict[str, list[str]] = {}
    for who, where in told:
        of.setdefault(who, []).append(where)
    return "; ".join(f"{who} in {_and(places)}" for who, places in of.items())
