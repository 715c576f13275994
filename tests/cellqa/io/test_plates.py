"""Stores of several images: plates, bioformats2raw, archives; and what becomes of them."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

zarr = pytest.importorskip("zarr")

from plates import FIELDS, plate, series  # noqa: E402

from cellqa.cli import main  # noqa: E402
from cellqa.enhance import ENHANCERS, enhance_files  # noqa: E402
from cellqa.errors import CellqaError, ImageError  # noqa: E402
from cellqa.io import images_in, open_image  # noqa: E402
from cellqa.io.isolated import open_isolated  # noqa: E402
from cellqa.io.stores import content_hash, state  # noqa: E402
from cellqa.pairs.pairing import scan  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_every_field_of_a_plate_is_an_image(tmp_path: Path, version: int) -> None:
    path = plate(tmp_path / "p.ome.zarr", version)
    assert images_in(path) == FIELDS
    assert images_in(path / "A/1/0") == ("",)
    assert tuple(scan(path, "--gt").images) == FIELDS
    assert tuple(scan(tmp_path, "--gt").images) == tuple(f"p/{f}" for f in FIELDS)
    with open_image(path / "A/1/1") as file, open_isolated(path / "A/1/1") as apart:
        assert (file.load(file.planes[1]) == apart.load(file.planes[1])).all()
        assert file.size_of(file.planes[0]) == (0.2, 0.4)
        assert file.acquired().positions == ((7.0, 9.0),)
        assert [c.colour for c in file.acquired().channels] == ["#0000ff", "#00ff00"]
    with pytest.raises(ImageError, match=r"holds several images, p\.ome\.zarr/A/1/0 for example"):
        open_image(path)


def test_series_of_bioformats2raw(tmp_path: Path) -> None:
    path = series(tmp_path / "s.zarr")
    assert images_in(path) == ("0", "1")
    ome = zarr.open_group(path / "OME", mode="w", zarr_format=2)
    ome.attrs["series"] = ["1", "0"]
    assert images_in(path) == ("1", "0")
    ome.attrs["series"] = ["1", "../../etc", "1/"]
    assert images_in(path) == ("1", "%2E%2E%2F%2E%2E%2Fetc")  # which is not there


@pytest.mark.parametrize("version", [2, 3])
def test_a_plate_becomes_a_plate(tmp_path: Path, version: int) -> None:
    source, target = plate(tmp_path / "p.zarr", version), tmp_path / "out" / "q.zarr"
    done, failures = enhance_files(source, target, ENHANCERS["te"])
    assert (len(done), failures) == (3, [])
    assert images_in(target) == FIELDS
    with open_image(source / "A/1/1") as raw, open_image(target / "A/1/1") as result:
        assert result.acquired() == raw.acquired()
        assert result.size_of(result.planes[0]) == (0.2, 0.4)
        assert (result.load(result.planes[1]) == ENHANCERS["te"](raw.load(raw.planes[1]))).all()
    models = pytest.importorskip(
        "ome_zarr_models.v04.hcs" if version == 2 else "ome_zarr_models.v05.hcs"
    )
    models.HCS.from_zarr(zarr.open_group(target, mode="r"))
    # what is not there is not stated
    (tmp_path / "p.zarr/B/2/0/0").rename(tmp_path / "gone")
    done, failures = enhance_files(source, tmp_path / "r.zarr", ENHANCERS["te"])
    assert [name for name, _ in failures] == ["p.zarr/B/2/0"]
    assert images_in(tmp_path / "r.zarr") == FIELDS[:2]


def test_a_folder_of_stores(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    plate(tmp_path / "in/p.zarr")
    series(tmp_path / "in/s.zarr")
    done, failures = enhance_files(tmp_path / "in", tmp_path / "out", ENHANCERS["te"])
    assert (len(done), failures) == (5, [])
    assert images_in(tmp_path / "out/p.zarr") == FIELDS
    assert images_in(tmp_path / "out/s.zarr") == ("0", "1")


def test_one_image_of_a_store(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    enhance_files(source / "A/1/0", tmp_path / "a.ome.zarr", ENHANCERS["te"])
    (tmp_path / "out").mkdir()
    enhance_files(source / "A/1/0", tmp_path / "out", ENHANCERS["te"])
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["p_A_1_0.zarr"]
    with (
        open_image(tmp_path / "a.ome.zarr") as one,
        open_image(tmp_path / "out/p_A_1_0.zarr") as two,
    ):
        assert (one.load(one.planes[1]) == two.load(two.planes[1])).all()


def test_stores_go_into_stores(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    (tmp_path / "in").mkdir()
    with pytest.raises(CellqaError, match=r"ends in \.zarr"):
        enhance_files(source, tmp_path / "out", ENHANCERS["te"])
    with pytest.raises(CellqaError, match="inside IN"):
        enhance_files(source, source / "q.zarr", ENHANCERS["te"])


def zipped(source: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(source).as_posix())
    return target


def test_archives_are_read(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr", 3)
    archive = zipped(source, tmp_path / "p.ozx")
    assert images_in(archive) == FIELDS
    with open_isolated(archive / "A/1/0") as file, open_image(source / "A/1/0") as wanted:
        assert (file.load(file.planes[1]) == wanted.load(wanted.planes[1])).all()
    assert content_hash(archive / "A/1/0") != content_hash(archive / "A/1/1")
    assert state(archive / "A/1/0")
    done, failures = enhance_files(archive, tmp_path / "q.zarr", ENHANCERS["te"])
    assert (len(done), failures) == (3, [])
    assert images_in(tmp_path / "q.zarr") == FIELDS
    (tmp_path / "broken.ozx").write_bytes(b"PK no archive")
    with pytest.raises(ImageError, match=r"broken\.ozx: no whole zip archive"):
        open_image(tmp_path / "broken.ozx")


def test_plates_are_scored(tmp_path: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    enhance_files(source, tmp_path / "te.zarr", ENHANCERS["te"])
    places = ["--gt", str(source), "--pred", f"te={tmp_path / 'te.zarr'}"]
    more = ["--metrics", "psnr", "--no-report", "--out", str(tmp_path / "o")]
    result = CliRunner().invoke(main, ["score", *places, *more], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with (tmp_path / "o/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [f"{field}#t0c{c}z0" for field in FIELDS for c in range(2)]
    assert [row["image"] for row in rows if row["method"] == "te"] == names
    assert {row["status"] for row in rows} == {"ok"}
    record = json.loads((tmp_path / "o/run.json").read_text())
    assert record["failed"] == 0
