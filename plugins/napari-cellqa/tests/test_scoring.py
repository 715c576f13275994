import csv
import math

import numpy as np
import pytest
from napari.layers import Image

import cellqa
from cellqa.errors import CellqaError, Interrupted
from napari_cellqa import memory, scoring
from napari_cellqa.layers import picture_of
from napari_cellqa.scoring import Request, method_names
from napari_cellqa.table import table_of


def picture(data, name, **options):
    return picture_of(Image(data, name=name, **options))


def cells(table, layer):
    """Metric to cell of the line of a layer."""
    line = next(line for line in table.lines if line.layer.startswith(layer))
    return dict(zip((c.name for c in table.columns), line.cells, strict=True))


def test_values_are_those_of_cellqa(pictures, arrays):
    judged = scoring.score(Request([pictures["te"]], pictures["sharp"], pictures["blurred"]))
    right = cellqa.score(
        {"te": arrays["te"]}, arrays["sharp"], raw=arrays["blurred"], pixel_size=0.1625
    )
    shown = cells(table_of(judged), "te")
    row = right.frame.query("method == 'te'").iloc[0]
    assert {"psnr", "ssim", "resolution", "invented", "rsp"} <= shown.keys()
    for name, cell in shown.items():
        assert cell.value == row[name]
        assert cell.text == cellqa.metric(name).shown(row[name])
    assert judged.scores.warnings == right.warnings
    titles = [column.title for column in table_of(judged).columns]
    assert "psnr ↑\ndB" in titles
    assert "resolution ↓\nµm" in titles


def test_stacks_are_scored_plane_by_plane(stack):
    layers = {name: picture(data, name) for name, data in stack.items()}
    seen = []
    judged = scoring.score(
        Request([layers["te"]], layers["sharp"], layers["blurred"]), lambda *n: seen.append(n)
    )
    right = cellqa.score({"te": stack["te"]}, stack["sharp"], raw=stack["blurred"])
    assert seen == [(1, 3), (2, 3), (3, 3)]
    shown = cells(table_of(judged), "te")
    means = right.summary.query("method == 'te'").set_index("metric")["mean"]
    assert shown["ssim"].value == means["ssim"]
    assert shown["ssim"].tip.startswith("mean of 3 planes")
    assert "resolution ↓\npx" in [c.title for c in table_of(judged).columns]


def test_one_truth_serves_a_stack_and_a_raw_layer_may_be_smaller(stack):
    half = stack["blurred"][:, ::2, ::2]
    judged = scoring.score(
        Request(
            [picture(stack["te"], "te")],
            picture(stack["sharp"][0], "sharp"),
            picture(half, "raw"),
            ["ssim", "rsp"],
        )
    )
    right = cellqa.score(
        {"te": stack["te"]}, stack["sharp"][0], raw=half, metrics=["ssim", "rsp"], scale=2
    )
    assert np.array_equal(
        judged.scores.frame["rsp"].to_numpy(), right.frame["rsp"].to_numpy(), equal_nan=True
    )


def test_the_plane_shown_is_scored_alone(stack):
    layer = Image(stack["te"], name="te")
    truth = Image(stack["sharp"], name="sharp")
    point = (1, 0, 0)
    judged = scoring.score(Request([picture_of(layer, point)], picture_of(truth, point)))
    right = cellqa.score({"te": stack["te"][1]}, stack["sharp"][1])
    assert cells(table_of(judged), "te")["psnr"].value == right.frame["psnr"][0]


