"""Generators as ONNX files: read with suspicion, run by onnxruntime."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cellqa.errors import CellqaError, MissingExtraError, first_line
from cellqa.extras import install_line
from ciegan.models import Generator

SUFFIX = ".onnx"
FORMAT = "ciegan onnx 1"
_LARGEST_FILE = 2**31  # bytes; what protobuf can hold
_LARGEST_STRIDE, _LARGEST_RADIUS = 1024, 8192  # pixels; windows are this much larger
# Images that take more bytes on their way are refused with a MemoryError, unless they are hardly
# larger than their margins.
_MEMORY = 1.2e9
_NEVER_REFUSED = 128  # pixels a side, beside the margins
_ARENA = int(1.5 * _MEMORY)  # bytes that onnxruntime may take at once, whatever a model asks for
_PATIENCE = 300  # seconds for one image, after which a model is ended
_MOST_NODES = 100_000


class OnnxGenerator(Generator):
    """A generator that onnxruntime computes, in float32, on the CPU; it has no parameters.

    Parameters
    ----------
    data : bytes
        An ONNX model of one input and one output, (B, C, Y, X).
    like : Generator
        The network that was exported: its channels, stride and radius.
    name : str
        Of the file, for errors.

    Raises
    ------
    CellqaError
        onnxruntime cannot use the model, or it is not of such a network.
    """

    def __init__(self, data: bytes, like: Generator, name: str) -> None:
        super().__init__()
        import onnxruntime

        self.channels, self.planes, self.stride = like.channels, like.planes, like.stride
        self.radius, self.local, self.bounded = like.radius, like.local, like.bounded
        if self.stride > _LARGEST_STRIDE or self.radius > _LARGEST_RADIUS:
            raise CellqaError(
                f"{name}: of an absurd network (stride {self.stride}, radius {self.radius})"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised; they need not be printed as well
        options.intra_op_num_threads = torch.get_num_threads()
        _limit_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        try:
            self.session = onnxruntime.InferenceSession(
                data,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=["ConstantFolding"],  # which would compute while reading
            )
        except Exception as error:  # each kind of failure is a class of its own
            raise CellqaError(f"{name}: onnxruntime cannot use it ({first_line(error)})") from None
        ends = [*self.session.get_inputs(), *self.session.get_outputs()]
        channels = (self.inputs, self.channels)
        if len(ends) != 2 or not all(map(_is_image, ends, channels)):
            raise CellqaError(
                f"{name}: another network than its description says "
                f"(it takes an image of {self.inputs} channels and gives one of {self.channels})"
            )
        self._input = ends[0].name
        self._bytes = like.bytes_of_a_pixel()

    def bytes_of_a_pixel(self) -> float:
        """As of the network that was exported."""
        return self._bytes

    def __deepcopy__(self, memo: Any) -> OnnxGenerator:
        return self  # a session serves any number of threads

    def forward(self, images: Tensor) -> Tensor:
        """Return enhanced images of the same shape.

        Raises
        ------
        ValueError
            The images are not (B, C, Y, X) with sides that are multiples of the stride.
        MemoryError
            The images are too large to be computed at once.
        CellqaError
            onnxruntime fails, or takes five minutes.
        """
        shape = tuple(images.shape)
        if (
            len(shape) != 4
            or shape[1] != self.inputs
            or any(n < 1 or n % self.stride for n in shape[2:])
        ):
            raise ValueError(
                f"`images` must be (B, {self.inputs}, Y, X) with sides that are multiples of "
                f"{self.stride}, got {shape}"
            )
        size = shape[0] * shape[2] * shape[3] * self._bytes
        if size > _MEMORY and min(shape[2:]) > 2 * self.radius + _NEVER_REFUSED:
            raise MemoryError(f"images of {shape} take {size / 1e9:.1f} GB of memory")
        pixels = images.detach().to("cpu", torch.float32).contiguous().numpy()
        try:
            (output,) = self._run(pixels)
        except Exception as error:  # each kind of failure is a class of its own
            if "allocate" in str(error) or "Available memory" in str(error):
                raise MemoryError(first_line(error)) from None
            raise CellqaError(f"onnxruntime failed on {shape} ({first_line(error)})") from None
        if output.shape != (shape[0], self.channels, *shape[2:]):
            raise CellqaError(f"the ONNX network makes {output.shape} of {shape}")
        return torch.from_numpy(output).to(images.device)

    def _run(self, pixels: Any) -> Any:
        """Compute in another thread: this one heeds signals, and ends what takes too long."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(self.session.run, None, {self._input: pixels}, options)
            try:
                return done.result(_PATIENCE)
            except BaseException:  # an interrupt, too
                options.terminate = True
                raise


