"""The public names: they load, are typed, and take and return nothing that is not public."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import cellqa
import ciegan
from cellqa.io import write_tiff

PACKAGES = [cellqa, ciegan]
PUBLIC = {id(getattr(p, name)) for p in PACKAGES for name in p.__all__}
FUNCTIONS = [
    pytest.param(getattr(p, name), id=f"{p.__name__}.{name}")
    for p in PACKAGES
    for name in p.__all__
    if inspect.isfunction(getattr(p, name))
]


def classes_in(hint: object) -> set[type]:
    """Every class that a type is made of."""
    if isinstance(hint, (list, tuple)):
        return set().union(*map(classes_in, hint))
    own = {c for c in (hint, typing.get_origin(hint)) if isinstance(c, type)}
    return own.union(*map(classes_in, typing.get_args(hint)))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_loads_and_says_what_it_is(package: ModuleType) -> None:
    assert dir(package) == sorted(package.__all__)
    for name in package.__all__:
        value = getattr(package, name)
        assert not inspect.ismodule(value), name
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, name
    with pytest.raises(AttributeError, match="nothing"):
        package.nothing  # noqa: B018


def test_importing_them_is_quick() -> None:
    code = "import cellqa, ciegan, sys; print({'numpy', 'torch', 'click'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_a_function_takes_and_returns_is_public(function: object) -> None:
    for name, hint in typing.get_type_hints(function).items():
        for each in classes_in(hint):
            ours = each.__module__.split(".")[0] in ("cellqa", "ciegan")
            assert not ours or id(each) in PUBLIC, f"{name}: {each}"
        if name != "return" and Path in classes_in(hint):
            raise AssertionError(f"{name} takes a Path and no str")


SCRIPT = """
import os
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import cellqa
import ciegan

image = np.zeros((64, 64))
assert_type(cellqa.psnr(image, image, data_range=1.0), float)
assert_type(cellqa.ssim_map(image, image, data_range=1.0), npt.NDArray[Any])
pairing = cellqa.pair_folders({"net": "out"}, reference=Path("sharp"))
finished = cellqa.score_to_folder(pairing, "results", grouping=cellqa.Grouping.parse("field"))
assert_type(finished, cellqa.Finished)
assert_type(finished.summaries[0].mean, float)
assert_type(cellqa.report("results"), Path)
assert_type(cellqa.figures(Path("results")), list[Path])
assert_type(cellqa.merge(["a", Path("b")], "c"), cellqa.Finished)
assert_type(cellqa.METRICS["psnr"], cellqa.Metric)
assert_type(cellqa.METRICS["psnr"].higher_is_better, bool | None)
assert_type(ciegan.load("run").config.data.crop, int)
assert_type(ciegan.train("data", "run", ciegan.PRESETS["paper"]), ciegan.Trained)
options = ciegan.EnhanceOptions(samples=4)
assert_type(ciegan.enhance_files("run", "in", "out", options), list[ciegan.Enhanced])
assert_type(ciegan.watch("run", "in", "out").counts["ok"], int)


def wrong() -> str:
    return cellqa.psnr(image, image, data_range=1.0)  # a float
"""


def test_a_type_checker_knows_them(tmp_path: Path) -> None:
    """As a user's editor does: strict, and from the installed package alone."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    # other packages' types take most of the time, and change nothing here
    settings = "[mypy]\nstrict = true\n[mypy-torch.*,lightning.*,pandas.*,matplotlib.*,scipy.*]\n"
    (tmp_path / "mypy.ini").write_text(settings + "follow_imports = skip\n")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in found.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, found.stdout + found.stderr
    assert "script.py:32" in errors[0]
    assert 'got "float", expected "str"' in errors[0]


def test_a_plain_script_scores_folders(tmp_path: Path) -> None:
    """Without `if __name__ == "__main__"`, as people write them."""
    rng = np.random.default_rng(0)
    for name in "abcdefgh":
        image = rng.integers(0, 255, (64, 64), np.uint8)
        write_tiff(tmp_path / "gt" / f"{name}.tif", image, None)
        write_tiff(tmp_path / "out" / f"{name}.tif", image // 2, None)
    script = tmp_path / "script.py"
    script.write_text(
        "import cellqa\n"
        "pairing = cellqa.pair_folders({'net': 'out'}, reference='gt')\n"
        "finished = cellqa.score_to_folder(pairing, 'results')\n"
        "print(len(cellqa.score_pairing(pairing)), finished.tally.rows)\n"
    )
    found = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "16 16\n"