def test_what_is_undefined_is_empty_with_its_reason():
    """Below 176 pixels a side there is no fifth scale, and constant truths have no range."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 200, (64, 64), np.uint8)
    judged = scoring.score(Request([picture(noise, "a")], picture(noise // 2, "gt"), None))
    table = table_of(judged)
    cell = cells(table, "a")["ms_ssim"]
    assert (cell.text, cell.tip) == ("", "ms_ssim: a side below 176 pixels")
    assert math.isnan(cell.value)
    line = next(line for line in table.lines if line.layer == "a")
    assert "ms_ssim: a side below 176 pixels" in line.reason
    assert any(note.startswith("a: ") and "176" in note for note in table.notes)
    identical = table_of(scoring.score(Request([picture(noise, "a")], picture(noise, "gt"))))
    assert cells(identical, "a")["psnr"].text == "inf"


def test_layers_of_another_size_fail_alone(stack):
    layers = [picture(stack["te"], "te"), picture(stack["te"][:, :100, :100], "small")]
    table = table_of(scoring.score(Request(layers, picture(stack["sharp"], "sharp"))))
    small = next(line for line in table.lines if line.layer == "small")
    assert small.planes == 0
    assert "100 x 100 differs from the ground truth's 192 x 192" in small.reason
    assert cells(table, "small")["ssim"].text == ""
    assert cells(table, "te")["ssim"].text


def test_the_table_as_files_have_it(stack, tmp_path):
    layer = picture(stack["te"][0], "=1+1")
    table = table_of(scoring.score(Request([layer], metrics=["entropy", "resolution"])))
    path = table.save(tmp_path / "t.csv")
    rows = list(csv.reader(path.open(encoding="utf-8")))
    assert rows[0] == ["layer", "planes", "entropy (bit)", "resolution (px)", "reason"]
    assert rows[1][0] == "'=1+1"  # no formula
    assert float(rows[1][2]) == pytest.approx(cellqa.entropy(stack["te"][0]), rel=1e-5)
    assert table.as_tabs().splitlines()[0] == "\t".join(rows[0])


def test_the_report_goes_into_a_new_folder(pictures, tmp_path):
    judged = scoring.score(Request([pictures["te"]], pictures["sharp"], metrics=["ssim"]))
    page = scoring.report(judged, tmp_path)
    assert page == tmp_path / "cellqa-report" / "report.html"
    assert (page.parent / "scores.csv").is_file()
    assert scoring.report(judged, tmp_path).parent.name == "cellqa-report-2"


def test_what_is_to_be_known_of_layers_is_told(arrays):
    truth = picture(arrays["sharp"], "sharp", scale=(0.1, 0.1))
    moved = picture(arrays["te"], "te", scale=(0.2, 0.2), translate=(5, 5))
    notes = table_of(scoring.score(Request([moved], truth, metrics=["psnr"]))).notes
    assert any("different pixel sizes (µm: te 0.2, sharp 0.1)" in note for note in notes)
    assert any(note.startswith("te is not where sharp is") for note in notes)


def test_a_given_pixel_size_counts(pictures):
    judged = scoring.score(Request([pictures["te"]], metrics=["resolution"], pixel_size=1.0))
    own = scoring.score(Request([pictures["te"]], metrics=["resolution"]))
    of = [cells(table_of(each), "te")["resolution"].value for each in (judged, own)]
    assert of[1] / of[0] == pytest.approx(0.1625)


def test_names_of_methods():
    assert method_names(["te", "te [1]", "gt", "a/b", "?", "a_b"]) == [
        "te",
        "te (1)",
        "gt layer",
        "a_b",
        "layer",
        "a_b 2",
    ]


def test_layers_that_cannot_be_judged_are_left_out_with_a_line(arrays, stack):
    layers = [
        Image(arrays["te"], name="te"),
        Image(np.zeros((8, 8, 3)), rgb=True, name="photo"),
        Image(stack["te"], name="stack"),
    ]
    pictures, notes = scoring.gather(layers, picture_of)
    assert [each.name for each in pictures] == ["te"]
    assert notes[0].startswith("left out: photo: a colour image")
    assert notes[1].startswith("left out: te has 1 plane and stack 3")


def test_refusals(pictures, stack, monkeypatch):
    te, sharp = pictures["te"], pictures["sharp"]
    with pytest.raises(CellqaError, match="no layer to score"):
        scoring.score(Request([]))
    with pytest.raises(CellqaError, match=r"te has 384 x 384 pixels and cut 300 x 384"):
        scoring.score(Request([te], picture(sharp.data[:300], "cut")))
    with pytest.raises(CellqaError, match=r"te has 1 plane and stack 3"):
        scoring.score(Request([te], picture(stack["sharp"], "stack")))
    with pytest.raises(ValueError, match="ssim needs ground truth"):
        scoring.score(Request([te], metrics=["ssim"]))

    def none(*_):
        raise Interrupted

    with pytest.raises(Interrupted):
        scoring.score(Request([te], sharp), none)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: type("M", (), {"available": 1e5}))
    with pytest.raises(CellqaError, match=r"scoring: some .* of memory are needed"):
        scoring.score(Request([te], sharp))
