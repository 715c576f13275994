"""Every format with all that it can say of itself: enhanced, and read by its own library."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from cellqa.enhance import ENHANCERS, enhance_files
from cellqa.io import Acquisition, ImageFile, open_image
from cellqa.io.acquisition import FACTS, PIXEL_SIZE, Channel, Objective

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:zarr")
TE = ENHANCERS["te"]
STACK = np.random.default_rng(5).integers(0, 4000, (2, 2, 3, 40, 50)).astype(np.uint16)
CHANNELS = (
    Channel("DAPI", "#0000ff", 358.0, 461.0),
    Channel("GFP & <co>", "#00ff00", 488.0, 509.5),
)
OBJECTIVE = Objective('Plan "Apo" 20x/0.8', 20.0, 0.8, "Air")
WHOLE = Acquisition(
    CHANNELS,
    0.5,
    tuple(30.0 * t for t in range(2) for _ in range(6)),
    ((-20.0, 1500.0),),
    (12.5,),
    scene_names=("well A1",),
    dates=("2026-11-27T10:00:00",),
    objective=OBJECTIVE,
    bits=12,
)


def ome(path: Path) -> None:
    """By OME's own data model."""
    ome_types = pytest.importorskip("ome_types")
    model = ome_types.model
    channels = [
        model.Channel(
            name=c.name,
            color=c.colour,
            excitation_wavelength=c.excitation,
            emission_wavelength=c.emission,
            samples_per_pixel=1,
        )
        for c in CHANNELS
    ]
    places = {"position_x": 1500, "position_y": -20, "position_z": 12.5}
    units = {f"position_{axis}_unit": "µm" for axis in "xyz"}
    planes = [
        model.Plane(the_t=t, the_c=c, the_z=z, delta_t=30.0 * t, **places, **units)
        for t in range(2)
        for c in range(2)
        for z in range(3)
    ]
    lens = {"nominal_magnification": 20, "lens_na": 0.8, "immersion": "Air"}
    objective = model.Objective(id="Objective:0", model=OBJECTIVE.name, **lens)
    pixels = model.Pixels(
        dimension_order="XYZCT",
        type="uint16",
        size_x=50,
        size_y=40,
        size_z=3,
        size_c=2,
        size_t=2,
        significant_bits=12,
        physical_size_x=0.2,
        physical_size_y=0.25,
        physical_size_z=0.5,
        channels=channels,
        planes=planes,
        tiff_data_blocks=[model.TiffData(ifd=0, plane_count=12)],
    )
    image = model.Image(
        name="well A1",
        acquisition_date="2026-11-27T10:00:00",
        pixels=pixels,
        instrument_ref=model.InstrumentRef(id="Instrument:0"),
        objective_settings=model.ObjectiveSettings(id="Objective:0"),
    )
    instrument = model.Instrument(id="Instrument:0", objectives=[objective])
    text = model.OME(images=[image], instruments=[instrument]).to_xml()
    tifffile.imwrite(
        path, STACK, description=text.encode(), metadata=None, photometric="minisblack"
    )


def imagej(path: Path) -> None:
    about = {"axes": "TZCYX", "unit": "um", "spacing": 0.5, "finterval": 30.0}
    data = np.moveaxis(STACK, 2, 1)
    tifffile.imwrite(path, data, imagej=True, metadata=about, resolution=(5.0, 4.0))


def plain(path: Path) -> None:
    options = {"photometric": "minisblack", "resolutionunit": 3, "metadata": None}
    tifffile.imwrite(path, STACK[0, 0], resolution=(5e4, 4e4), **options)


def picture(path: Path) -> None:
    Image.fromarray((STACK[0, 0, 0] >> 4).astype(np.uint8)).save(path)


