"""Weights: kept whole, read back, and refused where they are not what they claim."""

import json
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cellqa.errors import CellqaError
from ciegan.config import Config, to_toml
from ciegan.models import GENERATORS
from ciegan.network.checkpoint import load, save
from ciegan.network.normalisation import Normalisation


@pytest.fixture
def weights(tmp_path: Path, tiny: Config) -> Path:
    torch.manual_seed(0)
    generator = GENERATORS["resunet"](1, **tiny.generator.options)
    return save(
        tmp_path / "best.safetensors",
        generator.state_dict(),
        config=tiny,
        channels=1,
        normalisation=Normalisation("image", 1.5, 20.0),
        step=7,
        scores={"psnr": 30.25},
        warnings=["random features"],
    )


def rewritten(path: Path, **metadata: str) -> Path:
    """The same weights with other metadata."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        known = file.metadata()
    save_file(state, path, {**known, **metadata})
    return path


def test_there_and_back(weights: Path, tiny: Config) -> None:
    for path in (weights, weights.parent):
        found = load(path)
        assert found.config == tiny
        assert found.normalisation == Normalisation("image", 1.5, 20.0)
        assert (found.step, found.scores, found.warnings) == (
            7,
            {"psnr": 30.25},
            ["random features"],
        )
        torch.manual_seed(0)
        generator = GENERATORS["resunet"](1, **tiny.generator.options)
        for name, value in generator.state_dict().items():
            assert torch.equal(found.generator.state_dict()[name], value)
        assert not found.generator.training


@pytest.mark.parametrize("size", [0, 4, 100, -100, -1])
def test_truncated(weights: Path, size: int) -> None:
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(CellqaError, match="damaged or truncated"):
        load(weights)


def test_a_huge_header_is_refused_before_memory_is_taken(weights: Path) -> None:
    weights.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(CellqaError, match="damaged or truncated"):
        load(weights)


class Bomb:
    def __reduce__(self) -> object:
        return print, ("code of a pickle ran",)


def test_a_pickle_is_refused_and_never_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CellqaError, match="only safetensors"):
        load(path)
    torch.save({"a": Bomb()}, path)
    with pytest.raises(CellqaError, match="only safetensors"):
        load(path)
    assert "ran" not in capsys.readouterr().out


def test_of_another_network(weights: Path, tiny: Config) -> None:
    other = replace(tiny, generator=replace(tiny.generator, name="unet", options={}))
    with pytest.raises(CellqaError, match=r"another network than its configuration says \(UNet"):
        load(rewritten(weights, config=to_toml(other)))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": "other"}, "not weights of this version"),
        ({"config": "[data]\ncorp = 3"}, "data.corp is unknown"),
        ({"config": "["}, "description is damaged"),
        ({"about": "{"}, "description is damaged"),
        ({"about": json.dumps({"channels": 1})}, "description is damaged"),
        ({"config": '[generator]\nname = "gan"'}, "generator.name must be one of"),
        ({"config": "[generator.options]\nwidth = 3"}, "generator.options"),
    ],
)
def test_damaged_descriptions(weights: Path, metadata: dict[str, str], message: str) -> None:
    with pytest.raises(CellqaError, match=message):
        load(rewritten(weights, **metadata))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CellqaError, match=r"no best\.safetensors here"):
        load(tmp_path)
    with pytest.raises(CellqaError, match="there is no such file"):
        load(tmp_path / "a.safetensors")
