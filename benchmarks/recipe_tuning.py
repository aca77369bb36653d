"""Which recipe of few epochs learns most: candidates for the recipe ``short``, trained on a part of a data set.

The dense network is trained, and what it is judged by are images of the training part that it has not learned from:
test images choose nothing. Candidates are chosen in turns, each of which goes on from the best so far, on a small
network; the best of all are trained again on a larger one. All of a seed begin with the same weights and see the same
images in the same order.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy
import torch

from benchmarks.machine import describe
from benchmarks.tables import table
from prunecheck.api.places import data_places
from prunecheck.data import Dataset, load_dataset
from prunecheck.errors import InputError
from prunecheck.models import build_model, published_width
from prunecheck.pruning import dense_ticket
from prunecheck.training import Acceleration, Recipe, step_schedule, train

Changes = Mapping[str, Any]

USUAL = Recipe(epochs=16, batch_size=64, nesterov=True, weight_decay=5e-4, milestones=step_schedule(16))
"""What the first turn changes."""

TURNS: tuple[Mapping[str, Changes], ...] = (
    {
        "steps": {},
        "cosine": {"schedule": "cosine"},
        "one-cycle": {"schedule": "one-cycle"},
    },
    {"rate 0.05": {"learning_rate": 0.05}, "rate 0.2": {"learning_rate": 0.2}},
    {
        "decay 1e-4": {"weight_decay": 1e-4},
        "decay on weights": {"decayed": "weights"},
        "smoothing 0.1": {"label_smoothing": 0.1},
        "no look-ahead": {"nesterov": False},
    },
)
"""By what is changed in them, the candidates of each turn."""


@dataclass(frozen=True)
class Candidate:
    """A recipe, and how it came about: ``one-cycle, rate 0.2``."""

    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Tried:
    """A candidate after its trainings.

    Attributes:
        accuracies: of the last epoch on the images that are held out, percent, one for each seed; NaN for a training
            that diverged.
        seconds: of the processor, of all seeds.
    """

    candidate: Candidate
    network: str
    accuracies: tuple[float, ...]
    seconds: float

    @property
    def mean(self) -> float:
        """Over the seeds; minus infinity if one has diverged."""
        return -math.inf if any(map(math.isnan, self.accuracies)) else fmean(self.accuracies)


Trial = Callable[[Candidate], Tried]


def add_command(commands: Any) -> None:
    """Add ``recipe-tuning`` to the benchmarks' command line."""
    summary_line, _, details = (__doc__ or "").partition("\n")
    parser = commands.add_parser("recipe-tuning", help=summary_line, description=summary_line + details)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-root", type=Path, help="a folder that holds the data set")
    parser.add_argument("--train-images", type=int, default=2500, help="that are learned from; 2,500 by default")
    parser.add_argument("--held-out", type=int, default=2500, help="others that are not; 2,500")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=1, help="how many: 0 to N-1; 1 by default")
    parser.add_argument("--network", default="resnet20:8", help="MODEL:WIDTH on which candidates are chosen")
    parser.add_argument("--confirm", default="resnet32:32", help="MODEL:WIDTH on which the best are trained again")
    parser.add_argument("--best", type=int, default=2, help="how many these are; 2")
    parser.add_argument("--json", action="store_true", help="print JSON, and the table on stderr")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train the candidates, and print what they came to."""
    for name in ("train_images", "held_out", "epochs", "seeds", "best"):
        if getattr(arguments, name) < 1:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} takes at least 1, not {getattr(arguments, name)}.")
    networks = [_network(text) for text in (arguments.network, arguments.confirm)]
    torch.set_num_threads(1)
    machine = describe(torch.device("cpu"))
    dataset = split(_dataset(arguments), arguments.train_images, arguments.held_out)

    small, large = (_trial(dataset, *network, range(arguments.seeds)) for network in networks)
    tried = choose(Candidate("", USUAL.of_epochs(arguments.epochs)), TURNS, small)
    best = sorted(tried, key=lambda one: one.mean, reverse=True)[: arguments.best]
    confirmed = [large(one.candidate) for one in best]

    output = sys.stderr if arguments.json else sys.stdout
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items()), file=output)
    print(
        f"{arguments.dataset}, {len(dataset.train)} images learned from and {len(dataset.test)} held out, "
        f"{arguments.epochs} epochs, {arguments.seeds} seeds\n\n{shown([*tried, *confirmed])}",
        file=output,
    )
    if arguments.json:
        print(json.dumps({"machine": machine, "tried": [_as_json(one) for one in (*tried, *confirmed)]}, indent=2))


def choose(start: Candidate, turns: Sequence[Mapping[str, Changes]], trial: Trial) -> list[Tried]:
    """Return what was tried in all turns, in order.

    Args:
        start: what the candidates of the first turn change.
        turns: of the others, each changes the best that was found until then.
        trial: trains a candidate.
    """
    tried: list[Tried] = []
    for turn in turns:
        base = max(tried, key=lambda one: one.mean).candidate if tried else start
        for change, values in turn.items():
            name = ", ".join(part for part in (base.name, change) if part)
            tried.append(trial(Candidate(name, replace(base.recipe, **values))))
    return tried


def split(dataset: Dataset, learned: int, held_out: int) -> Dataset:
    """Return the first images of each class of the training part, and in the place of the test part those after them.

    Raises:
        InputError: there are not so many of each class.
    """
    for count in (learned, held_out):
        dataset.shortened(count, None)  # refuses what cannot be shared among the classes
    both = dataset.shortened(learned + held_out, None).train
    order = numpy.argsort(both.labels, kind="stable")
    place = numpy.empty(len(both), numpy.int64)
    place[order] = numpy.tile(numpy.arange(len(both) // dataset.num_classes), dataset.num_classes)
    is_learned = place < learned // dataset.num_classes
    return replace(dataset, train=both[numpy.flatnonzero(is_learned)], test=both[numpy.flatnonzero(~is_learned)])


def shown(tried: Sequence[Tried]) -> str:
    """Return the table."""
    rows = []
    for one in tried:
        accuracies = " ".join("diverged" if math.isnan(value) else f"{value:.2f}" for value in one.accuracies)
        mean = f"{one.mean:.2f}" if math.isfinite(one.mean) else "diverged"
        rows.append((one.candidate.name, one.network, mean, accuracies, f"{one.seconds:.0f}"))
    return table(("recipe", "network", "mean, %", "seeds", "seconds"), rows)


def _trial(dataset: Dataset, model: str, width: int | None, seeds: Sequence[int]) -> Trial:
    options: dict[str, Any] = {} if width is None else {"width": width}
    channels = dataset.image_shape[0]
    options |= {} if channels == 3 else {"input_channels": channels}

    def trial(candidate: Candidate) -> Tried:
        before, accuracies = time.process_time(), []
        for seed in seeds:
            network = build_model(model, dataset.num_classes, seed=seed, **options)
            (record,) = train(
                [dense_ticket(network)],
                network,
                dataset,
                candidate.recipe,
                [seed],
                acceleration=Acceleration(thin_curves=True),
            )
            accuracy = None if record.diverged else record.metrics[-1].test_accuracy
            accuracies.append(math.nan if accuracy is None else accuracy)
        name = model if width is None else f"{model} of width {width}"
        tried = Tried(candidate, name, tuple(accuracies), time.process_time() - before)
        print(shown([tried]).splitlines()[-1], file=sys.stderr, flush=True)
        return tried

    return trial


def _network(text: str) -> tuple[str, int | None]:
    model, colon, width = text.partition(":")
    if colon and not (width.isascii() and width.isdigit() and int(width)):
        raise InputError(f"a network is MODEL or MODEL:WIDTH, such as resnet20:8, not {text}.")
    return model, int(width) if colon else published_width(model)


def _dataset(arguments: argparse.Namespace) -> Dataset:
    return load_dataset(arguments.dataset, data_places(arguments.data_root))


def _as_json(tried: Tried) -> dict[str, Any]:
    return {
        "name": tried.candidate.name,
        "network": tried.network,
        "accuracies": [None if math.isnan(value) else value for value in tried.accuracies],
        "seconds": tried.seconds,
        "recipe": asdict(tried.candidate.recipe),
    }
