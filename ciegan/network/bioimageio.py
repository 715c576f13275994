"""A network as a model package of bioimage.io (format 0.5): what it says, and its files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from cellqa.errors import CellqaError
from cellqa.simulate import filaments, nuclei
from ciegan.config import to_toml
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.normalisation import PERCENTILES, Normalisation

ONNX, TORCHSCRIPT = "network.onnx", "network.pt"
_INPUT, _OUTPUT = "test_input.npy", "test_output.npy"
_TEXT, _COVER, _DESCRIPTION = "documentation.md", "cover.png", "bioimageio.yaml"
_VERSION = "0.5.4"  # of the format; bioimageio.spec brings it up to its own
_CHANNELS = {1: ["grey"], 3: ["red", "green", "blue"]}
_CITED = [
    {
        "text": "Sun et al. 2022, CIEGAN: A Deep Learning Tool for Cell Image Enhancement, "
        "Frontiers in Genetics 13:913372",
        "doi": "10.3389/fgene.2022.913372",
    }
]


def in_words(normalisation: Normalisation) -> str:
    """What becomes -1 and 1."""
    if normalisation.rule == "image":
        low, high = PERCENTILES
        return f"percentiles {low} and {high} of each image become -1 and 1"
    return f"grey levels {normalisation.low:g} and {normalisation.high:g} become -1 and 1"


def before(normalisation: Normalisation) -> list[dict[str, Any]]:
    """The steps that make -1 to 1 of grey levels."""
    if normalisation.rule == "image":
        low, high = PERCENTILES
        return [
            {
                "id": "scale_range",
                "kwargs": {
                    "axes": ["channel", "y", "x"],
                    "min_percentile": low,
                    "max_percentile": high,
                    "eps": 1e-10,  # ciegan has none
                },
            },
            {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -1.0}},
        ]
    middle, half = _back(normalisation)
    # subtracts before it divides: large offsets keep their digits in float32
    return [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": middle, "std": half}}]


def after(normalisation: Normalisation) -> list[dict[str, Any]]:
    """The steps that make grey levels of -1 to 1.

    The format cannot refer to an input's percentiles there: with the rule `image`, they make 0 of
    the input's black and 1 of its white.
    """
    offset, gain = _back(normalisation)
    if (gain, offset) == (1.0, 0.0):
        return []  # refused by the format, as it changes nothing
    return [{"id": "scale_linear", "kwargs": {"gain": gain, "offset": offset}}]


def _back(normalisation: Normalisation) -> tuple[float, float]:
    """The result for 0, and by how much it grows for 1."""
    low, high = normalisation.low, normalisation.high
    if normalisation.rule == "image":
        low, high = 0.0, 1.0
    return low + (high - low) / 2, (high - low) / 2


def package(
    networks: Mapping[str, bytes],
    checkpoint: Checkpoint,
    about: Mapping[str, Any],
    *,
    authors: Sequence[str],
    licence: str,
) -> bytes:
    """The zip of a model package.

    Parameters
    ----------
    networks : mapping
        The files `ONNX` and `TORCHSCRIPT`.
    checkpoint : Checkpoint
    about : mapping
        What is needed to use the network.
    authors : sequence of str
    licence : str
        SPDX identifier.

    Raises
    ------
    CellqaError
        bioimageio.spec finds the package wrong.
    """
    from bioimageio.spec import (
        InvalidDescr,
        ValidationContext,
        build_description,
        load_description,
        save_bioimageio_package_to_stream,
    )

    data, files = io.BytesIO(), io.BytesIO()
    # all in memory: bioimageio.spec leaves files open
    with zipfile.ZipFile(files, "w") as archive:
        for name, content in {**networks, **_examples(checkpoint, about)}.items():
            archive.writestr(name, content)
        archive.writestr(_TEXT, _documentation(checkpoint, about))
    described = _content(networks[ONNX], checkpoint, about, authors, licence)
    with (
        zipfile.ZipFile(files) as archive,
        ValidationContext(root=archive, file_name=_DESCRIPTION, log_warnings=False),
    ):
        description = build_description(described)
        if not isinstance(description, InvalidDescr):
            save_bioimageio_package_to_stream(description, output_stream=data)
    if not isinstance(description, InvalidDescr):
        with zipfile.ZipFile(data) as archive:
            description = load_description(archive)
    if isinstance(description, InvalidDescr):
        details = description.validation_summary.details
        first = next(error for detail in details for error in detail.errors)
        place = ".".join(map(str, first.loc))
        raise CellqaError(f"bioimageio.spec refuses the package: {place}: {first.msg}")
    return data.getvalue()


def _examples(checkpoint: Checkpoint, about: Mapping[str, Any]) -> dict[str, bytes]:
    """A simulated image, what the whole package makes of it, and both as a picture."""
    side = _smallest(about)
    scenes = [
        (filaments, nuclei)[k % 2]((side, side), cutoff=0.2, photons=200, seed=k).image
        for k in range(about["channels"])
    ]
    grey = np.stack(scenes).astype(np.float64)
    grey = (grey - grey.min()) / np.ptp(grey)
    low, high = checkpoint.normalisation.low, checkpoint.normalisation.high
    image = (low + grey * (high - low)).astype(np.float32)[None]
    low, high = checkpoint.normalisation.limits(image)
    planes = ((image.astype(np.float64) - low) * (2 / (high - low)) - 1).astype(np.float32)
    with torch.inference_mode():
        output = checkpoint.generator(torch.from_numpy(planes)).numpy()
    result = output.astype(np.float64)
    for step in after(checkpoint.normalisation):
        result = result * step["kwargs"]["gain"] + step["kwargs"]["offset"]
    pair = np.concatenate([planes[0], output[0]], axis=2)
    pixels = np.rint(255 * np.clip((pair + 1) / 2, 0, 1)).astype(np.uint8)
    shown = pixels[::-1].transpose(1, 2, 0) if len(pixels) == 3 else pixels[0]  # OpenCV's BGR
    return {
        _INPUT: _npy(image),
        _OUTPUT: _npy(result.astype(np.float32)),
        _COVER: cv2.imencode(".png", shown)[1].tobytes(),
    }


def _npy(array: npt.NDArray[Any]) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def _smallest(about: Mapping[str, Any]) -> int:
    """Side of the smallest image of which something is left within the halo."""
    return int(2 * about["halo"] + about["stride"])


def _halo(about: Mapping[str, Any], normalisation: Normalisation) -> int:
    """Pixels of a tile's result that are to be left out at each side.

    Programs that know the format pad images by the halo before they take percentiles, which moves
    black and white by some per cent: with the rule `image` there is none, and images are whole.
    """
    return 0 if normalisation.rule == "image" else int(about["halo"])


def _tensors(about: Mapping[str, Any], normalisation: Normalisation) -> dict[str, Any]:
    """What goes in and comes out."""
    channels = about["channels"]
    halo = _halo(about, normalisation)
    names = _CHANNELS.get(channels, [f"channel{k}" for k in range(channels)])
    first = [{"type": "batch"}, {"type": "channel", "channel_names": names}]
    size = {"min": about["stride"] + 2 * halo, "step": about["stride"]}
    given = {
        "id": "raw",
        "description": "grey levels as the microscope gives them",
        "axes": [*first, *({"type": "space", "id": axis, "size": size} for axis in "yx")],
        "data": {"type": "float32"},
        "test_tensor": {"source": _INPUT},
        "preprocessing": before(normalisation),
    }
    made = {
        "id": "enhanced",
        "description": (
            "0 is the black and 1 the white of the raw image"
            if normalisation.rule == "image"
            else "in the grey levels of the raw image"
        ),
        "axes": [
            *first,
            *(
                {
                    "type": "space",
                    "id": axis,
                    "size": {"tensor_id": "raw", "axis_id": axis},
                    **({"halo": halo} if halo else {}),
                }
                for axis in "yx"
            ),
        ],
        "data": {"type": "float32"},
        "test_tensor": {"source": _OUTPUT},
        "postprocessing": after(normalisation),
    }
    return {"inputs": [given], "outputs": [made]}


def _content(
    network: bytes,
    checkpoint: Checkpoint,
    about: Mapping[str, Any],
    authors: Sequence[str],
    licence: str,
) -> dict[str, Any]:
    """The package's description, as in its bioimageio.yaml."""
    import onnx

    opsets = onnx.load_model_from_string(network).opset_import
    config, normalisation = checkpoint.config, checkpoint.normalisation
    _, gain = _back(normalisation)
    return {
        "type": "model",
        "format_version": _VERSION,
        "name": f"ciegan {config.generator.name}",
        "description": "Sharpens microscope images, plane by plane; trained with ciegan.",
        "authors": [{"name": name} for name in authors],
        "license": licence,
        "cite": _CITED,
        "covers": [_COVER],
        "documentation": _TEXT,
        "tags": ["ciegan", "2d", "pytorch", "image-restoration"],
        **_tensors(about, normalisation),
        "weights": {
            "torchscript": {"source": TORCHSCRIPT, "pytorch_version": version("torch")},
            "onnx": {
                "source": ONNX,
                "opset_version": next(opset.version for opset in opsets if not opset.domain),
                "parent": "torchscript",  # the format wants all but one to come from another
            },
        },
        "config": {
            "bioimageio": {
                "reproducibility_tolerance": [
                    {"relative_tolerance": 0, "absolute_tolerance": 1e-3 * gain}
                ]
            },
            "ciegan": {"config": to_toml(config), "about": dict(about)},
        },
    }


