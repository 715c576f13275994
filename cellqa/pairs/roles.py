"""What a folder of images is for. A method's folder has the method's own name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

_T = TypeVar("_T")


class Role(StrEnum):
    """Folders that are no method's, by their names in options and tables."""

    REFERENCE = "gt"  # the ground truth, which others are compared with
    RAW = "input"  # the untouched images
    EGT = "egt"  # enhanced ground truth: made of the reference, so it leads nothing
    MASK = "mask"  # the foreground; not scored
    VALID = "valid"  # where there is a picture; not scored

    def __repr__(self) -> str:
        return repr(self.value)  # as the plain text that stands in tables

    @property
    def option(self) -> str:
        """The option of `cellqa score` that names the folder."""
        return f"--{self.value}"


GIVEN = (Role.REFERENCE, Role.RAW, Role.MASK, Role.VALID)
UNSCORED = (Role.MASK, Role.VALID)
LABELS = "labels:"  # before a method's name, or gt: labels of its objects; not scored


def is_scored(role: str) -> bool:
    """Whether images of a role get rows.

    Examples
    --------
    >>> [is_scored(role) for role in ("net", "gt", "mask", "labels:net")]
    [True, True, False, False]
    """
    return role not in UNSCORED and not role.startswith(LABELS)


def of_labels(given: Mapping[str, _T]) -> dict[str, _T]:
    """What is given as labels, by the method, or gt, whose objects they are.

    Examples
    --------
    >>> of_labels({"net": 1, "labels:net": 2, "labels:gt": 3})
    {'net': 2, 'gt': 3}
    """
    return {r.removeprefix(LABELS): each for r, each in given.items() if r.startswith(LABELS)}


def in_order(methods: list[str]) -> list[str]:
    """The raw images first, then methods as given, then the reference.

    Examples
    --------
    >>> in_order(["gt", "net", "input"])
    ['input', 'net', 'gt']
    """
    place = {Role.RAW: -1, Role.REFERENCE: 1}
    return sorted(methods, key=lambda method: place.get(method, 0))  # type: ignore[call-overload]
