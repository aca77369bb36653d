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

from prunecheck.errors import InputError
from prunecheck.extras import extra

PACKAGES = ("onnx", "onnxscript")
"""What torch's exporter imports."""

LARGEST = 2**31 - 2**24
"""Bytes of weights; a protobuf message has at most 2 GiB."""

INPUT = "images"
OUTPUT = "logits"


def require_onnx() -> None:
    """Raise :class:`InputError` unless the packages are installed that torch's exporter needs."""
    with extra("onnx", "the format onnx"):
        for package in PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(name=package)


def onnx_bytes(
    model: nn.Module, weights: Mapping[str, Tensor], image_shape: tuple[int, ...], description: dict[str, object]
) -> bytes:
    """Return a network as an ONNX model, as it predicts (batch norm and dropout in evaluation mode).

    It maps ``images`` (batch, channels, height, width), of the weights' floating-point type, to ``logits`` (batch,
    classes), for every size of the batch. Weights stand bit for bit as initializers under the names that they have
    in the state dict: nothing is folded into them.

    Args:
        model: the network, into which the weights are loaded.
        weights: its state dict.
        image_shape: channels, height, width.
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
    images = _two_images(model, image_shape)
    with _quiet():
        try:
            sizes = ({0: torch.export.Dim("batch")},)
            graph = torch.export.export(model, (images,), dynamic_shapes=sizes, strict=False)
            program = torch.onnx.export(
                graph,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=sizes,  # for its name, which the graph does not keep
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
    images = _two_images(model, image_shape)
    file = io.BytesIO()
    with _quiet():
        try:
            sizes = ({0: torch.export.Dim("batch")},)
            torch.export.save(torch.export.export(model, (images,), dynamic_shapes=sizes, strict=False), file)
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


def _two_images(model: nn.Module, image_shape: tuple[int, ...]) -> Tensor:
    """Return a batch to follow a network with, which is put into evaluation mode on the CPU.

    Of a batch of one, torch would take the size for a constant.
    """
    model.eval().cpu()
    floats = (tensor.dtype for tensor in model.parameters() if tensor.is_floating_point())
    return torch.zeros(2, *image_shape, dtype=next(floats, torch.float32))


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
