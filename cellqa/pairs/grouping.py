"""Which images belong together: tiles of a field, fields of a well, wells of a plate."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cellqa.disk import StrPath
from cellqa.errors import CellqaError, printable
from cellqa.pairs.pairing import without_plane
from cellqa.pairs.wells import well_of
from cellqa.shown import one_line

_FEW = 3  # images a field, on average, from which names look like tiles
# places of tiles, as in _r2_c5, x10y20 or -tile3; without one, a last number
_PLACE = re.compile(
    r"(?i)(?:(?:^|[_\-\s.]|(?<=\d))(?:tile|patch|crop|row|col)[_\-]?\d+)+$"
    r"|(?:(?:^|[_\-\s.]|(?<=\d))[rcxyij][_\-]?\d+){2,}$"
)
_NUMBER = re.compile(r"[_\-\s.]*\d+$")


@dataclass
class Grouping:
    """Group of each image, by its name.

    Attributes
    ----------
    source : str
        The expression, or the table's name.
    expression : pattern or None
        Its named groups together make the name of the group; without named ones its numbered
        ones; without any the whole match. One with a # sees the plane's label too.
    table : dict
        Image name to group.
    unmatched : int
        Images without a group, each of which counts as its own.
    """

    source: str
    expression: re.Pattern[str] | None = None
    table: dict[str, str] = field(default_factory=dict)
    unmatched: int = 0
    _codes: dict[str, int] = field(default_factory=dict)

    __repr__ = one_line

    @classmethod
    def parse(cls, source: StrPath) -> Grouping:
        """A grouping from an expression or a table.

        Parameters
        ----------
        source : str or path
            A regular expression, or a CSV file with the columns image and group.

        Raises
        ------
        CellqaError
            It is neither.
        """
        text = os.fspath(source)
        if not text:
            raise CellqaError("--group: the expression is empty")
        if text.lower().endswith(".csv"):
            return cls(text, table=_read(Path(text)))
        try:
            return cls(text, re.compile(text))
        except re.error as error:
            raise CellqaError(f"--group: {text!r} is no regular expression: {error}") from None

    def group(self, image: str) -> str | None:
        r"""Name of an image's group, None where it has none.

        Examples
        --------
        >>> wells = Grouping.parse(r"(?P<plate>p\d+)_(?P<well>[A-H]\d+)_")
        >>> wells.group("p1_B03_s2.tif#t0c0z1"), wells.group("test.tif")
        ('p1/B03', None)
        >>> Grouping.parse(r"#t(?P<time>\d+)").group("p1_B03_s2.tif#t4c0z1")
        '4'
        """
        name = without_plane(image)
        if self.expression is None:
            return self.table.get(image, self.table.get(name))
        match = self.expression.search(image if "#" in self.source else name)
        if match is None:
            return None
        parts = list(match.groupdict().values()) or list(match.groups())
        return "/".join(part or "" for part in parts) if parts else match.group()

    def code(self, image: str) -> int:
        """A number for the group; an image without one gets its own."""
        group = self.group(image)
        if group is None:
            self.unmatched += 1
        key = f"group {group}" if group is not None else f"image {image}"
        return self._codes.setdefault(key, len(self._codes))

    @property
    def matched(self) -> int:
        """Groups that the expression or the table gave."""
        return sum(key.startswith("group ") for key in self._codes)


def sample_of(image: str) -> str:
    """What an image is a sample of where no grouping is given: its well, else itself.

    Examples
    --------
    >>> sample_of("p/B/03/0.tif"), sample_of("p/B/03/1.tif"), sample_of("p/b.tif")
    ('p/B/3', 'p/B/3', 'p/b.tif')
    """
    well = well_of(image)
    if well is None:
        return image
    return "/".join(part for part in (well.plate, well.row, str(well.column)) if part)


class TileWatch:
    """Tells names that look like tiles of few fields, as in `scan3_r2_c5.png`."""

    def __init__(self) -> None:
        self.fields: Counter[str] = Counter()
        self.placed = False  # whether a name says where its tile lies

    def add(self, image: str) -> None:
        """Count one image."""
        stem = without_plane(image).rpartition(".")[0]
        without = _PLACE.sub("", stem)
        self.placed |= without != stem
        self.fields[without if without != stem else _NUMBER.sub("", stem)] += 1

    def warning(self) -> str:
        """One line if there are at least three images a field.

        Images that are merely numbered are no tiles of one field.
        """
        images, fields = self.fields.total(), len(self.fields)
        if fields == 1 and not self.placed:
            return ""
        if not 1 <= fields <= images / _FEW or images < 2 * _FEW:
            return ""
        largest, count = self.fields.most_common(1)[0]
        name = printable(largest) or "without a name of its own"
        return (
            f"the names look like {images} tiles of {fields} field{'s' * (fields > 1)} (the "
            f"largest, {name!r}, has {count}): tiles of a field are not independent, so that "
            "intervals are too narrow and p too small; see --group"
        )


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            sample = file.read(4096)
            file.seek(0)
            dialect = csv.Sniffer().sniff(sample, delimiters=",;\t") if sample else csv.excel
            rows = list(csv.DictReader(file, dialect=dialect))
    except OSError as error:
        raise CellqaError(f"--group: {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CellqaError(f"--group: {path}: not a table ({error})") from None
    columns: Iterable[str] = rows[0].keys() if rows else ()
    if not {"image", "group"} <= set(columns):
        raise CellqaError(f"--group: {path}: needs the columns image and group")
    table: dict[str, str] = {}
    for row in rows:
        image, group = row["image"], row["group"]
        if image and group and table.setdefault(image, group) != group:
            raise CellqaError(f"--group: {path}: {image} is in two groups")
    return table
