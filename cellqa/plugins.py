"""Tables by name that other installed packages add to, through entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from cellqa.errors import CellqaError, by_name, did_you_mean, with_type

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
        found = by_name(name, self)
        if found is None:
            near = did_you_mean(name, self)
            raise CellqaError(f"{what} must be one of {', '.join(self)}, got {name!r}{near}")
        return self[found]

    def _complete_it(self) -> None:
        if self._complete:
            return
        self._complete = True  # first: what is loaded may ask for this table
        for point in sorted(entry_points(group=self.group), key=lambda p: (_source(p), p.name)):
            try:
                self._add(point)
            except (Exception, SystemExit) as error:  # somebody else's code
                _problems.append(
                    f"{_source(point)}: {self.group} {point.name!r} is left out ({_why(error)})"
                )

    def _add(self, point: EntryPoint) -> None:
        loaded = point.load()
        entries = loaded if isinstance(loaded, (list, tuple)) else [loaded]
        added: dict[str, Entry] = {}
        for entry in entries:
            if problem := self._wrong(entry):
                raise CellqaError(problem)
            own = getattr(entry, "name", None)
            name = own if isinstance(own, str) else point.name
            if name in added:
                raise CellqaError(f"{name!r} is there twice")
            if name in self._entries:
                raise CellqaError(f"{name!r} is the name of another, of {self._package[name]}")
            added[name] = entry
        self._entries |= added
        self._package |= dict.fromkeys(added, _source(point))


def instance_of(kind: type) -> Callable[[Any], str]:
    """For `Registry`: an entry must be an object of a class.

    Examples
    --------
    >>> instance_of(int)("one")
    "'one' is no int"
    """
    return lambda entry: "" if isinstance(entry, kind) else f"{entry!r} is no {kind.__name__}"


def settings_of(entry: Any) -> dict[str, Any]:
    """Settings of an entry that is a dataclass, and their values; its name is none.

    Those of a dataclass within are named with a dot, as `microscope.na`.
    """
    settings: dict[str, Any] = {}
    for field in fields(entry):
        value = getattr(entry, field.name)
        if is_dataclass(value):
            settings |= {f"{field.name}.{name}": v for name, v in settings_of(value).items()}
        elif field.name != "name":
            settings[field.name] = value
    return settings


def with_settings(entry: Entry, given: Mapping[str, Any]) -> Entry:
    """An entry with settings changed; text becomes what the setting is.

    Parameters
    ----------
    entry : dataclass
    given : mapping
        Name, as in `settings_of`, to value, or to its text: a range as `1:3`, or `2` for both ends.

    Raises
    ------
    CellqaError
        There is no such setting, or its value is of another type.
    ValueError
        The value is out of range.
    """
    known = settings_of(entry)
    changed: dict[str, Any] = {}
    within: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        label = getattr(entry, "name", type(entry).__name__)
        if name not in known:
            raise CellqaError(
                f"{label} has no setting {name!r}; it has {', '.join(known) or 'none'}"
                f"{did_you_mean(name, known)}"
            )
        first, dot, rest = name.partition(".")
        if dot:
            within.setdefault(first, {})[rest] = value
        else:
            own = known[name]
            changed[name] = _of_text(f"{label}: {name}", value, own) if value != own else own
    changed |= {name: with_settings(getattr(entry, name), of) for name, of in within.items()}
    return replace(entry, **changed)  # type: ignore[type-var]


def _of_text(name: str, value: Any, own: Any) -> Any:
    """Text as a value of the kind that another value has; what is no text stays as it is."""
    if not isinstance(value, str) or own is None or isinstance(own, str):
        return value
    try:
        if isinstance(own, bool):
            return {"true": True, "false": False}[value.lower()]
        if isinstance(own, tuple):
            parts = value.split(":")
            low, high = (float(part) for part in (parts if len(parts) > 1 else parts * 2))
            return low, high
        return type(own)(value)
    except (ValueError, KeyError):
        wanted = next(text for kind, text in _KINDS if isinstance(own, kind))
        raise CellqaError(f"{name} must be {wanted}, got {value!r}") from None


_KINDS = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (tuple, "LOW:HIGH"),
    (object, "of another kind"),
)


def take_problems() -> list[str]:
    """A line for each entry point that could not be used since this was last asked."""
    taken = list(_problems)
    _problems.clear()
    return taken


def _why(error: BaseException) -> str:
    """What is wrong, with the kind of error where the words alone do not say it."""
    if isinstance(error, CellqaError):
        return str(error)
    return with_type(error)


def _name_of(entry: Any) -> str:
    return str(entry.name)


def _source(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an installed package"
