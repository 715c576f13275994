import numpy as np
import pytest
from napari.layers import Image

import cellqa
import ciegan
from cellqa.errors import CellqaError, MissingExtraError
from cellqa.extras import Package
from ciegan.network.checkpoint import save
from ciegan.network.normalisation import Normalisation
from napari_cellqa import enhancing, memory
from napari_cellqa.enhancing import enhance_by_network, enhance_classically
from napari_cellqa.layers import MARK, picture_of


@pytest.mark.parametrize("method", ["te", "wiener", "rl", "unsharp"])
def test_classical_methods_are_those_of_cellqa(method, stack):
    place = {"scale": (1, 0.5, 0.5), "metadata": {"from": "a.tif"}}
    picture = picture_of(Image(stack["blurred"], name="raw", **place))
    layer, notes = enhance_classically(picture, method)
    right = [cellqa.ENHANCERS[method](plane) for plane in stack["blurred"]]
    assert np.array_equal(layer.data, right)
    assert layer.data.dtype == np.uint16
    assert layer.options["name"] == f"{method} of raw"
    assert layer.options["scale"].tolist() == [1, 0.5, 0.5]
    made_by = cellqa.ENHANCERS[method].describe()
    assert layer.options["metadata"] == {"from": "a.tif", MARK: made_by}
    assert notes == []


def test_settings_are_text(pictures):
    layer, _ = enhance_classically(pictures["blurred"], "wiener", {"sigma": "3", "kernel": ""})
    assert "sigma 3" in layer.options["metadata"][MARK]
    assert enhancing.defaults("rl") == {"sigma": "2.0", "kernel": "", "iterations": "10"}


def test_the_network_is_that_of_ciegan(arrays, pictures, tmp_path):
    done = []
    layer, notes = enhance_by_network(
        pictures["blurred"], "general", progress=lambda *n: done.append(n)
    )
    cellqa.write_tiff(tmp_path / "raw.tif", arrays["blurred"], None)
    ciegan.enhance_files("general", tmp_path / "raw.tif", tmp_path / "out.tif")
    with cellqa.open_image(tmp_path / "out.tif") as file:
        assert np.array_equal(layer.data, file.load(file.planes[0]))
    assert layer.options["name"] == "general of blurred"
    assert "not raw data" in layer.options["metadata"][MARK]
    assert done[-1] == (1000, 1000)
    assert notes == []


def test_a_stack_has_one_black_and_white(stack):
    raw = stack["blurred"][:2].copy()
    raw[1] //= 2
    picture = picture_of(Image(raw, name="raw"))
    layer, _ = enhance_by_network(picture, "general", together=True)
    checkpoint = ciegan.load("general")
    limits = Normalisation("image", 0, 1).limits(raw)
    right = [
        ciegan.enhance_plane(checkpoint.generator, plane, checkpoint.normalisation, whole=limits)
        for plane in raw
    ]
    # rounded to grey levels, by sums in another order
    assert np.abs(layer.data - np.array(right)).max() <= 1
    own, _ = enhance_by_network(picture, "general")
    assert not np.array_equal(own.data[1], layer.data[1])


def test_images_unlike_the_training_are_told():
    stripes = (np.indices((128, 128)).sum(axis=0) % 2 * 60000).astype(np.uint16)
    _, notes = enhance_by_network(picture_of(Image(stripes, name="stripes")), "general")
    assert any(note.startswith("stripes is unlike the images") for note in notes)


def test_refusals(pictures, tmp_path, monkeypatch):
    raw = pictures["blurred"]
    with pytest.raises(CellqaError, match="the method must be one of te"):
        enhance_classically(raw, "magic")
    with pytest.raises(CellqaError, match="rl: iterations must be a whole number, got 'many'"):
        enhance_classically(raw, "rl", {"iterations": "many"})
    with pytest.raises(ValueError, match="`sigma` must be"):
        enhance_classically(raw, "rl", {"sigma": "-1"})
    holed = raw.data.astype(np.float32)
    holed[5, 5] = np.nan
    for enhance in (
        lambda p: enhance_classically(p, "te"),
        lambda p: enhance_by_network(p, "general"),
    ):
        with pytest.raises(CellqaError, match=r"^holed: .*NaN"):
            enhance(picture_of(Image(holed, name="holed")))
    with pytest.raises(CellqaError, match=r"no best.safetensors here; is it the folder"):
        enhance_by_network(raw, tmp_path)
    with pytest.raises(CellqaError, match="there is no such file"):
        enhance_by_network(raw, tmp_path / "nowhere")
    with monkeypatch.context() as patched:
        missing = [Package("torch", "gan", ""), Package("numpy", "", "2")]
        patched.setattr(enhancing, "packages", lambda: iter(missing))
        with pytest.raises(
            MissingExtraError, match=r"networks need torch; install with: .*\[gan\]"
        ):
            enhance_by_network(raw, "general")
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: type("M", (), {"available": 1e5}))
    with pytest.raises(CellqaError, match=r"enhancing blurred: some .* of memory are needed"):
        enhance_classically(raw, "te")


def test_super_resolution_is_for_files(pictures, tmp_path):
    known = ciegan.load("general")
    finer = save(
        tmp_path / "finer.safetensors",
        known.generator.state_dict(),
        config=known.config,
        channels=1,
        normalisation=known.normalisation,
        step=1,
        scores={},
        warnings=[],
        scale=2,
    )
    with pytest.raises(cellqa.ImageError, match="2 times the pixels along each side of blurred"):
        enhance_by_network(pictures["blurred"], finer)
