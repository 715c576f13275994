"""What was enhanced from what, so that nothing is done twice: one line of JSON for each event."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellqa.disk import Lines, content_hash, state
from cellqa.enhance.files import Job

LEDGER = ".ciegan-enhanced.jsonl"


class Ledger:
    """The journal of a target folder.

    Parameters
    ----------
    path : Path
    settings : str
        The weights and options that results depend on.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self.path, self.settings = path, settings
        self._lines = Lines(path)
        self._entries: dict[str, Mapping[str, Any]] = {
            e["target"]: e
            for _, e in self._lines.read()
            if isinstance(e, dict) and isinstance(e.get("target"), str)
        }
        self._of_key: dict[str, set[str]] = {}
        for target, entry in self._entries.items():
            self._of_key.setdefault(str(entry.get("key")), set()).add(target)
        self._lock = threading.Lock()

    def __contains__(self, target: object) -> bool:
        """Whether a target was made, or begun, by this program."""
        return isinstance(target, Path) and str(target.absolute()) in self._entries

    def key(self, source: Path) -> str:
        """What identifies a result: its source's content, the weights and the options."""
        return hashlib.sha256(f"{content_hash(source)} {self.settings}".encode()).hexdigest()

    def is_done(self, target: Path, key: str) -> bool:
        """Whether a target is what the journal says it was made to be.

        Files appear when they are complete: one that was begun, and is there, and is not what was
        there before, is done, even if the program was killed before it could say so.
        """
        entry = self._entries.get(str(target.absolute()), {})
        now = state(target)
        if entry.get("key") != key or not now:
            return False
        return bool(entry["state"] == now if "state" in entry else entry.get("before") != now)

    def seen(self, job: Job) -> bool:
        """Whether a target is done from a source that has not been touched since.

        Without reading the source, as `is_done` needs.
        """
        entry = self._entries.get(str(job.target.absolute()), {})
        return (
            entry.get("settings") == self.settings
            and bool(entry.get("source"))
            and entry["source"] == [str(job.source.absolute()), *state(job.source, touched=True)]
            and self.is_done(job.target, entry["key"])
        )

    def moved(self, key: str) -> Path | None:
        """A whole result of the same key whose source is no longer there; it was renamed."""
        for target in self._of_key.get(key, ()):
            source = self._entries[target].get("source")
            if source and not Path(source[0]).exists() and self.is_done(Path(target), key):
                return Path(target)
        return None

    def record(self, target: Path) -> Mapping[str, Any] | None:
        """The line of the table of a target that is done."""
        known: Mapping[str, Any] | None = self._entries[str(target.absolute())].get("record")
        return known

    def begun(self) -> set[Path]:
        """Folders of targets that were begun and not finished, as a kill leaves them."""
        return {Path(t).parent for t, entry in self._entries.items() if "state" not in entry}

    def begin(self, job: Job, key: str) -> None:
        """Note what is begun, with the state of the target before."""
        self._note(job, key, before=state(job.target))

    def finish(self, job: Job, key: str, record: Mapping[str, Any]) -> None:
        """Note what is done, with its line of the table."""
        self._note(job, key, state=state(job.target), record=dict(record))

    def records(self) -> dict[Path, Mapping[str, Any]]:
        """Lines of the table of the targets that are there."""
        return {
            Path(target): entry["record"]
            for target, entry in list(self._entries.items())
            if "record" in entry and entry.get("state") == state(Path(target))
        }

    def jobs(self) -> list[Job]:
        """What is done, from where to where."""
        return [
            Job(Path(self._entries[str(target)]["source"][0]), target) for target in self.records()
        ]

    def _note(self, job: Job, key: str, **more: Any) -> None:
        target = str(job.target.absolute())
        entry: dict[str, Any] = {
            "target": target,
            "key": key,
            "settings": self.settings,
            "source": [str(job.source.absolute()), *state(job.source, touched=True)],
            **more,
        }
        with self._lock:
            self._entries[target] = entry
            self._of_key.setdefault(key, set()).add(target)
            self._lines.append(entry)

    def close(self) -> None:
        """Close the journal; the next note opens it again."""
        with self._lock:
            self._lines.close()
