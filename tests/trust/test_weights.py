"""Weights from strangers, and damaged ones: nothing is run, nothing made up."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import image, run, weights
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from ciegan.network.checkpoint import load
from ciegan.network.export import export_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def changed(path: Path, target: Path, value: float) -> Path:
    """Weights, of which some are another value."""
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    for tensor in tensors.values():
        tensor.view(-1)[:1] = value
    save_file(tensors, target, about)
    return target


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_fails(tmp_path: Path, value: float) -> None:
    model = changed(weights(tmp_path / "a.safetensors"), tmp_path / "b.safetensors", value)
    for name in ("x", "y"):
        write_tiff(tmp_path / "in" / f"{name}.tif", image(), None)
    found = run(model, tmp_path / "in", tmp_path / "out")
    assert found.exit_code == 3
    with (tmp_path / "out/enhanced.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} == {"failed"}
    assert all("result is not finite" in row["reason"] for row in rows)
    assert not list((tmp_path / "out").glob("*.tif"))


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    contents = {weights(tmp_path / f"{k}.safetensors").read_bytes() for k in range(8)}
    assert len(contents) == 1
    assert load(tmp_path / "0.safetensors").step == 5


def test_a_normalisation_that_there_is_not(tmp_path: Path) -> None:
    model = weights(tmp_path / "a.safetensors")
    with safe_open(model, framework="pt") as file:
        about = file.metadata()
    about["about"] = about["about"].replace('"rule": "image"', '"rule": "none at all"')
    save_file(load_file(model), model, about)
    with pytest.raises(CellqaError, match="there is no normalisation 'none at all'"):
        load(model)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return export_network(weights(tmp_path / "a.safetensors"), tmp_path / "a.onnx", "onnx").path


def in_place_of_the_output(path: Path, node: object, *more: object) -> None:
    """Let a model's output depend on another node, which gives `extra`."""
    model = onnx.load(path)
    name = model.graph.output[0].name
    last = next(n for n in model.graph.node if name in n.output)
    last.output[list(last.output).index(name)] = "inner"
    for each in more:
        model.graph.initializer.append(each)
    model.graph.node.append(node)
    total = onnx.helper.make_node("ReduceSum", ["extra"], ["total"], keepdims=0)
    model.graph.node.append(total)
    model.graph.node.append(onnx.helper.make_node("Add", ["inner", "total"], [name]))
    onnx.save(model, path)


def test_a_loop_is_refused(exported: Path) -> None:
    helper, kind = onnx.helper, onnx.TensorProto
    inside = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Identity", ["value"], ["next"]),
        ],
        "endless",
        [
            helper.make_tensor_value_info("n", kind.INT64, []),
            helper.make_tensor_value_info("go", kind.BOOL, []),
            helper.make_tensor_value_info("value", kind.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on", kind.BOOL, []),
            helper.make_tensor_value_info("next", kind.FLOAT, [1]),
        ],
    )
    loop = helper.make_node("Loop", ["", "true", "one"], ["extra"], body=inside)
    true = onnx.numpy_helper.from_array(np.array(True), "true")
    one = onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")
    in_place_of_the_output(exported, loop, true, one)
    with pytest.raises(CellqaError, match="computes with Loop, which no network of ciegan does"):
        load(exported)


def test_a_model_takes_no_more_memory_than_a_network(exported: Path) -> None:
    large = onnx.helper.make_node("ConstantOfShape", ["sides"], ["extra"])
    sides = onnx.numpy_helper.from_array(np.array([5000, 1000, 1000]), "sides")
    in_place_of_the_output(exported, large, sides)
    generator = load(exported).generator
    with pytest.raises((MemoryError, CellqaError)):
        generator(torch.zeros(1, 1, 64, 64))


def test_a_model_that_takes_too_long_is_ended(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ciegan.network.onnx._PATIENCE", 1e-6)
    generator = load(exported).generator
    with pytest.raises(CellqaError, match="onnxruntime failed"):
        generator(torch.zeros(1, 1, 512, 512))
