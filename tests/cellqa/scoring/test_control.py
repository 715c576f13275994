"""Ground truths of different images agree in nothing, unless a pattern is in all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from images import blurred

from cellqa import simulate
from cellqa.engines.local import LocalEngine
from cellqa.pairs.grouping import Grouping
from cellqa.pairs.pairing import Pairing, pair_folders
from cellqa.scoring.control import AGREE, shared_pattern
from cellqa.scoring.options import ScoreOptions
from cellqa.scoring.run import merge, score_to_folder

Folders = Callable[..., Path]


@pytest.fixture
def fields() -> dict[str, np.ndarray]:
    return {
        f"f{k}": simulate.filaments((192, 192), cutoff=0.5, photons=800, seed=k).image
        for k in range(6)
    }


def paired(folders: Folders, images: dict[str, np.ndarray]) -> Pairing:
    soft = {name: blurred(image, 1) for name, image in images.items()}
    return pair_folders(
        {"net": folders("net", ".tif", **soft)}, reference=folders("gt", ".tif", **images)
    )


def told(pairing: Pairing, grouping: Grouping | None = None) -> list[str]:
    return shared_pattern(pairing, ScoreOptions(), LocalEngine(1), grouping)


def test_different_fields_agree_in_nothing(folders: Folders, fields: dict[str, np.ndarray]) -> None:
    assert told(paired(folders, fields)) == []


def scale_bar(image: np.ndarray) -> np.ndarray:
    image[170:178, 120:180] = image.max()
    return image


def fixed_pattern(image: np.ndarray) -> np.ndarray:
    return image + np.random.default_rng(1).integers(0, 20, image.shape).astype(np.uint16)


def hot_pixels(image: np.ndarray) -> np.ndarray:
    y, x = np.random.default_rng(1).integers(0, 192, (2, 60))
    image[y, x] = image.max()
    return image


@pytest.mark.parametrize("pattern", [scale_bar, fixed_pattern, hot_pixels])
def test_what_is_the_same_in_all_is_told(
    folders: Folders,
    fields: dict[str, np.ndarray],
    pattern: Callable[[np.ndarray], np.ndarray],
) -> None:
    (line,) = told(paired(folders, {name: pattern(i.copy()) for name, i in fields.items()}))
    assert "agree with each other" in line
    assert "a pattern is in all of them" in line


def test_images_of_one_field_are_told_unless_grouped(
    folders: Folders, fields: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(1)
    movie = {
        f"{name}_t{t}": (image + rng.normal(0, 2, image.shape)).astype(np.uint16)
        for name, image in [("f0", fields["f0"])]
        for t in range(6)
    }
    pairing = paired(folders, movie)
    assert len(told(pairing)) == 1
    assert told(pairing, Grouping.parse("(f[0-9])")) == []
    for folder in pairing.folders.values():  # as fields of a well, they are known to be one
        (folder / "A" / "1").mkdir(parents=True)
        for number, name in enumerate(sorted(movie)):
            (folder / f"{name}.tif").rename(folder / "A" / "1" / f"{number}.tif")
    of_well = pair_folders({"net": pairing.folders["net"]}, reference=pairing.folders["gt"])
    assert (len(of_well.images), told(of_well)) == (6, [])


def test_a_merged_run_tells_it_too(
    folders: Folders, fields: dict[str, np.ndarray], tmp_path: Path
) -> None:
    pairing = paired(folders, {name: scale_bar(i.copy()) for name, i in fields.items()})
    parts = [tmp_path / f"part{k}" for k in (1, 2)]
    for k, part in enumerate(parts, 1):
        score_to_folder(pairing, part, shard=(k, 2))
    whole = score_to_folder(pairing, tmp_path / "whole")
    merged = merge(parts, tmp_path / "merged")
    line = [w for w in whole.warnings if w.startswith(AGREE)]
    assert len(line) == 1
    assert [w for w in merged.warnings if w.startswith(AGREE)] == line
