"""OME-TIFF sets: a file for each position, planes over several files, companion files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellqa.errors import ImageError
from cellqa.io import open_image
from cellqa.io.tiff_sets import parts_of_sets
from cellqa.pairs.pairing import scan

NAMESPACE = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
TILES = [np.full((20, 30), 10 * (k + 1), np.uint16) for k in range(3)]
NAMES = [f"scan_MMStack_Pos{k}.ome.tif" for k in range(3)]


def image(number: int, files: list[str]) -> str:
    """An image whose channels lie in these files."""
    parts = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1"><UUID FileName="{name}">'
        f"urn:uuid:{name}</UUID></TiffData>"
        for c, name in enumerate(files)
    )
    channels = "".join(f'<Channel ID="Channel:{number}:{c}"/>' for c in range(len(files)))
    places = "".join(
        f'<Plane TheC="{c}" TheZ="0" TheT="0" PositionX="{80 * number}" PositionXUnit="µm" '
        'PositionY="0" PositionYUnit="µm"/>'
        for c in range(len(files))
    )
    return (
        f'<Image ID="Image:{number}" Name="Pos{number}"><Pixels ID="Pixels:{number}" '
        f'DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" SizeC="{len(files)}" '
        f'SizeZ="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5">{channels}{parts}{places}'
        "</Pixels></Image>"
    )


def write(path: Path, pixels: np.ndarray, body: str) -> None:
    text = f'<?xml version="1.0" encoding="UTF-8"?><OME {NAMESPACE} UUID="urn:uuid:{path.name}">'
    tifffile.imwrite(
        path, pixels, description=f"{text}{body}</OME>".encode(), metadata=None, ome=False
    )


def refers(name: str) -> str:
    return f'<BinaryOnly MetadataFile="{name}" UUID="urn:uuid:{name}"/>'


@pytest.mark.parametrize("every", [False, True])
def test_a_file_for_each_position(tmp_path: Path, every: bool) -> None:
    """As Micro-Manager writes: the first file, or each, describes all positions."""
    body = "".join(image(k, [name]) for k, name in enumerate(NAMES))
    for name, pixels in zip(NAMES, TILES, strict=True):
        write(tmp_path / name, pixels, body if every or name == NAMES[0] else refers(NAMES[0]))
    assert len(scan(tmp_path, "IN").images) == 3
    for k, name in enumerate(NAMES):
        with open_image(tmp_path / name) as file:
            assert len(file.planes) == 1
            assert (file.load(file.planes[0]) == TILES[k]).all()
            assert file.pixel_size == 0.5
            assert file.acquired().positions == ((0.0, 80.0 * k),)
            assert file.acquired().scene_names == (f"Pos{k}",)


@pytest.mark.parametrize("every", [False, True])
def test_an_image_in_several_files(tmp_path: Path, every: bool) -> None:
    """As Prairie writes: a file for each channel; one of them stands for all."""
    names = [f"cell_Ch{c}.ome.tif" for c in range(2)]
    body = image(0, names)
    for name, pixels in zip(names, TILES[:2], strict=True):
        write(tmp_path / name, pixels, body if every or name == names[0] else refers(names[0]))
    tifffile.imwrite(tmp_path / "other.ome.tif", TILES[2], ome=True)
    assert parts_of_sets(tmp_path, [*names, "other.ome.tif"]) == {names[1]: names[0]}
    assert sorted(scan(tmp_path, "IN").images) == ["cell_Ch0", "other"]
    with open_image(tmp_path / names[0]) as file:
        assert [int(file.load(i)[0, 0]) for i in file.planes] == [10, 20]


def test_a_companion_describes_its_files(tmp_path: Path) -> None:
    body = "".join(image(k, [name]) for k, name in enumerate(NAMES))
    for name, pixels in zip(NAMES, TILES, strict=True):
        write(tmp_path / name, pixels, refers("scan.companion.ome"))
    with open_image(tmp_path / NAMES[1]) as file:  # without it, nothing is known
        assert (file.pixel_size, file.acquired().positions) == (None, ())
    (tmp_path / "scan.companion.ome").write_text(f"<OME {NAMESPACE}>{body}</OME>", "utf-8")
    with open_image(tmp_path / NAMES[1]) as file:
        assert (file.load(file.planes[0]) == TILES[1]).all()
        assert (file.pixel_size, file.acquired().positions) == (0.5, ((0.0, 80.0),))


@pytest.mark.parametrize("kind", ["above", "absolute", "pipe"])
def test_planes_lie_in_the_folder(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    secret = tmp_path / "secret.ome.tif"
    write(secret, TILES[0], image(0, [NAMES[0]]))
    name = {"above": "../secret.ome.tif", "absolute": str(secret), "pipe": "pipe.ome.tif"}[kind]
    if kind == "pipe":
        os.mkfifo(tmp_path / "in" / name)
    write(tmp_path / "in" / NAMES[0], TILES[0], image(0, [name]))
    with pytest.raises(ImageError, match="its planes are said to lie in"):
        open_image(tmp_path / "in" / NAMES[0])


def test_a_description_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    body = image(0, [NAMES[0]])
    (tmp_path / "secret.ome").write_text(f"<OME {NAMESPACE}>{body}</OME>", "utf-8")
    write(tmp_path / "in" / NAMES[0], TILES[0], refers("../secret.ome"))
    with open_image(tmp_path / "in" / NAMES[0]) as file:
        assert file.pixel_size is None
