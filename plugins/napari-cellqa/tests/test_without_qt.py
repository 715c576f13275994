"""The computing knows no Qt, and what it brings stands in the manifest."""

import subprocess
import sys

import pytest
from npe2 import PluginManifest

from napari_cellqa import samples

CODE = """
import sys
from napari_cellqa import enhancing, layers, maps, memory, samples, scoring, table
loaded = sorted(n for n in sys.modules if n.startswith(("qtpy", "PyQt", "PySide")))
assert not loaded, loaded
"""


def test_the_computing_loads_no_qt():
    subprocess.run([sys.executable, "-c", CODE], check=True)


def test_the_manifest_is_valid_and_leads_to_what_there_is():
    manifest = PluginManifest.from_distribution("napari-cellqa")
    manifest.validate_imports()
    given = manifest.contributions
    assert [w.display_name for w in given.widgets] == ["Score layers", "Maps", "Enhance with a run"]
    assert len(given.sample_data) == 5


@pytest.mark.parametrize("scene", ["filaments", "nuclei", "cells", "fibres", "spots"])
def test_samples_are_layers_of_one_size(scene):
    layers = getattr(samples, scene)()
    assert [options["name"] for _, options, _ in layers] == ["blurred", "te", "sharp"]
    assert {pixels.shape for pixels, _, _ in layers} == {(384, 384)}
    assert {options["units"] for _, options, _ in layers} == {("um", "um")}
