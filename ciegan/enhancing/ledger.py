"""What was enhanced from what, so that nothing is done twice: one line of JSON for each event."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from cellqa.enhance.files import Job

JOURNAL = ".ciegan-enhanced.jsonl"


class Lines:
    """A file of lines of JSON, each an object, which a kill may cut off anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def read(self) -> Iterator[dict[str, Any]]:
        """Every whole line, in order; those that were cut off are passed over."""
        if not self.path.is_file():
            return
        text = self.path.read_text(encoding="utf-8", errors="surrogateescape")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line; it is handed to the system at once."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torn = _ends_within_a_line(self.path)
            self._file = self.path.open("a", encoding="utf-8", errors="surrogateescape")
            # a line that was cut off by a kill must not swallow the next
            self._file.write("\n" * torn)
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


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
            e["target"]: e for e in self._lines.read() if isinstance(e.get("target"), str)
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
        return hashlib.sha256(f"{_content(source)} {self.settings}".encode()).hexdigest()

    def is_done(self, target: Path, key: str) -> bool:
        """Whether a target is what the journal says it was made to be.

        Files appear when they are complete: one that was begun, and is there, and is not what was
        there before, is done, even if the program was killed before it could say so.
        """
        entry = self._entries.get(str(target.absolute()), {})
        state = state_of(target)
        if entry.get("key") != key or not state:
            return False
        return bool(entry["state"] == state if "state" in entry else entry.get("before") != state)

    def seen(self, job: Job) -> bool:
        """Whether a target is done from a source that has not been touched since.

        Without reading the source, as `is_done` needs.
        """
        entry = self._entries.get(str(job.target.absolute()), {})
        return (
            entry.get("settings") == self.settings
            and bool(entry.get("source"))
            and entry["source"] == [str(job.source.absolute()), *source_state(job.source)]
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
        found: Mapping[str, Any] | None = self._entries[str(target.absolute())].get("record")
        return found

    def begun(self) -> set[Path]:
        """Folders of targets that were begun and not finished, as a kill leaves them."""
        return {Path(t).parent for t, entry in self._entries.items() if "state" not in entry}

    def begin(self, job: Job, key: str) -> None:
        """Note what is begun, with the state of the target before."""
        self._note(job, key, before=state_of(job.target))

    def finish(self, job: Job, key: str, record: Mapping[str, Any]) -> None:
        """Note what is done, with its line of the table."""
        self._note(job, key, state=state_of(job.target), record=dict(record))

    def records(self) -> dict[Path, Mapping[str, Any]]:
        """Lines of the table of the targets that are there."""
        return {
            Path(target): entry["record"]
            for target, entry in list(self._entries.items())
            if "record" in entry and entry.get("state") == state_of(Path(target))
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
            "source": [str(job.source.absolute()), *source_state(job.source)],
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


def state_of(path: Path) -> list[int]:
    """Size and time of a file; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def source_state(path: Path) -> list[int]:
    """Size and times of a source; nothing that changes its content leaves all of them as they are.

    Programs can set the time of the last change of content, but not that of the last change at all.
    """
    state = state_of(path)
    return [*state, path.stat().st_ctime_ns] if state else []


def _content(path: Path) -> str:
    """Hash of a file's content; of a folder (OME-Zarr), of all its files."""
    found = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for each in files:
        found.update(str(each.relative_to(path)).encode("utf-8", "surrogateescape"))
        with each.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _ends_within_a_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) != b"\n"
    except OSError:
        return False
