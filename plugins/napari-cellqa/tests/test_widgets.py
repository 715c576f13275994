"""The widgets in a real viewer: layers in, table and layers out, errors in one line."""

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

import cellqa
from napari_cellqa import enhancing
from napari_cellqa.widgets.choosing import ALL
from napari_cellqa.widgets.enhance import EnhanceWidget
from napari_cellqa.widgets.maps import MapsWidget
from napari_cellqa.widgets.score import ScoreWidget

WIDGETS = [
    ("Score layers", ScoreWidget),
    ("Maps", MapsWidget),
    ("Enhance with a run", EnhanceWidget),
]


def docked(viewer, kind):
    """The widget as napari's menu opens it."""
    name = next(name for name, each in WIDGETS if each is kind)
    return viewer.window.add_plugin_dock_widget("napari-cellqa", name)[1]


def wait(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.working.running, timeout=120_000)


def choose(widget, viewer, **names):
    for box, name in names.items():
        getattr(widget, box).value = viewer.layers[name]


@pytest.mark.parametrize(("name", "kind"), WIDGETS)
def test_napari_opens_the_widgets(name, kind, make_napari_viewer):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-cellqa", name)
    assert isinstance(widget, kind)


def test_napari_opens_the_samples(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.open_sample("napari-cellqa", "nuclei")
    assert [layer.name for layer in viewer.layers] == ["blurred", "te", "sharp"]


def test_scores_of_layers_are_those_of_cellqa(viewer, qtbot, said, arrays, tmp_path):
    widget = docked(viewer, ScoreWidget)
    choose(widget, viewer, truth="sharp", raw="blurred")
    assert widget.judged.value == ALL
    assert widget.taken.text() == "sharp: 0.1625 µm, from scale and unit"
    assert not widget.report.isEnabled()
    widget.run.click()
    assert not widget.run.isEnabled()
    wait(qtbot, widget)
    assert said.errors == []
    table = widget.table
    rows = [table.verticalHeaderItem(k).text() for k in range(table.rowCount())]
    assert rows == ["blurred (raw, input)", "te", "sharp (ground truth, gt)"]
    heads = [table.horizontalHeaderItem(k).text() for k in range(table.columnCount())]
    right = cellqa.score(
        {"te": arrays["te"]}, arrays["sharp"], raw=arrays["blurred"], pixel_size=0.1625
    ).frame.query("method == 'te'")
    for title, name in (("psnr ↑\ndB", "psnr"), ("resolution ↓\nµm", "resolution")):
        assert table.item(1, heads.index(title)).text() == cellqa.metric(name).shown(
            right.iloc[0][name]
        )
    assert table.item(2, heads.index("psnr ↑\ndB")).text() == ""  # of the truth itself
    assert "distrust" in widget.notes.toPlainText()
    widget.copy.click()
    assert QApplication.clipboard().text().startswith("layer\tplanes\tpsnr (dB)")
    widget.save_table(str(tmp_path / "t.csv"))
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith("layer,planes,psnr (dB)")
    widget.save_table(str(tmp_path / "nowhere" / "x" / "t.csv"))
    widget.write_report(str(tmp_path))
    wait(qtbot, widget)
    assert (tmp_path / "cellqa-report" / "report.html").is_file()


def test_metrics_that_are_ticked_are_scored(viewer, qtbot, said):
    widget = docked(viewer, ScoreWidget)
    choose(widget, viewer, judged="te", truth="sharp")
    assert widget.chosen_metrics() is None
    for k in range(widget.metrics.count()):
        item = widget.metrics.item(k)
        item.setCheckState(type(item.checkState())(2 if item.text() in ("ssim", "uqi") else 0))
    assert sorted(widget.chosen_metrics()) == ["ssim", "uqi"]
    widget.run.click()
    wait(qtbot, widget)
    assert sorted(c.name for c in widget.table_shown.columns) == ["ssim", "uqi"]
    widget.truth.value = None
    widget.run.click()
    wait(qtbot, widget)
    assert said.errors == ["ssim needs ground truth, which is not given"]


def test_layers_that_change_or_go_are_handled(viewer, qtbot, said):
    widget = docked(viewer, ScoreWidget)
    choose(widget, viewer, judged="te", truth="sharp")
    widget.run.click()
    viewer.layers.remove("te")  # while it is scored
    wait(qtbot, widget)
    assert widget.table_shown.lines[0].layer == "te"
    assert "te" not in [layer.name for layer in widget.layers()]
    assert widget.outdated.text() == ""
    viewer.layers["blurred"].data = viewer.layers["blurred"].data + 1  # not scored
    assert widget.outdated.text() == ""
    viewer.layers["sharp"].data = viewer.layers["sharp"].data + 1
    assert widget.outdated.text() == "sharp has changed: score again"
    viewer.layers["blurred"].name = "raw"
    assert "raw" in [layer.name for layer in widget.layers()]
    assert said.errors == []


@pytest.mark.parametrize(
    ("data", "options", "line"),
    [
        (np.zeros((64, 64, 3)), {"rgb": True}, "odd: a colour image (RGB)"),
        (np.zeros((64, 64)), {}, "odd has 64 x 64 pixels and sharp 384 x 384"),
        (np.zeros((3, 384, 384)), {}, "odd has 3 planes"),
        (np.full((384, 384), np.inf), {"contrast_limits": (0, 1)}, "must be finite"),
    ],
)
@pytest.mark.parametrize("kind", [ScoreWidget, MapsWidget])
def test_what_cannot_be_judged_is_one_line(kind, data, options, line, viewer, qtbot, said):
    viewer.add_image(data, name="odd", **options)
    widget = docked(viewer, kind)
    choose(widget, viewer, judged="odd", truth="sharp", raw="te" if "3 planes" in line else "odd")
    if "3 planes" in line:  # one ground truth serves all; two of three do not
        viewer.layers["sharp"].visible = False
        viewer.add_image(np.zeros((2, 384, 384)), name="two")
        choose(widget, viewer, truth="two")
    widget.run.click()
    wait(qtbot, widget)
    assert len(said.errors) == 1
    assert line in said.errors[0]


def test_labels_are_not_offered(viewer, qtbot, said):
    viewer.add_labels(np.zeros((384, 384), int), name="cells")
    for kind in (ScoreWidget, MapsWidget):
        assert "cells" not in [str(choice) for choice in docked(viewer, kind).truth.choices]
    for name in ("blurred", "te", "sharp"):
        viewer.layers.remove(name)
    docked(viewer, ScoreWidget).run.click()
    docked(viewer, MapsWidget).run.click()
    docked(viewer, EnhanceWidget).run.click()
    wait(qtbot, docked(viewer, ScoreWidget))
    qtbot.waitUntil(lambda: len(said.errors) == 3, timeout=10_000)
    assert sorted(said.errors) == [
        "choose an image layer",
        "choose an image layer",
        "no layer to score: show an image layer, or choose one",
    ]


def test_maps_are_added_and_made_again(viewer, qtbot, said, arrays):
    widget = docked(viewer, MapsWidget)
    choose(widget, viewer, judged="te", truth="sharp", raw="blurred")
    for tick in widget.kinds.values():
        tick.setChecked(True)
    for _ in range(2):
        widget.run.click()
        wait(qtbot, widget)
    assert said.errors == []
    names = [layer.name for layer in viewer.layers]
    assert names[3:] == [
        "SSIM of te",
        "Error of te",
        "Invented detail of te",
        "Consistency of te",
        "Local resolution of te (µm)",
    ]
    layer = viewer.layers["Error of te"]
    assert np.array_equal(layer.data, cellqa.error_map(arrays["sharp"], arrays["te"]))
    assert layer.scale.tolist() == [0.1625, 0.1625]
    assert layer.units == viewer.layers["te"].units
    scorer = docked(viewer, ScoreWidget)  # maps are no images to judge
    assert [p.name for p in scorer.request().judged] == ["blurred", "te", "sharp"]


def test_a_layer_is_enhanced(viewer, qtbot, said, arrays):
    widget = docked(viewer, EnhanceWidget)
    choose(widget, viewer, layer="blurred")
    widget.method.setCurrentText("wiener")
    widget.settings["sigma"].setText("3")
    widget.run.click()
    wait(qtbot, widget)
    layer = viewer.layers["wiener of blurred"]
    right = cellqa.enhance.with_settings(cellqa.ENHANCERS["wiener"], {"sigma": 3.0})
    assert np.array_equal(layer.data, right(arrays["blurred"]))
    assert layer.scale.tolist() == [0.1625, 0.1625]
    widget.method.setCurrentText("network: general")
    assert widget.settings == {}
    widget.run.click()
    wait(qtbot, widget)
    assert "general of blurred" in viewer.layers
    widget.method.setCurrentText("wiener")
    widget.settings["sigma"].setText("wide")
    widget.run.click()
    wait(qtbot, widget)
    assert said.errors == ["wiener: sigma must be a number, got 'wide'"]


def test_without_torch_a_line_says_how_to_get_it(viewer, qtbot, said, monkeypatch):
    line = "networks need torch; install with: pip install"
    monkeypatch.setattr(enhancing, "absent", lambda: line)
    widget = docked(viewer, EnhanceWidget)
    assert widget.missing.text() == line
    widget.run.click()
    assert said.errors == [line]
    widget.method.setCurrentText("te")
    assert widget.missing.isHidden()


def test_layers_that_cannot_be_judged_are_left_out(viewer, qtbot, said):
    viewer.add_image(np.zeros((64, 64, 3)), rgb=True, name="photo")
    widget = docked(viewer, ScoreWidget)
    widget.truth.value = viewer.layers["sharp"]
    widget.run.click()
    wait(qtbot, widget)
    assert said.errors == []
    assert "left out: photo: a colour image (RGB)" in widget.notes.toPlainText()
