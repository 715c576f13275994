"""The answers of experts, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from cellqa.errors import CellqaError, printable
from cellqa.experts.build import KEY
from cellqa.shown import one_line
from cellqa.tables.reading import read_json, unfit

RATINGS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Answers:
    """What the raters said.

    Attributes
    ----------
    methods, scales : list of str
    ratings : DataFrame
        rater, task, image, method, scale, value, again (asked a second time).
    choices : DataFrame
        rater, task, image, first, second (in the order of `methods`), chosen, again.
    failures : list of (file, rater, reason)
        Files that could not be used.
    notes : list of str
    """

    methods: list[str]
    scales: list[str]
    ratings: pd.DataFrame
    choices: pd.DataFrame
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    __repr__ = one_line

    @property
    def first_choices(self) -> pd.DataFrame:
        """The choices without those that were asked a second time."""
        # of an empty table, `again` is no mask
        return self.choices[~self.choices["again"]] if len(self.choices) else self.choices


def read_answers(folder: Path, paths: Sequence[Path]) -> Answers:
    """Read the key of a questionnaire, and files of answers to it.

    Raises
    ------
    CellqaError
        There is no key, or no file can be used.
    """
    key = _read(folder / KEY)
    if wrong := _wrong_key(key):
        raise CellqaError(f"{folder / KEY}: not the key of a questionnaire ({wrong})")
    failures: list[tuple[str, str, str]] = []
    notes: list[str] = []
    raters: dict[str, dict[str, Any]] = {}
    for path in paths:
        try:
            content = _read(path)
            _check(content, key)
        except CellqaError as error:
            failures.append((str(path), "answers", str(error)))
            continue
        rater = printable(str(content["rater"]).strip())
        if rater in raters and raters[rater] == content["answers"]:
            notes.append(f"{path}: the same answers of {rater} again; counted once")
        elif rater in raters:
            failures.append((str(path), rater, "another file of this rater differs; keep one"))
        else:
            raters[rater] = content["answers"]
            open_ = sum(str(task["task"]) not in content["answers"] for task in key["tasks"])
            if open_:
                notes.append(f"{rater} left {open_} of {len(key['tasks'])} tasks open")
    if not raters:
        why = failures[0][2] if failures else "give the files that the raters saved"
        raise CellqaError(f"no answers can be used: {why}")
    ratings, choices = _tables(key, raters)
    return Answers(key["methods"], list(key["scales"]), ratings, choices, failures, notes)


class _Shown(NamedTuple):
    image: str
    method: str


class _Task(NamedTuple):
    task: int
    kind: Literal["pair", "rate"]
    files: list[str]


class _Key(NamedTuple):
    id: str
    methods: list[str]
    scales: list[str]
    shown: dict[str, _Shown]
    tasks: list[_Task]


class _Answer(NamedTuple):
    choice: str = ""
    ratings: dict[str, int] | None = None


class _Given(NamedTuple):
    questionnaire: str
    rater: str
    answers: dict[str, _Answer]


def _wrong_key(key: Any) -> str:
    """What is wrong with a key; empty where nothing is."""
    if wrong := unfit(key, _Key):
        return wrong
    for name, of in key["shown"].items():
        if of["method"] not in key["methods"]:
            return f"{printable(name)} is of no method"
    for task in key["tasks"]:
        if len(task["files"]) != (2 if task["kind"] == "pair" else 1):
            return f"task {task['task']} has {len(task['files'])} images"
        if not set(task["files"]) <= key["shown"].keys():
            return f"task {task['task']} is of an image that is not shown"
    return ""


def _read(path: Path) -> Any:
    try:
        return read_json(path, "the file of a questionnaire")
    except OSError as error:
        raise CellqaError(f"{path}: {error.strerror}") from None


def _check(content: Any, key: dict[str, Any]) -> None:
    wrong = unfit(content, _Given)
    if wrong or not content["rater"].strip():
        raise CellqaError(f"not answers to a questionnaire ({wrong or 'nobody gave them'})")
    answers = content["answers"]
    if content["questionnaire"] != key["id"]:
        raise CellqaError("answers to another questionnaire")
    tasks = {str(task["task"]): task for task in key["tasks"]}
    for number_, answer in answers.items():
        task = tasks.get(number_)
        if task is None:
            raise CellqaError(f"task {printable(number_)[:20]} is not of this questionnaire")
        if "choice" in answer and (task["kind"] != "pair" or answer["choice"] not in task["files"]):
            raise CellqaError(f"task {number_}: the choice is none of its images")
        for value in (answer.get("ratings") or {}).values():
            if value not in RATINGS:
                raise CellqaError(f"task {number_}: a rating is not {RATINGS[0]} to {RATINGS[-1]}")


def _tables(key: dict[str, Any], raters: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    ratings: list[dict[str, Any]] = []
    choices: list[dict[str, Any]] = []
    shown, methods = key["shown"], key["methods"]
    for rater, answers in raters.items():
        seen: set[Any] = set()
        for task in key["tasks"]:
            answer = answers.get(str(task["task"]))
            names = tuple(sorted(task["files"]))
            if not answer:
                continue
            again = (task["kind"], names) in seen
            seen.add((task["kind"], names))
            of = [shown[name] for name in task["files"]]
            common = {"rater": rater, "task": task["task"], "image": of[0]["image"], "again": again}
            if task["kind"] == "pair" and "choice" in answer:
                first, second = sorted((o["method"] for o in of), key=methods.index)
                chosen = shown[answer["choice"]]["method"]
                choices.append({**common, "first": first, "second": second, "chosen": chosen})
            for scale, value in (answer.get("ratings") or {}).items():
                if task["kind"] == "rate" and scale in key["scales"]:
                    row = {"method": of[0]["method"], "scale": scale, "value": value}
                    ratings.append({**common, **row})
    columns = ["rater", "task", "image", "again"]
    return (
        pd.DataFrame(ratings, columns=[*columns, "method", "scale", "value"]),
        pd.DataFrame(choices, columns=[*columns, "first", "second", "chosen"]),
    )
