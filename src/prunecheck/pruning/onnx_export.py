"""Networks as ONNX and as programs of torch, written by torch's exporters."""

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from prunecheck.data.inputs import InputShape, TokenShape, blank_inputs
from prunecheck.errors import InputError
from prunecheck.extras import extra

PACKAGES = ("onnx", "onnxscript")
"""What torch's exporter imports."""

LARGEST = 2**31 - 2**24
"""Bytes of weights; a protobuf message has at most 2 GiB."""

IMAGES, TOKENS = "images", "tokens"
OUTPUT = "logits"
"""Of the inputs and the output of a model."""


def require_onnx() -> None:
    """Raise :class:`InputError` unless the packages are installed that torch's exporter needs."""
    with extra("onnx", "the format onnx"):
        for package in PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(name=package)


def onnx_bytes(
    model: nn.Module, weights: Mapping[str, Tensor], shape: InputShape, description: dict[str, object]
) -> bytes:
    """Return a network as an ONNX model, as it predicts (batch norm and dropout in evaluation mode).

    It maps ``images`` (batch, channels, height, width), of the weights' floating-point type, to ``logits`` (batch,
    classes), for every size of the batch. One of tokens maps ``tokens``, int64 (batch, length), to ``logits`` (batch,
    length, vocabulary), for every length up to that of ``shape``, or for this one alone where its forward pass has the
    length written in it. Weights stand bit for bit as initializers under the names that they have in the state dict:
    nothing is folded into them.

    Args:
        model: the network, into which the weights are loaded.
        weights: its state dict.
        shape: channels, height, width; or of tokens.
        description: kept as JSON in the model's metadata, under ``prunecheck``.

    Raises:
        InputError: the weights are another network's, it is larger than an ONNX file can be, or torch cannot export it.
    """
    if (size := sum(tensor.nbytes for tensor in weights.values())) > LARGEST:
        raise InputError(
            f"an ONNX file holds 2 GiB at most and these weights take {size / 2**30:.1f} GiB: choose the format "
            "state-dict."
        )
    load_weights(model, weights)
    with _quiet():
        try:
            graph, sizes = _graph(model, shape)
            program = torch.onnx.export(
                graph,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=[TOKENS if isinstance(shape, TokenShape) else IMAGES],
                output_names=[OUTPUT],
                dynamic_shapes=sizes,  # for their names, which the graph does not keep
            )
        except Exception as error:
            cause = error.__cause__ or error
            raise InputError(
                f"torch cannot export this network to ONNX ({type(cause).__name__}: {_one_line(cause)}): choose "
                "another format, or write its forward without branches on values."
            ) from error
    if program is None:
        raise InputError("torch returned no ONNX model: choose another format.")
    written = program.model_proto
    entry = written.metadata_props.add()
    entry.key, entry.value = "prunecheck", json.dumps(description, sort_keys=True)
    return bytes(written.SerializeToString(deterministic=True))


def program_bytes(model: nn.Module, image_shape: tuple[int, ...]) -> bytes:
    """Return a network as what ``torch.export.load`` reads, as it predicts, for every size of the batch.

    Args:
        model: the network.
        image_shape: channels, height, width.

    Raises:
        InputError: torch cannot export it.
    """
    file = io.BytesIO()
    with _quiet():
        try:
            torch.export.save(_graph(model, image_shape)[0], file)
        except Exception as error:
            raise InputError(
                f"torch cannot export this network ({type(error).__name__}: {_one_line(error)}): choose the format "
                "cut-state-dict, or write its forward without branches on values."
            ) from error
    return file.getvalue()


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network its weights.

    Raises:
        InputError: they are another network's.
    """
    try:
        model.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise InputError(
            f"the weights are not those of this network ({_one_line(error)}): give the network that they were "
            "made with."
        ) from error


Sizes = tuple[dict[int, torch.export.Dim]]
"""The sizes of a network's input that are not fixed, by their place, with their names."""


def _graph(model: nn.Module, shape: InputShape) -> tuple[torch.export.ExportedProgram, Sizes]:
    """Follow a network, which is put into evaluation mode on the CPU, and say which sizes of its input are free."""
    model.eval().cpu()
    inputs = blank_inputs(2, shape)  # of a batch of one, torch would take the size for a constant
    if not isinstance(shape, TokenShape):
        floats = (tensor.dtype for tensor in model.parameters() if tensor.is_floating_point())
        inputs = inputs.to(next(floats, torch.float32))
    batch = {0: torch.export.Dim("batch")}
    choices: list[Sizes] = [(batch,)]
    if isinstance(shape, TokenShape) and shape.length > 2:
        choices.insert(0, (batch | {1: torch.export.Dim("length", max=shape.length)},))
    for sizes in choices[:-1]:
        with contextlib.suppress(Exception):
            return torch.export.export(model, (inputs,), dynamic_shapes=sizes, strict=False), sizes
    return torch.export.export(model, (inputs,), dynamic_shapes=choices[-1], strict=False), choices[-1]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporter prints and warns of, such as that torchvision is not installed, from the user."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(disabled)