def zarr(version: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        library: Any = pytest.importorskip("zarr")
        group = library.open_group(path, mode="w", zarr_format=version)
        group.create_array("0", data=STACK)
        axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}]
        axes += [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
        moved = [
            {"type": "scale", "scale": [30.0, 1.0, 0.5, 0.25, 0.2]},
            {"type": "translation", "translation": [0.0, 0.0, 12.5, -20.0, 1500.0]},
        ]
        window = {"min": 0, "max": 65535, "start": 0, "end": 4000}
        shown = [
            {"label": c.name, "color": c.colour[1:], "active": True, "window": window}
            for c in CHANNELS
        ]
        scales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": moved}]}]
        if version == 2:
            scales[0]["version"] = "0.4"  # type: ignore[assignment]
        about: dict[str, Any] = {"multiscales": scales, "omero": {"channels": shown}}
        group.attrs.update({"ome": {"version": "0.5", **about}} if version == 3 else about)

    return write


def czi(path: Path) -> None:
    library: Any = pytest.importorskip("pylibCZIrw.czi")
    with library.create_czi(str(path)) as document:
        for t in range(2):
            for c in range(2):
                for z in range(3):
                    data = np.ascontiguousarray(STACK[t, c, z][..., None])
                    document.write(data, plane={"T": t, "C": c, "Z": z}, location=(100, 200))
        names = {k: c.name for k, c in enumerate(CHANNELS)}
        document.write_metadata(
            "a", channel_names=names, scale_x=2e-7, scale_y=2.5e-7, scale_z=5e-7
        )


# suffix, who writes it, what it says of itself
SOURCES: dict[str, tuple[str, Callable[[Path], None], set[str]]] = {
    "ome-tiff": (".ome.tif", ome, {PIXEL_SIZE, *FACTS}),
    "imagej": (".tif", imagej, {PIXEL_SIZE, "focus step", "times"}),
    "tiff": (".tif", plain, {PIXEL_SIZE}),
    "png": (".png", picture, set()),
    "jpeg": (".jpg", picture, set()),
    "bmp": (".bmp", picture, set()),
    **{
        f"ome-zarr 0.{version + 2}": (
            ".ome.zarr",
            zarr(version),
            {PIXEL_SIZE, "channel names", "colours", "focus step", "times"}
            | {"stage positions", "stage heights"},
        )
        for version in (2, 3)
    },
    "czi": (".czi", czi, {PIXEL_SIZE, "channel names", "focus step", "stage positions"}),
}


@pytest.fixture(params=list(SOURCES))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    suffix, write, _ = SOURCES[request.param]
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"a{suffix}"
    write(path)
    return request.param, path


def comparable(file: ImageFile) -> Acquisition:
    return file.acquired()._replace(axes="")


def test_all_that_a_format_says_is_read(source: tuple[str, Path]) -> None:
    kind, path = source
    with open_image(path) as file:
        assert set(file.facts()) == SOURCES[kind][2]
        if PIXEL_SIZE in file.facts():
            assert file.size_of(file.planes[0]) == pytest.approx((0.2, 0.25))
        if kind == "ome-tiff":
            assert comparable(file) == WHOLE
        elif kind.startswith("ome-zarr"):
            channels = tuple(Channel(c.name, c.colour) for c in CHANNELS)
            kept = WHOLE._replace(channels=channels, scene_names=(), dates=(), bits=None)
            assert comparable(file) == kept._replace(objective=Objective())


def test_what_is_written_says_the_same(
    source: tuple[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, path = source
    done, failures = enhance_files(path.parent, tmp_path / "out", TE)
    assert (len(done), failures) == (1, [])
    assert "not kept" not in caplog.text
    with open_image(path) as raw, open_image(done[0]) as result:
        assert result.planes == raw.planes
        assert result.size_of(result.planes[0]) == raw.size_of(raw.planes[0])
        assert comparable(result) == comparable(raw)._replace(
            scene_names=result.acquired().scene_names
        )
        if any(raw.acquired().scene_names):
            assert result.acquired().scene_names == raw.acquired().scene_names
        for index in raw.planes:
            wanted = TE(raw.load(index))
            difference = np.abs(result.load(index).astype(int) - wanted)
            assert difference.max() <= (2 if path.suffix == ".jpg" else 0)


def test_other_programs_read_it(source: tuple[str, Path], tmp_path: Path) -> None:
    kind, path = source
    (done,), _ = enhance_files(path.parent, tmp_path / "out", TE)
    with open_image(path) as raw:
        wanted = np.array([TE(raw.load(i)) for i in raw.planes])
    if kind in ("ome-tiff", "czi"):
        found = tifffile.imread(done).reshape(wanted.shape)
        told = pytest.importorskip("ome_types").from_tiff(done)
        pixels = told.images[0].pixels
        assert [c.name for c in pixels.channels] == [c.name for c in CHANNELS]
        assert (pixels.physical_size_x, pixels.physical_size_z) == (0.2, 0.5)
        if kind == "ome-tiff":
            assert told.instruments[0].objectives[0].model == OBJECTIVE.name
            assert told.images[0].objective_settings.id == "Objective:0"
            colours = [c.color.as_hex(format="long") for c in pixels.channels]
            assert [c[:7] for c in colours] == [c.colour for c in CHANNELS]
            assert pixels.channels[1].emission_wavelength == 509.5
            assert pixels.significant_bits == 12
    elif kind.startswith("ome-zarr"):
        library: Any = pytest.importorskip("zarr")
        version = "v04" if kind.endswith("4") else "v05"
        model = pytest.importorskip(f"ome_zarr_models.{version}.image")
        group = library.open_group(done, mode="r")
        model.Image.from_zarr(group)
        found = np.asarray(group["0"]).reshape(wanted.shape)
    elif kind in ("imagej", "tiff"):
        with tifffile.TiffFile(done) as tif:
            found = tif.asarray()
            assert tif.is_imagej == (kind == "imagej")
        found = (np.moveaxis(found, 2, 1) if kind == "imagej" else found).reshape(wanted.shape)
    else:
        found = np.asarray(Image.open(done))[None]
    assert np.abs(found.astype(int) - wanted).max() <= (2 if kind == "jpeg" else 0)


@pytest.mark.parametrize("suffix", [".ome.zarr", ".png", ".tif"])
def test_what_is_lost_is_named(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.ome.tif"
    ome(path)
    if suffix == ".png":
        with tifffile.TiffFile(path) as tif:
            text = (tif.ome_metadata or "").replace('SizeZ="3"', 'SizeZ="1"')
        text = re.sub(r'Size([CT])="2"', r'Size\1="1"', text)
        text = re.sub(r"<Plane [^>]*The[CTZ]=\"[12]\"[^>]*/>", "", text)
        text = re.sub(r'<Channel ID="Channel:1"[^>]*/>', "", text.replace('="12"/', '="1"/'))
        tifffile.imwrite(path, STACK[0, 0, 0], description=text.encode(), metadata=None)
    enhance_files(path, tmp_path / f"b{suffix}", TE)
    expected = {
        ".ome.zarr": ["wavelengths", "scene names", "dates", "objective", "significant bits"],
        ".tif": [],  # OME-TIFF, too
        ".png": [PIXEL_SIZE, *FACTS],
    }[suffix]
    line = next((r.getMessage() for r in caplog.records if "not kept" in r.getMessage()), "")
    named = re.sub(r" \(\d+( images)?\)", "", line.partition("room: ")[2]).split(", ")
    assert [name for name in named if name] == expected


def test_the_documents_have_the_table() -> None:
    text = (Path(__file__).parents[3] / "docs/reference/conventions.md").read_text("utf-8")
    table = text.partition("## What results say of themselves")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == [PIXEL_SIZE, *FACTS]
