from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from images import blurred

import cellqa
from cellqa.cli import main
from cellqa.errors import CellqaError
from cellqa.scoring.maps import save_maps

Folders = Callable[..., Path]


def test_a_run_writes_the_maps_of_the_functions(
    folders: Folders, sharp16: np.ndarray, tmp_path: Path
) -> None:
    raw, net = blurred(sharp16, 3), blurred(sharp16, 1)
    roles = {
        name: folders(name, ".tif", a=image)
        for name, image in (("gt", sharp16), ("net", net), ("raw", raw))
    }
    out = tmp_path / "run"
    arguments = [
        "score",
        "--pred",
        f"../x={roles['net']}",
        "--gt",
        str(roles["gt"]),
        "--input",
        str(roles["raw"]),
        "--out",
        str(out),
        "--maps",
        "--pixel-size",
        "0.25",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    maps = {p.relative_to(out / "maps").as_posix() for p in (out / "maps").rglob("*.tif")}
    method = "%2E.%2Fx"  # what could be a path is a name
    assert maps == {
        *(f"{method}/a.tif.{name}.tif" for name in ("ssim", "error", "invented", "consistency")),
        *(f"input/a.tif.{name}.tif" for name in ("ssim", "error")),
        "gt/a.tif.consistency.tif",
    }
    data_range = float(np.ptp(sharp16))
    expected = {
        "ssim": cellqa.ssim_map(sharp16, net, data_range=data_range),
        "error": cellqa.error_map(sharp16, net),
        "invented": cellqa.detail_map(sharp16, raw, net),
        "consistency": cellqa.consistency_map(raw, net),
    }
    for name, pixels in expected.items():
        path = out / "maps" / method / f"a.tif.{name}.tif"
        assert np.array_equal(tifffile.imread(path), pixels, equal_nan=True)
        with cellqa.open_image(path) as file:
            assert file.pixel_size == pytest.approx(0.25)
    again = CliRunner().invoke(main, [*arguments[:-3], "--overwrite"])
    assert again.exit_code == 0
    assert not (out / "maps").exists()  # maps of an earlier run are results of it


def test_ssim_map_agrees_with_scikit_image(sharp8: np.ndarray) -> None:
    from skimage.metrics import structural_similarity

    soft = blurred(sharp8, 2)
    _, expected = structural_similarity(
        sharp8,
        soft,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    found = cellqa.ssim_map(sharp8, soft, data_range=255)
    assert np.isnan(found[:5]).all()
    assert np.allclose(found[5:-5, 5:-5], expected[5:-5, 5:-5], atol=1e-6)


def test_names_stay_inside_the_folder(tmp_path: Path) -> None:
    pixels = {"ssim": np.zeros((4, 4))}
    paths = [
        save_maps(tmp_path / "maps", method, image, pixels, None)[0]
        for method in ("..", "/etc", "a/b", "a%2Fb")
        for image in ("../../x.tif", "a/../b.tif", "/etc/passwd", "w/1.tif#t0c0z1")
    ]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert path.resolve().is_relative_to((tmp_path / "maps").resolve())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text("in the way")
    with pytest.raises(CellqaError, match="is no folder or file of ours"):
        save_maps(tmp_path / "maps", "net", "a.tif", {"ssim": np.zeros((4, 4))}, None)
