"""Files that we wrote, changed by somebody, and read again: a line says what is wrong."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from networks import weights

import cellqa.cli
import ciegan.cli
from cellqa.lines import Lines

JUDGE, NETWORK = cellqa.cli.main, ciegan.cli.main
ODD: list[Any] = [
    None,
    True,
    -1,
    1e308,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\0",
    "../../etc/passwd",
    "<b>",
    "=1+1",
    "\u202e\x9b31m",
    "9" * 5000,
    [],
    [[]],
    {},
    {"a": 1},
]
Change = Callable[[bytes, random.Random], bytes]


def flipped(data: bytes, draw: random.Random) -> bytes:
    """Some bits are others."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 3, 30))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(data: bytes, draw: random.Random) -> bytes:
    """The end, or something within, is gone; or there is more."""
    a, b = sorted(draw.randrange(len(data)) for _ in range(2))
    return draw.choice((data[:a], data[:a] + data[b:], data[:b] + data[a:], data + data, b""))


def other_value(content: Any, draw: random.Random) -> Any:
    """JSON of which one value, however deep, is another, or is gone."""
    if isinstance(content, (dict, list)) and content and draw.random() < 0.9:
        places = list(content) if isinstance(content, dict) else list(range(len(content)))
        place = draw.choice(places)
        if draw.random() < 0.15:
            del content[place]
        else:
            content[place] = other_value(content[place], draw)
        return content
    return draw.choice(ODD)


def other_json(data: bytes, draw: random.Random) -> bytes:
    return json.dumps(other_value(json.loads(data), draw)).encode()


def other_cells(data: bytes, draw: random.Random) -> bytes:
    """Some cells of a table, or of its header, are others."""
    rows = list(csv.reader(io.StringIO(data.decode())))
    for _ in range(draw.choice((1, 1, 5))):
        row = rows[0] if draw.random() < 0.2 else draw.choice(rows)
        if row:
            row[draw.randrange(len(row))] = str(draw.choice(ODD))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def other_lines(data: bytes, draw: random.Random) -> bytes:
    """Lines with a checksum that is right, of which a value is another."""
    place = Path(other_lines.folder) / "lines.jsonl"  # type: ignore[attr-defined]
    place.write_bytes(data)
    values = [value for _, value in Lines(place).read()]
    number = draw.randrange(len(values))
    values[number] = other_value(values[number], draw)
    fresh = Lines(place)
    fresh.start()
    for value in values:
        fresh.append(value)
    fresh.close()
    return place.read_bytes()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scoring run, a questionnaire with answers, prepared data and enhanced images."""
    root = tmp_path_factory.mktemp("own")
    other_lines.folder = root  # type: ignore[attr-defined]
    rng = np.random.default_rng(2)
    for folder in ("gt", "a", "b"):
        (root / folder).mkdir()
        for name in range(4):
            image = cv2.GaussianBlur(rng.normal(0, 1, (160, 160)), (0, 0), 1.5) * 300 + 120
            cv2.imwrite(str(root / folder / f"{name}.png"), image.clip(0, 255).astype(np.uint8))
    weights(root / "best.safetensors")
    pred = [f"--pred=a={root / 'a'}", f"--pred=b={root / 'b'}", f"--gt={root / 'gt'}"]
    for main, line in (
        (JUDGE, ["score", *pred, "--metrics", "psnr,ssim", f"--out={root / 'run'}"]),
        (JUDGE, ["questionnaire", "build", *pred, f"--out={root / 'q'}", "--images", "2"]),
        (NETWORK, ["prepare", "blur", root / "gt", root / "data", *["--tile", "64"]]),
        (NETWORK, ["enhance", root / "best.safetensors", root / "a", root / "out"]),
    ):
        done = CliRunner().invoke(main, list(map(str, line)))
        assert done.exit_code == 0, done.output
    key = json.loads((root / "q/key.json").read_text())
    answers = {
        str(task["task"]): {"choice": task["files"][0]}
        if task["kind"] == "pair"
        else {"ratings": dict.fromkeys(key["scales"], 3)}
        for task in key["tasks"]
    }
    given = {"questionnaire": key["id"], "rater": "A", "answers": answers}
    (root / "q/given.json").write_text(json.dumps(given))
    tables = [{"title": "t", "rows": [["a", "b"], ["1", "2"]], "note": ""}]
    (root / "run/tables.json").write_text(json.dumps(tables))
    return root


REPORT = (JUDGE, "report {run} --jobs 1 --gallery 1")
SCORE = "score --pred a={root}/a --pred b={root}/b --gt {root}/gt --metrics psnr,ssim --no-report"
RESUME = (JUDGE, f"{SCORE} --out {{run}} --resume --jobs 1")
ASKED = (JUDGE, "questionnaire analyse {run} {run}/given.json --out {run}/analysis")
AGAIN = (NETWORK, "enhance {root}/best.safetensors {root}/a {run} --device cpu --overwrite")
STEPS = "--steps 1 --every 1 --crop 32 --batch-size 1 --set monitor.images=1"
TRAIN = (NETWORK, f"train {{run}} {{run}}/out --device cpu {STEPS} --set monitor.samples=0")
FILES: list[tuple[str, str, tuple[Any, str], tuple[Change, ...]]] = [
    ("run", "run.json", REPORT, (flipped, cut, other_json)),
    ("run", "scores.csv", REPORT, (flipped, cut, other_cells)),
    ("run", "summary.csv", REPORT, (flipped, cut, other_cells)),
    ("run", "comparisons.csv", REPORT, (flipped, cut, other_cells)),
    ("run", "tables.json", REPORT, (flipped, cut, other_json)),
    ("run", "journal.jsonl", RESUME, (flipped, cut, other_lines)),
    ("q", "key.json", ASKED, (flipped, cut, other_json)),
    ("q", "given.json", ASKED, (flipped, cut, other_json)),
    ("out", ".ciegan-enhanced.jsonl", AGAIN, (flipped, cut, other_lines)),
    ("data", "pairs.csv", TRAIN, (flipped, cut, other_cells)),
]

NAMES = [each[1] for each in FILES]


def changes(number: int, folder: str, name: str, command: Any, ways: Any, places: Path) -> None:
    draw = random.Random(f"{folder}{name}")
    main, line = command
    run = places / f"changed-{name}"
    words = [word.format(run=run, root=places) for word in line.split()]
    whole = (places / folder / name).read_bytes()
    for _ in range(number):
        data = draw.choice(ways)(whole, draw)
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(places / folder, run)
        (run / name).write_bytes(data)
        done = CliRunner().invoke(main, words)
        why = (data[:3000], done.output, done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), why
        assert done.exit_code in (0, 1, 3), why
        if done.exit_code == 1:
            assert sum(text.startswith("Error: ") for text in done.output.splitlines()) == 1, why


@pytest.mark.parametrize(
    ("folder", "name", "command", "ways"), FILES, ids=[each[1] for each in FILES]
)
def test_a_changed_file_is_a_line(
    places: Path, folder: str, name: str, command: Any, ways: Any
) -> None:
    changes(8 if command is TRAIN else 25, folder, name, command, ways, places)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "name", "command", "ways"), FILES, ids=[each[1] for each in FILES]
)
def test_many_changed_files_are_lines(
    places: Path, folder: str, name: str, command: Any, ways: Any
) -> None:
    changes(200, folder, name, command, ways, places)
