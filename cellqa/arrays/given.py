"""What a caller gives to be scored, made to images with names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellqa.pairs.pairing import Image, Pairing, pair_folders
from cellqa.pairs.roles import GIVEN, LABELS, Role, is_scored, of_labels
from cellqa.planes import Array
from cellqa.planes.tensors import images_of
from cellqa.shown import one_line

_NAME = re.compile(r"[^\W_][\w .+()=,@-]*")  # what can be a file's name on every system
ONE = "image"  # the name of a method that is given without one


@dataclass(frozen=True)
class Batch:
    """Images in memory.

    Attributes
    ----------
    names : list of str
    images : dict
        Method or role to its images, as many as names.
    """

    names: list[str]
    images: dict[str, list[Array]]

    __repr__ = one_line

    @property
    def methods(self) -> list[str]:
        """What is scored, in the order of tables."""
        return [role for role in self.images if is_scored(role)]

    def of(self, number: int) -> dict[str, Array]:
        """Everything of one image."""
        return {role: images[number] for role, images in self.images.items()}


def methods_of(pred: Any) -> dict[str, Any]:
    """Methods by name: a path's is the folder's, or the file's; anything else is `image`.

    Raises
    ------
    ValueError
        A name is that of a role, or none that a folder can have; or there is no method.
    """
    if not isinstance(pred, Mapping):
        return {Path(pred).absolute().stem if _is_path(pred) else ONE: pred}
    if not pred:
        raise ValueError("`pred` is empty: give at least one method")
    for name in pred:
        _check_name(name, "a method")
        if name in GIVEN:
            raise ValueError(f"`pred`: {name!r} is the name of another role; choose another")
    return dict(pred)


def is_of_paths(given: Mapping[str, Any]) -> bool:
    """Whether paths were given, or arrays.

    Raises
    ------
    TypeError
        Some are paths and others are not.
    """
    kinds = {role: _is_path(value) or _are_paths(value) for role, value in given.items()}
    if len(set(kinds.values())) > 1:
        paths = ", ".join(role for role, is_path in kinds.items() if is_path)
        raise TypeError(f"{paths} are paths and the others arrays; give all as paths or as arrays")
    return all(kinds.values())


def pairing_of(given: Mapping[str, Any]) -> Pairing:
    """Folders, paired by name; or files, or lists of files, in their order.

    Parameters
    ----------
    given : dict
        Method or role to a folder, a file, or a list of files.

    Raises
    ------
    CellqaError
        A folder is missing or holds no image, or no names agree.
    ValueError
        Some are folders and others files, or there are not as many files of each.
    """
    places = {role: Path(value) for role, value in given.items() if _is_path(value)}
    if len(places) == len(given) and not any(path.is_file() for path in places.values()):
        return paired(places)
    files = {
        role: [Path(value)] if _is_path(value) else [Path(each) for each in value]
        for role, value in given.items()
    }
    folder = next((p for of_role in files.values() for p in of_role if p.is_dir()), None)
    if folder is not None:
        raise ValueError(f"{str(folder)!r} is a folder and others are files; give one kind")
    _check_numbers({role: len(of_role) for role, of_role in files.items()})
    leader = files.get(Role.REFERENCE, next(iter(files.values())))
    images = tuple(
        Image(
            leader[k].name,
            {role: (str(of_role[k].absolute()),) for role, of_role in files.items()},
        )
        for k in range(len(leader))
    )
    return Pairing({role: of_role[0].absolute().parent for role, of_role in files.items()}, images)


def paired(places: Mapping[str, Path]) -> Pairing:
    """The folders of methods and roles, paired by name."""
    return pair_folders(
        {role: path for role, path in places.items() if role not in GIVEN and is_scored(role)},
        reference=places.get(Role.REFERENCE),
        raw=places.get(Role.RAW),
        mask=places.get(Role.MASK),
        valid=places.get(Role.VALID),
        labels=of_labels(places),
    )


def batch_of(given: Mapping[str, Any], names: Sequence[str] | None) -> Batch:
    """Arrays as images: a single one of ground truth, raw image or mask serves a whole batch.

    Raises
    ------
    ValueError, TypeError
        A shape is no image's or batch's, numbers differ, or names do not fit.
    """
    images = {role: images_of(value, role) for role, value in given.items()}
    numbers = {role: len(each) for role, each in images.items()}
    largest = max(n for role, n in numbers.items() if role not in GIVEN)
    one = (*GIVEN, f"{LABELS}{Role.REFERENCE}")
    shared = {role for role, n in numbers.items() if n == 1 and role in one}
    images |= {role: images[role] * largest for role in shared}
    _check_numbers({role: len(each) for role, each in images.items()})
    width = len(str(largest - 1))
    chosen = [f"{k:0{width}d}" for k in range(largest)] if names is None else [*map(str, names)]
    if len(chosen) != largest:
        raise ValueError(f"`names` must be {largest} as the images, got {len(chosen)}")
    for name in chosen:
        _check_name(name, "an image")
    twice = next((name for k, name in enumerate(chosen) if name in chosen[:k]), None)
    if twice is not None:
        raise ValueError(f"`names`: {twice!r} is there twice")
    return Batch(chosen, images)


def _check_numbers(numbers: Mapping[str, int]) -> None:
    if len(set(numbers.values())) > 1:
        told = ", ".join(f"{role} {n}" for role, n in numbers.items())
        raise ValueError(f"there must be as many images of each, got {told}")


def _check_name(name: Any, what: str) -> None:
    """A name may become that of a file, when the page is written."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of {what}: a letter or digit, then also spaces and _.+()=,@-"
        )


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _are_paths(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(map(_is_path, value))
