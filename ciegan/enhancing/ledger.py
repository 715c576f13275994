"""What was enhanced from what, so that nothing is done twice: one line of JSON for each event."""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellqa.disk import leaves
from cellqa.enhance.files import Job
from cellqa.io.stores import absolute, content_hash, is_there, state, tells_changes
from cellqa.lines import Lines

LEDGER = ".ciegan-enhanced.jsonl"
_GIVEN = ""  # the key of what was given away: only who reads the source knows it


class Ledger:
    """The journal of a target folder.

    Several processes that work for one each write a part of their own; what a kill left of those
    is read, too, and comes last. Targets are named relative to the folder, so that a copy of it
    stands by itself; what is said of places outside it is not believed.

    Parameters
    ----------
    path : Path
    settings : str
        The weights and options that results depend on.
    beside : callable
        Other files that the result of a source depends on.
    check : bool
        Results that were not checked are made again.
    """

    def __init__(
        self,
        path: Path,
        settings: str,
        beside: Callable[[Path], Sequence[Path]] = lambda _: (),
        *,
        check: bool = False,
    ) -> None:
        self.path, self.settings, self.beside, self.check = path, settings, beside, check
        self.folder = path.parent.absolute()
        self._within: dict[str, str | None] = {}  # where folders of targets lie below it
        self._lines = Lines(path)
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._of_key: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        for place in self._written():
            for entry in _entries(place):
                self.learn(entry)

    def _written(self) -> Iterable[Path]:
        """Journals that are there."""
        return (self.path, *self._parts())

    def learn(self, entry: Mapping[str, Any]) -> None:
        """Take over what another journal says of a target; nothing of what is no entry."""
        name = self._inside(entry["target"]) if _is_entry(entry) else None
        if name is not None:
            self._entries[name] = {**entry, "target": name}
            self._of_key.setdefault(entry["key"], set()).add(name)

    def _inside(self, target: str | Path) -> str | None:
        """A target's path below the folder; None where it leads elsewhere."""
        # text, since paths take longer than all else that is noted of a small file
        parent, name = os.path.split(os.path.join(self.folder, target))
        if name in ("", ".", ".."):
            return None
        if parent not in self._within:
            place = Path(parent)
            out = not place.is_relative_to(self.folder) or leaves(place / name, self.folder)
            below = "" if out else place.relative_to(self.folder).as_posix()
            self._within[parent] = None if out else "" if below == "." else f"{below}/"
        within = self._within[parent]
        return None if within is None else within + name

    def _of(self, target: Path) -> Mapping[str, Any]:
        return self._entries.get(self._inside(target.absolute()) or "", {})

    def learn_part(self, number: int) -> None:
        """Take over what the journal of a process that ended says; it stays for `gather`."""
        for entry in _entries(part_of(self.path, number)):
            self.learn(entry)

    def _parts(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.stem}.*{self.path.suffix}"))

    def gather(self) -> None:
        """Take the parts over; nobody may be writing to them."""
        with self._lock:
            for place in self._parts():
                for entry in _entries(place):
                    self.learn(entry)
                    self._lines.append(entry)
                self._lines.sync()
                place.unlink()
            self._lines.close()

    def entry(self, target: Path) -> Mapping[str, Any] | None:
        """What is noted of a target."""
        return self._of(target) or None

    def without_source(self) -> list[Mapping[str, Any]]:
        """What is noted of results whose sources are gone: they may have been renamed."""
        return [
            entry
            for entry in self._entries.values()
            if entry.get("source") and not is_there(Path(entry["source"][0]))
        ]

    def __contains__(self, target: object) -> bool:
        """Whether a target was made, or begun, by this program."""
        return isinstance(target, Path) and bool(self._of(target))

    def key(self, source: Path) -> str:
        """What identifies a result: its source's content, the weights and the options."""
        told = " ".join(map(content_hash, (source, *self.beside(source))))
        return hashlib.sha256(f"{told} {self.settings}".encode()).hexdigest()

    def _source(self, job: Job) -> list[Any]:
        """A source, and what tells that it, or what lies beside it, was touched."""
        own = [str(absolute(job.source)), *state(job.source, touched=True)]
        return own + [[p.name, *state(p, touched=True)] for p in self.beside(job.source)]

    def is_done(self, target: Path, key: str) -> bool:
        """Whether a target is what the journal says it was made to be.

        Files appear when they are complete: one that was begun, and is there, and is not what was
        there before, is done, even if the program was killed before it could say so.
        """
        entry = self._of(target)
        now = state(target)
        if entry.get("key") != key or key == _GIVEN or not now:
            return False
        return bool(entry["state"] == now if "state" in entry else entry.get("before") != now)

    def seen(self, job: Job) -> bool:
        """Whether a target is done from a source that has not been touched since.

        Without reading the source, as `is_done` needs.
        """
        entry = self._of(job.target)
        return (
            entry.get("settings") == self.settings
            and bool(entry.get("source"))
            and tells_changes(job.source)
            and entry["source"] == self._source(job)
            and self.is_done(job.target, entry["key"])
            and not self.unchecked(job.target)
        )

    def unchecked(self, target: Path) -> bool:
        """Whether a result is to be checked and was not."""
        known = self.record(target)
        if not self.check or known is None:
            return False
        return not known.get("checked") and math.isnan(known.get("rsp", math.nan))

    def moved(self, key: str) -> Path | None:
        """A whole result of the same key whose source is no longer there; it was renamed."""
        for name in self._of_key.get(key, ()):
            source, target = self._entries[name].get("source"), self.folder / name
            if source and not is_there(Path(source[0])) and self.is_done(target, key):
                return target
        return None

    def record(self, target: Path) -> Mapping[str, Any] | None:
        """The line of the table of a target that is done."""
        return self._of(target).get("record")

    def begun(self) -> set[Path]:
        """Folders of targets that were begun and not finished, as a kill leaves them."""
        return {
            (self.folder / name).parent
            for name, entry in self._entries.items()
            if "state" not in entry
        }

    def begin(self, job: Job, key: str) -> None:
        """Note what is begun, with the state of the target before."""
        self._note(job, key, before=state(job.target))

    def finish(self, job: Job, key: str, record: Mapping[str, Any]) -> None:
        """Note what is done, with its line of the table."""
        self._note(job, key, state=state(job.target), record=dict(record))

    def give(self, job: Job) -> Mapping[str, Any] | None:
        """What is noted of a target, for who is to make it elsewhere.

        Where nothing is there yet, it is noted that whatever appears is ours, and may be replaced:
        whoever makes it may die, and another do it again.
        """
        if not job.target.exists():
            self._note(job, _GIVEN, before=[])
        return self.entry(job.target)

    def given(self, target: Path) -> bool:
        """Whether a target was given away, and not heard of again."""
        entry = self._of(target)
        return entry.get("key") == _GIVEN and "state" not in entry

    def take(self, job: Job, entry: Mapping[str, Any] | None) -> None:
        """Note what became of a target that was given away: its entry, None where it failed."""
        if entry:
            self._keep(entry)
        elif self.given(job.target):
            self._note(job, _GIVEN, state=[])

    def records(self) -> dict[Path, Mapping[str, Any]]:
        """Lines of the table of the targets that are there."""
        return {
            self.folder / name: entry["record"]
            for name, entry in list(self._entries.items())
            if "record" in entry and entry.get("state") == state(self.folder / name)
        }

    def jobs(self) -> list[Job]:
        """What is done, from where to where."""
        return [
            Job(Path(self._of(target)["source"][0]), target)
            for target in self.records()
            if self._of(target).get("source")
        ]

    def _note(self, job: Job, key: str, **more: Any) -> None:
        entry: dict[str, Any] = {
            "target": self._inside(job.target.absolute()),
            "key": key,
            "settings": self.settings,
            "source": self._source(job),
            **more,
        }
        self._keep(entry)

    def _keep(self, entry: Mapping[str, Any]) -> None:
        with self._lock:
            self.learn(entry)
            self._lines.append(entry)

    def close(self) -> None:
        """Close the journal; the next note opens it again."""
        with self._lock:
            self._lines.close()


class Notes(Ledger):
    """A ledger of what it is told, which somebody else writes down."""

    def _written(self) -> Iterable[Path]:
        return ()

    def _keep(self, entry: Mapping[str, Any]) -> None:
        with self._lock:
            self.learn(entry)


def part_of(path: Path, number: int) -> Path:
    """The journal of one of several processes."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    """Whole lines of a journal."""
    return (entry for _, entry in Lines(path).read())


_KINDS: Mapping[str, type] = {
    "settings": str,
    "source": list,
    "state": list,
    "before": list,
    "record": dict,
}


def _is_entry(entry: Any) -> bool:
    """Whether a line of a journal, which anyone may have written, says what ours say."""
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
        return False
    target, source = entry.get("target"), entry.get("source")
    return (
        isinstance(target, str)
        and "\0" not in target
        and all(isinstance(entry[name], kind) for name, kind in _KINDS.items() if name in entry)
        and (source is None or (bool(source) and isinstance(source[0], str)))
    )
