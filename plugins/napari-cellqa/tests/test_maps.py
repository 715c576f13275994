import numpy as np
import pytest
from napari.layers import Image

import cellqa
from cellqa.errors import CellqaError
from napari_cellqa.layers import MAP, picture_of
from napari_cellqa.maps import KINDS, make_maps


def made(*args, **options):
    layers, notes = make_maps(*args, **options)
    return {layer.options["metadata"][MAP]: layer for layer in layers}, notes


def test_maps_are_those_of_cellqa(pictures, arrays):
    te, sharp, blurred = (pictures[name] for name in ("te", "sharp", "blurred"))
    maps, notes = made(te, sharp, blurred, list(KINDS))
    assert notes == []
    span = int(arrays["sharp"].max()) - int(arrays["sharp"].min())
    a, b, raw = arrays["sharp"], arrays["te"], arrays["blurred"]
    right = {
        "ssim": cellqa.ssim_map(a, b, data_range=span),
        "error": cellqa.error_map(a, b),
        "invented": cellqa.detail_map(a, raw, b),
        "consistency": cellqa.consistency_map(raw, b),
        "resolution": cellqa.resolution_map(b, pixel_size=0.1625).full_size(),
    }
    assert maps.keys() == right.keys()
    for name, pixels in right.items():
        assert np.array_equal(maps[name].data, pixels, equal_nan=True), name
    ssim = maps["ssim"].options
    assert (ssim["name"], ssim["contrast_limits"]) == ("SSIM of te", (0.0, 1.0))
    assert maps["resolution"].options["name"] == "Local resolution of te (µm)"
    low, high = maps["error"].options["contrast_limits"]
    assert low == -high


def test_maps_lie_on_their_layer(stack):
    place = {"scale": (3, 0.2, 0.2), "translate": (1, 5, 6), "units": ("um",) * 3}
    te = picture_of(Image(stack["te"], name="te", **place))
    sharp = picture_of(Image(stack["sharp"], name="sharp"))
    seen = []
    maps, _ = made(te, sharp, None, ["ssim"], progress=lambda *n: seen.append(n))
    layer = Image(maps["ssim"].data, **maps["ssim"].options)
    assert layer.data.shape == stack["te"].shape
    assert layer.scale.tolist() == [3, 0.2, 0.2]
    assert layer.translate.tolist() == [1, 5, 6]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    shown = picture_of(Image(stack["te"], name="te", **place), (7, 5, 6))
    alone, _ = made(shown, picture_of(Image(stack["sharp"][2], name="s")), None, ["ssim"])
    assert np.array_equal(alone["ssim"].data[0], maps["ssim"].data[2], equal_nan=True)
    assert alone["ssim"].options["translate"].tolist() == [7, 5, 6]


def test_the_map_of_a_smaller_raw_layer_lies_on_it(arrays):
    raw = picture_of(Image(arrays["blurred"][::2, ::2], name="raw", scale=(0.2, 0.2)))
    te = picture_of(Image(arrays["te"], name="te", scale=(0.1, 0.1)))
    maps, _ = made(te, None, raw, ["consistency"])
    assert maps["consistency"].data.shape == (192, 192)
    assert maps["consistency"].options["scale"].tolist() == [0.2, 0.2]


def test_a_plane_without_a_map_is_named(stack):
    data = stack["te"].copy()
    data[1] = 7
    te, sharp = (picture_of(Image(d, name=n)) for d, n in ((data, "te"), (stack["sharp"], "s")))
    maps, notes = made(te, sharp, None, ["ssim", "error"])
    assert np.isnan(maps["error"].data[1]).all()
    assert len(notes) == 1
    assert notes[0].startswith("te plane 1: no map of Error: ")


def test_refusals(pictures, stack):
    te, sharp = pictures["te"], pictures["sharp"]
    with pytest.raises(CellqaError, match="choose at least one map"):
        make_maps(te, sharp, None, [])
    with pytest.raises(CellqaError, match="the map of SSIM needs the ground truth"):
        make_maps(te, None, None, ["ssim"])
    with pytest.raises(CellqaError, match="the map of Consistency needs the raw image"):
        make_maps(te, sharp, None, ["ssim", "consistency"])
    with pytest.raises(CellqaError, match="384 x 384 pixels and cut 300 x 384"):
        make_maps(te, picture_of(Image(sharp.data[:300], name="cut")), None, ["ssim"])
    small = picture_of(Image(stack["te"][0, :100, :100], name="small"))
    with pytest.raises(CellqaError, match=r"small: no map of Local resolution: the layer must be"):
        make_maps(small, None, None, ["resolution"])
    holed = te.data.astype(np.float32)
    holed[5, 5] = np.nan
    with pytest.raises(CellqaError, match="no map of Local resolution: the layer must be finite"):
        make_maps(picture_of(Image(holed, name="holed")), None, None, ["resolution"])
