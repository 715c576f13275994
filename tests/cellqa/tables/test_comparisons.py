from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from images import blurred
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cellqa.cli import main
from cellqa.metrics.registry import metric, select
from cellqa.tables.comparisons import _wilcoxon, compare, compare_all, friedman
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally

SSIM, RESOLUTION = metric("ssim"), metric("resolution")


def scores(n: int = 40, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.5, 0.9, n)
    return {
        "a": base + rng.normal(0.03, 0.02, n),
        "b": base + rng.normal(0, 0.02, n),
        "c": base + rng.normal(0, 0.02, n),
    }


def test_tests_are_those_of_scipy_and_statsmodels() -> None:
    values = scores()
    found = compare(values, SSIM)
    assert [(c.first, c.second) for c in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    p = [stats.wilcoxon(values[c.first] - values[c.second]).pvalue for c in found]
    assert [c.p for c in found] == pytest.approx(p)
    assert [c.p_holm for c in found] == pytest.approx(multipletests(p, method="holm")[1])
    for c in found:
        difference = values[c.first] - values[c.second]
        assert c.mean_difference == pytest.approx(difference.mean())
        assert c.median_difference == pytest.approx(np.median(difference))
        assert c.ci_low < c.mean_difference < c.ci_high
        assert c.better == (difference > 0).mean()
    statistic, p_all = stats.friedmanchisquare(*values.values())
    test = friedman(values, SSIM)
    assert (test.statistic, test.p) == pytest.approx((statistic, p_all))


def test_the_effect_is_kerbys_simple_difference() -> None:
    """His example in words: favourable minus unfavourable share of the rank sum."""
    values = {"a": np.array([1.0, 2, 3, 4, 9]), "b": np.array([2.0, 0, 0, 0, 9])}
    (found,) = compare(values, SSIM)
    # differences -1, 2, 3, 4, 0: ranks 1 against, 2 + 3 + 4 in favour; ties drop out
    assert found.effect == pytest.approx((9 - 1) / 10)
    assert found.better == pytest.approx((3 + 0.5) / 5)
    (reversed_,) = compare({"b": values["b"], "a": values["a"]}, SSIM)
    assert reversed_.effect == -found.effect


def test_lower_is_better_where_the_registry_says_so() -> None:
    values = {"sharp": np.array([1.0, 1.1, 0.9, 1.0]), "soft": np.array([2.0, 2.5, 2.0, 1.8])}
    (found,) = compare(values, RESOLUTION)
    assert found.mean_difference < 0
    assert (found.better, found.effect) == (1, 1)


def test_only_images_that_both_have_count() -> None:
    values = {
        "a": np.array([1.0, 2, math.nan, 4, 5, 3]),
        "b": np.array([0.0, math.nan, 3, 3.5, 2, 1]),
    }
    (found,) = compare(values, SSIM)
    assert (found.n, found.mean_difference) == (4, pytest.approx((1 + 0.5 + 3 + 2) / 4))


def test_infinities_count_in_ranks_and_not_in_means() -> None:
    inf = math.inf
    values = {"a": np.array([inf, 30, 31, 33, inf]), "b": np.array([20.0, 29, 29, 30, inf])}
    (found,) = compare(values, metric("psnr"))
    assert (found.n, found.infinite) == (5, 1)
    assert found.mean_difference == pytest.approx((1 + 2 + 3 + 0) / 4)
    assert found.better == pytest.approx(4.5 / 5)
    assert found.effect == 1


@pytest.mark.parametrize(
    "values",
    [
        {"a": np.full(5, math.nan), "b": np.ones(5)},
        {"a": np.ones(1), "b": np.zeros(1)},
        {"a": np.zeros(0), "b": np.zeros(0)},
    ],
)
def test_too_little_gives_no_test(values: dict[str, np.ndarray]) -> None:
    (found,) = compare(values, SSIM)
    assert math.isnan(found.p)
    assert math.isnan(found.p_holm)
    assert math.isnan(found.ci_low)
    assert math.isnan(friedman(values, SSIM).p)


def test_equal_methods_differ_in_nothing() -> None:
    same = np.linspace(0, 1, 9)
    (found,) = compare({"a": same, "b": same.copy()}, SSIM)
    assert (found.p, found.effect, found.better, found.mean_difference) == (1, 0, 0.5, 0)
    assert math.isnan(friedman({"a": same, "b": same, "c": same}, SSIM).p)


def test_groups_are_what_is_tested_and_resampled() -> None:
    rng = np.random.default_rng(3)
    field = np.repeat(np.arange(6), 50)
    shift = rng.normal(0, 0.05, 6)[field]  # a difference of the field, not of the tile
    values = {"a": 0.7 + shift + rng.normal(0, 0.01, 300), "b": 0.7 + rng.normal(0, 0.01, 300)}
    (tiles,), (fields,) = compare(values, SSIM), compare(values, SSIM, field)
    difference = values["a"] - values["b"]
    means = [difference[field == k].mean() for k in range(6)]
    assert fields.p == pytest.approx(stats.wilcoxon(means).pvalue)
    assert (fields.groups, fields.n, tiles.groups) == (6, 300, 0)
    assert fields.ci_high - fields.ci_low > 3 * (tiles.ci_high - tiles.ci_low)
    assert tiles.p < 1e-3 < fields.p


def rows(*lines: tuple[str, str, float]) -> Tally:
    tally = Tally(["x", "y", "gt"], select(["ssim"]))
    for image, method, value in lines:
        tally.add(Row(image, method, data_range=255, values={"ssim": value}))
    return tally


def test_a_run_is_aligned_by_image() -> None:
    tally = rows(
        ("a", "x", 0.5), ("a", "y", 0.4), ("b", "x", 0.6), ("c", "x", 0.9), ("c", "y", 0.7)
    )
    (found,), (test,) = compare_all(tally)
    assert found.n == 2
    assert found.mean_difference == pytest.approx(0.15)
    assert found.variant == "ssim [Wang 2004, L=255]"
    assert test.methods == 2


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["score", *map(str, arguments)])
    return result.exit_code, result.output


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def tiles(folders, sharp8: np.ndarray) -> tuple[Path, Path, Path]:  # type: ignore[no-untyped-def]
    """Twelve tiles of three scans, and two methods."""
    rng = np.random.default_rng(1)
    truth = {f"scan{k // 4}_r{k % 4}_c0": np.roll(sharp8, 9 * k, axis=0) for k in range(12)}
    soft = {n: blurred(i, 1 + 0.3 * rng.random()) for n, i in truth.items()}
    softer = {n: blurred(i, 2 + 0.3 * rng.random()) for n, i in truth.items()}
    return folders("gt", **truth), folders("soft", **soft), folders("softer", **softer)


