"""Images that have the noise of their ground truth, and those that only look like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter

from cellqa import frc_resolution
from cellqa.cli import main
from cellqa.errors import Bound
from cellqa.io import write_tiff
from cellqa.metrics.shared_noise import NAMED, SHARED
from cellqa.metrics.table import METRICS
from cellqa.pairs.naming import Naming
from cellqa.pairs.pairing import Pairing
from cellqa.planes import Array
from cellqa.reporting.leaders import lead, misled
from cellqa.reporting.load import load_run
from cellqa.simulate import Scene, filaments, nuclei, spots
from cellqa.tables.rows import Row
from cellqa.tables.tally import Tally

SCENES = (filaments, nuclei, spots)


def told(truth: Array, image: Array) -> bool:
    found = frc_resolution(truth, image)
    return isinstance(found, Bound) and SHARED in found.reason


def again(scene: Scene, seed: int) -> Array:
    """The same scene, taken once more."""
    return np.random.default_rng(seed).poisson(scene.ideal) + 100.0


@pytest.mark.parametrize("photons", [100, 1000])
@pytest.mark.parametrize("make", SCENES)
def test_an_image_made_of_the_truth_is_told_and_another_one_not(make: object, photons: int) -> None:
    scene = make((256, 256), cutoff=0.3, photons=photons, seed=4)  # type: ignore[operator]
    read = np.random.default_rng(5).normal(0, 2, scene.image.shape)
    assert told(scene.image, gaussian_filter(scene.image.astype(float), 1) + read)
    assert not told(scene.image, gaussian_filter(again(scene, 6), 1) + read)
    assert not told(scene.image, scene.ideal)


@pytest.mark.parametrize("cutoff", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("photons", [5, 30, 1000, 20000])
@pytest.mark.parametrize("make", SCENES)
def test_independent_images_are_never_accused(make: object, photons: int, cutoff: float) -> None:
    """Nor where detail reaches to the Nyquist frequency and noise hides it."""
    for seed in (1, 2):
        scene = make((192, 192), cutoff=cutoff, photons=photons, seed=seed)  # type: ignore[operator]
        for image in (again(scene, seed), gaussian_filter(again(scene, seed), 1), scene.ideal):
            assert not told(scene.image, image)


def test_a_pattern_of_the_camera_is_told() -> None:
    """As in real brightfield series: a correlation of 0.15 up to the Nyquist frequency."""
    pattern = np.random.default_rng(1).normal(0, 4, (256, 256))
    near, far = (filaments((256, 256), cutoff=0.3, photons=100, seed=s) for s in (1, 2))
    assert told(near.image + pattern, far.image + pattern)
    assert not told(near.image + pattern, far.image + pattern[::-1])


def test_a_mean_that_holds_the_image_is_told() -> None:
    scene = nuclei((256, 256), cutoff=0.3, photons=100, seed=1)
    takes = [again(scene, seed) for seed in range(8)]
    assert told(np.mean(takes, axis=0), takes[0])
    assert not told(np.mean(takes[1:], axis=0), takes[0])


def test_the_truth_itself_is_no_case_of_it() -> None:
    image = filaments((128, 128), cutoff=0.3, photons=100, seed=1).image
    found = frc_resolution(image, image)
    assert isinstance(found, Bound)
    assert "Nyquist" in found.reason


def test_small_images_are_not_accused_by_chance() -> None:
    random = np.random.default_rng(1)
    pairs = random.normal(size=(100, 2, 41, 41))
    assert not any(told(one, two) for one, two in pairs)


def test_a_run_names_the_methods(tmp_path: Path) -> None:
    for number in range(3):
        scene = filaments((128, 128), cutoff=0.3, photons=300, seed=number)
        made = {
            "gt": scene.image,
            "honest": np.rint(gaussian_filter(again(scene, 9 + number), 1)).astype(np.uint16),
            "of_truth": np.rint(gaussian_filter(scene.image.astype(float), 1)).astype(np.uint16),
        }
        for name, pixels in made.items():
            write_tiff(tmp_path / name / f"{number}.tif", pixels, None)
    words = ["score", "--gt", tmp_path / "gt", "--out", tmp_path / "out", "--no-report"]
    words += [f"--pred={tmp_path / name}" for name in ("honest", "of_truth")]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    run = load_run(tmp_path / "out")
    (warning,) = [w for w in run.record.warnings if NAMED in w]
    assert warning.startswith(f"of_truth {NAMED} (one was made of the other, a mean holds both")
    assert warning.endswith("(3 images)")
    assert lead(run, METRICS["ssim"]) is not None
    assert lead(run, METRICS["frc_resolution"]) is None
    assert misled(run, METRICS["frc_resolution"])
    limit = ["--overwrite", "--fail-under", "frc_resolution=20"]  # which its value would meet
    failed = CliRunner().invoke(main, [*map(str, words), *limit])
    assert failed.exit_code == 4, failed.output
    assert "frc_resolution of of_truth is of shared noise on 3 of 3 images" in failed.output
    assert not misled(run, METRICS["ssim"])


def test_a_few_images_are_not_held_against_a_run() -> None:
    note = f"a {NAMED}"
    for told, many in ((1, 100), (3, 100)):
        tally = Tally(("a",), ())
        for number in range(many):
            notes = (note,) if number < told else ()
            tally.add(Row(f"{number}.tif", "a", notes=notes))
        named = [w for w in tally.warnings(Pairing({}, (), {}, Naming())) if NAMED in w]
        assert named == ([f"{note} (3 images)"] if told == 3 else [])
