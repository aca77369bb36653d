"""One convolution forward and backward: with the kept weights only, against torch's with all of them."""

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.machine import describe
from benchmarks.tables import table, three_digits
from benchmarks.timing import alternate, spread, timed
from prunecheck.training.sparse.convolutions import DenseConvolution, SparseConvolution, WinogradConvolution
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap
from prunecheck.training.sparse.kernels import Program, lanes
from prunecheck.training.sparse.steps import Step

SAMPLES = 64
DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
SHAPES = ((16, 32), (32, 32), (64, 32), (64, 16), (128, 16), (128, 8), (256, 8), (512, 4))
"""Channels and pixels."""


STEPS: dict[str, Callable[[nn.Conv2d, FeatureMap, Tensor], Step]] = {
    "torch in blocks": lambda module, source, mask: DenseConvolution(module, source),
    "winograd": lambda module, source, mask: WinogradConvolution(module, source),
    "kept weights": SparseConvolution,
}


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution of square images that keeps some of its weights.

    Attributes:
        channels: of input and output.
        size: pixels.
        density: share of the weights that is kept.
    """

    channels: int
    size: int
    density: float


def add_command(commands: Any) -> None:
    """Add ``sparse-convolution`` to the benchmarks' command line."""
    parser = commands.add_parser("sparse-convolution", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("layers", nargs="*", type=read_layer, help="CHANNELSxPIXELS@DENSITY, such as 64x16@0.04")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def read_layer(text: str) -> Layer:
    """Read a layer as it is written on the command line.

    Raises:
        argparse.ArgumentTypeError: it is written otherwise.
    """
    found = re.fullmatch(r"(\d+)x(\d+)@(0|1|0?\.\d+|1\.0*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"a layer is CHANNELSxPIXELS@DENSITY, such as 64x16@0.04, not {text!r}")
    channels, size, density = found.groups()
    return Layer(int(channels), int(size), float(density))


def run(arguments: argparse.Namespace) -> None:
    """Time all layers at all densities and print milliseconds."""
    torch.set_num_threads(1)
    layers = arguments.layers or [Layer(*shape, density) for shape in SHAPES for density in DENSITIES]
    found = [(layer, _medians(layer, arguments.repeats)) for layer in layers]
    if arguments.json:
        lines = [{**asdict(layer), "seconds": seconds} for layer, seconds in found]
        print(json.dumps({"machine": describe(torch.device("cpu")), "samples": SAMPLES, "layers": lines}, indent=2))
        return
    ways = list(found[0][1])
    rows = []
    for layer, seconds in found:
        dense = min(seconds["torch"], seconds["channels last"])
        times = (three_digits(1000 * seconds[way]) for way in ways)
        ratios = (f"{dense / seconds[way]:.2f}" for way in ("winograd", "kept weights"))
        rows.append((f"{layer.channels} channels, {layer.size}x{layer.size}", f"{layer.density:g}", *times, *ratios))
    print(table(("layer", "density", *ways, "winograd against torch", "kept against torch"), rows))
    print(f"Milliseconds forward and backward for {SAMPLES} images, one thread, median of {arguments.repeats};")
    print("'torch in blocks' is torch's convolution between steps of the kernels.")


def _medians(layer: Layer, repeats: int) -> dict[str, float]:
    ways = {
        "torch": _torch(layer, torch.contiguous_format),
        "channels last": _torch(layer, torch.channels_last),
        **{way: _step(layer, way) for way in STEPS},
    }
    seconds = alternate({name: timed(work) for name, work in ways.items()}, repeats + 1)
    return {name: spread(times[1:]).median for name, times in seconds.items()}


def _torch(layer: Layer, memory_format: torch.memory_format) -> Callable[[], None]:
    """Return torch's convolution and its gradients."""
    convolution = nn.Conv2d(layer.channels, layer.channels, 3, padding=1, bias=False).to(memory_format=memory_format)  # type: ignore[call-overload]
    images = torch.randn(SAMPLES, layer.channels, layer.size, layer.size).to(memory_format=memory_format)
    gradient = torch.randn_like(images)
    images.requires_grad_()

    def work() -> None:
        convolution(images).backward(gradient)
        images.grad = convolution.weight.grad = None

    return work


def _step(layer: Layer, way: str) -> Callable[[], None]:
    """Return a step of a trunk without batch norm."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(layer.channels, layer.channels, 3, padding=1, bias=False)
    source = FeatureMap(layer.channels, layer.size, layer.size)
    source.plain = True
    step = STEPS[way](convolution, source, torch.rand(convolution.weight.shape) < layer.density)
    batch = Batch(SAMPLES, torch.float32)
    for feature_map in (source, step.output):
        feature_map.allocate(batch)
        feature_map.z.normal_()
        feature_map.gradient = torch.randn_like(feature_map.z)
    work = step.bind(
        batch,
        torch.zeros(step.scratch(batch), lanes(torch.float32)),
        [source.input_gradient(accumulate=False, finish=True)],
    )
    batch.resize(SAMPLES)
    return Program([*work.training, *work.backward])
