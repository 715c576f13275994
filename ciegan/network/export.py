"""Trained networks in the formats of other programs, each read back and compared.

A new format is a function here, which returns the file's content and the networks read back from
it, and a line in `ciegan.network.exports.EXPORTS`.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellqa.disk import StrPath, appearing
from cellqa.errors import CellqaError, first_line
from cellqa.shown import one_line
from ciegan.config import to_toml
from ciegan.models import Generator
from ciegan.network import bioimageio, onnx, realesrgan
from ciegan.network.checkpoint import BEST, Checkpoint, content_hash, load
from ciegan.network.exports import EXPORTS

AXES = "bcyx"
DESCRIPTION = "ciegan.json"  # within TorchScript files
TOLERANCE = 1e-4  # of the scale -1 to 1; half a grey level of 8 bits is 4e-3
_OPSET = 18  # of ONNX; 2022, so that older programs read it
_TRACED = (64, 96)  # pixels that the network is followed through, rounded up to the stride
_COMPARED = ((72, 104), (136, 88))

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Model:
    """What is exported.

    Attributes
    ----------
    checkpoint : Checkpoint
    digest : str
        SHA-256 of the weights' file.
    authors : sequence of str
    licence : str
        SPDX identifier.
    """

    checkpoint: Checkpoint
    digest: str
    authors: Sequence[str]
    licence: str

    @property
    def generator(self) -> Generator:
        """The network."""
        return self.checkpoint.generator

    @property
    def halo(self) -> int:
        """Pixels around a tile that its result depends on: whole strides, so that tiles fit."""
        return self.generator.stride * math.ceil(self.generator.radius / self.generator.stride)

    def about(self) -> dict[str, Any]:
        """What is needed to use the network, as JSON."""
        return {
            "axes": AXES,
            "range": [-1, 1],
            "channels": self.generator.channels,
            "context": self.checkpoint.config.data.context,
            "scale": self.checkpoint.scale,
            "inputs": self.generator.inputs,
            "stride": self.generator.stride,
            "radius": self.generator.radius,
            "halo": self.halo,
            "normalisation": asdict(self.checkpoint.normalisation),
            "step": self.checkpoint.step,
            "scores": self.checkpoint.scores,
            "warnings": self.checkpoint.warnings,
            "weights_sha256": self.digest,
            "versions": {name: version(name) for name in ("cellqa", "torch")},
        }

    def noise(self, sides: tuple[int, int], batch: int = 2) -> Tensor:
        """Seeded images, -1 to 1, whose sides are rounded up to multiples of the stride."""
        stride = self.generator.stride
        shape = (batch, self.generator.inputs, *(stride * math.ceil(n / stride) for n in sides))
        values = np.random.default_rng(0).uniform(-1, 1, shape)
        return torch.from_numpy(values.astype(np.float32))


@dataclass(frozen=True)
class Exported:
    """An export that was written.

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    difference : float
        Largest, from the PyTorch network, on the scale -1 to 1.
    axes : str
    stride : int
        Sides must be multiples of it.
    halo : int
        Pixels to compute around a tile, and to cut off.
    normalisation : str
        What becomes -1 and 1, in words.
    warnings : list of str
        What to distrust.
    scale : int
        Times that images have to be enlarged before (`ciegan.enlarge`).
    """

    path: Path
    size: int
    difference: float
    axes: str
    stride: int
    halo: int
    normalisation: str
    warnings: list[str]
    scale: int = 1

    __repr__ = one_line


def export_network(
    weights: StrPath,
    target: StrPath,
    to: str,
    *,
    authors: Sequence[str] = (),
    licence: str = "BSD-3-Clause",
    overwrite: bool = False,
) -> Exported:
    """Write a trained network in another format, after it was read back and compared.

    Parameters
    ----------
    weights : path
        The folder of a training run, or its best.safetensors.
    target : path
        A file with the format's suffix.
    to : str
        One of `EXPORTS`.
    authors : sequence of str
        Of the weights, for `bioimageio`; unknown by default.
    licence : str
        SPDX identifier of the weights' licence, for `bioimageio`.
    overwrite : bool
        Replace a file.

    Raises
    ------
    CellqaError
        The weights cannot be loaded, the target is in use or of another suffix, the network
        cannot be expressed in the format, or gives other results there; nothing is written.
    MissingExtraError
        A package that the format needs is not installed.
    OSError
        The target cannot be written.
    """
    weights, target = Path(weights), Path(target)
    if to not in EXPORTS:
        raise CellqaError(f"the format must be one of {', '.join(EXPORTS)}, got {to!r}")
    chosen = EXPORTS[to]
    if target.suffix.lower() != chosen.suffix:
        raise CellqaError(
            f"OUT: {to} is written to a file NAME{chosen.suffix}, not {target.name!r}"
        )
    if target.is_dir():
        raise CellqaError(f"OUT: {target} is a folder")
    if target.exists() and not overwrite:
        raise CellqaError(f"OUT: {target} exists; --overwrite replaces it")
    onnx.need(chosen.packages, to, f"--to {to} needs")
    model = _open(weights, authors or ["unknown"], licence)
    try:
        data, networks = chosen.load()(model)
    except CellqaError:
        raise
    except Exception as error:  # exporters have errors without end; the cause says more
        why = first_line(error.__cause__ or error)
        raise CellqaError(f"the network cannot be exported as {to} ({why})") from error
    difference = _compare(model, networks)
    if not difference <= TOLERANCE:
        raise CellqaError(
            f"the exported network differs from the trained one by {difference:.2g} (of -1 to 1); "
            f"nothing was written"
        )
    with appearing(target) as temporary:
        temporary.write_bytes(data)
    return Exported(
        target,
        len(data),
        difference,
        AXES,
        model.generator.stride,
        model.halo,
        bioimageio.in_words(model.checkpoint.normalisation),
        model.checkpoint.warnings,
        model.checkpoint.scale,
    )


def _open(weights: Path, authors: Sequence[str], licence: str) -> Model:
    """The weights, ready to be exported."""
    checkpoint = load(weights)
    generator = checkpoint.generator
    if isinstance(generator, realesrgan.RealESRGAN):
        raise CellqaError(f"{weights.name}: not trained by `ciegan train`, so it is not exported")
    if isinstance(generator, onnx.OnnxGenerator):
        raise CellqaError(
            f"{weights.name}: exported already; give the folder of `ciegan train`, or its {BEST}"
        )
    if not generator.local:
        raise CellqaError(
            f"{weights.name}: trained with batch_statistics=true, so that an image's result "
            "depends on its neighbours in the batch and on the tile; such a network is not exported"
        )
    digest = content_hash(weights)
    generator = copy.deepcopy(generator).eval().requires_grad_(False)
    return Model(replace(checkpoint, generator=generator), digest, authors, licence)


def _compare(model: Model, networks: Sequence[Run]) -> float:
    """The largest difference of networks from the trained one; nan where a result is no number."""
    worst = 0.0
    with torch.inference_mode():
        for sides in _COMPARED:
            images = model.noise(sides)
            expected = model.generator(images)
            for network in networks:
                difference = float((network(images) - expected).abs().max())
                if not difference <= worst:
                    worst = difference
    return worst


def to_onnx(model: Model) -> tuple[bytes, list[Run]]:
    """ONNX, with the description as metadata; batch, height and width are free."""
    with _quiet_exporter():
        program = torch.onnx.export(
            model.generator,
            (model.noise(_TRACED),),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    graph = proto.graph
    # the exporter's notes, which name files of this machine
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
    for key, value in (
        ("format", onnx.FORMAT),
        ("config", to_toml(model.checkpoint.config)),
        ("about", json.dumps(model.about())),
    ):
        proto.metadata_props.add(key=key, value=value)
    data = proto.SerializeToString()
    return data, [onnx.OnnxGenerator(data, model.generator, "the export")]


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Nothing of the exporter about torchvision, which is not needed, and about PyTorch's trees."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*LeafSpec", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def to_torchscript(model: Model) -> tuple[bytes, list[Run]]:
    """TorchScript, with the description as an extra file."""
    description = {"config": to_toml(model.checkpoint.config), "about": model.about()}
    with _deprecated(), torch.no_grad():
        # compared below, at other sizes than the traced one
        traced = torch.jit.trace(model.generator, model.noise(_TRACED), check_trace=False)
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer, {DESCRIPTION: json.dumps(description)})
        return buffer.getvalue(), [torch.jit.load(io.BytesIO(buffer.getvalue()))]


def to_bioimageio(model: Model) -> tuple[bytes, list[Run]]:
    """A package with both, for the programs of bioimage.io.

    Raises
    ------
    CellqaError
        The network sees neighbours or enlarged images, for which such a package has no words.
    """
    if model.checkpoint.scale > 1:
        raise CellqaError(
            "programs of bioimage.io cannot enlarge images before a network sees them, as this one "
            "needs: --to onnx or torchscript takes images that are enlarged already"
        )
    if model.generator.planes > 1:
        raise CellqaError(
            "programs of bioimage.io give a network one plane, and this one sees its neighbours: "
            "--to onnx or torchscript takes their channels after its own"
        )
    networks = {
        bioimageio.ONNX: to_onnx(model)[0],
        bioimageio.TORCHSCRIPT: to_torchscript(model)[0],
    }
    data = bioimageio.package(
        networks,
        model.checkpoint,
        model.about(),
        authors=model.authors,
        licence=model.licence,
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive, _deprecated():
        return data, [
            onnx.OnnxGenerator(archive.read(bioimageio.ONNX), model.generator, "the export"),
            torch.jit.load(io.BytesIO(archive.read(bioimageio.TORCHSCRIPT))),
        ]


@contextmanager
def _deprecated() -> Iterator[None]:
    """PyTorch's word that TorchScript is deprecated; what reads it is not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.", DeprecationWarning)
        yield
