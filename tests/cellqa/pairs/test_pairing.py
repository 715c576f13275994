from __future__ import annotations

from pathlib import Path

import pytest

from cellqa.errors import CellqaError
from cellqa.pairs.pairing import Folder, pair, scan


def touch(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")
    return top


def test_scan_goes_into_folders_and_passes_over_hidden_and_unknown_files(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "sub/a.OME.tif", ".hidden.png", ".trash/c.png", "notes.txt")
    (tmp_path / "c.zarr" / "0").mkdir(parents=True)
    found = scan(tmp_path, "--gt")
    assert found.images == {"b": ("b.png",), "c": ("c.zarr",), "sub/a": ("sub/a.OME.tif",)}
    assert found.others == ("notes.txt",)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "there is no folder"), ("file.png", "is a file"), ("empty", "no images in")],
)
def test_bad_folders(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CellqaError, match=f"^--gt: .*{message}"):
        scan(tmp_path / name, "--gt")


def folder(*names: str) -> Folder:
    images: dict[str, tuple[str, ...]] = {}
    for name in names:
        stem = name.rsplit(".", 1)[0]
        images[stem] = (*images.get(stem, ()), name)
    return Folder(Path("x"), images)


def test_pairing_is_by_name_without_suffix_and_sorted() -> None:
    found = pair({"m": folder("b.png", "a.tif", "z.tif"), "gt": folder("a.png", "b.png", "q.png")})
    assert [i.name for i in found.images] == ["a.png", "b.png"]
    assert found.images[0].files == {"m": ("a.tif",), "gt": ("a.png",)}
    assert found.unpaired == {"m": ("z.tif",), "gt": ("q.png",)}


def test_methods_that_lack_an_image_are_told() -> None:
    found = pair(
        {"m": folder("a.png"), "n": folder("a.png", "b.png"), "gt": folder("a.png", "b.png")}
    )
    assert [sorted(i.files) for i in found.images] == [["gt", "m", "n"], ["gt", "n"]]
    assert found.unpaired == {"m": ("b (missing)",)}


def test_ambiguous_names_are_kept_for_the_run_to_report() -> None:
    found = pair({"m": folder("a.png", "a.tif"), "gt": folder("a.png")})
    assert found.images[0].files["m"] == ("a.png", "a.tif")


def test_nothing_in_common() -> None:
    with pytest.raises(CellqaError, match=r"no image name in common: .b. here, .a. there"):
        pair({"m": folder("b.png"), "gt": folder("a.png")})


def test_without_ground_truth_every_image_counts() -> None:
    found = pair({"m": folder("a.png"), "n": folder("b.png")})
    assert [i.name for i in found.images] == ["a.png", "b.png"]
