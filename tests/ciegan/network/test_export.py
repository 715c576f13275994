"""Networks for other programs: the same results there, and files that are what they claim."""

import io
import json
import tomllib
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tifffile
import torch
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from cellqa.errors import CellqaError, MissingExtraError
from cellqa.io import write_tiff
from ciegan.cli import main
from ciegan.cli.export import export as command
from ciegan.config import DEFAULT, Network, from_dict
from ciegan.models import GENERATORS
from ciegan.network import export
from ciegan.network.checkpoint import load, save
from ciegan.network.export import DESCRIPTION, TOLERANCE, Model, export_network
from ciegan.network.exports import EXPORTS
from ciegan.network.normalisation import Normalisation, scaled
from ciegan.network.onnx import OnnxGenerator
from ciegan.network.windows import enhance_plane

OPTIONS: dict[str, dict[str, Any]] = {
    "paper": {},  # has no smaller one
    "resunet": {"widths": [4, 8], "blocks": [1, 1]},
    "nafnet": {"widths": [4, 8], "blocks": [1, 1]},
    "unet": {"widths": [4, 8, 8]},
    "pix2pix": {"width": 4, "depth": 3},
}
IMAGE, UNIT = Normalisation("image", 10.0, 200.0), Normalisation("range", 0.0, 1.0)
# an extra that a bare machine with a CUDA device lacks
bioimageio = pytest.mark.skipif(find_spec("bioimageio") is None, reason="no bioimageio.spec")
SUFFIXES = {name: chosen.suffix for name, chosen in EXPORTS.items()}


