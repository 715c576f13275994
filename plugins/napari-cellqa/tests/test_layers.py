import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels

from cellqa.errors import CellqaError, ImageError
from napari_cellqa import layers, memory
from napari_cellqa.layers import picture_of

PLANE = np.zeros((20, 30), np.uint8)


@pytest.mark.parametrize(
    ("scale", "units", "size", "said"),
    [
        ((1, 1), None, None, "in pixels"),
        ((0.1, 0.1), None, 0.1, "taken as µm"),
        ((0.1, 0.1), ("um", "um"), 0.1, "scale and unit"),
        ((1, 1), ("um", "um"), 1.0, "scale and unit"),
        ((100, 100), ("nm", "nm"), 0.1, "scale and unit"),
        ((0.2, 0.1), ("um", "um"), 0.1, "not square"),
        ((2, 2), ("s", "s"), None, "no length"),
    ],
)
def test_the_pixel_size_is_that_of_scale_and_units(scale, units, size, said):
    found = picture_of(Image(PLANE, scale=scale, units=units)).pixel_size
    assert found.micrometres == pytest.approx(size)
    assert said in found.said


def test_a_stack_has_a_plane_for_each_place():
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    picture = picture_of(Image(data, name="s"))
    assert (picture.stack, picture.side, len(picture.places)) == ((2, 3), (4, 5), 6)
    assert np.array_equal(picture.plane(4), data[1, 1])
    assert picture.label(4) == " plane 1-1"
    assert np.array_equal(picture.beside(4, 1), data[1, 2])
    assert picture.beside(5, 1) is None


def test_the_shown_plane_is_taken_alone_and_lies_where_it_is():
    data = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    layer = Image(data, scale=(2, 0.5, 0.5), translate=(10, 1, 1))
    picture = picture_of(layer, (14.2, 0, 0))
    assert picture.only == (2,)
    assert np.array_equal(picture.plane(0), data[2])
    assert picture.laid()["translate"].tolist() == [14, 1, 1]
    with pytest.raises(ImageError, match="no plane where the viewer is"):
        picture_of(layer, (30, 0, 0))


def test_lazy_layers_are_read_plane_by_plane():
    data = da.zeros((4, 20, 30), dtype=np.uint16, chunks=(1, 20, 30))
    picture = picture_of(Image(data, name="lazy"))
    assert picture.lazy_bytes == 4 * 20 * 30 * 2
    assert isinstance(picture.plane(1), np.ndarray)
    assert picture_of(Image(PLANE)).lazy_bytes == 0


def test_of_levels_the_finest_is_taken_and_told():
    levels = [np.zeros((40, 60)), np.zeros((20, 30))]
    picture = picture_of(Image(levels, multiscale=True, name="big"))
    assert picture.side == (40, 60)
    assert picture.notes == ("big: of its 2 levels the finest is taken, 40 x 60",)


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        (None, "choose an image layer"),
        (Labels(PLANE, name="cells"), "cells: a labels layer, which holds no grey levels"),
        (Image(np.zeros((8, 8, 3)), rgb=True, name="photo"), r"photo: a colour image \(RGB\)"),
    ],
)
def test_what_is_no_image_of_grey_levels_is_refused_in_a_line(layer, line):
    with pytest.raises(ImageError, match=line):
        picture_of(layer)


def test_sizes_and_numbers_that_differ_are_named():
    small, large, stack = (
        picture_of(Image(np.zeros(shape), name=name))
        for name, shape in (("a", (20, 30)), ("b", (40, 60)), ("c", (3, 20, 30)))
    )
    with pytest.raises(ImageError, match=r"a has 20 x 30 pixels and b 40 x 60"):
        layers.check_same_side([small, large])
    with pytest.raises(ImageError, match=r"a has 1 plane and c 3: .* as many of each$"):
        layers.check_same_number(small, stack, shared=False)
    with pytest.raises(ImageError, match=r"as many of each, or one$"):
        layers.check_same_number(small, stack, shared=True)
    layers.check_same_number(stack, small, shared=True)
    assert layers.scale_between(large, small) == 2
    with pytest.raises(ImageError, match="smaller by a whole number"):
        layers.scale_between(small, large)


def test_memory_is_asked_before_it_is_taken():
    memory.check(1e6, "a little")
    with pytest.raises(CellqaError, match=r"a lot: some .* GiB of memory are needed, .* are free"):
        memory.check(1e18, "a lot")
