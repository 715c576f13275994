"""Tables by name that other installed packages add to, through entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from cellqa.errors import CellqaError, first_line

Entry = TypeVar("Entry")

_problems: list[str] = []


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A table of what this package brings, and of what others add through an entry point.

    An entry point leads to an entry, or to several (a list, a tuple). Others are looked for once,
    when the table is listed or a name is asked for that is not its own. One that cannot be used
    is left out, with a line in `take_problems`; so is one whose name is taken.

    Parameters
    ----------
    group : str
        Of the entry points, as `cellqa.metrics`.
    own : mapping, or iterable of entries that have a `name`
    wrong : callable
        Why an object is no entry of this table; empty if it is one.
    package : str
        What brings the own entries.

    Examples
    --------
    >>> table = Registry("cellqa.nothing", {"a": 1}, wrong=lambda entry: "")
    >>> table["a"], list(table), table.package_of("a")
    (1, ['a'], 'cellqa')
    """

    def __init__(
        self,
        group: str,
        own: Mapping[str, Entry] | Iterable[Entry],
        *,
        wrong: Callable[[Any], str],
        package: str = "cellqa",
    ) -> None:
        self.group, self._wrong = group, wrong
        self._entries = dict(own) if isinstance(own, Mapping) else {_name_of(e): e for e in own}
        self._package = dict.fromkeys(self._entries, package)
        self._complete = False

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            self._complete_it()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._complete_it()
        return iter(self._entries)

    def __len__(self) -> int:
        self._complete_it()
        return len(self._entries)

    def package_of(self, name: str) -> str:
        """The package that brings an entry.

        Raises
        ------
        KeyError
            There is no such entry.
        """
        self._complete_it()
        return self._package[name]

    def find(self, name: str, what: str) -> Entry:
        """The entry of a name.

        Parameters
        ----------
        name : str
        what : str
            What the user was to name, as `--method`.

        Raises
        ------
        CellqaError
            There is none; the line lists the names.
        """
        if name not in self:
            raise CellqaError(f"{what} must be one of {', '.join(self)}, got {name!r}")
        return self[name]

    def _complete_it(self) -> None:
        if self._complete:
            return
        self._complete = True  # first: what is loaded may ask for this table
        for point in sorted(entry_points(group=self.group), key=lambda p: (_source(p), p.name)):
            try:
                self._add(point)
            except Exception as error:  # somebody else's code
                _problems.append(
                    f"{_source(point)}: {self.group} {point.name!r} is left out ({_why(error)})"
                )

    def _add(self, point: EntryPoint) -> None:
        loaded = point.load()
        entries = loaded if isinstance(loaded, (list, tuple)) else [loaded]
        for entry in entries:
            if problem := self._wrong(entry):
                raise CellqaError(problem)
            own = getattr(entry, "name", None)
            name = own if isinstance(own, str) else point.name
            if name in self._entries:
                raise CellqaError(f"{name!r} is the name of another, of {self._package[name]}")
            self._entries[name] = entry
            self._package[name] = _source(point)


def take_problems() -> list[str]:
    """A line for each entry point that could not be used since this was last asked."""
    found = list(_problems)
    _problems.clear()
    return found


def _why(error: Exception) -> str:
    """What is wrong, with the kind of error where the words alone do not say it."""
    if isinstance(error, CellqaError):
        return str(error)
    return f"{type(error).__name__}: {first_line(error)}"


def _name_of(entry: Any) -> str:
    return str(entry.name)


def _source(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an installed package"