@lru_cache(maxsize=1)
def _limit_memory() -> None:
    """Give all sessions one arena that does not grow beyond a limit."""
    import onnxruntime

    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    arena = onnxruntime.OrtArenaCfg({"max_mem": _ARENA, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(place, arena)


def _is_image(end: Any, channels: int) -> bool:
    """Whether an input or output is float32 (B, C, Y, X)."""
    if end.type != "tensor(float)" or len(end.shape) != 4:
        return False
    return end.shape[1] == channels or not isinstance(end.shape[1], int)  # a name: any number


def read(path: Path) -> tuple[bytes, dict[str, str]]:
    """An ONNX file of `ciegan export` and its metadata; nothing in it is run, no other file read.

    Raises
    ------
    CellqaError
        The file is damaged, of another program, or points to other files.
    MissingExtraError
        onnx or onnxruntime is not installed.
    """
    need(("onnx", "onnxruntime"), "onnx", f"{path.name} needs")
    import onnx

    if path.stat().st_size >= _LARGEST_FILE:
        raise CellqaError(f"{path.name}: larger than an ONNX file can be")
    data = path.read_bytes()
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # of protobuf, whose classes depend on how it is built
        raise CellqaError(f"{path.name}: damaged or truncated ({first_line(error)})") from None
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata.get("format") != FORMAT:
        raise CellqaError(
            f"{path.name}: truncated, or not written by this version of `ciegan export` "
            f"(format {metadata.get('format', 'unknown')!r}, not {FORMAT!r})"
        )
    if wrong := _is_no_network(model):
        raise CellqaError(f"{path.name}: {wrong}")
    if _points_elsewhere(model):
        raise CellqaError(
            f"{path.name}: its weights are in other files, which ciegan does not read; export "
            "it again"
        )
    return data, metadata


def _is_no_network(model: Any) -> str:
    """Why a model is none that `ciegan export` writes: those compute from end to end, once."""
    nodes = [*model.graph.node, *(node for part in model.functions for node in part.node)]
    if len(nodes) > _MOST_NODES:
        return f"more than {_MOST_NODES} steps, which no network of ciegan has"
    looping = {
        node.op_type for node in nodes for attribute in node.attribute if _is_graph(attribute)
    }
    if looping:
        return f"computes with {min(looping)}, which no network of ciegan does"
    return ""


def _is_graph(attribute: Any) -> bool:
    """Whether an operator has a graph inside, as loops do."""
    return attribute.HasField("g") or bool(attribute.graphs)


def _points_elsewhere(message: Any) -> bool:
    """Whether a tensor, however deep in the graph, lies in another file."""
    if message.DESCRIPTOR.name == "TensorProto" and (
        message.external_data or message.data_location == message.EXTERNAL
    ):
        return True
    for field, value in message.ListFields():
        if field.message_type is not None:
            parts: Iterable[Any] = [value] if hasattr(value, "DESCRIPTOR") else value
            if any(map(_points_elsewhere, parts)):
                return True
    return False


def need(packages: Iterable[str], extra: str, who: str) -> None:
    """Refuse in one line where a package of an extra is not installed.

    Parameters
    ----------
    packages : iterable of str
        Names to import.
    extra : str
    who : str
        The beginning of the line, as `a.onnx needs`.

    Raises
    ------
    MissingExtraError
        A package is missing.
    """
    for name in packages:
        try:
            installed = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:  # the package around it
            installed = False
        if not installed:
            raise MissingExtraError(f"{who} {name}; install it with: {install_line(extra)}")
