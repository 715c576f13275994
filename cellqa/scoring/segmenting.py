"""How objects are found on truth and methods alike: the built-in way, labels, or a command."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellqa.errors import CellqaError, ImageError
from cellqa.io import open_image, write_tiff
from cellqa.metrics.case import Outlines, Segment
from cellqa.metrics.objects import parts_of, segmented_plane
from cellqa.pairs.roles import Role
from cellqa.planes.labels import Labels, Mask
from cellqa.planes.plane import Plane
from cellqa.planes.region import Region
from cellqa.programs import run_program, words_of

AUTO, BY_LABELS = "auto", "labels"
SECONDS = 600.0  # that a command may take for an image
_IN, _OUT, _FOLDER = "in", "out", "folder"


def check(how: str) -> None:
    """Refuse what is neither `auto`, `labels`, nor a command with its places.

    Raises
    ------
    ValueError
        It lacks a place, or cannot be taken apart into words.
    """
    if how in (AUTO, BY_LABELS):
        return
    try:
        words_of(how, {})
    except ValueError as error:
        raise ValueError(f"{how!r}: {error}") from None
    places = [f"{{{name}}}" in how for name in (_IN, _OUT, _FOLDER)]
    if not places[0] or places[1] == places[2]:
        raise ValueError(
            f"{how!r} must be auto, labels:[METHOD=]DIR, or a command with {{in}} for the image "
            "and either {out} for the labels or {folder} for the folder to write them to"
        )


def segment_by(how: str, seconds: float) -> Segment | None:
    """What finds the objects of a plane; None where labels alone say them."""
    if how == AUTO:
        return segmented_plane
    return None if how == BY_LABELS else Command(how, seconds)


@dataclass(frozen=True)
class Command:
    """A command that turns an image into labels: `{in}` to `{out}`, or into `{folder}`.

    The image is a TIFF file of the plane as it is compared: its type where that has 8 or 16 bits or
    is float32, else float32. The names of both files are made here. The labels are an image of any
    format that is read, whole numbers, 0 for background; of true and false, the parts that hang
    together.

    Attributes
    ----------
    text : str
    seconds : float
        The time that it has for an image.
    """

    text: str
    seconds: float = SECONDS

    def __call__(self, plane: Plane) -> Labels:
        """The objects of a plane.

        Raises
        ------
        ImageError
            The command fails, or leaves no labels of the plane's size.
        """
        with tempfile.TemporaryDirectory(prefix="cellqa-objects-") as place:
            there = Path(place)
            image, folder = there / "image.tif", there / "labels"
            folder.mkdir()
            plain = plane.pixels.dtype.itemsize <= 2 or plane.pixels.dtype == np.float32
            write_tiff(image, plane.pixels if plain else plane.pixels.astype(np.float32), None)
            names = {_IN: str(image), _OUT: str(folder / "labels.tif"), _FOLDER: str(folder)}
            words = words_of(self.text, names)
            why = run_program(words, seconds=self.seconds, log=there / "log")
            if why:
                raise ImageError(f"objects: the command {why}")
            return self._read(folder, plane)

    def _read(self, folder: Path, plane: Plane) -> Labels:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        if len(files) != 1:
            names = f" ({', '.join(path.name for path in files[:4])})" if files else ""
            raise ImageError(
                f"objects: the command left {len(files) or 'no'} files{names} where one image of "
                "labels should be"
            )
        try:
            with open_image(files[0], plane.pixels.size) as file:
                if len(file.planes) != 1:
                    raise ImageError(f"{len(file.planes)} planes where one should be")
                mask = Mask.of(file.load(file.planes[0]), labels=True)
        except CellqaError as error:
            raise ImageError(f"objects: the command's labels: {error}") from None
        mask = mask.fitting(plane.shape)
        if mask.labels is None:
            why = mask.missing.replace("the mask", "the image of labels")
            raise ImageError(f"objects: the command's labels: {why}")
        return parts_of(mask.labels)


class Finder:
    """What is known of the objects of one plane of each role, for a scorer.

    Parameters
    ----------
    how : str or None
        `auto`, `labels`, a command, or None: objects were not asked for.
    seconds : float
    labels : mapping of str to Mask
        Role or method to the labels that the user gave.
    shape : tuple of int
        Of the ground truth.
    region : Region or None
        The part of it that is scored.
    """

    def __init__(
        self,
        how: str | None,
        seconds: float,
        labels: Mapping[str, Mask],
        shape: tuple[int, ...],
        region: Region | None,
    ) -> None:
        self._segment = segment_by(how, seconds) if how else None
        self._asked = how is not None
        self._labels = {}
        for role, each in labels.items():
            mask = each.fitting(shape)
            if region is not None and not region.whole:
                mask = mask.cropped(region.rows, region.columns)
            self._labels[role] = mask

    def outlines(self, method: str) -> Outlines | None:
        """How the objects of a method, and of its ground truth, are found.

        Of the ground truth itself, where its labels were given: by the segmentation, so that what
        that alone costs is known.
        """
        if not self._asked:
            return None
        own = None if method == Role.REFERENCE else self._labels.get(method)
        return Outlines(self._segment, self._labels.get(Role.REFERENCE), own)

    def expected(self, method: str) -> bool:
        """Whether its objects were to be compared: it has labels, or is segmented."""
        return self._asked and (self._segment is not None or method in self._labels)

    @property
    def controlled(self) -> bool:
        """Whether the segmentation can be compared with labels, on the ground truth itself."""
        truth = self._labels.get(Role.REFERENCE)
        return truth is not None and truth.labels is not None and self._segment is not None
