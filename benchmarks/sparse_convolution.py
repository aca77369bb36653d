"""One convolution forward and backward: with the kept weights only, against torch's with all of them."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.machine import describe
from benchmarks.tables import table, three_digits
from benchmarks.timing import alternate, spread, timed
from prunecheck.training.sparse.feature_maps import Batch, FeatureMap
from prunecheck.training.sparse.kernels import lanes
from prunecheck.training.sparse.steps import DenseConvolution, SparseConvolution, Step

SAMPLES = 64
DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution of square images.

    Attributes:
        channels: of input and output.
        size: pixels.
        densities: at which it is measured.
    """

    channels: int
    size: int
    densities: tuple[float, ...] = DENSITIES


LAYERS = (Layer(32, 32), Layer(64, 32), Layer(64, 16), Layer(128, 16), Layer(128, 8), Layer(256, 8), Layer(512, 4))


def add_command(commands: Any) -> None:
    """Add ``sparse-convolution`` to the benchmarks' command line."""
    parser = commands.add_parser("sparse-convolution", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Time all layers at all densities and print milliseconds."""
    torch.set_num_threads(1)
    found = [
        (layer, density, _medians(layer, density, arguments.repeats)) for layer in LAYERS for density in layer.densities
    ]
    if arguments.json:
        lines = [{**asdict(layer), "density": density, "seconds": seconds} for layer, density, seconds in found]
        print(json.dumps({"machine": describe(torch.device("cpu")), "samples": SAMPLES, "layers": lines}, indent=2))
        return
    ways = list(found[0][2])
    rows = []
    for layer, density, seconds in found:
        dense = min(seconds["torch"], seconds["torch, channels last"])
        times = (three_digits(1000 * seconds[way]) for way in ways)
        ratio = f"{dense / seconds['kept weights']:.2f}"
        rows.append((f"{layer.channels} channels, {layer.size}x{layer.size}", f"{density:g}", *times, ratio))
    print(table(("layer", "density", *(f"{way} (ms)" for way in ways), "times as fast"), rows))
    print(f"Forward and both gradients of {SAMPLES} images, one thread, median of {arguments.repeats}.")


def _medians(layer: Layer, density: float, repeats: int) -> dict[str, float]:
    ways = {
        "torch": _torch(layer, torch.contiguous_format),
        "torch, channels last": _torch(layer, torch.channels_last),
        "in blocks": _step(layer, None),
        "kept weights": _step(layer, density),
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


def _step(layer: Layer, density: float | None) -> Callable[[], None]:
    """Return a step of a trunk without batch norm; with all weights, by torch, if no density is given."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(layer.channels, layer.channels, 3, padding=1, bias=False)
    source = FeatureMap(layer.channels, layer.size, layer.size)
    source.plain = True
    step: Step
    if density is None:
        step = DenseConvolution(convolution, source)
    else:
        step = SparseConvolution(convolution, source, torch.rand(convolution.weight.shape) < density)
    batch = Batch(SAMPLES, torch.float32)
    for feature_map in (source, step.output):
        feature_map.allocate(batch)
        feature_map.z.normal_()
        feature_map.gradient = torch.randn_like(feature_map.z)
    step.bind(
        batch, torch.zeros(step.scratch(), lanes(torch.float32)), [source.input_gradient(accumulate=False, finish=True)]
    )
    batch.resize(SAMPLES)

    def work() -> None:
        step.forward(training=True)
        step.backward()

    return work
