"""Plates through a network: each field once, a plate as the result."""

from pathlib import Path

import numpy as np
import pytest
from networks import expected, run, same, table, weights

pytest.importorskip("zarr")
from plates import FIELDS, plate

from cellqa.io import images_in, open_image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:zarr")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


@pytest.mark.parametrize("version", [2, 3])
def test_a_plate_becomes_a_plate(tmp_path: Path, model: Path, version: int) -> None:
    source = plate(tmp_path / "p.zarr", version)
    target = tmp_path / "out" / "q.zarr"
    found = run(model, source, target)
    assert found.exit_code == 0, found.output
    assert images_in(target) == FIELDS
    for field in FIELDS:
        with open_image(source / field) as raw, open_image(target / field) as result:
            assert result.acquired() == raw.acquired()
            for index in raw.planes:
                pixels = np.array(raw.load(index))
                assert same(result.load(index), expected(model, pixels))
    # beside the store, which holds images alone
    assert [row for row in table(tmp_path / "out")] == [f"p.zarr/{f}" for f in FIELDS]
    assert not [p.name for p in target.iterdir() if "ciegan" in p.name or "csv" in p.name]
    again = run(model, source, target)
    assert again.exit_code == 0, again.output
    assert {row["status"] for row in table(tmp_path / "out").values()} == {"skipped"}


def test_fields_that_fail_are_not_stated(tmp_path: Path, model: Path) -> None:
    source = plate(tmp_path / "p.zarr")
    (source / "A/1/1/0/.zarray").write_text("{")
    found = run(model, source, tmp_path / "q.zarr")
    assert found.exit_code == 3
    assert images_in(tmp_path / "q.zarr") == ("A/1/0", "B/2/0")
    plate(tmp_path / "p.zarr")
    assert run(model, source, tmp_path / "q.zarr", "--overwrite").exit_code == 0
    assert images_in(tmp_path / "q.zarr") == FIELDS
