"""Faults on purpose, at random moments of every command: signals, kills, a failing file system.

    python tests/trust/campaign.py --moments 100

prints one table. A round passes where a signal ends the command with its own status and one line,
with no process left; and where what was killed, or ran into a fault, goes on to the bytes of an
untouched run.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CALLS = ("open", "replace", "fsync", "mkdir")
ERRORS = ("ENOSPC", "EIO", "EACCES")
_PATIENCE = 120  # seconds for a command
_AT_ONCE = 500  # damaged files that a process reads
_LEFT = 5  # seconds for its processes to end

# what a child runs first: one call of the system fails, in files below OUT
SHIM = """
import errno, os
call, number, error = os.environ["FAULT"].split(":")
left, real, below = int(number), getattr(os, call), os.environ["FAULT_BELOW"]
def failing(path, *arguments, **options):
    global left
    place = path if isinstance(path, (str, bytes, os.PathLike)) else f"/proc/self/fd/{path}"
    writes = call != "open" or (arguments and arguments[0] & (os.O_WRONLY | os.O_RDWR))
    where = os.readlink(place) if str(place).startswith("/proc/self/fd/") else os.fspath(place)
    if writes and below in os.path.abspath(os.fsdecode(where)):
        left -= 1
        if left == 0:
            code = getattr(errno, error)
            raise OSError(code, os.strerror(code), path if isinstance(path, str) else None)
    return real(path, *arguments, **options)
setattr(os, call, failing)
"""


@dataclass
class Command:
    """A command that writes to OUT, and how it goes on after it was stopped."""

    name: str
    line: list[str]
    again: list[str]
    result: Callable[[Path], object]
    begun: str = ""  # a file of OUT without which it begins anew
    seconds: float = 0.0
    whole: object = None


@dataclass
class Outcome:
    """What came of the rounds of a command and fault."""

    rounds: int = 0
    right: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        self.rounds += 1
        self.right += not problem
        self.problems += [problem] if problem else []


def bytes_of(*patterns: str) -> Callable[[Path], object]:
    """A digest of the files of OUT that have these names."""

    def digest(out: Path) -> object:
        files = sorted({path for pattern in patterns for path in out.rglob(pattern)})
        return [
            (p.relative_to(out).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest())
            for p in files
            if not any(part.startswith(".") for part in p.relative_to(out).parts)
        ]

    return digest


def training(out: Path) -> object:
    """Weights, and the history but for times."""
    with (out / "metrics.csv").open() as file:
        rows = [
            {k: v for k, v in row.items() if k not in ("seconds", "waiting")}
            for row in csv.DictReader(file)
        ]
    return rows, hashlib.sha256((out / "best.safetensors").read_bytes()).hexdigest()


def commands(place: Path, images: int = 40) -> list[Command]:
    """Every command that runs for long, over small images."""
    rng = np.random.default_rng(0)
    for folder in ("gt", "a", "b"):
        (place / folder).mkdir(parents=True)
    for k in range(images):
        sharp = cv2.GaussianBlur(rng.normal(0, 1, (160, 160)), (0, 0), 2) * 300 + 120
        for width, folder in ((0.01, "gt"), (1.0, "a"), (2.0, "b")):
            image = cv2.GaussianBlur(sharp, (0, 0), width) + rng.normal(0, 2, sharp.shape)
            cv2.imwrite(str(place / folder / f"{k:03}.png"), image.clip(0, 255).astype(np.uint8))
    python = [sys.executable, "-m"]
    judge, network = [*python, "cellqa"], [*python, "ciegan"]
    pred = ["--pred", f"a={place}/a", "--pred", f"b={place}/b", "--gt", f"{place}/gt"]
    score = [*judge, "score", *pred, "--out", "OUT", "--jobs", "2"]
    prepare = [*network, "prepare", "blur", f"{place}/gt", "OUT", "--tile", "64"]
    subprocess.run(
        [w.replace("OUT", f"{place}/data") for w in prepare], check=True, capture_output=True
    )
    steps = "--steps 60 --every 10 --crop 32 --batch-size 2 --device cpu --seed 3"
    small = "monitor.samples=0 monitor.images=2 monitor.patience=0 monitor.min_adversarial_steps=0"
    settings = [word for each in small.split() for word in ("--set", each)]
    train = [*network, "train", f"{place}/data", "OUT"]
    begin = [*train, *steps.split(), *settings]
    subprocess.run(
        [w.replace("OUT", f"{place}/net") for w in begin], check=True, capture_output=True
    )
    enhance = [*network, "enhance", f"{place}/net", f"{place}/a", "OUT", "--device", "cpu"]
    watch = [*network, "watch", f"{place}/net", f"{place}/a", "OUT", "--device", "cpu"]
    watch += ["--settle", "0.2", "--until-idle", "1"]
    tables = bytes_of("scores.csv", "summary.csv", "comparisons.csv")
    return [
        Command("score", score, [*score, "--resume"], tables),
        Command("enhance", enhance, enhance, bytes_of("*.png")),
        Command("watch", watch, watch, bytes_of("*.png")),
        Command("prepare", prepare, [*prepare, "--overwrite"], bytes_of("*.tif", "pairs.csv")),
        Command("train", begin, [*train, "--resume", "--device", "cpu"], training, "config.toml"),
    ]


def start(line: list[str], out: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [word.replace("OUT", str(out)) for word in line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        preexec_fn=heed,
    )


def heed() -> None:
    """Take every signal: a shell in the background hands on that some are ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def measure(command: Command, out: Path, runs: int) -> None:
    """How long it takes, and what comes of it, without a fault."""
    for _ in range(runs):  # the first may compile
        shutil.rmtree(out, ignore_errors=True)
        begin = time.monotonic()
        process = start(command.line, out)
        _, said = process.communicate(timeout=10 * _PATIENCE)
        assert process.returncode == 0, said
        command.seconds = time.monotonic() - begin
    command.whole = command.result(out)


