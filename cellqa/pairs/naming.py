"""What image a file's name is of: the name without what programs add to it."""

from __future__ import annotations

import csv
import difflib
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from cellqa.errors import CellqaError, first_line, printable
from cellqa.shown import one_line

_NEAR = 2000  # names that the nearest one is looked for in
_MODES = "--strip, --match and --pairs say what belongs together"


@dataclass(frozen=True)
class Naming:
    """How names become those of images, as the user says it.

    Without any, a name is the relative path without suffix; a folder that shares none with the
    ground truth may have one affix that all its names have, which is taken off.

    Attributes
    ----------
    strip : dict
        Role or method, "" for all, to texts that are taken off the beginning or end of names.
    match : dict
        Role or method, "" for all, to an expression whose named groups are the name; files that it
        does not match are left out.
    table : str
        A CSV file with a row for each image and a column for each role; "" for none.

    Raises
    ------
    CellqaError
        An expression is wrong or has no named group, or a table is given beside other ways.

    Examples
    --------
    >>> Naming(strip={"net": ("_out",)}).key("net", "well/a_out")
    'well/a'
    >>> Naming(match={"": "(?P<well>[A-H][0-9]+).*_f(?P<field>[0-9]+)"}).key("gt", "x_B3_t0_f12")
    'B3/12'
    """

    strip: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    table: str = ""

    __repr__ = one_line

    def __post_init__(self) -> None:
        if self.table and (self.strip or self.match):
            raise CellqaError("--pairs says all: give no --strip or --match beside it")
        for expression in self.match.values():
            try:
                pattern = re.compile(expression)
            except re.error as error:
                raise CellqaError(f"--match: {expression!r} is no expression ({error})") from None
            if not pattern.groupindex:
                raise CellqaError(
                    f"--match: {expression!r} names nothing; put what tells images apart into a "
                    "group, as (?P<id>...)"
                )

    def __bool__(self) -> bool:
        return bool(self.strip or self.match or self.table)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Naming:
        """From what run.json holds."""
        strip = {role: tuple(texts) for role, texts in facts.get("strip", {}).items()}
        return cls(strip, dict(facts.get("match", {})), facts.get("table", ""))

    def key(self, role: str, stem: str) -> str | None:
        """The image that a file is of; None where an expression does not match."""
        stem = composed(stem)
        for text in (*self.strip.get("", ()), *self.strip.get(role, ())):
            stem = _without(stem, composed(text))
        expression = self.match.get(role, self.match.get("", ""))
        if not expression:
            return stem
        found = re.search(expression, stem)
        return "/".join(v or "" for v in found.groupdict().values()) if found else None


def composed(name: str) -> str:
    """A name in one form (NFC), however its file system writes accents."""
    return unicodedata.normalize("NFC", name)


def _without(stem: str, text: str) -> str:
    """A name without a text at the end or at the beginning; never without all of it."""
    folder, slash, name = stem.rpartition("/")
    if text and name.endswith(text) and name != text:
        name = name[: -len(text)]
    elif text and name.startswith(text) and name != text:
        name = name[len(text) :]
    return folder + slash + name


@dataclass(frozen=True)
class Affixes:
    """What stands before and after the image's name, in the names of one folder."""

    before: str = ""
    after: str = ""

    def core(self, name: str) -> str:
        """What lies between; empty where nothing does."""
        return name[len(self.before) : len(name) - len(self.after)]

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    def __str__(self) -> str:
        return " and ".join(repr(printable(text)) for text in (self.before, self.after) if text)


def common_affixes(
    ours: Collection[str], theirs: Collection[str]
) -> tuple[Affixes, Affixes] | None:
    """The affixes that all names of each side have, without which each finds one partner.

    They end where a word or a number does, and hold a letter: numbers tell images apart. Every name
    of the smaller side must find its partner, and no other way may find other partners.

    Examples
    --------
    >>> ours, theirs = common_affixes(["pred_1", "pred_2"], ["1", "2", "3"])
    >>> ours.before, bool(theirs)
    ('pred_', False)
    >>> common_affixes(["a1", "a10"], ["a"]) is None
    True
    """
    found: tuple[Affixes, Affixes] | None = None
    known: dict[str, str] = {}
    first = min(ours, key=len)
    cores_of: dict[Affixes, dict[str, str] | None] = {}
    for one, other in _candidates(ours, theirs):
        if other not in cores_of:
            cores_of[other] = _cores(theirs, other)
        partners = cores_of[other]
        if partners is None or (len(ours) <= len(theirs) and one.core(first) not in partners):
            continue
        cores = _cores(ours, one)
        if cores is None:
            continue
        pairs = {cores[core]: partners[core] for core in cores.keys() & partners.keys()}
        if len(pairs) < min(len(ours), len(theirs)):
            continue
        if found is not None and pairs != known:
            return None
        if found is None:
            found, known = (one, other), pairs
    return found