def test_a_run_writes_its_comparisons(tiles: tuple[Path, Path, Path], tmp_path: Path) -> None:
    gt, soft, softer = tiles
    line = ["--pred", soft, "--pred", softer, "--gt", gt, "--metrics", "ssim,psnr,shift_y"]
    status, text = run(*line, "--out", tmp_path / "run")
    assert status == 0, text
    assert "names look like 12 tiles of 3 fields" in text
    found = table(tmp_path / "run" / "comparisons.csv")
    assert [(r["metric"], r["first"], r["second"]) for r in found] == [
        ("psnr", "soft", "softer"),
        ("ssim", "soft", "softer"),
    ]
    assert found[1]["variant"] == "ssim [Wang 2004, L=255]"
    assert (found[1]["better"], found[1]["groups"]) == ("1", "0")
    summary = table(tmp_path / "run" / "summary.csv")[0]
    assert summary["variant"].startswith("psnr [10 log10(L² / MSE), L=255]")
    status, text = run(*line, "--out", tmp_path / "grouped", "--group", r"(?P<scan>scan\d)")
    assert status == 0, text
    assert "names look like" not in text
    grouped = table(tmp_path / "grouped" / "comparisons.csv")
    assert grouped[1]["groups"] == "3"
    assert float(grouped[1]["p"]) == 0.25  # the least that three groups can give
    assert table(tmp_path / "grouped" / "summary.csv")[0]["groups"] == "3"
    assert json.loads((tmp_path / "grouped" / "run.json").read_text())["group"]


def test_groups_from_a_table(tiles: tuple[Path, Path, Path], tmp_path: Path) -> None:
    gt, soft, _ = tiles
    names = sorted(p.name for p in gt.iterdir())
    path = tmp_path / "groups.csv"
    lines = [f"{name};{name[:5]}" for name in names[:-1]]
    path.write_text("\ufeffimage;group\n" + "\n".join(lines) + "\n", encoding="utf-8")
    status, text = run("--pred", soft, "--gt", gt, "--out", tmp_path / "run", "--group", path)
    assert status == 0, text
    assert "does not match 1 of 12 images" in text
    assert table(tmp_path / "run" / "summary.csv")[0]["groups"] == "4"


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("(unclosed", "is no regular expression"),
        ("missing.csv", "No such file"),
    ],
)
def test_bad_groups_are_one_line(
    tiles: tuple[Path, Path, Path], tmp_path: Path, group: str, text: str
) -> None:
    gt, soft, _ = tiles
    status, output = run("--pred", soft, "--gt", gt, "--out", tmp_path / "r", "--group", group)
    assert (status, text in output) == (1, True)


