"""What scoring takes: seconds and memory of each criterion on images of CIFAR-10's shape.

Each criterion runs in a process of its own. Its memory is the most that the process ever held, less
what it held before with the network and the images loaded and one small batch scored.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import torch

from prunecheck.data.batches import Batch
from prunecheck.models import build_model
from prunecheck.pruning import CRITERIA, allocate, prunable_weights
from prunecheck.pruning.masks import GLOBAL
from prunecheck.randomness import generator

CLASSES = 10
IMAGE_SHAPE = (3, 32, 32)
SPARSITY = 0.98
MIB = 2**20

CASES = (
    ("resnet32", "random", "smart"),
    ("resnet32", "magnitude", GLOBAL),
    ("resnet32", "snip", GLOBAL),
    ("resnet32", "grasp", GLOBAL),
    ("resnet32", "synflow", GLOBAL),
    ("vgg19_bn", "snip", GLOBAL),
    ("vgg19_bn", "grasp", GLOBAL),
)
"""Network, criterion, allocation."""


@dataclass(frozen=True)
class Cost:
    """What one mask took: wall-clock and processor seconds (medians), and bytes."""

    model: str
    criterion: str
    allocation: str
    seconds: float
    processor_seconds: float
    memory: int
    weights: int


def add_command(commands: Any) -> None:
    """Add ``scoring`` to the benchmarks' command line."""
    parser = commands.add_parser("scoring", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--samples", type=int, default=100, help="images that are scored with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="a criterion; all of them unless given")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table, and GraSP's memory in terms of SNIP's."""
    cases = [case for case in CASES if arguments.only in (None, case[1])]
    costs = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context, max_tasks_per_child=1) as pool:
        for case in cases:
            found = pool.submit(measure, *case, arguments.samples, arguments.threads, arguments.repeats)
            costs.append(found.result())
    if arguments.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))
        return
    for cost in costs:
        name = cost.criterion if cost.allocation == GLOBAL else f"{cost.criterion}-{cost.allocation}"
        print(
            f"{cost.model:10} {name:14} {cost.seconds:8.2f} s {cost.processor_seconds:8.2f} s of processors "
            f"{cost.memory / MIB:8.0f} MiB"
        )
    by_name = {(cost.model, cost.criterion): cost for cost in costs}
    for (model, criterion), cost in by_name.items():
        snip = by_name.get((model, "snip"))
        if criterion == "grasp" and snip:
            allowed = 2 * snip.memory + cost.weights
            print(f"{model}: GraSP takes {cost.memory / allowed:.2f} of twice SNIP's memory and a copy of the weights")


def measure(model_name: str, criterion_name: str, allocation: str, samples: int, threads: int, repeats: int) -> Cost:
    """Make one mask several times, in this process, and return what it took."""
    torch.set_num_threads(threads)
    model = build_model(model_name, CLASSES)
    criterion = CRITERIA.get(criterion_name)
    weights = sum(weight.numel() * weight.element_size() for weight in prunable_weights(model).values())
    batch = random_batch(samples)
    if criterion.sees_data:
        # Loads the kernels.
        model(batch[0][:2])
    before = most_memory()
    wall, processor = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        scores = criterion(model, [batch], generator(0, "mask placement"), SPARSITY)
        allocate(scores, SPARSITY, allocation)
        wall.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    memory = most_memory() - before
    return Cost(
        model_name, criterion_name, allocation, statistics.median(wall), statistics.median(processor), memory, weights
    )


def most_memory() -> int:
    """Return the most bytes that this process ever held in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def random_batch(samples: int) -> Batch:
    """Return random images, normalised, of as many of each class as there are."""
    draws = generator(0, "benchmark images")
    return torch.randn(samples, *IMAGE_SHAPE, generator=draws), torch.arange(samples) % CLASSES
