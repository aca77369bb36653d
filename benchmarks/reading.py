"""What reading a study takes: seconds for the table of all runs, against parsing the same files in a plain loop."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prunecheck.api.results import load_results
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.runs.store import METRICS, RESULT, SPEC, metrics_csv
from prunecheck.training import EpochMetrics, Recipe

LAYERS = 33
"""Prunable layers of a ResNet-32, whose counts every result holds."""

UNFINISHED_SHARE = 0.1
EPOCHS = 160


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``reading`` to the benchmarks' command line."""
    parser = commands.add_parser("reading", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a line for the plain loop, the function and the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        make_runs(root, arguments.runs)
        command = [sys.executable, "-m", "prunecheck", "results", str(root), "--csv"]
        cases: dict[str, Callable[[], object]] = {
            "plain loop": lambda: parse_all(root),
            "load_results": lambda: load_results(root),
            "prunecheck results --csv": lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL),
            "prunecheck --version": lambda: subprocess.run(
                [*command[:3], "--version"], check=True, stdout=subprocess.DEVNULL
            ),
        }
        load_results(next(root.iterdir()))  # imports pandas
        seconds = {name: median_seconds(case, arguments.repeats) for name, case in cases.items()}
    for name, value in seconds.items():
        print(f"{name:26} {value:6.2f} s for {arguments.runs} runs, {value / seconds['plain loop']:5.2f} plain loops")


def make_runs(root: Path, count: int) -> None:
    """Make folders as runs leave them, without weights, and some as interrupted runs do."""
    kept = {f"layer{number}": (100 + number, 10_000) for number in range(LAYERS)}
    result = RunResult(
        status=Status.TRAINED,
        accuracy=91.5,
        best_accuracy=92.0,
        epochs=EPOCHS,
        chance=10.0,
        sparsity=0.99,
        kept=kept,
        collapse=None,
        reason=None,
        seconds=3600.0,
        device="cuda:0",
        versions={"torch": "2.13.0"},
    )
    metrics = metrics_csv(EpochMetrics(epoch + 1, 0.1, 1.5, 1.6, 50.0, 49.0) for epoch in range(EPOCHS))
    for seed in range(count):
        spec = RunSpec(
            Setting(dataset="cifar10", model="resnet32", width=16, recipe=Recipe()),
            method="snip",
            sparsity=0.98,
            samples_per_class=10,
            scoring_rounds=1,
            seed=seed,
        )
        folder = root / spec.folder_name
        folder.mkdir(parents=True)
        (folder / SPEC).write_text(spec.canonical())
        (folder / METRICS).write_text(metrics)
        if seed >= UNFINISHED_SHARE * count:
            (folder / RESULT).write_text(result.to_json())


def parse_all(root: Path) -> list[object]:
    """Parse every spec and result, and make nothing of them."""
    return [json.loads(file.read_text()) for name in (SPEC, RESULT) for file in root.glob(f"*/{name}")]


def median_seconds(case: Callable[[], object], repeats: int) -> float:
    """Return how long a call takes, the median of several."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        case()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
