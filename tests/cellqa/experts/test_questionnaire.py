from __future__ import annotations

import csv
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from images import blurred

from cellqa.cli import main
from cellqa.errors import CellqaError
from cellqa.experts.analyse import agreement, bradley_terry, krippendorff, opinion_scores
from cellqa.experts.answers import read_answers
from cellqa.experts.build import questionnaire

Folders = Callable[..., Path]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["questionnaire", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def roles(folders: Folders, sharp8: np.ndarray) -> dict[str, Path]:
    images = {f"cell{k}": np.roll(sharp8, 13 * k, axis=1) for k in range(6)}
    return {
        "secretnet": folders("out1", **{n: blurred(i, 1) for n, i in images.items()}),
        "plainfilter": folders("out2", **{n: blurred(i, 3) for n, i in images.items()}),
        "gt": folders("gt", **images),
    }


@pytest.fixture
def made(roles: dict[str, Path], tmp_path: Path) -> Path:
    pred = {name: path for name, path in roles.items() if name != "gt"}
    questionnaire(pred, tmp_path / "Q", reference=roles["gt"], images=5, repeats=0.2, seed=3)
    return tmp_path / "Q"


def simulated(
    folder: Path, rater: str, strength: dict[str, float], seed: int, done: float = 1.0
) -> dict[str, Any]:
    """Answers of a rater who chooses as Bradley and Terry say, and rates by strength."""
    key = json.loads((folder / "key.json").read_text())
    draw = random.Random(seed)
    answers: dict[str, Any] = {}
    for task in key["tasks"]:
        if draw.random() > done:
            continue
        methods = [key["shown"][name]["method"] for name in task["files"]]
        if task["kind"] == "pair":
            odds = math.exp(strength[methods[1]] - strength[methods[0]])
            chosen = task["files"][draw.random() < odds / (1 + odds)]
            answers[str(task["task"])] = {"choice": chosen}
        else:
            level = 3 + strength[methods[0]]
            rating = {s: min(5, max(1, round(draw.gauss(level, 0.6)))) for s in key["scales"]}
            answers[str(task["task"])] = {"ratings": rating}
    return {"questionnaire": key["id"], "rater": rater, "answers": answers}


def saved(folder: Path, *answers: dict[str, Any]) -> list[Path]:
    paths = []
    for k, each in enumerate(answers):
        path = folder / f"answers{k}.json"
        path.write_text(json.dumps(each))
        paths.append(path)
    return paths


def test_nothing_gives_the_method_away(made: Path) -> None:
    page = (made / "page" / "questionnaire.html").read_text()
    for word in ("secretnet", "plainfilter", '"gt"', "out1", "out2", "cell0"):
        assert word not in page
    pictures = sorted((made / "page").glob("*.png"))
    assert len(pictures) == 5 * 3
    key = json.loads((made / "key.json").read_text())
    assert {p.name for p in pictures} == set(key["shown"])
    assert len({p.stat().st_mtime for p in pictures}) == 1
    for picture in pictures:
        data = picture.read_bytes()
        assert not any(chunk in data for chunk in (b"tEXt", b"iTXt", b"zTXt", b"tIME", b"eXIf"))
    order = [key["shown"][p.name]["method"] for p in pictures]
    assert order != sorted(order)  # names say nothing about the order either
    left = [key["shown"][t["files"][0]]["method"] for t in key["tasks"] if t["kind"] == "pair"]
    assert len(set(left)) == 3


def test_every_pair_and_every_rating_is_asked(made: Path) -> None:
    key = json.loads((made / "key.json").read_text())
    pairs = [frozenset(t["files"]) for t in key["tasks"] if t["kind"] == "pair"]
    rates = [t["files"][0] for t in key["tasks"] if t["kind"] == "rate"]
    assert (len(set(pairs)), len(set(rates))) == (5 * 3, 5 * 3)
    assert len(key["tasks"]) == 30 + 6  # a fifth again
    assert [t["task"] for t in key["tasks"]] == list(range(36))


def test_the_seed_decides(roles: dict[str, Path], tmp_path: Path) -> None:
    pred = {"a": roles["secretnet"], "b": roles["plainfilter"]}
    pages = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        questionnaire(pred, tmp_path / name, images=3, seed=seed)
        pages.append((tmp_path / name / "page" / "questionnaire.html").read_text())
    assert pages[0] == pages[1] != pages[2]


def test_instructions_are_the_users(roles: dict[str, Path], tmp_path: Path) -> None:
    line = [
        "build",
        "--pred",
        f"a={roles['secretnet']}",
        "--gt",
        roles["gt"],
        "--out",
        tmp_path / "Q",
        "--images",
        2,
    ]
    assert run(*line)[0] == 0
    (tmp_path / "Q" / "instructions.txt").write_text("Look at the <b>fibres</b>.")
    status, text = run(*line)
    assert (status, "holds a questionnaire" in text) == (1, True)
    assert run(*line, "--overwrite")[0] == 0
    page = (tmp_path / "Q" / "page" / "questionnaire.html").read_text()
    assert "Look at the &lt;b&gt;fibres&lt;/b&gt;." in page


def test_what_cannot_be_asked(roles: dict[str, Path], folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(CellqaError, match="give two methods, or one and --gt"):
        questionnaire({"a": roles["secretnet"]}, tmp_path / "Q")
    other = folders("other", zzz=np.zeros((60, 60), np.uint8))
    with pytest.raises(CellqaError, match="no image is in every folder"):
        questionnaire({"a": roles["secretnet"], "b": other}, tmp_path / "Q")


def test_a_known_preference_is_found(made: Path, tmp_path: Path) -> None:
    truth = {"gt": 1.2, "secretnet": 0.3, "plainfilter": -1.5}
    answers = [simulated(made, f"r{k}", truth, seed=k) for k in range(12)]
    found = read_answers(made, saved(tmp_path, *answers))
    assert (found.failures, found.notes) == ([], [])
    ranking = bradley_terry(found)
    assert [row["method"] for row in ranking] == ["gt", "secretnet", "plainfilter"]
    for row in ranking:
        assert row["ci_low"] < truth[row["method"]] < row["ci_high"]
        assert row["strength"] == pytest.approx(truth[row["method"]], abs=0.6)
    assert sum(row["strength"] for row in ranking) == pytest.approx(0)
    scores = {(r["method"], r["scale"]): r for r in opinion_scores(found)}
    for method, strength in truth.items():
        row = scores[method, "sharpness"]
        assert row["mean"] == pytest.approx(3 + strength, abs=0.3)
        assert row["ci_low"] < row["mean"] < row["ci_high"]
        assert row["resampled"] == "raters"
    between = {r["of"]: r["value"] for r in agreement(found) if r["between"] == "raters"}
    assert 0.5 < between["sharpness"] < 1
    assert 0.1 < between["choices"] < 0.9


def test_raters_without_preference_rank_nothing(made: Path, tmp_path: Path) -> None:
    flat = dict.fromkeys(("gt", "secretnet", "plainfilter"), 0.0)
    answers = [simulated(made, f"r{k}", flat, seed=k) for k in range(10)]
    found = read_answers(made, saved(tmp_path, *answers))
    # 150 choices: a standard error of about 0.14
    assert all(abs(row["strength"]) < 0.45 for row in bradley_terry(found))
    between = {r["of"]: r["value"] for r in agreement(found) if r["between"] == "raters"}
    assert abs(between["choices"]) < 0.15


def test_a_method_that_always_wins_has_a_finite_strength(made: Path, tmp_path: Path) -> None:
    sure = {"gt": 50.0, "secretnet": 0.0, "plainfilter": -50.0}
    found = read_answers(made, saved(tmp_path, simulated(made, "one", sure, seed=1)))
    ranking = bradley_terry(found)
    assert [row["method"] for row in ranking] == ["gt", "secretnet", "plainfilter"]
    assert all(math.isfinite(row["ci_low"]) and abs(row["strength"]) < 10 for row in ranking)
    within = [r for r in agreement(found) if r["of"] == "choices" and "two" in r["between"]]
    assert within[0]["value"] == 1


def test_alpha_of_krippendorffs_own_example() -> None:
    """Krippendorff 2011, C: four observers, twelve units; nominal 0.743, interval 0.849."""
    nan = math.nan
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
    units = [[v for v in unit if not math.isnan(v)] for unit in zip(*observers, strict=True)]
    assert krippendorff(units, nominal=True) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff(units) == pytest.approx(0.849, abs=5e-4)
    assert math.isnan(krippendorff([[1], [2]]))
    assert math.isnan(krippendorff([[1, 1], [1, 1]]))


def test_answers_that_are_odd(made: Path, tmp_path: Path) -> None:
    truth = {"gt": 1.0, "secretnet": 0.0, "plainfilter": -1.0}
    good = simulated(made, "ann", truth, seed=1)
    part = simulated(made, "bob", truth, seed=2, done=0.5)
    other = {**simulated(made, "carl", truth, seed=3), "questionnaire": "0" * 16}
    changed = simulated(made, "ann", truth, seed=9)
    choice = {**good, "rater": "dora", "answers": {"0": {"choice": "nothing.png", "ratings": {}}}}
    rating = {**good, "rater": "emil", "answers": {"0": {"ratings": {"sharpness": 9}}}}
    foreign = {**good, "rater": "fred", "answers": {"9999": {}}}
    paths = saved(tmp_path, good, part, good, other, changed, choice, rating, foreign)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    status, text = run("analyse", made, *paths, broken, tmp_path / "missing.json")
    assert status == 3, text
    assert "Traceback" not in text
    assert "bob left" in text
    assert "same answers of ann again" in text
    for reason in (
        "another questionnaire",
        "another file of this rater",
        "none of its images",
        "not of this questionnaire",
        "not the file of a questionnaire",
        "No such file",
    ):
        assert reason in text, reason
    ranking = table(made / "analysis" / "ranking.csv")
    assert [row["rank"] for row in ranking] == ["1", "2", "3"]
    status, text = run("analyse", made, broken)
    assert (status, "no answers can be used" in text) == (1, True)
    assert run("analyse", tmp_path, *paths[:1])[0] == 1


def test_metrics_are_held_against_the_experts(
    made: Path, roles: dict[str, Path], tmp_path: Path
) -> None:
    preds = [f"{name}={path}" for name, path in roles.items() if name != "gt"]
    line = [
        "score",
        "--pred",
        preds[0],
        "--pred",
        preds[1],
        "--gt",
        str(roles["gt"]),
        "--out",
        str(tmp_path / "run"),
        "--no-report",
    ]
    assert CliRunner().invoke(main, line).exit_code == 0
    truth = {"gt": 4.0, "secretnet": 0.0, "plainfilter": -4.0}
    paths = saved(tmp_path, *(simulated(made, f"r{k}", truth, seed=k) for k in range(3)))
    status, text = run("analyse", made, *paths, "--scores", tmp_path / "run")
    assert status == 0, text
    found = {row["metric"]: row for row in table(made / "analysis" / "metrics.csv")}
    assert float(found["ssim"]["agrees"]) > 0.9
    assert float(found["ssim"]["p"]) < 0.01
    assert int(found["ssim"]["n"]) == 15  # the ground truth has no SSIM
    assert (made / "analysis" / "experts.png").read_bytes()[:4] == b"\x89PNG"


def test_images_of_other_suffixes_are_the_same_images(
    made: Path, roles: dict[str, Path], tmp_path: Path
) -> None:
    preds = [
        w for name in ("secretnet", "plainfilter") for w in ("--pred", f"{name}={roles[name]}")
    ]
    line = ["score", *preds, "--gt", str(roles["gt"]), "--metrics", "ssim", "--no-report"]
    assert CliRunner().invoke(main, [*line, "--out", str(tmp_path / "run")]).exit_code == 0
    truth = {"gt": 4.0, "secretnet": 0.0, "plainfilter": -4.0}
    paths = saved(tmp_path, *(simulated(made, f"r{k}", truth, seed=k) for k in range(3)))

    def analysed() -> tuple[int, str]:
        return run("analyse", made, *paths, "--scores", tmp_path / "run")

    def called(name: Callable[[str], str]) -> None:
        key = json.loads((made / "key.json").read_text())
        for each in key["shown"].values():
            each["image"] = name(each["image"])
        (made / "key.json").write_text(json.dumps(key))

    called(lambda image: f"{Path(image).stem}.jpg")
    status, text = analysed()
    assert status == 0, text
    found = {row["metric"]: row for row in table(made / "analysis" / "metrics.csv")}
    assert int(found["ssim"]["n"]) == 15
    assert float(found["ssim"]["spearman"]) > 0.5
    called(lambda image: f"other {image}")
    status, text = analysed()
    assert status == 1
    assert "the run of another questionnaire; other" in text


def test_intervals_of_ratings_stay_on_their_scale(made: Path, tmp_path: Path) -> None:
    truth = {"gt": 1.9, "secretnet": 0.0, "plainfilter": -1.9}
    # two raters find all bad, so that a mean of less than 1 is in the interval of the three
    answers = [simulated(made, f"r{k}", truth, seed=k) for k in range(3)]
    for k, each in enumerate(answers):
        for answer in each["answers"].values():
            if "ratings" in answer:
                answer["ratings"] = dict.fromkeys(answer["ratings"], (1, 1, 3)[k])
    rows = opinion_scores(read_answers(made, saved(tmp_path, *answers)))
    assert {r["ci_low"] for r in rows} == {1.0}


@pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")
def test_a_rater_goes_through_it_in_the_browser(made: Path, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    key = json.loads((made / "key.json").read_text())
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=quiet)
        page = browser.new_page()
        errors: list[str] = []
        requests: list[str] = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: requests.append(r.url))
        address = (made / "page" / "questionnaire.html").as_uri()
        page.goto(address)
        page.locator("#begin").click()
        assert "name or number first" in page.locator("#resumed").inner_text()
        page.locator("#rater").fill("Dr. Ü/1")
        page.locator("#begin").click()
        for number, task in enumerate(key["tasks"]):
            assert page.locator("#count").inner_text() == f"{number + 1} of {len(key['tasks'])}"
            assert page.locator("#images img").first.evaluate("e => e.decode().then(() => true)")
            if number == 4:  # what was said survives a reload
                page.reload()
                assert "4 answers of an earlier visit" in page.locator("#resumed").inner_text()
                page.locator("#begin").click()
            if task["kind"] == "pair":
                if number % 2:
                    page.locator(".choice").nth(1).click()
                else:
                    page.keyboard.press("ArrowLeft")
            else:
                page.locator("input[name=scale0][value='4']").check()
                for _ in key["scales"][1:]:
                    page.keyboard.press("5")
        assert page.locator("#thanks").inner_text() == "Thank you!"
        assert page.locator("#left").inner_text() == "All are answered."
        assert page.locator("#after").is_hidden()
        with page.expect_download() as download:
            page.locator("#save").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        after = page.locator("#after").inner_text()
        assert f"Saved as {path.name}" in after
        assert "send that file" in after
        browser.close()
    assert errors == []
    here = (made / "page").as_uri()
    assert [url for url in requests if not url.startswith((here, "blob:"))] == []
    answers = json.loads(path.read_text())
    assert answers["rater"] == "Dr. Ü/1"
    for task in key["tasks"]:
        answer = answers["answers"][str(task["task"])]
        if task["kind"] == "pair":
            assert answer["choice"] == task["files"][task["task"] % 2]
        else:
            assert answer["ratings"] == dict(zip(key["scales"], (4, 5, 5, 5), strict=True))
    found = read_answers(made, [path])
    assert (found.failures, found.notes) == ([], [])
    status, text = run("analyse", made, path)
    assert status == 0, text


@pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize(("width", "height"), [(360, 640), (844, 390), (1366, 768), (2560, 1300)])
def test_images_and_scales_are_seen_together_on_one_grey(
    made: Path, width: int, height: int
) -> None:
    from playwright.sync_api import sync_playwright

    key = json.loads((made / "key.json").read_text())
    greys = set()
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=quiet)
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.goto((made / "page" / "questionnaire.html").as_uri())
            page.locator("#rater").fill("1")
            page.locator("#begin").click()
            greys.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            for kind in ("pair", "rate"):
                at = next(task["task"] for task in key["tasks"] if task["kind"] == kind)
                page.evaluate(f"state.at = {at}; show()")
                images = page.locator("#images img").all()
                for image in images:
                    image.evaluate("e => e.decode()")
                seen = [*images, page.locator("#forward"), *page.locator("fieldset").all()]
                assert len(seen) == (3 if kind == "pair" else 2 + len(key["scales"]))
                boxes = [part.bounding_box() for part in seen]
                for box in boxes:
                    assert box["x"] >= 0
                    assert box["y"] >= 0
                    assert box["x"] + box["width"] <= width
                    assert box["y"] + box["height"] <= height
                assert boxes[0]["width"] >= 90  # and it is large enough to be judged
                if kind == "pair":
                    left, right = boxes[:2]
                    assert left["y"] == right["y"]
                    assert left["width"] == right["width"]
                    assert left["x"] + left["width"] < right["x"]
                overlap = [b for b in boxes[1:] if _meet(boxes[0], b)]
                assert not overlap
        browser.close()
    assert greys == {"rgb(128, 128, 128)"}


def _meet(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(
        a[o] < b[o] + b[s] and b[o] < a[o] + a[s] for o, s in (("x", "width"), ("y", "height"))
    )


def test_a_repeat_counts_where_the_first_was_left_open(made: Path, tmp_path: Path) -> None:
    key = json.loads((made / "key.json").read_text())
    tasks: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for task in key["tasks"]:
        tasks.setdefault((task["kind"], *sorted(task["files"])), []).append(task)
    repeats = [each[1] for each in tasks.values() if len(each) > 1 and each[0]["kind"] == "pair"]
    assert repeats
    answers = {str(task["task"]): {"choice": task["files"][0]} for task in repeats}
    found = read_answers(
        made, saved(tmp_path, {"questionnaire": key["id"], "rater": "r", "answers": answers})
    )
    assert len(found.choices) == len(repeats)
    assert not found.choices["again"].any()
