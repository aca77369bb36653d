"""What is whole, before it is damaged: made once by commands, kept in memory."""

import functools
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy
import torch
from PIL import Image

from tests.fixtures.forked_commands import run_command

SMALL = (
    "--model", "resnet8", "--width", "2", "--epochs", "1", "--batch-size", "20", "--train-images", "40",
    "--test-images", "20", "--samples-per-class", "1", "--quiet", "--workers", "1",
)  # fmt: skip
"""Options of a study of a second."""

ASKED = (
    "check", "magnitude", *SMALL, "--sparsity", "0.5", "--seeds", "2", "--checks", "none", "--baseline", "random-erk",
)  # fmt: skip
"""A study of six runs."""


@functools.cache
def study() -> Mapping[str, bytes]:
    """Return the files of ``runs``, as :data:`ASKED` leaves it, by their path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ended = run_command(ASKED, folder)
        if ended.code != 0:
            raise RuntimeError(f"the sample could not be made: {ended.stderr}")
        return {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted((folder / "runs").rglob("*"))
            if file.is_file() and file.name != ".lock"
        }


@functools.cache
def ticket() -> bytes:
    """Return a ticket in a file, as ``prunecheck prune`` writes it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ("prune", "magnitude", "--model", "resnet8", "--width", "2", "--num-classes", "10")
        ended = run_command((*command, "--input-channels", "1", "--sparsity", "0.5", "-o", "t.safetensors"), folder)
        if ended.code != 0:
            raise RuntimeError(f"the sample could not be made: {ended.stderr}")
        return (folder / "t.safetensors").read_bytes()


@functools.cache
def checkpoint() -> bytes:
    """Return the network of that ticket as ``torch.save`` writes state dicts: pruned weights are 0."""
    from prunecheck.models import build_model

    model = build_model("resnet8", num_classes=10, input_channels=1, width=2)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight[weight.abs() < weight.abs().median()] = 0
    content = io.BytesIO()
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, content)
    return content.getvalue()


@functools.cache
def arrays() -> bytes:
    """Return an npz file of small images."""
    values = numpy.random.default_rng(0)
    content = io.BytesIO()
    numpy.savez(
        content,
        x_train=values.integers(0, 256, (40, 8, 8), dtype=numpy.uint8),
        y_train=numpy.arange(40) % 10,
        x_test=values.integers(0, 256, (20, 8, 8), dtype=numpy.uint8),
        y_test=numpy.arange(20) % 10,
    )
    return content.getvalue()


@functools.cache
def images() -> Mapping[str, bytes]:
    """Return the files of a folder of images, by their path."""
    values = numpy.random.default_rng(0)
    files = {}
    for part, count in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            for number in range(count):
                content = io.BytesIO()
                Image.fromarray(values.integers(0, 256, (8, 8), dtype=numpy.uint8)).save(content, "PNG")
                files[f"images/{part}/{label}/{number}.png"] = content.getvalue()
    return files
