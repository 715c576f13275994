"""What a run has to remember of its rows: for summaries, comparisons and warnings."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from cellqa.metrics.metric import Metric
from cellqa.metrics.resolution import FILTERED
from cellqa.metrics.shared_noise import FEW, NAMED, SHARED
from cellqa.pairs.grouping import Grouping, TileWatch, sample_of
from cellqa.pairs.pairing import Pairing, place_of, without_plane
from cellqa.pairs.roles import GIVEN, Role
from cellqa.tables.rows import Row

_AS_THEY_ARE = "values were compared as they are"
_COARSER = 1.1  # times the method's resolution
_FEWEST = 3  # images without which nothing is said of all
_MOST = 0.8  # of the images
_MADE_OF_IT = 0.75  # times the noise of the raw images unexplained: less holds some of it
_WORSE = 3.0  # times what the ground truth leaves unexplained
_SHOWN_FAILURES = 1000  # named in run.json; scores.csv names them all


class Tally:
    """What summaries and warnings need of the rows: eight bytes a value, not the rows.

    Attributes
    ----------
    methods : tuple of str
    metrics : tuple of Metric
    given : frozenset of str
        Roles that the run had folders of: reference, raw, mask.
    places, planes : dict
        Method to the place of each value's row, as `add` was told; and to its plane, from 0 in
        the order of the run, by which methods are compared.
    grouping : Grouping or None
        As the user gave it.
    watch : TileWatch
        Whether the names look like tiles; those of wells are known for what they are.
    data_ranges : set of float
        The first two that occur.
    limits : (float, float) or None
        Over all ground truths whose data range is a matter of choice.
    objects : int
        Lines of objects.csv.
    values : dict
        (method, metric name) to the values of the rows that are `ok`, nan where undefined.
    scored, failed, noisy : Counter
        Rows of each method; noisy ones have the noise of their ground truth.
    notes : Counter
    digests, filtered : dict
        Method to the digest of each of its planes, and to whether its resolution tells of a filter,
        as `places`.
    sized : Counter
        Whether the pixel size is known, over the rows that are `ok`.
    failures : list of Row
        The first thousand.
    """

    def __init__(
        self,
        methods: Sequence[str],
        metrics: Sequence[Metric],
        given: Collection[str] | None = None,
        grouping: Grouping | None = None,
    ) -> None:
        self.methods = tuple(methods)
        self.metrics = tuple(metrics)
        self.given = frozenset(
            {Role.REFERENCE, Role.RAW} & set(methods) if given is None else given
        )
        self.places = {m: array("q") for m in self.methods}
        self.planes = {m: array("q") for m in self.methods}
        self.grouping = grouping
        self.digests = {m: array("q") for m in self.methods}
        self.filtered = {m: array("b") for m in self.methods}
        self._codes = array("q")  # of each plane, as the grouping has it
        self._files = array("q")  # of each plane, which image it is of
        self._samples = array("q")  # of each plane, the first image of the sample it is of
        self._places = array("q")  # of each plane, which of `_numbers` it is
        self._numbers: dict[tuple[str, ...], int] = {}
        self._groups: tuple[int, np.ndarray | None] = -1, None
        self.watch = TileWatch()
        self.data_ranges: set[float] = set()
        self._plane, self._image = "", ""
        self._count = self._images = self._in_wells = self._sample = 0
        self._wells: dict[str, int] = {}  # the first image of each
        self.limits: tuple[float, float] | None = None
        self.objects = 0
        self.values = {(m, k.name): array("d") for m in self.methods for k in self.metrics}
        self.scored: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.noisy: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.sized: Counter[bool] = Counter()
        self.failures: list[Row] = []

    def add(self, row: Row, place: int = 0) -> None:
        """Count one row; `place` is found again in `places`. Rows of a plane follow each other."""
        self._follow(row.image)
        if row.status != "ok":
            self.failed[row.method] += 1
            if len(self.failures) < _SHOWN_FAILURES:
                self.failures.append(row)
            return
        self.scored[row.method] += 1
        self.places[row.method].append(place)
        self.planes[row.method].append(self._count - 1)
        self.digests[row.method].append(row.digest)
        self.filtered[row.method].append(FILTERED in row.reason)
        self.noisy[row.method] += SHARED in row.reason
        if row.data_range is not None and len(self.data_ranges) < 2:
            self.data_ranges.add(row.data_range)
        self.objects += len(row.objects)
        if row.limits is not None:
            low, high = self.limits or row.limits
            self.limits = min(low, row.limits[0]), max(high, row.limits[1])
        self.sized[row.pixel_size is not None] += 1
        self.notes.update(row.notes)
        for metric in self.metrics:
            self.values[row.method, metric.name].append(row.values.get(metric.name, math.nan))

    def _follow(self, plane: str) -> None:
        if self._count and plane == self._plane:
            return
        self._plane = plane
        self._count += 1
        if self.grouping is not None:
            self._codes.append(self.grouping.code(plane))
        image = without_plane(plane)
        if image != self._image:
            self._image = image
            self._images += 1
            self._sample = self._sampled(image)
        self._files.append(self._images)
        self._samples.append(self._sample)
        self._places.append(self._numbers.setdefault(place_of(plane), len(self._numbers)))

    def _sampled(self, image: str) -> int:
        """The first image of the sample that a new image is of."""
        sample = sample_of(image)
        if sample == image:
            self.watch.add(image)
            return self._images
        self._in_wells += 1
        return self._wells.setdefault(sample, self._images)

    def aligned(self, metric: str) -> dict[str, np.ndarray]:
        """Each method's value of each plane, nan where there is none; no method without any."""
        aligned = {}
        for method in self.methods:
            values = np.full(self._count, math.nan)
            values[np.array(self.planes[method], dtype=int)] = self.values[method, metric]
            if not np.isnan(values).all():
                aligned[method] = values
        return aligned

    @property
    def groups(self) -> np.ndarray | None:
        """Group of each plane; None where each is a sample of its own.

        As the grouping has it. Without one, planes of one file are a group, and so are images of
        one well, and copies.
        """
        if self._groups[0] != self.rows:
            self._groups = self.rows, self._grouped()
        return self._groups[1]

    def _grouped(self) -> np.ndarray | None:
        if self.grouping is not None:
            return np.array(self._codes, dtype=int)
        return joined(np.array(self._samples, dtype=int), self._contents())

    def _contents(self) -> np.ndarray:
        """A number for what each plane holds: its ground truth, else the first method it has."""
        contents = np.full(self._count, -1, dtype=np.int64)
        order = sorted(self.methods, key=lambda m: m != Role.REFERENCE)
        for method in reversed(order):
            contents[np.array(self.planes[method], dtype=int)] = self.digests[method]
        return contents

    def along(self, axis: int) -> np.ndarray:
        """Where each plane lies along one of `cellqa.pairs.pairing.AXES`; shape (planes,), text."""
        known = np.array([place[axis] for place in self._numbers], dtype=str)
        return np.asarray(known[np.array(self._places, dtype=int)])

    @property
    def files(self) -> np.ndarray:
        """Number of the file that each plane is of."""
        return np.array(self._files, dtype=int)

    def groups_of(self, method: str) -> np.ndarray | None:
        """Group of each of a method's values; None where each is a sample of its own."""
        groups = self.groups
        return None if groups is None else groups[np.array(self.planes[method], dtype=int)]

    def variant(self, metric: Metric) -> str:
        """The metric's name with its variant and data range."""
        several = len(self.data_ranges) != 1
        return metric.variant(None if several else next(iter(self.data_ranges)), several)

    def named_failures(self) -> list[dict[str, str]]:
        """The first failures, for run.json."""
        return [
            {"image": row.image, "method": row.method, "reason": row.reason}
            for row in self.failures
        ]

    @property
    def rows(self) -> int:
        """Rows counted."""
        return self.scored.total() + self.failed.total()

    @property
    def mixed_units(self) -> bool:
        """Whether some resolutions are in micrometres and others in pixels."""
        return len(self.sized) == 2

    def warnings(self, pairing: Pairing) -> list[str]:
        """What a reader of the numbers must know, a line each."""
        notes = [
            f"{note} ({count} images)"
            for note, count in sorted(self.notes.items())
            if NAMED not in note or count > FEW * self._count
        ]
        warnings = [note for note in notes if _AS_THEY_ARE in note]  # nothing means more
        warnings += [*pairing.notes, *_same_folders(pairing)]
        for method, names in pairing.unpaired.items():
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            warnings.append(f"{method}: {len(names)} without a partner ({shown})")
        warnings += [note for note in notes if _AS_THEY_ARE not in note]
        warnings += self._clusters() + self._copies() + self._incomplete() + self._swapped()
        if self.mixed_units:
            warnings.append(
                f"the pixel size is known for {self.sized[True]} rows and unknown for "
                f"{self.sized[False]}: resolution is in µm for some and in pixels for others, and "
                "is left out of the summary; give --pixel-size"
            )
        return warnings

    def _clusters(self) -> list[str]:
        """What to know of images that are not independent."""
        if self.grouping is None:
            told = [line] if (line := self.watch.warning()) else []
            if self._count > self._images:
                files = f"{self._images} file{'s' * (self._images > 1)}"
                told.append(
                    f"{self._count} planes of {files}: planes of a file are one sample in "
                    "intervals and tests; --group says otherwise (an expression with # sees the "
                    "plane, as in #t0c0z3)"
                )
            if self._in_wells > len(self._wells):
                wells = f"{len(self._wells)} well{'s' * (len(self._wells) > 1)}"
                told.append(
                    f"{self._in_wells} images of {wells} of plates: images of a well are one "
                    "sample in intervals and tests; --group says otherwise"
                )
            return told
        if not self.grouping.matched:
            return [f"--group {self.grouping.source} matches no image: each is its own group"]
        if self.grouping.unmatched:
            return [
                f"--group {self.grouping.source} does not match {self.grouping.unmatched} of "
                f"{self._count} images: each of those is its own group"
            ]
        return []

    def _copies(self) -> list[str]:
        """Which images are there more than once, and which methods are their ground truth."""
        told = []
        contents = self._contents()
        known = contents[contents >= 0]
        files = np.array(self._files, dtype=int)[contents >= 0]
        _, first, place = np.unique(known, return_index=True, return_inverse=True)
        copies = int((files != files[first][place]).sum())
        if copies:
            told.append(
                f"{copies} of {self._count} images are copies of another, pixel for pixel: copies "
                "are one sample in intervals and tests"
            )
        for method in (m for m in self.methods if m != Role.REFERENCE):
            same = self._equal_to_reference(method)
            if same:
                told.append(
                    f"{method} is its ground truth, pixel for pixel, on {same} of "
                    f"{self.scored[method]} images: is the folder the right one?"
                )
        return told

    def _equal_to_reference(self, method: str) -> int:
        if Role.REFERENCE not in self.methods:
            return 0
        own, theirs = (self._spread(self.digests[m], m) for m in (method, Role.REFERENCE))
        return int(((own == theirs) & (own >= 0)).sum())

    def _swapped(self) -> list[str]:
        """Whether a method looks more like a ground truth than the ground truth does."""
        if self.mixed_units or all(m.name != "resolution" for m in self.metrics):
            return []
        resolutions = self.aligned("resolution")
        if Role.REFERENCE not in resolutions:
            return []
        told = []
        filtered = {
            m: self._spread(self.filtered[m], m)
            for m in resolutions
            if m not in (Role.RAW, Role.EGT)
        }
        truth = resolutions[Role.REFERENCE]
        for method in (m for m in filtered if m != Role.REFERENCE):
            both = np.isfinite(truth) & np.isfinite(resolutions[method])
            plain = both & (filtered[method] == 0) & (filtered[Role.REFERENCE] == 0)
            coarser = plain & (truth > _COARSER * resolutions[method])
            apart = both & (filtered[method] == 0) & (filtered[Role.REFERENCE] == 1)
            for found, of, what in (
                (coarser, plain, f"is coarser than {method}"),
                (apart, both, f"looks filtered and {method} does not"),
            ):
                enough = max(_FEWEST, _MOST * both.sum())  # of all, not of what is left of them
                if found.sum() >= enough and not self._contradicts(method):
                    told.append(
                        f"the ground truth {what}, on {found.sum()} of {of.sum()} images: are "
                        "--pred and --gt swapped?"
                    )
        return told

    def _contradicts(self, method: str) -> bool:
        """Whether the raw images say that a method is no ground truth.

        It holds their noise, of which a truth knows nothing; or it explains them far worse than the
        ground truth, while a truth explains all but noise.
        """
        if all(m.name != "unexplained" for m in self.metrics):
            return False
        left = self.aligned("unexplained")
        if method not in left:
            return False
        own, truth = (float(np.nanmedian(left.get(m, [1.0]))) for m in (method, Role.REFERENCE))
        return own < _MADE_OF_IT or own > _WORSE * max(truth, 1.0)

    def _spread(self, values: array[int], method: str) -> np.ndarray:
        """What is known of each of a method's planes, at the places of all planes; -1 elsewhere."""
        spread = np.full(self._count, -1, dtype=np.int64)
        spread[np.array(self.planes[method], dtype=int)] = values
        return spread

    def _incomplete(self) -> list[str]:
        """Which methods lack images that others have: their means are of other images."""
        compared = [m for m in self.methods if m not in GIVEN and self.scored[m]]
        most = max((self.scored[m] for m in compared), default=0)
        return [
            f"{method} has {self.scored[method]} of {most} images: its means are of fewer images "
            "than those of others; comparisons and the page's leaders are of the images that all "
            "have"
            for method in compared
            if self.scored[method] < most
        ]


