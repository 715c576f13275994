"""The verdict: what the tests allow, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from cellqa.metrics.metric import Metric
from cellqa.metrics.registry import select
from cellqa.metrics.resolution import OF_THE_FILTER
from cellqa.metrics.shared_noise import NAMED
from cellqa.tables.comparisons import Comparison, compare
from cellqa.tables.verdict import Verdict, judge

Values = dict[str, dict[str, np.ndarray]]
RNG = np.random.default_rng(5)
NOISE = RNG.normal(0, 0.01, 24)


def pairs_of(values: Values, groups: np.ndarray | None = None) -> list[Comparison]:
    metrics = select(list(values))
    return [c for m in metrics for c in compare(values[m.name], m, groups)]


def judged(
    values: Values,
    warnings: tuple[str, ...] = (),
    groups: np.ndarray | None = None,
    failed: int = 0,
) -> Verdict:
    means = {
        (method, metric): float(np.nanmean(v))
        for metric, of in values.items()
        for method, v in of.items()
    }
    metrics = select(list(values))
    return judge(metrics, pairs_of(values, groups), means, warnings, failed=failed, rows=96)


def around(level: float, n: int = 24) -> np.ndarray:
    return level + RNG.normal(0, 0.005, n)


def test_the_best_is_better_than_nothing_and_another_is_worse() -> None:
    found = judged({"ssim": {"input": around(0.8), "rl": around(0.9), "te": around(0.3)}})
    assert found.best == ("rl",)
    assert found.lines == [
        "Best: rl, in ssim.",
        "rl is better than the untouched images.",
        "te is worse than doing nothing.",
        "Nothing was found that speaks against it.",
    ]


def test_what_no_test_tells_apart_is_a_tie() -> None:
    level = around(0.9)
    values = {
        "ssim": {"input": around(0.8), "rl": level, "wiener": level[::-1].copy()},
        "psnr": {"input": around(30), "rl": around(33), "wiener": around(32)},
    }
    found = judged({"ssim": values["ssim"]})
    assert found.best == ("rl", "wiener")
    assert found.sentences[0] == "Best: rl or wiener (too close to call in ssim)."
    assert found.sentences[1] == "Both rl and wiener are better than the untouched images."
    both = judged(values)  # PSNR decides, and SSIM does not contradict it
    assert both.best == ("rl",)
    assert both.sentences[0] == ("Best: rl, in psnr (in ssim too close to call with wiener).")


def test_metrics_that_contradict_each_other_make_no_best() -> None:
    found = judged(
        {
            "ssim": {"input": around(0.8), "a": around(0.9), "b": around(0.85)},
            "psnr": {"input": around(30), "a": around(29), "b": around(33)},
        }
    )
    assert found.best == ()
    assert found.sentences[0] == "No single best: a in ssim; b in psnr."
    assert "a is better than the untouched images in ssim, worse in psnr." in found.sentences


def test_the_untouched_images_can_be_the_best() -> None:
    found = judged({"ssim": {"input": around(0.9), "a": around(0.8), "b": around(0.7)}})
    assert found.sentences == (
        "Best: the untouched images, in ssim; no method is better.",
        "Both a and b are worse than doing nothing.",
    )


def test_lower_can_be_better() -> None:
    found = judged({"frc_resolution": {"a": around(2.0), "b": around(1.0), "input": around(3.0)}})
    assert found.best == ("b",)


def test_without_untouched_images_that_is_said() -> None:
    found = judged({"ssim": {"a": around(0.9), "b": around(0.8)}})
    assert found.best == ("a",)
    assert "Nobody knows whether that is better than doing nothing" in found.sentences[1]


def test_without_ground_truth_nobody_is_the_best() -> None:
    found = judged({"rsp": {"input": around(0.8), "a": around(0.9), "b": around(0.85)}})
    assert found.best == ()
    assert found.sentences[0].startswith("Without ground truth (--gt), none can be called best.")
    assert "a in rsp" in found.sentences[0]
    alone = judged({"rsp": {"a": around(0.9), "b": around(0.85)}})  # the raw image has no rsp
    assert len(alone.sentences) == 1


def test_without_ground_truth_sharper_is_not_called_better() -> None:
    values = {"resolution": {"input": around(2.0), "a": around(1.0), "b": around(3.0)}}
    found = judged(values)
    assert found.sentences[1:] == (
        "a is ahead of the untouched images in resolution.",
        "b is behind the untouched images in resolution.",
    )
    # nor by what no metric of fidelity says
    entropy = judged({"entropy": {"input": around(4), "a": around(6)}})
    assert entropy.best == ()
    assert entropy.sentences == (
        "Without ground truth (--gt), none can be called best. Ahead: a in entropy (variety of the "
        "grey levels, noise included).",
        "a is ahead of the untouched images in entropy.",
    )
    assert entropy.doubt.startswith("Nothing was looked at that could speak against it")
    few = judged({"resolution": {"input": around(2.0, 4), "a": around(1.0, 4)}}).sentences
    assert few[0] == "Without ground truth (--gt), none can be called best."
    assert few[1].startswith("Too few to say who is ahead")
    warning = "b leaves 28.6 times the noise of the raw images unexplained: structures were moved"
    assert judged(values, (warning,)).doubt == f"But distrust it: {warning}."


def test_too_few_images_are_said_as_such() -> None:
    values = {"ssim": {"input": around(0.8, 5), "a": around(0.9, 5), "b": around(0.7, 5)}}
    found = judged(values)
    assert found.best == ()
    assert found.sentences == (
        "Too few to say who is best: 5 images, 7 are needed to tell 3 pairs of methods apart; "
        "ahead on these: a in ssim.",
    )
    # many planes of few files are as few as the files
    grouped = judged({"ssim": {"input": around(0.8), "a": around(0.9)}}, groups=np.arange(24) // 6)
    assert grouped.sentences == (
        "Too few to say who is best: 4 groups, 6 are needed; ahead on these: a in ssim.",
    )


@pytest.mark.parametrize("methods", [2, 3, 4, 6])
def test_as_many_images_are_asked_for_as_a_test_needs(methods: int) -> None:
    """Even where every image agrees: one image fewer, and no p after Holm is below 0.05."""

    def smallest(n: int) -> float:
        values = {f"m{k}": np.linspace(0, 0.01, n) + 0.1 * k for k in range(methods)}
        return min(c.p_holm for c in pairs_of({"ssim": values}))

    said = judged({"ssim": {f"m{k}": np.linspace(0, 0.01, 3) + 0.1 * k for k in range(methods)}})
    needed = int(said.sentences[0].split("images, ")[1].split()[0])
    assert smallest(needed) < 0.05 <= smallest(needed - 1)


def test_what_holm_corrects_for_counts_whoever_is_compared() -> None:
    """Six images could tell two methods apart; with the enhanced truth there are three tests."""
    n = 6
    values = {"input": np.linspace(0.7, 0.71, n), "te": np.linspace(0.3, 0.31, n)}
    assert judged({"ssim": values}).sentences == ("te is worse than doing nothing.",)
    more = judged({"ssim": {**values, "egt": np.linspace(0.6, 0.61, n)}})
    assert more.sentences == (
        "Too few to say who is best: 6 images, 7 are needed to tell 3 pairs of methods apart; "
        "ahead on these: the untouched images in ssim.",
    )


def test_invented_detail_is_amounts_and_what_differs_surely() -> None:
    values = {
        "ssim": {"a": around(0.9), "b": around(0.8), "input": around(0.7)},
        "invented": {"a": np.linspace(0.03, 0.05, 24), "b": np.linspace(0.01, 0.02, 24)},
    }
    found = judged(values)
    assert "Invented detail: surely least in b (1.5 %); a 4.0 %." in found.sentences
    some = np.linspace(0.02, 0.04, 24)
    values["invented"] = {"a": some, "b": np.roll(some, 12)}
    alike = judged(values).sentences
    assert "Invented detail: a 3.0 %, b 3.0 %; no test tells them apart." in alike


def test_invented_detail_of_methods_without_an_image_in_common_is_told_of_all() -> None:
    none, some = np.full(12, np.nan), np.full(12, 0.01)
    found = judged(
        {
            "psnr": {"a": around(30), "b": around(31)},
            "invented": {"a": np.append(none, some), "b": np.append(60 * some, none)},
        }
    )
    assert "Invented detail: a 1.0 %, b 60.0 %." in found.sentences


def test_doubts_of_the_best_and_of_the_run_are_told_first() -> None:
    values = {"ssim": {"input": around(0.8), "rl": around(0.9), "te": around(0.3)}}
    warnings = (
        f"rl: the resolution {OF_THE_FILTER} (3 images)",
        "te is saturated (24 images)",
        "the names look like tiles of 2 fields",
        "rl has values beyond the data range (2 images)",
    )
    found = judged(values, warnings, failed=2)
    assert found.doubt == (
        "But distrust it: 2 of 96 rows failed; the names look like tiles of 2 fields (and 3 more "
        "warnings)."
    )
    swapped = [f"the ground truth looks filtered and {m} does not" for m in ("te", "rl")]
    assert judged(values, tuple(swapped)).doubt == (
        "But distrust it: the ground truth looks filtered and rl does not (and 1 more warning)."
    )
    assert judged(values, warnings[1:2]).doubt == (
        "Nothing was found that speaks against it; 1 other warning."
    )


def test_equal_methods_do_not_win() -> None:
    same = around(0.9)
    found = judged({"ssim": {"a": same, "b": same, "input": around(0.5)}})
    assert found.best == ("a", "b")


def test_nothing_to_compare_is_no_verdict() -> None:
    assert judge([Metric(name="ssim")], [], {}, []).lines == []


def test_agreement_in_noise_decides_nothing() -> None:
    values = {
        "ssim": {"input": around(0.8), "net": around(0.9)},
        "frc_resolution": {"input": around(2), "net": around(6)},
    }
    plain, told = judged(values), judged(values, (f"input {NAMED} (one was ...) (24 images)",))
    assert (plain.best, plain.by) == ((), ("ssim", "frc_resolution"))
    assert (told.best, told.by) == (("net",), ("ssim",))
    assert (
        "frc_resolution is left out: images have noise in common with their ground truth, and it "
        "takes that for detail."
    ) in told.sentences
    alone = judged({"frc_resolution": values["frc_resolution"]}, (f"input {NAMED}",))
    assert (alone.best, alone.by) == ((), ())
    assert alone.lines[0].startswith("frc_resolution is left out: ")
    assert alone.doubt == "Nothing else was compared."
