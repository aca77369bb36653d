"""Accuracy of the same tickets with and without what makes training faster, on a real data set, over seeds.

Tickets are random with smart ratios. Each seed has a ticket and, in prunecheck's loop, an order of the data and
their augmentation; a plain loop draws its own. Two settings that differ by rounding drift apart after some steps, so
that single trainings differ and only means can be compared: the paired difference of the last epoch's test accuracy
from that of prunecheck's loop alone, its 95 % t interval, and two one-sided t tests against a margin stated
beforehand, 5 % over all comparisons (Holm).
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.accuracy.settings import REFERENCE, chosen_settings, distinct_settings
from benchmarks.accuracy.task import RealTask
from benchmarks.accuracy.trainings import Trained, accuracies, train_all
from benchmarks.accuracy.verdicts import compare, summary
from benchmarks.machine import describe
from benchmarks.tables import table
from benchmarks.training.task import METHOD
from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.statistics import LEVEL
from prunecheck.data import DataPlaces, Dataset, load_dataset
from prunecheck.errors import InputError
from prunecheck.metrics import ACCURACY
from prunecheck.models import published_width
from prunecheck.report.cells import difference_text, summary_text, verdict_text
from prunecheck.training import Recipe, step_schedule

DEVICES = ("cpu", "cuda")

Number = TypeVar("Number")


def add_command(commands: Any) -> None:
    """Add ``accuracy`` to the benchmarks' command line."""
    summary_line, _, details = (__doc__ or "").partition("\n")
    parser = commands.add_parser("accuracy", help=summary_line, description=summary_line + details)
    parser.add_argument("--dataset", default="digits", help="by name, such as cifar10; digits by default")
    parser.add_argument("--data-root", type=Path, help="a folder that holds the data set")
    parser.add_argument("--train-images", type=int, help="as many of each class; all by default")
    parser.add_argument("--test-images", type=int, help="likewise")
    parser.add_argument("--model", help="by default what the data set suggests, as all that follows")
    parser.add_argument("--width", type=int, help="channels of the first stage")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, default=10, help="how many: 0 to N-1; 10 by default")
    parser.add_argument("--margin", type=float, default=1.0, help="points that make no practical difference; 1")
    parser.add_argument("--settings", nargs="+", help="by their names in the table; all by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, help="processes of one thread; one for each core, or 1 on a GPU")
    parser.add_argument("--json", action="store_true", help="print JSON, and the table on stderr")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train, compare and print."""
    device = _device(arguments.device)
    _require_numbers(arguments)
    chosen = chosen_settings(device, arguments.settings)
    torch.set_num_threads(1)
    machine = describe(device)
    with tempfile.TemporaryDirectory() as cache:
        task = _task(arguments, device, Path(cache))
        settings, left_out = distinct_settings(task, chosen)
        workers = arguments.workers or (1 if device.type == "cuda" else os.cpu_count() or 1)
        trained = train_all(task, settings, arguments.seeds, workers)
        dataset = task.dataset()
    comparisons = compare(accuracies(trained), REFERENCE, task.sparsity, dataset.chance_accuracy, arguments.margin)
    output = sys.stderr if arguments.json else sys.stdout
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items()), file=output)
    print(f"\n{_described(task, dataset, arguments)}\n\n{_table(trained, comparisons)}", file=output)
    for note in _notes(trained, left_out):
        print(note, file=output)
    if arguments.json:
        found = {
            "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
            "machine": machine,
            **_task_json(task, dataset),
            "margin": arguments.margin,
            "level": LEVEL,
            "settings": {name: _setting_json(tickets) for name, tickets in trained.items()},
            "comparisons": [_comparison_json(comparison) for comparison in comparisons],
            "left_out": left_out,
        }
        print(json.dumps(found, indent=2))


def _device(name: str) -> torch.device:
    if name.partition(":")[0] not in DEVICES:
        raise InputError(f"--device is cpu or cuda, not {name}.")
    return torch.device(name)


def _require_numbers(arguments: argparse.Namespace) -> None:
    if not 0 < arguments.margin < 100:
        raise InputError(f"--margin takes points of accuracy, more than 0 and less than 100, not {arguments.margin:g}.")
    for option, value in (("--seeds", arguments.seeds), ("--workers", arguments.workers)):
        if value is not None and value < 1:
            raise InputError(f"{option} takes at least 1, not {value}.")


def _task(arguments: argparse.Namespace, device: torch.device, cache: Path) -> RealTask:
    """Return what is asked for, the rest as the data set suggests.

    Raises:
        InputError: there is no such data set or network.
    """
    places = DataPlaces((arguments.data_root,) if arguments.data_root else (), cache)
    suggestion = load_dataset(arguments.dataset, places).suggestion
    model = arguments.model or suggestion.model
    width = suggestion.width if model == suggestion.model else published_width(model)
    epochs = _given(arguments.epochs, suggestion.epochs)
    return RealTask(
        dataset_name=arguments.dataset,
        places=places,
        train_images=arguments.train_images,
        test_images=arguments.test_images,
        model=model,
        width=_given(arguments.width, width),
        sparsity=arguments.sparsity,
        recipe=Recipe(
            epochs=epochs,
            batch_size=_given(arguments.batch_size, suggestion.batch_size),
            learning_rate=_given(arguments.learning_rate, suggestion.learning_rate),
            milestones=step_schedule(epochs),
        ),
        device=device,
    )


def _given(value: Number | None, suggested: Number) -> Number:
    return suggested if value is None else value


def _described(task: RealTask, dataset: Dataset, arguments: argparse.Namespace) -> str:
    recipe = task.recipe
    return (
        f"{METHOD} at sparsity {task.sparsity:g} on {task.dataset_name} ({len(dataset.train)} training and "
        f"{len(dataset.test)} test images), {task.model} of width {task.width}, {recipe.epochs} epochs of batches of "
        f"{recipe.batch_size} at {recipe.learning_rate:g}, {arguments.seeds} seeds, margin {arguments.margin:g}"
    )


def _table(trained: Mapping[str, Sequence[Trained]], comparisons: Sequence[Comparison]) -> str:
    headings = ("last test accuracy, %", "mean ± std", "difference", "95 % interval", "verdict")
    reference = summary(accuracies(trained)[REFERENCE])
    rows = [(REFERENCE, summary_text(reference, ACCURACY), "", "", "")]
    for comparison in comparisons:
        difference = difference_text(comparison.difference, ACCURACY)
        verdict = verdict_text(comparison, dense_at_chance=False)
        rows.append((comparison.method, summary_text(comparison.own, ACCURACY), *difference, verdict))
    return table(headings, rows)


def _notes(trained: Mapping[str, Sequence[Trained]], left_out: Mapping[str, str]) -> Iterator[str]:
    for name, reason in left_out.items():
        yield f"{name} is left out: {reason}"
    for name, tickets in trained.items():
        if lost := sum(ticket.diverged for ticket in tickets):
            yield f"{name}: {lost} of {len(tickets)} trainings diverged, and count with what they ended at"


def _task_json(task: RealTask, dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": task.dataset_name,
        "train_images": len(dataset.train),
        "test_images": len(dataset.test),
        "chance": dataset.chance_accuracy,
        "model": task.model,
        "width": task.width,
        "method": METHOD,
        "sparsity": task.sparsity,
        "recipe": asdict(task.recipe),
        "device": str(task.device),
    }


def _setting_json(tickets: Sequence[Trained]) -> dict[str, Any]:
    values = [ticket.accuracy for ticket in tickets]
    found = summary(values)
    return {
        "used": list(tickets[0].used),
        "accuracies": values,
        "accuracy": found.mean,
        "deviation": found.std,
        "diverged": [seed for seed, ticket in enumerate(tickets) if ticket.diverged],
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    assert comparison.difference is not None
    return {
        "setting": comparison.method,
        "reference": comparison.against,
        "difference": asdict(comparison.difference),
        "verdict": comparison.verdict,
        "p": comparison.adjusted_p,
        "seeds_needed": comparison.seeds_needed,
    }
