"""The recipe, the image and the records beside pyproject.toml say what it says."""

import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
ASKED = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RELEASE = runpy.run_path(str(PROJECT / "version.py"))["RELEASE"]
ELSEWHERE = {
    "matplotlib-base": "matplotlib",
    "py-opencv": "opencv-python-headless",
}  # conda's names


def test_the_conda_recipe_asks_for_what_the_package_asks_for() -> None:
    recipe = (PROJECT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8")
    part = recipe.partition("  run:\n")[2].partition("  #")[0]
    asked = dict(re.findall(r"- (\S+) >=(\S+)", part))
    assert asked.pop("python") == ASKED["requires-python"].removeprefix(">=")
    ours = dict(line.split(">=") for line in ASKED["dependencies"])
    assert {ELSEWHERE.get(name, name): version for name, version in asked.items()} == ours
    assert f"version: {RELEASE}\n" in recipe
    for command, place in ASKED["scripts"].items():
        assert f"- {command} = {place}\n" in recipe


def test_the_image_installs_extras_that_there_are() -> None:
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"ARG EXTRAS=(\S+)", text)
    assert found is not None
    assert set(found[1].split(",")) <= set(ASKED["optional-dependencies"])
    assert "-c constraints.txt" in text
    assert re.search(r"^USER \d+$", text, re.MULTILINE)


def test_records_for_citing_can_be_read() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    record = json.loads((PROJECT / "codemeta.json").read_text(encoding="utf-8"))
    assert cited["license"] == ASKED["license"]
    assert record["license"].endswith(ASKED["license"])
    dois = {of["doi"] for of in cited["references"]}
    assert dois == {
        p["@id"].removeprefix("https://doi.org/") for p in record["referencePublication"]
    }