def left_of(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run after the seconds that they have."""
    end = time.monotonic() + _LEFT
    while True:
        there = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        if not there or time.monotonic() > end:
            return there
        time.sleep(0.05)


def lines_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip() and not line.startswith("warning")]


def at_moment(
    command: Command, out: Path, at: float
) -> tuple[subprocess.Popen[str], list[psutil.Process]] | None:
    """A command after so many seconds, and its processes; None where it has ended."""
    process = start(command.line, out)
    time.sleep(at)
    if process.poll() is not None:
        process.communicate()
        return None
    return process, psutil.Process(process.pid).children(recursive=True)


def last_words(process: subprocess.Popen[str]) -> str | None:
    """What a command says until it ends; None where it does not."""
    try:
        return process.communicate(timeout=_PATIENCE)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None


def interrupted(command: Command, out: Path, number: int, group: bool, at: float) -> str | None:
    """What is wrong after a signal; None where the command had ended before."""
    running = at_moment(command, out, at)
    if running is None:
        return None
    process, children = running
    (os.killpg if group else os.kill)(process.pid, number)
    said = last_words(process)
    if said is None:
        return "hangs"
    if process.returncode == 0:
        return None if command.name != "watch" else ""  # all was done; watch ends in order
    lines = lines_of(said)
    if process.returncode != 128 + number and not (process.returncode == -number and at < 0.3):
        return f"status {process.returncode}: {' | '.join(lines)[-300:]}"
    if len(lines) != 1 and process.returncode > 0:
        return f"{len(lines)} lines: {' | '.join(lines)[-300:]}"
    return f"{len(left)} processes left" if (left := left_of(children)) else ""


def goes_on(command: Command, out: Path) -> str:
    """What is wrong after the same command goes on where it was stopped."""
    fresh = command.begun and not (out / command.begun).exists()
    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    process = start(command.line if fresh else command.again, out)
    _, said = process.communicate(timeout=10 * _PATIENCE)
    if process.returncode:
        return f"does not go on: status {process.returncode}, {said[-300:]}"
    return "" if command.result(out) == command.whole else "other bytes"


def killed(command: Command, out: Path, at: float) -> str | None:
    """What is wrong after SIGKILL and another start."""
    running = at_moment(command, out, at)
    if running is None:
        return None
    process, children = running
    process.kill()
    if left := left_of(children):  # they hold its output: what waits for that waits for them
        return f"{len(left)} processes left"
    process.communicate()
    return goes_on(command, out)


def faulty(command: Command, out: Path, fault: str, place: Path) -> str | None:
    """What is wrong after a call of the system failed; None where none of that number was made."""
    (place / "sitecustomize.py").write_text(SHIM)
    process = start(command.line, out, FAULT=fault, FAULT_BELOW=str(out), PYTHONPATH=str(place))
    said = last_words(process)
    if said is None:
        return "hangs"
    if "Traceback" in said:
        return f"traceback: {said[-400:]}"
    if process.returncode not in (0, 1, 3):
        return f"status {process.returncode}"
    return goes_on(command, out)


def campaign(
    place: Path, moments: int, seed: int, names: tuple[str, ...] = (), images: int = 40
) -> Iterator[tuple[str, str, Outcome]]:
    """Yield command, kind of fault, and what came of its rounds."""
    draw = random.Random(seed)
    out = place / "out"
    for command in commands(place, images):
        if names and command.name not in names:
            continue
        measure(command, out, 2 if moments > 1 else 1)
        every: dict[str, Callable[[], str | None]] = {
            "signals": lambda c=command: interrupted(  # type: ignore[misc]
                c, out, draw.choice(SIGNALS), draw.random() < 0.5, draw.uniform(0.05, c.seconds)
            ),
            "kills": lambda c=command: killed(c, out, draw.uniform(0.05, c.seconds)),  # type: ignore[misc]
            "file system": lambda c=command: faulty(  # type: ignore[misc]
                c,
                out,
                f"{draw.choice(CALLS)}:{1 + int(draw.expovariate(0.1))}:{draw.choice(ERRORS)}",
                place,
            ),
        }
        for kind, round_ in every.items():
            outcome = Outcome()
            for _ in range(3 * moments):  # some come too late
                if outcome.rounds == moments:
                    break
                shutil.rmtree(out, ignore_errors=True)
                problem = round_()
                if problem is not None:
                    outcome.note(problem)
            yield command.name, kind, outcome


def formats(place: Path, cases: int, seed: int) -> Iterator[tuple[str, str, Outcome]]:
    """Damaged copies of images of each format, read in a process that may take 8 GB and hang."""
    reader = Path(__file__).parents[1] / "cellqa/scoring/test_fuzz.py"
    for name in ("raw.tif", "deflate.tif", "lzw.tif", "zstd.tif", "imagej.tif", "ome.ome.tif",
                 "a.png", "a.jpg", "a.bmp"):  # fmt: skip
        outcome = Outcome()
        for first in range(seed * 10**6, seed * 10**6 + cases, _AT_ONCE):
            last = min(first + _AT_ONCE, seed * 10**6 + cases)
            line = [sys.executable, "-W", "ignore", str(reader), name, str(place)]
            try:
                done = subprocess.run(
                    [*line, str(first), str(last)], capture_output=True, text=True, timeout=600
                )
                problem = done.stderr[-300:] if done.returncode else ""
            except subprocess.TimeoutExpired:
                problem = "hangs"
            outcome.rounds += last - first
            outcome.right += 0 if problem else last - first
            outcome.problems += [problem] if problem else []
        yield name, "damaged", outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=100, help="rounds of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="commands")
    parser.add_argument("--formats", type=int, default=2000, help="damaged files of each")
    chosen = parser.parse_args()
    print("| command | fault | rounds | right | what went wrong |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        rounds = chain(
            formats(Path(place), chosen.formats, chosen.seed),
            campaign(Path(place), chosen.moments, chosen.seed, tuple(chosen.only)),
        )
        for name, kind, outcome in rounds:
            wrong = "; ".join(f"{n} x {text}" for text, n in Counter(outcome.problems).items())
            print(f"| {name} | {kind} | {outcome.rounds} | {outcome.right} | {wrong} |", flush=True)


if __name__ == "__main__":
    main()
