"""Objects of arrays: the numbers of the command line, and labels of the caller's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
from click.testing import CliRunner

import cellqa
from cellqa.cli import main
from cellqa.enhance import ENHANCERS
from cellqa.io import write_tiff
from cellqa.simulate import nuclei

GT = np.stack([nuclei((128, 128), cutoff=0.6, photons=800, seed=k).image for k in range(4)])
TE = np.stack([ENHANCERS["te"](image) for image in GT])


def labels_of(images: np.ndarray) -> np.ndarray:
    smooth = [scipy.ndimage.gaussian_filter(image.astype(float), 2) for image in images]
    return np.stack([scipy.ndimage.label(s > s.min() + 150)[0].astype(np.int32) for s in smooth])


def test_objects_of_arrays_are_those_of_files(tmp_path: Path) -> None:
    scores = cellqa.score({"te": TE}, GT, metrics="psnr,ap50", objects="auto")
    for name, images in (("te", TE), ("gt", GT)):
        for k, image in enumerate(images):
            write_tiff(tmp_path / name / f"{k}.tif", image, None)
    line = ["score", "--pred", f"te={tmp_path / 'te'}", "--gt", str(tmp_path / "gt")]
    line += ["--metrics", "psnr,ap50", "--objects", "auto", "--no-report"]
    done = CliRunner().invoke(main, [*line, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    for name, ours in (("agreement", scores.agreement), ("objects", scores.objects)):
        theirs = pd.read_csv(tmp_path / "run" / f"{name}.csv")
        pd.testing.assert_frame_equal(
            ours.select_dtypes("number").astype(float),
            theirs[ours.select_dtypes("number").columns].astype(float),
            rtol=1e-9,  # the tables have the digits of a double, as text
        )
    (told,) = [w for w in scores.warnings if "do not quantify" in w]
    assert told in done.output
    assert (scores.agreement.method == "te").sum() == 4


def test_labels_of_the_callers_own(tmp_path: Path) -> None:
    labels = {"gt": labels_of(GT), "te": labels_of(GT)}
    labels["te"][labels["te"] == 1] = 0  # one object of each image is missed
    scores = cellqa.score({"te": TE}, GT, metrics="psnr,ap50", labels=labels)
    of = scores.agreement.set_index("quantity").loc["count"]
    whole = sum(int(each.max()) for each in labels["gt"])
    assert (of.matched, of.missed, of.invented) == (whole - 4, 4, 0)
    again = cellqa.score(
        {"te": tmp_path / "run/images/te"} if scores.save(tmp_path / "run") else {},
        tmp_path / "run/images/gt",
        labels={name: tmp_path / "run/images/labels" / name for name in labels},
        metrics="psnr,ap50",
    )
    pd.testing.assert_frame_equal(again.agreement, scores.agreement)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"labels": {"other": GT}}, "there is no method 'other'"),
        ({"labels": {"mask": GT, "gt": GT}}, "there is no method 'mask'"),
        ({"labels": {"te": GT}}, "need those of the ground truth"),
        ({"labels": {"gt": GT}}, "are compared with those of methods"),
        ({"labels": {"gt": GT, "te": None}}, "are None"),
        ({"labels": GT}, "must be a dict"),
        ({"objects": True}, "must be auto, labels or a command"),
    ],
)
def test_what_compares_nothing_is_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises((ValueError, TypeError), match=why):
        cellqa.score({"te": TE}, GT, **given)  # type: ignore[arg-type]


def test_a_command_that_is_not_there_fails_each_image() -> None:
    frame = cellqa.score({"te": TE}, GT, objects="no-such-program {in} {out}").frame
    failed = frame[frame.method == "te"]
    assert set(failed.status) == {"failed"}
    assert failed.reason.str.contains("cannot be started").all()


def test_labels_that_do_not_fit_are_told() -> None:
    labels = labels_of(GT)
    scores = cellqa.score({"te": TE}, GT, labels={"gt": labels[:, :100], "te": labels})
    assert "te: objects were not compared, see `reason` (4 images)" in scores.warnings
    one = cellqa.score({"te": TE}, GT[0], labels={"gt": labels[0], "te": labels})
    assert len(one.agreement) == 4  # labels of one truth serve all, as it does


def test_objects_need_ground_truth() -> None:
    with pytest.raises(ValueError, match="give `gt`"):
        cellqa.score({"te": TE}, objects="auto")
    assert cellqa.score({"te": TE}, GT, metrics="psnr").agreement.empty