def weights(
    path: Path,
    name: str = "resunet",
    channels: int = 1,
    normalisation: Normalisation = IMAGE,
    **options: Any,
) -> Path:
    """A generator that does something, as after training."""
    torch.manual_seed(0)
    options = {**OPTIONS.get(name, {}), **options}
    generator = GENERATORS[name](channels, **options)
    for parameter in generator.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # one batch is enough
    with torch.no_grad():
        generator.train()(torch.rand(2, channels, 64, 64) * 2 - 1)
    return save(
        path,
        generator.state_dict(),
        config=replace(DEFAULT, generator=Network(name, options)),
        channels=channels,
        normalisation=normalisation,
        step=5,
        scores={"psnr": 30.25},
        warnings=["random features"],
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights(tmp_path_factory.mktemp("model") / "best.safetensors")


@pytest.fixture(scope="module")
def exported(model: Path) -> Path:
    """The ONNX file of `model`."""
    return export_network(model, model.parent / "model.onnx", "onnx").path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


@pytest.fixture
def torchscript_is_deprecated() -> Iterator[None]:
    """PyTorch warns of its own loader, which is what other programs use."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.", DeprecationWarning)
        yield


def test_the_command_offers_each_format() -> None:
    (to,) = (p for p in command.params if p.name == "to")
    assert to.type.names == list(EXPORTS)  # type: ignore[attr-defined]
    ours = {"onnx": ".onnx", "torchscript": ".pt", "bioimageio": ".zip"}
    assert ours.items() <= SUFFIXES.items()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("to", ["onnx", "torchscript"])
def test_every_generator(tmp_path: Path, to: str, name: str, channels: int) -> None:
    source = weights(tmp_path / "best.safetensors", name, channels)
    found = run(tmp_path, tmp_path / f"a{SUFFIXES[to]}", "--to", to)
    assert found.exit_code == 0, found.output
    generator = load(source).generator
    assert f"multiples of {generator.stride}\n" in found.stdout
    assert "halo of a tile" in found.stdout
    assert "percentiles 0.1 and 99.9" in found.stdout
    assert "random features" in found.stderr
    assert not list(tmp_path.glob(".cellqa-*"))


@pytest.mark.parametrize("name", ["resunet", "unet"])
def test_any_batch_and_size(tmp_path: Path, name: str) -> None:
    source = weights(tmp_path / "best.safetensors", name)
    export_network(source, tmp_path / "a.onnx", "onnx")
    expected = load(source).generator
    found = load(tmp_path / "a.onnx").generator
    assert isinstance(found, OnnxGenerator)
    assert not list(found.parameters())
    assert not found.training
    stride = expected.stride
    with torch.inference_mode():
        for batch, height, width in ((1, 1, 1), (1, 9, 4), (3, 2, 11)):
            images = torch.rand(batch, 1, height * stride, width * stride) * 2 - 1
            difference = (found(images) - expected(images)).abs().max()
            assert float(difference) < 1e-5  # float32 sums in another order


def test_there_and_back(model: Path, exported: Path) -> None:
    before, after = load(model), load(exported)
    assert after.config == before.config
    assert after.normalisation == before.normalisation
    assert (after.step, after.scores, after.warnings) == (5, {"psnr": 30.25}, ["random features"])
    for name in ("channels", "stride", "radius", "local"):
        assert getattr(after.generator, name) == getattr(before.generator, name)


def test_onnx_without_ciegan(model: Path, exported: Path) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["format"] == "ciegan onnx 1"
    assert from_dict(tomllib.loads(metadata["config"])) == load(model).config
    about = json.loads(metadata["about"])
    assert (about["axes"], about["range"]) == ("bcyx", [-1, 1])
    assert (about["channels"], about["stride"]) == (1, 4)
    assert about["radius"] <= about["halo"] < about["radius"] + 4
    assert about["halo"] % 4 == 0
    assert about["normalisation"] == {"rule": "image", "low": 10.0, "high": 200.0}
    assert len(about["weights_sha256"]) == 64
    images = np.random.default_rng(1).uniform(-1, 1, (2, 1, 20, 28)).astype(np.float32)
    (found,) = session.run(["output"], {"input": images})
    with torch.inference_mode():
        expected = load(model).generator(torch.from_numpy(images)).numpy()
    assert found == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.usefixtures("torchscript_is_deprecated")
def test_torchscript_without_ciegan(tmp_path: Path, model: Path) -> None:
    path = export_network(model, tmp_path / "a.pt", "torchscript").path
    extra = {DESCRIPTION: ""}
    network = torch.jit.load(path, _extra_files=extra)
    description = json.loads(extra[DESCRIPTION])
    assert description["about"]["normalisation"]["rule"] == "image"
    assert from_dict(tomllib.loads(description["config"])) == load(model).config
    images = torch.rand(3, 1, 20, 28)
    found = network(images)
    assert not found.requires_grad
    with torch.inference_mode():
        assert float((found - load(model).generator(images)).abs().max()) < TOLERANCE


def package(tmp_path: Path, **kwargs: Any) -> Any:
    """A bioimage.io package of a network, loaded."""
    from bioimageio.spec import load_description

    source = weights(tmp_path / "best.safetensors", **kwargs)
    found = run(source, tmp_path / "a.zip", "--to", "bioimageio", "--author", "A. B.")
    assert found.exit_code == 0, found.output
    # in memory: given a path, bioimageio.spec leaves the file open
    return load_description(zipfile.ZipFile(io.BytesIO((tmp_path / "a.zip").read_bytes())))


def steps(listed: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Processing steps that change numbers."""
    plain = [step.model_dump() for step in listed]
    return [(s["id"], s.get("kwargs", {})) for s in plain if s["id"] != "ensure_dtype"]


def processed(listed: list[Any], image: np.ndarray) -> np.ndarray:
    """What the format says that the steps do."""
    image = image.astype(np.float64)
    for name, options in steps(listed):
        if name == "scale_range":
            low, high = np.percentile(image, (options["min_percentile"], options["max_percentile"]))
            image = (image - low) / (high - low + options["eps"])
        elif name == "scale_linear":
            image = image * options["gain"] + options["offset"]
        else:
            assert name == "fixed_zero_mean_unit_variance"
            image = (image - options["mean"]) / options["std"]
    return image.astype(np.float32)


@bioimageio
@pytest.mark.parametrize(
    ("name", "channels", "normalisation"),
    [
        ("resunet", 1, IMAGE),
        ("unet", 3, Normalisation("train", 100.0, 60000.0)),
        ("nafnet", 1, Normalisation("range", 0.0, 255.0)),
        ("resunet", 1, Normalisation("train", -1.0, 1.0)),
    ],
)
def test_bioimageio(tmp_path: Path, name: str, channels: int, normalisation: Normalisation) -> None:
    descr = package(tmp_path, name=name, channels=channels, normalisation=normalisation)
    assert descr.validation_summary.status != "failed"
    network = load(tmp_path / "best.safetensors").generator
    (given,), (made,) = descr.inputs, descr.outputs
    for axis, result in zip(given.axes[2:], made.axes[2:], strict=True):
        assert axis.size.step == network.stride
        halo = getattr(result, "halo", 0)
        assert axis.size.min % network.stride == halo % network.stride == 0
        if normalisation.rule == "image":  # programs pad by the halo before they take percentiles
            assert halo == 0
        else:
            assert network.radius <= halo < axis.size.min / 2
    image = descr.get_input_test_arrays()[0]
    planes = processed(given.preprocessing, image)
    pixels = image[0, 0] if channels == 1 else np.moveaxis(image[0], 0, -1)
    # as `ciegan enhance` does it; float32, and the small divisor of the format
    assert planes[0] == pytest.approx(scaled(pixels, normalisation.limits(pixels)), abs=1e-5)
    with torch.inference_mode():
        found = network(torch.from_numpy(planes)).numpy()
    expected = descr.get_output_test_arrays()[0]
    scale = 1.0 if normalisation.rule == "image" else normalisation.high - normalisation.low
    assert processed(made.postprocessing, found) == pytest.approx(expected, abs=1e-4 * scale)
    assert [author.name for author in descr.authors] == ["A. B."]
    assert descr.license == "BSD-3-Clause"
    assert descr.cite[0].doi == "10.3389/fgene.2022.913372"
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert "bioimageio.yaml" in archive.namelist()
        text = archive.read("documentation.md").decode()
    assert "random features" in text
    assert "psnr: 30.25" in text


def test_onnx_enhances_as_the_run_does(tmp_path: Path, model: Path, exported: Path) -> None:
    pixels = np.random.default_rng(0).integers(20, 240, (150, 131)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", pixels, None)
    results = []
    for network in (model, exported):
        out = tmp_path / f"{network.suffix[1:]}.tif"
        found = CliRunner().invoke(
            main, ["enhance", str(network), str(tmp_path / "a.tif"), str(out), "--tile", "64"]
        )
        assert found.exit_code == 0, found.output
        results.append(tifffile.imread(out).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1  # rounding
    assert (results[0] != pixels).any()


def test_nothing_is_written_where_a_pixel_differs(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_by = 0.001

    def wrong(model: Model) -> Any:
        def network(images: torch.Tensor) -> torch.Tensor:
            found = model.generator(images).clone()
            found[-1, 0, -1, -1] += wrong_by
            return found

        return b"data", [network]

    monkeypatch.setattr(export, "to_onnx", wrong)
    for wrong_by in (0.001, float("nan")):  # noqa: B007 - read by `network`
        with pytest.raises(CellqaError, match="differs from the trained one"):
            export_network(model, tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())


@bioimageio
def test_batch_statistics_are_refused(tmp_path: Path) -> None:
    source = weights(tmp_path / "best.safetensors", "paper", batch_statistics=True)
    for to, suffix in SUFFIXES.items():
        found = run(source, tmp_path / f"a{suffix}", "--to", to)
        assert found.exit_code == 1
        assert "depends on its neighbours" in found.stderr
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["MODEL", "a.onnx"], "--to", 2),
        (["MODEL", "a.onnx", "--to", "tflite"], "tflite", 2),
        (["MODEL", "a.pt", "--to", "onnx"], "NAME.onnx, not 'a.pt'", 1),
        (["MODEL", "a", "--to", "bioimageio"], "NAME.zip, not 'a'", 1),
        (["MODEL", "a.onnx", "--to", "onnx", "--author", "A"], "are for --to bioimageio", 2),
        (["MODEL", "there.pt", "--to", "torchscript"], "--overwrite replaces it", 1),
        (["MODEL", "folder.pt", "--to", "torchscript"], "is a folder", 1),
        (["MODEL", "there.pt/a.pt", "--to", "torchscript"], "there.pt", 1),
        (["ONNX", "a.pt", "--to", "torchscript"], "exported already", 1),
        (["none", "a.onnx", "--to", "onnx"], "there is no such file", 1),
        (["folder.pt", "a.onnx", "--to", "onnx"], "no best.safetensors", 1),
        pytest.param(
            ["MODEL", "a.zip", "--to", "bioimageio", "--license", "none"],
            "license",
            1,
            marks=bioimageio,
        ),
        pytest.param(
            ["MODEL", "a.zip", "--to", "bioimageio", "--author", "A/B"],
            "authors",
            1,
            marks=bioimageio,
        ),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path,
    model: Path,
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.pt").write_text("precious")
    Path("folder.pt").mkdir()
    places = {"MODEL": str(model), "ONNX": str(exported)}
    found = run(*(places.get(a, a) for a in arguments))
    assert found.exit_code == status, found.output
    assert message in found.stderr
    assert "Traceback" not in found.output
    assert Path("there.pt").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.pt", "there.pt"]


def test_overwrite(tmp_path: Path, model: Path) -> None:
    target = tmp_path / "new" / "a.pt"
    assert run(model, target, "--to", "torchscript").exit_code == 0
    target.write_text("another")
    assert run(model, target, "--to", "torchscript", "--overwrite").exit_code == 0
    assert target.read_bytes()[:2] == b"PK"


def test_a_missing_package_is_named(
    tmp_path: Path, model: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    known = importlib.util.find_spec
    for gone, to in (("onnxscript", "onnx"), ("bioimageio.spec", "bioimageio")):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda n, g=gone: None if n == g else known(n)
        )
        found = run(model, tmp_path / f"a{SUFFIXES[to]}", "--to", to)
        assert found.exit_code == 1
        assert f"needs {gone}; install it with: " in found.stderr
        assert f"[{to}]'" in found.stderr
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "onnxruntime" else known(n)
    )
    with pytest.raises(MissingExtraError, match=r"needs onnxruntime; install it with: .*\[onnx\]'"):
        load(exported)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_truncated(tmp_path: Path, exported: Path, part: float) -> None:
    data = exported.read_bytes()
    path = tmp_path / "a.onnx"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CellqaError, match="truncated"):
        load(path)


def altered(exported: Path, path: Path, **metadata: str) -> Path:
    """The same network with another description."""
    proto = onnx.load(exported)
    helper.set_model_props(proto, {**{e.key: e.value for e in proto.metadata_props}, **metadata})
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": "ciegan onnx 9"}, "not written by this version"),
        ({"config": "["}, "description is damaged"),
        ({"about": "{}"}, "description is damaged"),
        ({"config": '[generator]\nname = "gan"'}, "generator.name must be one of"),
        (
            {"config": f"[generator.options]\nwidths = {[1] * 12}\nblocks = {[1] * 12}"},
            "absurd network",
        ),
    ],
)
def test_damaged_descriptions(
    tmp_path: Path, exported: Path, metadata: dict[str, str], message: str
) -> None:
    with pytest.raises(CellqaError, match=message):
        load(altered(exported, tmp_path / "a.onnx", **metadata))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 3}, "another network than its description says"),
        ({"channels": -1}, "generator.options|description is damaged"),
        ({"normalisation": {"rule": "image", "low": 2, "high": 1}}, "description is damaged"),
        ({"normalisation": {"rule": "image", "low": 0, "high": float("inf")}}, "damaged"),
        ({"step": "x"}, "description is damaged"),
    ],
)
def test_senseless_descriptions(
    tmp_path: Path, exported: Path, changes: dict[str, Any], message: str
) -> None:
    about = {e.key: e.value for e in onnx.load(exported).metadata_props}["about"]
    changed = json.dumps({**json.loads(about), **changes})
    with pytest.raises(CellqaError, match=message):
        load(altered(exported, tmp_path / "a.onnx", about=changed))


