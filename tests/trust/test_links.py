"""Nothing outside OUT is written, truncated or removed, whatever links stand in OUT."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from networks import weights

import cellqa.cli
import ciegan.cli


@dataclass
class Case:
    """A command that writes to OUT: its line, and what has to be in OUT before."""

    main: object
    line: Sequence[object]
    before: Path | None = None

    def run(self, out: Path, *more: str) -> int:
        words = [str(out if word is OUT else word) for word in (*self.line, *more)]
        result = CliRunner().invoke(self.main, words)  # type: ignore[arg-type]
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        return result.exit_code

    def fresh(self, out: Path) -> Path:
        shutil.rmtree(out, ignore_errors=True)
        if self.before:
            shutil.copytree(self.before, out)
        return out


OUT = object()


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    root = tmp_path_factory.mktemp("cases")
    rng = np.random.default_rng(2)
    for folder in ("gt", "a", "b"):
        (root / folder / "sub").mkdir(parents=True)
        for name in ("x_r0_c0", "sub/y"):
            image = cv2.GaussianBlur(rng.normal(0, 1, (160, 160)), (0, 0), 1.5) * 300 + 120
            cv2.imwrite(str(root / folder / f"{name}.png"), image.clip(0, 255).astype(np.uint8))
    (root / "tiles").mkdir()
    scene = cv2.GaussianBlur(rng.normal(0, 1, (160, 290)), (0, 0), 1.5) * 300 + 120
    for column, tile in enumerate((scene[:, :160], scene[:, 130:])):
        path = root / "tiles" / f"s_r0_c{column}.png"
        cv2.imwrite(str(path), tile.clip(0, 255).astype(np.uint8))
    model = weights(root / "best.safetensors")
    judge, network = cellqa.cli.main, ciegan.cli.main
    pred = ["--pred", f"a={root / 'a'}"]
    score = ["score", *pred, "--gt", root / "gt", "--out", OUT, "--jobs", "1", "--maps"]
    made = Case(judge, [*score, "--metrics", "psnr,ssim"])
    assert made.run(root / "run") == 0
    build = ["questionnaire", "build", *pred, "--gt", root / "gt", "--out", OUT, "--images", "1"]
    return {
        "score": made,
        "resume": Case(judge, [*score, "--metrics", "psnr,ssim", "--resume"], root / "run"),
        "report": Case(judge, ["report", OUT, "--jobs", "1"], root / "run"),
        "figures": Case(judge, ["figures", OUT, "--jobs", "1"], root / "run"),
        "te-enhance": Case(judge, ["te-enhance", root / "a", OUT]),
        "questionnaire": Case(judge, build),
        "enhance": Case(network, ["enhance", model, root / "a", OUT, "--device", "cpu"]),
        "prepare": Case(
            network, ["prepare", "blur", root / "gt", OUT, *["--tile", "64", "--split", "1,1,0"]]
        ),
        "mosaic": Case(network, ["mosaic", root / "tiles", OUT]),
    }


NAMES = (
    "score resume report figures te-enhance questionnaire enhance prepare mosaic".split()  # noqa: SIM905
)


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_through_a_link(
    cases: dict[str, Case], tmp_path: Path, name: str
) -> None:
    """Every file and folder that a command makes is a link to something precious beforehand."""
    case, out = cases[name], tmp_path / "out"
    assert case.run(case.fresh(out)) in (0, 3)
    names = written(out)
    folders = [each for each in names if (out / each).is_dir()]
    assert names
    for place in names[:: max(1, len(names) // 10)] + folders:
        for more in ((), ("--overwrite",)):
            target = case.fresh(out) / place
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            precious = tmp_path / "precious"
            shutil.rmtree(precious, ignore_errors=True)
            (precious / "sub").mkdir(parents=True)
            for each in ("a.txt", "x_r0_c0.png", "sub/y.png", "0001-00.png", "run.json"):
                (precious / each).write_text("PRECIOUS")
            target.symlink_to(precious if place in folders else precious / "a.txt")
            before = written(precious)
            case.run(out, *more)
            assert written(precious) == before, (place, more)
            texts = {p.read_text() for p in precious.rglob("*") if p.is_file()}
            assert texts == {"PRECIOUS"}, (place, more)


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_does_not_hold_a_command(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    case, out = cases[name], tmp_path / "out"
    case.run(case.fresh(out))
    hidden = [each for each in written(out) if each.startswith(".") or each.endswith("l")]
    for place in hidden:
        target = case.fresh(out) / place
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(target)
        case.run(out)


def test_a_copy_of_results_stands_by_itself(
    cases: dict[str, Case], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The source was renamed: results are renamed in the copy, not taken out of the original."""
    case = cases["enhance"]
    _, model, source, *_ = case.line
    shutil.copytree(str(source), tmp_path / "in")

    def enhance(folder: str, out: str, *more: str) -> int:
        line = ["enhance", model, tmp_path / folder, tmp_path / out, "--device", "cpu"]
        return Case(ciegan.cli.main, line).run(tmp_path / out, *more)

    assert enhance("in", "out") == 0
    before = written(tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    (tmp_path / "in" / "x_r0_c0.png").rename(tmp_path / "in" / "z.png")
    assert enhance("in", "copy", "--overwrite") == 0
    assert written(tmp_path / "out") == before
    assert "z.png" in written(tmp_path / "copy")
    assert "x_r0_c0.png" not in written(tmp_path / "copy")