def test_an_expression_that_matches_nothing_is_said(
    tiles: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    gt, soft, _ = tiles
    status, output = run("--pred", soft, "--gt", gt, "--out", tmp_path / "r", "--group", "well")
    assert (status, "matches no image" in output) == (0, True)


def test_limits_for_pipelines(tiles: tuple[Path, Path, Path], tmp_path: Path) -> None:
    gt, soft, softer = tiles
    line = ["--pred", soft, "--pred", softer, "--gt", gt, "--overwrite", "--out", tmp_path / "run"]
    line += ["--no-report", "--jobs", 1, "--metrics", "ssim,nrmse"]
    assert run(*line, "--fail-under", "ssim=0.1,nrmse=0.9")[0] == 0
    status, text = run(*line, "--fail-under", "ssim=0.99")
    assert status == 4
    assert text.count("below the limit: ssim of soft") == 2
    status, text = run(*line, "--fail-under", "nrmse=0.0001")
    assert (status, "nrmse of soft is" in text) == (4, True)
    for bad in ("ssim", "ssmi=1", "ssim=x", "shift_y=1", "ssim=nan"):
        assert run(*line, "--fail-under", bad)[0] == 2, bad
    assert run(*line, "--metrics", "psnr", "--fail-under", "ssim=0.1")[0] == 2


def test_infinite_differences_count_in_groups_too() -> None:
    inf = math.inf
    values = {
        "x": np.array([inf, inf, inf, inf, 30.0, 30]),
        "y": np.array([20.0, 21, 22, 23, 40, 41]),
    }
    (found,) = compare(values, metric("psnr"), np.array([0, 0, 1, 1, 2, 2]))
    assert (found.groups, found.infinite) == (3, 4)
    assert found.effect > 0  # two groups for, one against; ranks of the infinite ones are highest
    assert found.better == pytest.approx(4 / 6)


@pytest.mark.parametrize("limits", ["psnr=1,psnr=90", "ssim"])
def test_limits_that_say_too_much_or_too_little(
    tiles: tuple[Path, Path, Path], limits: str
) -> None:
    assert run("--pred", tiles[1], "--gt", tiles[0], "--fail-under", limits)[0] == 2


def test_a_group_that_is_empty_or_double(tiles: tuple[Path, Path, Path], tmp_path: Path) -> None:
    line = ["--pred", tiles[1], "--gt", tiles[0], "--out", tmp_path / "r", "--group"]
    assert run(*line, "")[0] == 1
    path = tmp_path / "g.csv"
    path.write_text("image,group\na,1\na,2\n")
    status, text = run(*line, path)
    assert (status, "is in two groups" in text) == (1, True)


@pytest.mark.parametrize(
    ("moved", "p"),
    [([1.0] * 4, 0.125), ([1.0] * 5, 0.0625), ([0.1, 0.1, 0.1, 0.2, 0.2], 0.0625)],
)
def test_images_that_are_alike_prove_nothing(moved: list[float], p: float) -> None:
    """Ties are no samples: no outcome of five differences has p below 0.05."""
    values = np.array([0.0] * 10 + moved)
    (found,) = compare({"a": values + 0.5, "b": np.full(values.size, 0.5)}, metric("ssim"))
    assert found.p == pytest.approx(p)
    assert found.reason == f"{len(moved)} of {values.size} images differ: too few to test"


def test_p_is_exact_with_ties() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        moved = random.integers(-3, 4, 9).astype(float)
        moved = moved[moved != 0]
        ranks = stats.rankdata(np.abs(moved))
        far = abs(ranks[moved > 0].sum() - ranks.sum() / 2)
        signs = np.array(list(itertools.product((0, 1), repeat=moved.size)))
        exact = (np.abs(signs @ ranks - ranks.sum() / 2) >= far - 1e-9).mean()
        assert _wilcoxon(np.append(moved, np.zeros(6))) == pytest.approx(exact)
    for n in (6, 20, 50):
        moved = random.normal(0.3, 1, n)
        exact = stats.wilcoxon(moved, method="exact").pvalue
        assert _wilcoxon(moved) == pytest.approx(exact)