def joined(samples: np.ndarray, contents: np.ndarray) -> np.ndarray | None:
    """Groups of planes that are of one sample or hold the same; None where each is alone.

    Parameters
    ----------
    samples, contents : ndarray of int, shape (n,)
        Number of each plane's sample by its name; and of what it holds, -1 where that is unknown.

    Examples
    --------
    >>> joined(np.array([1, 1, 2, 3]), np.array([7, 8, 9, 8])).tolist()
    [0, 0, 1, 0]
    >>> joined(np.array([1, 2]), np.array([-1, -1]))
    """
    from scipy.sparse import coo_matrix  # slow to import
    from scipy.sparse.csgraph import connected_components

    n = samples.size
    known = contents >= 0
    kinds = np.unique(contents[known], return_inverse=True)[1]
    numbers = np.unique(samples, return_inverse=True)[1]
    planes = np.concatenate([np.arange(n), np.flatnonzero(known)])
    shared = np.concatenate([n + numbers, n + n + kinds])
    if np.unique(numbers).size == n and np.unique(kinds).size == kinds.size:
        return None
    graph = coo_matrix((np.ones(planes.size, bool), (planes, shared)), shape=(3 * n, 3 * n))
    groups = connected_components(graph, directed=False)[1][:n]
    return np.asarray(np.unique(groups, return_inverse=True)[1])


def _same_folders(pairing: Pairing) -> list[str]:
    """Methods that lie where the ground truth does, unless names tell them apart."""
    places = {role: path.resolve() for role, path in pairing.folders.items()}
    same = [m for m in places if m != Role.REFERENCE and places[m] == places.get(Role.REFERENCE)]
    return [f"{m} and gt are the same folder" for m in same if not pairing.naming]
