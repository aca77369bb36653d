"""An epoch of augmented batches: prunecheck's, cut for a whole batch at once, against a DataLoader, alternating.

The DataLoader is what people write: a crop from a frame of zeros, a mirroring and a normalisation for
each image by itself, in two worker processes that live on from epoch to epoch. Batches are made on one
thread of this process. Both serve the same images, shuffled, and nothing is trained.
"""

import argparse
import itertools
import json
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import alternate, timed
from benchmarks.training.plain_images import plain_batches
from benchmarks.training.task import cifar_shaped
from prunecheck.data import Batches, Dataset


def add_command(commands: Any) -> None:
    """Add ``data-pipeline`` to the benchmarks' command line."""
    parser = commands.add_parser("data-pipeline", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=50_000, help="how many cifar-shaped images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--loader-workers", type=int, default=2, help="processes of the DataLoader")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Time the pipelines and print medians and their ratio."""
    torch.set_num_threads(1)
    dataset = cifar_shaped(arguments.images)
    loops = {
        "DataLoader": plain_pipeline(dataset, arguments.batch_size, arguments.loader_workers),
        "prunecheck": pipeline(dataset, arguments.batch_size, channels_last=False),
        "channels last": pipeline(dataset, arguments.batch_size, channels_last=True),
    }
    for loop in loops.values():
        loop()
    seconds = alternate({name: timed(loop) for name, loop in loops.items()}, arguments.repeats)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    result = {
        "images": len(dataset.train),
        "batch_size": arguments.batch_size,
        "loader_workers": arguments.loader_workers,
        "torch": torch.__version__,
        "repeats": arguments.repeats,
        "images_per_second": {name: len(dataset.train) / median for name, median in medians.items()},
        "ratio": medians["DataLoader"] / medians["prunecheck"],
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for name, speed in result["images_per_second"].items():
        print(f"{name:13} {speed:9.0f} images/s (median of {arguments.repeats} epochs)")
    print(
        f"prunecheck serves {result['ratio']:.1f} times as many as a DataLoader of {arguments.loader_workers} workers"
    )


def pipeline(dataset: Dataset, batch_size: int, channels_last: bool) -> Callable[[], None]:
    """Return a function that serves the next epoch, as training does."""
    batches = Batches(dataset.train, dataset, batch_size, channels_last=channels_last)
    numbers = itertools.count()
    return lambda: use_up(batches.epoch(0, next(numbers)))


def plain_pipeline(dataset: Dataset, batch_size: int, workers: int) -> Callable[[], None]:
    """Return a function that serves the next epoch, image by image."""
    loader = plain_batches(dataset, batch_size, workers)
    return lambda: use_up(loader)


def use_up(batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Make every batch and drop it."""
    for _ in batches:
        pass
