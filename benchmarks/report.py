"""What a report takes: seconds and memory of the whole command, and the size of its page, against reading the runs."""

import argparse
import itertools
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.runs.store import METRICS, RESULT, SPEC, metrics_csv
from prunecheck.training import EpochMetrics, Recipe

METHODS = ("snip", "grasp", "synflow", "random-smart")
CHECKS = (None, "corrupted-data", "random-labels@0.25", "random-labels@0.5", "random-labels", "rearrange-mask")
SPARSITIES = (0.9, 0.95, 0.98)

LAYERS = 33
"""Prunable layers of a ResNet-32."""

EPOCHS = 160

LEAN = "import json, sys, pathlib; [json.loads(f.read_text()) for f in pathlib.Path(sys.argv[1]).glob('*/*.json')]"
"""A process that reads every spec and result, and makes nothing of them."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``report`` to the benchmarks' command line."""
    parser = commands.add_parser("report", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make up runs, report on them, and print medians."""
    with tempfile.TemporaryDirectory() as folder:
        root, page = Path(folder) / "runs", Path(folder) / "report.html"
        made = make_runs(root, arguments.runs)
        lean = [_measured([sys.executable, "-c", LEAN, str(root)]) for _ in range(arguments.repeats)]
        command = [sys.executable, "-m", "prunecheck", "report", str(root), "-o", str(page)]
        whole = [_measured(command) for _ in range(arguments.repeats)]
        size = page.stat().st_size
    result = {
        "runs": made,
        "seconds": statistics.median(seconds for seconds, _, _ in whole),
        "processor_seconds": statistics.median(processor for _, processor, _ in whole),
        "seconds_of_a_lean_reader": statistics.median(seconds for seconds, _, _ in lean),
        "megabytes_of_memory": max(memory for _, _, memory in whole),
        "megabytes_of_page": size / 1e6,
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name.replace('_', ' '):26} {value:10.2f}")


def make_runs(root: Path, count: int) -> int:
    """Make folders as runs leave them, without weights, and return how many."""
    draw = random.Random(0)
    made = 0
    for spec in itertools.islice(_specs(), count):
        level = 92 - 20 * spec.sparsity**8 - (4 if spec.check == "random-labels" else 0) + draw.gauss(0, 0.4)
        metrics = metrics_csv(
            EpochMetrics(e + 1, 0.1, 2 / (e + 1), 2.1 / (e + 1), level - 20 / (e + 1), level - 22 / (e + 1))
            for e in range(EPOCHS)
        )
        kept = {f"layer{number}.conv": (draw.randrange(1, 900), 10_000) for number in range(LAYERS)}
        versions = {"prunecheck": "0", "python": "3.11", "torch": "2.13.0"}
        result = RunResult(
            Status.TRAINED, level, level, EPOCHS, 10.0, spec.sparsity, kept, None, None, 9.0, "cuda:0", versions
        )
        folder = root / spec.folder_name
        folder.mkdir(parents=True)
        (folder / SPEC).write_text(spec.canonical())
        (folder / METRICS).write_text(metrics)
        (folder / RESULT).write_text(result.to_json())
        made += 1
    return made


def _specs() -> Iterator[RunSpec]:
    """Yield the runs of a study, seed by seed, without end."""
    for seed in itertools.count():
        yield _spec("dense", 0.0, None, seed)
        for method, sparsity, check in itertools.product(METHODS, SPARSITIES, CHECKS):
            if method != "random-smart" or check is None:
                yield _spec(method, sparsity, check, seed)


def _spec(method: str, sparsity: float, check: str | None, seed: int) -> RunSpec:
    sees_samples = method in ("snip", "grasp")
    return RunSpec(
        Setting(dataset="cifar10", model="resnet32", width=16, recipe=Recipe()),
        method=method,
        sparsity=sparsity,
        check=check,
        samples_per_class=10 if sees_samples else 0,
        scoring_rounds=1 if sees_samples else 0,
        seed=seed,
    )


def _measured(command: list[str]) -> tuple[float, float, float]:
    """Return the seconds that a command takes, those of the processor, and the most memory (MB) of any so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, processor, after.ru_maxrss / 1024