def small(tensor: TensorProto, **metadata: str) -> onnx.ModelProto:
    """A network that adds a tensor to an image."""
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", 1, "y", "x"]) for n in ("i", "o")
    ]
    graph = helper.make_graph(
        [helper.make_node("Add", ["i", tensor.name], ["o"])], "g", ends[:1], ends[1:], [tensor]
    )
    opset = [helper.make_opsetid("", 18)]
    proto = helper.make_model(graph, opset_imports=opset, ir_version=10)
    helper.set_model_props(proto, metadata)
    return proto


def test_other_onnx_files(tmp_path: Path, exported: Path) -> None:
    path = tmp_path / "a.onnx"
    one = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    path.write_bytes(small(one).SerializeToString())
    with pytest.raises(CellqaError, match="not written by this version"):
        load(path)
    path.write_text("not ONNX at all")
    with pytest.raises(CellqaError, match="damaged or truncated"):
        load(path)
    known = {e.key: e.value for e in onnx.load(exported).metadata_props}
    wrong = small(one, **known)
    wrong.graph.node[0].op_type = "Subb"
    path.write_bytes(wrong.SerializeToString())
    with pytest.raises(CellqaError, match="onnxruntime cannot use it"):
        load(path)


def test_other_files_are_not_read(
    tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {e.key: e.value for e in onnx.load(exported).metadata_props}
    monkeypatch.chdir(tmp_path)
    Path("secret").write_bytes(b"\0\0\x80?")
    path = tmp_path / "a.onnx"
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    path.write_bytes(small(tensor, **known).SerializeToString())
    with pytest.raises(CellqaError, match="weights are in other files"):
        load(path)
    # within a node, as well
    plain = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    proto = small(plain, **known)
    proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(CellqaError, match="weights are in other files"):
        load(path)


def test_sizes_that_do_not_fit(exported: Path) -> None:
    generator = load(exported).generator
    for shape in ((1, 1, 6, 8), (1, 3, 8, 8), (1, 1, 0, 8), (1, 8, 8)):
        with pytest.raises(ValueError, match="multiples of 4"):
            generator(torch.zeros(shape))


def test_images_too_large_for_memory(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load(exported).generator
    pixels = np.random.default_rng(0).random((300, 400)).astype(np.float32)
    expected = enhance_plane(generator, pixels, UNIT)
    monkeypatch.setattr("ciegan.network.onnx._MEMORY", 256 * 256 * generator.bytes_of_a_pixel())
    with pytest.raises(MemoryError):
        generator(torch.zeros(1, 1, 300, 400))
    generator(torch.zeros(1, 1, 256, 256))
    found = enhance_plane(generator, pixels, UNIT)  # takes smaller windows
    assert found == pytest.approx(expected, abs=1e-5)  # float32 sums in another order