def _candidates(
    ours: Collection[str], theirs: Collection[str]
) -> Iterator[tuple[Affixes, Affixes]]:
    """Pairs of affixes, the shortest first."""
    befores = [pair for pair in product(_beginnings(ours), _beginnings(theirs)) if _differ(*pair)]
    afters = [
        (one[::-1], other[::-1])
        for one, other in product(
            _beginnings([n[::-1] for n in ours]), _beginnings([n[::-1] for n in theirs])
        )
        if _differ(one, other)
    ]
    every = [
        (Affixes(before[0], after[0]), Affixes(before[1], after[1]))
        for before, after in product(befores, afters)
    ]
    return iter(sorted(every, key=lambda p: sum(len(a.before) + len(a.after) for a in p)))


def _differ(one: str, other: str) -> bool:
    """Whether two beginnings differ by words: numbers tell images apart."""
    if one and other and one[-1] == other[-1]:
        return False  # a shorter pair says the same
    shared = len(_shared(one, other))
    return all(not rest or any(map(str.isalpha, rest)) for rest in (one[shared:], other[shared:]))


def _shared(one: str, other: str) -> str:
    return os.path.commonprefix([one, other])  # noqa: RUF071 - of characters, not of folders


def _beginnings(names: Collection[str]) -> list[str]:
    """What all names begin with, cut where words or numbers end in each; nothing, too."""
    shared = _shared(min(names), max(names))
    cuts = [k for k in range(1, len(shared) + 1) if any(c.isalpha() for c in shared[:k])]
    return ["", *(shared[:k] for k in cuts if all(_ends(name, k) for name in names))]


def _ends(name: str, k: int) -> bool:
    """Whether a word or number ends before the character."""
    if k >= len(name):
        return False
    left, right = name[k - 1], name[k]
    same = (left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())
    return not same or (left.islower() and right.isupper())


def _cores(names: Collection[str], affixes: Affixes) -> dict[str, str] | None:
    """What lies between the affixes to the name; None where that is nothing, or there twice."""
    taken = len(affixes.before) + len(affixes.after)
    if any(len(name) <= taken for name in names):
        return None
    cores = {affixes.core(name): name for name in names}
    return cores if len(cores) == len(names) else None


def no_partner(ours: Collection[str], theirs: Collection[str]) -> str:
    """For an error: a name, the one of the other side that is nearest, and what would mend it."""
    some = list(theirs)[:_NEAR]
    name = min(ours)
    inside = [other for other in some if other in name or name in other]
    near = inside or difflib.get_close_matches(name, some, 1, 0.0) or some[:1]
    line = f"{printable(name)!r} here, {printable(max(near, key=len))!r} there, for example"
    rests = sorted({rest for o in inside for n in ours if (rest := _beside(o, n))})
    if 0 < len(rests) <= 5:
        shown = " or ".join(f"--strip={printable(rest)}" for rest in rests[:3])
        return f"{line}; {shown} would pair them ({_MODES})"
    return f"{line}; {_MODES}"


def _beside(name: str, longer: str) -> str:
    """What a name has before or after another; "" where that is no word."""
    rest = longer.removesuffix(name) if longer.endswith(name) else longer.removeprefix(name)
    return rest if rest != longer and any(map(str.isalpha, rest)) else ""


def read_table(path: Path, folders: Mapping[str, Path]) -> list[dict[str, str]]:
    """The rows of a table of pairs: role to the file, relative to the role's folder.

    Raises
    ------
    CellqaError
        The file cannot be read, lacks a column, or names a file that is not in its folder.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else first_line(error)
        raise CellqaError(f"--pairs: {path} cannot be read ({why})") from None
    methods = [role for role in folders if role not in columns]
    if len(methods) == 1 and "pred" in columns:
        rows = [{(methods[0] if k == "pred" else k): v for k, v in row.items()} for row in rows]
        columns, methods = [methods[0] if c == "pred" else c for c in columns], []
    if methods:
        raise CellqaError(
            f"--pairs: {path} has no column {methods[0]!r} (it has {', '.join(columns)}); one for "
            f"each of {', '.join(folders)}"
        )
    return [
        {
            role: _inside(cell, folder, f"--pairs: {path}, row {number}")
            for role, folder in folders.items()
            if (cell := (row[role] or "").strip())
        }
        for number, row in enumerate(rows, 2)
    ]


def _inside(cell: str, folder: Path, where: str) -> str:
    """A file as its path in the folder, which the cell may begin with."""
    for path in (folder / cell, Path(cell)):
        relative = Path(os.path.relpath(path, folder))
        if path.exists() and ".." not in relative.parts:
            return relative.as_posix()
    raise CellqaError(f"{where}: there is no {printable(cell)!r} in {folder}")


def parse_naming(
    strip: Sequence[str], match: Sequence[str], table: Path | None, roles: Collection[str]
) -> Naming:
    """From the options: each TEXT or REGEX for all, or as ROLE=TEXT for one role or method."""

    def of(value: str) -> tuple[str, str]:
        role, equals, text = value.partition("=")
        return (role, text) if equals and role in roles else ("", value)

    strips: dict[str, tuple[str, ...]] = {}
    for role, text in map(of, strip):
        strips[role] = (*strips.get(role, ()), text)
    return Naming(strips, dict(map(of, match)), str(table.absolute()) if table else "")
