"""The lines of scores.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from cellqa.errors import printable
from cellqa.metrics.foreground import Object
from cellqa.metrics.objects import Found
from cellqa.shown import one_line


@dataclass(frozen=True)
class Row:
    """One image and method: a line of scores.csv, with notes that end up in run.json.

    Attributes
    ----------
    image, method : str
    pixel_size : float or None
        In micrometres.
    data_range : float or None
    values : dict
        Metric to value; nan where it is undefined.
    status : str
        `ok` or `failed`.
    reason : str
        Why the row failed, or why values are undefined.
    notes : tuple of str
        What the run should warn of.
    limits : (float, float) or None
        Extremes of the ground truth, where its data range is a matter of choice (not 8 bits).
    objects : tuple of Object
        Lines of objects.csv.
    found : tuple of Found or None
        What the image has of each of them; None where objects were not looked for.
    digest : int
        Of the pixels: equal for copies; -1 where unknown.
    """

    image: str
    method: str
    pixel_size: float | None = None
    data_range: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    status: str = "ok"
    reason: str = ""
    notes: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    objects: tuple[Object, ...] = ()
    found: tuple[Found, ...] | None = None
    digest: int = -1

    __repr__ = one_line

    def to_json(self) -> dict[str, Any]:
        """By key, for `from_json`; floats survive exactly, and what is as usual is left out."""
        # dataclasses.asdict copies deeply, which costs more than writing the row
        content: dict[str, Any] = {
            name: value
            for name in _PLAIN
            if (value := getattr(self, name)) != _USUAL.get(name, _NOTHING)
        }
        if self.objects:
            content["objects"] = _columns(self.objects, Object._fields)
        if self.found is not None:
            content["found"] = _columns(self.found, Found._fields)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Row:
        """The row that `to_json` was called on.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is of another version, or no row.
        """
        content = dict(content)
        for name, kind in (("objects", Object), ("found", Found)):
            columns = content.pop(name, None)
            if columns is not None:
                each = zip(*(columns[column] for column in kind._fields), strict=True)
                content[name] = tuple(kind(*values) for values in each)
        if content.get("limits") is not None:
            low, high = content["limits"]
            content["limits"] = low, high
        row = cls(**{**content, "notes": tuple(content.get("notes", ()))})
        if not _is_row(row):
            raise ValueError("no row")
        return row


def _columns(lines: Sequence[tuple[Any, ...]], names: Sequence[str]) -> dict[str, Any]:
    columns = list(zip(*lines, strict=True)) or [()] * len(names)
    return dict(zip(names, columns, strict=True))


def _is_row(row: Row) -> bool:
    """Whether a row, which anyone may have written, has values of the right types."""
    texts = (row.image, row.method, row.reason, *row.notes, *row.values)
    numbers = [*row.values.values(), *(row.limits or ())]
    numbers += [each for each in (row.pixel_size, row.data_range) if each is not None]
    return (
        row.status in ("ok", "failed")
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(number, (int, float)) for number in numbers)
        and isinstance(row.digest, int)
    )


_NOTHING = object()
_PLAIN = tuple(f.name for f in fields(Row) if f.name not in ("objects", "found"))
_USUAL = {"status": "ok", "reason": "", "notes": (), "limits": None, "digest": -1}


def failed(image: str, method: str, reason: str) -> Row:
    """A row without values."""
    return Row(image, method, status="failed", reason=printable(" ".join(reason.split())))
