"""An epoch of training a pruned network: prunecheck's loop against a plain one, alternating.

The plain loop is what people write: a ``DataLoader`` with per-sample transforms, the mask derived
anew from ``weight != 0`` for each layer and step, the loss read with ``.item()`` at each batch.
Both run in this process on one thread, on the same ticket and the same images.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from prunecheck.data import Augmentation, Dataset, Images, ScoringData, load_dataset
from prunecheck.data.datasets import Suggestion
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, find_method, make_ticket
from prunecheck.randomness import generator
from prunecheck.training import Recipe, train

CIFAR_SHAPE = (3, 32, 32)


def add_command(commands: Any) -> None:
    """Add ``training-step`` to the benchmarks' command line."""
    parser = commands.add_parser("training-step", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--dataset", default="digits", help="digits, or cifar-shaped (random images)")
    parser.add_argument("--images", type=int, default=640, help="how many cifar-shaped images")
    parser.add_argument("--sparsity", type=float, default=0.98)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Time both loops and print medians and their ratio."""
    torch.set_num_threads(1)
    dataset = load_dataset("digits") if arguments.dataset == "digits" else cifar_shaped(arguments.images)
    channels = dataset.image_shape[0]
    model = build_model(arguments.model, dataset.num_classes, width=arguments.width, input_channels=channels)
    method = find_method("random-uniform")
    ticket = make_ticket(method, model, ScoringData(), arguments.sparsity, generator(0, "mask placement"))
    recipe = Recipe(epochs=1, milestones=())
    loops: dict[str, Callable[[], None]] = {
        "plain": lambda: plain_epoch(ticket, model, dataset, recipe),
        "prunecheck": lambda: training_only(ticket, model, dataset, recipe),
    }
    seconds = alternate(loops, arguments.repeats)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    result = {
        "model": arguments.model,
        "width": arguments.width,
        "dataset": dataset.name,
        "images": len(dataset.train),
        "sparsity": arguments.sparsity,
        "torch": torch.__version__,
        "repeats": arguments.repeats,
        "images_per_second": {name: len(dataset.train) / median for name, median in medians.items()},
        "ratio": medians["plain"] / medians["prunecheck"],
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for name, speed in result["images_per_second"].items():
        print(f"{name:12} {speed:9.0f} images/s (median of {arguments.repeats} epochs)")
    print(f"prunecheck trains {result['ratio']:.2f} times as fast")


def alternate(loops: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each loop, run in turn after one warm-up each."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for repeat in range(repeats + 1):
        for name, loop in loops.items():
            started = time.perf_counter()
            loop()
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def cifar_shaped(count: int) -> Dataset:
    """Return random images of CIFAR-10's shape, with its normalisation and augmentation."""
    source = numpy.random.default_rng(0)
    pixels = source.integers(0, 256, (count, *CIFAR_SHAPE), dtype=numpy.uint8)
    images = Images(pixels, source.integers(0, 10, count))
    return Dataset(
        name="cifar-shaped",
        train=images,
        test=Images(pixels[:1], images.labels[:1]),
        num_classes=10,
        mean=(0.4914, 0.4822, 0.4465),
        deviation=(0.2023, 0.1994, 0.2010),
        augmentation=Augmentation(padding=4, flip=True),
        suggestion=Suggestion("resnet32", 32, 160, 64, 0.1),
    )


def training_only(ticket: Ticket, model: nn.Module, dataset: Dataset, recipe: Recipe) -> None:
    """Train one epoch with prunecheck; of the test images only one is looked at."""
    one = Images(dataset.test.pixels[:1], dataset.test.labels[:1])
    train([ticket], model, Dataset(**{**vars(dataset), "test": one}), recipe, [0])


class PlainImages(TorchDataset[tuple[Tensor, int]]):
    """Images that are cropped, mirrored and normalised one by one."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.draws = generator(0, "plain loop")

    def __len__(self) -> int:
        return len(self.dataset.train)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.dataset.train.pixels[index])
        padding, (_, height, width) = self.dataset.augmentation.padding, image.shape
        framed = functional.pad(image, (padding,) * 4)
        row, column = torch.randint(2 * padding + 1, (2,), generator=self.draws).tolist()
        image = framed[:, row : row + height, column : column + width]
        if self.dataset.augmentation.flip and torch.rand((), generator=self.draws) < 0.5:
            image = image.flip(-1)
        mean = torch.tensor(self.dataset.mean).view(-1, 1, 1)
        deviation = torch.tensor(self.dataset.deviation).view(-1, 1, 1)
        return (image / 255 - mean) / deviation, int(self.dataset.train.labels[index])


def plain_epoch(ticket: Ticket, model: nn.Module, dataset: Dataset, recipe: Recipe) -> None:
    """Train one epoch as the code published with arXiv:2009.11094 does, in today's torch."""
    model = copy.deepcopy(model)
    model.load_state_dict(ticket.weights)
    layers = {name: module for name, module in model.named_modules() if name in ticket.masks}
    for name, layer in layers.items():
        layer.weight.data.mul_(ticket.masks[name])
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    loader = DataLoader(PlainImages(dataset), recipe.batch_size, shuffle=True, generator=generator(0, "plain order"))
    total = 0.0
    model.train()
    for x, y in loader:
        loss = functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for layer in layers.values():
            layer.weight.grad.data.mul_(layer.weight.data.abs().gt(0).float())
        optimizer.step()
        total += loss.item()