def _documentation(checkpoint: Checkpoint, about: Mapping[str, Any]) -> str:
    """What a user of the package must know."""
    config, normalisation = checkpoint.config, checkpoint.normalisation
    told = [f"- {warning}" for warning in checkpoint.warnings]
    scores = [f"- {name}: {value:.6g}" for name, value in checkpoint.scores.items()]
    back = (
        "The format has no way to go back by an input's percentiles: in the result, 0 is the black "
        "and 1 the white of the raw image. The grey levels are `low + result * (high - low)`, with "
        "`low` and `high` the percentiles of the raw image."
        if normalisation.rule == "image"
        else "The result is in the grey levels of the raw image."
    )
    tiles = (
        f"the halo of {about['halo']} is that in whole strides of {about['stride']}, so that tiles "
        "show no seams."
        if normalisation.rule != "image"
        else "predict whole images. The description has no halo, since programs pad by it before "
        "they take the percentiles; tiles would each take their own."
    )
    lines = [
        f"# ciegan {config.generator.name}",
        "",
        "Sharpens microscope images, plane by plane. What it makes is enhanced, not raw data: do "
        "not measure intensities in it.",
        "",
        "## Grey levels",
        "",
        f"On the way in, {in_words(normalisation)}. {back} Nothing is clipped.",
        "",
        "## Tiles",
        "",
        f"A pixel depends on those up to {about['radius']} pixels away; {tiles}",
        "",
        "## Validation",
        "",
        f"Step {checkpoint.step} of training (preset {config.preset}) was kept; means over the "
        "fields that the training was stopped by:",
        "",
        *(scores or ["- none were kept"]),
        "",
        "They say nothing of images of another kind. To validate it on others, enhance fields "
        "whose sharp image is known and score them: `cellqa score --pred DIR --gt DIR`. Without a "
        "sharp image, `ciegan enhance --check` lists results that do not explain their raw images.",
        *(["", "## Warnings", "", *told] if told else []),
        "",
        "## Origin",
        "",
        f"Exported by ciegan {version('cellqa')} from weights of SHA-256 "
        f"{about['weights_sha256']}. The training's settings are in `{_DESCRIPTION}`, "
        "at `config.ciegan.config`. The method is that of Sun et al. 2022, "
        "https://doi.org/10.3389/fgene.2022.913372.",
        "",
    ]
    return "\n".join(lines)
