"""What commands take in a folder of many runs: seconds, memory, the page; and how soon a large study begins."""

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.planning import RUNS_PER_SEED, STUDY
from benchmarks.tables import table
from prunecheck.data import load_dataset
from prunecheck.engine.tickets import build_network
from prunecheck.pruning import DENSE
from prunecheck.pruning.layers import prunable_shapes
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.runs.store import CHECKPOINT, LOG, METRICS, RESULT, SPEC, metrics_csv
from prunecheck.studies.question_log import note_questions
from prunecheck.studies.study_file import read_study
from prunecheck.training import Checkpoint, EpochMetrics

LEFT_BY_KILLS = 100
"""Of so many runs one has a file that a kill in the middle of a write has left."""

PATIENCE = 600.0
"""Seconds in which a study must have begun."""

LOOK = 0.02
"""Seconds between two looks at what a command has written."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``large-folder`` to the benchmarks' command line."""
    parser = commands.add_parser("large-folder", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=10_000, help="about so many lie in the folder")
    parser.add_argument(
        "--to-begin", type=int, default=100_000, help="about so many has the study that is begun; 0: none"
    )
    parser.add_argument("--workers", type=int, default=1, help="of the study that is begun")
    parser.add_argument("--only", action="append", help="time this command alone, in the order of the table")
    parser.add_argument("--folder", type=Path, help="make the runs here, and leave them there")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make up the runs, call the commands one after another, and print a line for each."""
    with tempfile.TemporaryDirectory(prefix="prunecheck-large-") as temporary:
        folder = arguments.folder or Path(temporary)
        taken = {}
        if arguments.runs:
            made = make_folder(folder, arguments.runs)
            chosen = {name: words for name, words in commands().items() if name in (arguments.only or commands())}
            taken = {f"{name} ({made:,} runs)": measured(words, folder) for name, words in chosen.items()}
            page = (folder / "runs" / "report.html").stat().st_size if (folder / "runs" / "report.html").exists() else 0
        if arguments.to_begin:
            study = write_study(Path(temporary), arguments.to_begin, "large.toml")
            taken[f"first checkpoint of run (about {arguments.to_begin:,} runs)"] = begun(
                study, Path(temporary), arguments.workers
            )
    if arguments.json:
        print(json.dumps({"commands": {name: vars(one) for name, one in taken.items()}, "page": page}, indent=2))
        return
    rows = [(name, f"{one.seconds:.2f}", f"{one.processor:.2f}", f"{one.megabytes:.0f}") for name, one in taken.items()]
    print(table(("command", "seconds", "of the processor", "MB of memory"), rows))
    if arguments.runs and page:
        print(f"report.html: {page / 1e6:.2f} MB")


def commands() -> Mapping[str, list[str]]:
    """Return what is timed, by name, in an order in which each finds something to do."""
    return {
        "status": ["status", "runs"],
        "results": ["results", "runs"],
        "results --csv": ["results", "runs", "--csv"],
        "plan": ["plan", "study.toml", "--out", "runs"],
        "clean --dry-run": ["clean", "runs", "--dry-run"],
        "report": ["report", "runs", "-o", "runs/report.html"],
        "run, all done": ["run", "study.toml", "--out", "runs", "--workers", "1", "--quiet"],
        "clean": ["clean", "runs"],
    }


@dataclass(frozen=True)
class Taken:
    """What a command took: seconds, those of the processor, and the most memory of one process, 10^6 bytes."""

    seconds: float
    processor: float
    megabytes: float


def write_study(folder: Path, runs: int, name: str = "study.toml") -> Path:
    """Write a study of about so many runs."""
    file = folder / name
    file.write_text(STUDY.replace("SEEDS", str(max(1, round(runs / RUNS_PER_SEED)))))
    return file


def make_folder(folder: Path, count: int) -> int:
    """Make ``runs`` as a study leaves them that is done, with checkpoints and questions, and return how many there are.

    Tickets and curves, which no command here reads, are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = read_study(write_study(folder, count), None)
    study.validate()
    root = folder / "runs"
    root.mkdir()
    draw = random.Random(0)
    files: dict[Setting, Files] = {}
    specs = study.runs()
    for number, spec in enumerate(specs):
        if spec.setting not in files:
            files[spec.setting] = Files.of(spec)
        path = root / spec.folder_name
        path.mkdir()
        for name, content in files[spec.setting].of_run(spec, draw):
            (path / name).write_bytes(content)
        if number % LEFT_BY_KILLS == 0:
            (path / f".{METRICS}.1.part").write_bytes(b"epoch")
    note_questions(root, [question.question for question in study.questions], shown=True)
    return len(specs)


@dataclass(frozen=True)
class Files:
    """What the runs of one setting have alike: the metrics and the checkpoint, and the sizes of the layers."""

    metrics: bytes
    checkpoint: bytes
    sizes: Mapping[str, int]

    @staticmethod
    def of(spec: RunSpec) -> "Files":
        """Make up those of a run's setting."""
        epochs = spec.setting.recipe.epochs
        rows = tuple(EpochMetrics(epoch + 1, 0.1, 1.5, 1.6, 50.0, 49.0) for epoch in range(epochs))
        network = build_network(spec.changed(method=DENSE, sparsity=0.0), load_dataset(spec.setting.dataset, None))
        weights = network.state_dict()
        momentum = {name: torch.zeros_like(parameter) for name, parameter in network.named_parameters()}
        sizes = {layer: math.prod(shape) for layer, shape in prunable_shapes(network).items()}
        return Files(metrics_csv(rows).encode(), Checkpoint(weights, momentum, rows).to_bytes(), sizes)

    def of_run(self, spec: RunSpec, draw: random.Random) -> Iterator[tuple[str, bytes]]:
        """Yield the names and contents of a run's files."""
        kept = {layer: (round(size * (1 - spec.sparsity)), size) for layer, size in self.sizes.items()}
        level = 97 - 8 * spec.sparsity**8 - (3 if spec.check == "random-labels" else 0) + draw.gauss(0, 0.4)
        result = RunResult(
            *(Status.TRAINED, level, level, spec.setting.recipe.epochs, 10.0, spec.sparsity),
            *({} if spec.method == DENSE else kept, None, None, 9.0, "cpu"),
            {"prunecheck": "0", "python": "3.11", "torch": "2.13.0"},
            test_images=1157,
        )
        yield SPEC, (spec.canonical() + "\n").encode()
        yield METRICS, self.metrics
        yield CHECKPOINT, self.checkpoint
        yield LOG, b"began\nended\n"
        yield RESULT, result.to_json().encode()


def measured(words: list[str], folder: Path) -> Taken:
    """Call a command to its end."""
    started = time.perf_counter()
    process = _start(words, folder)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"prunecheck {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return Taken(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def begun(study: Path, folder: Path, workers: int) -> Taken:
    """Begin a study, and end it as soon as one of its runs has a checkpoint."""
    root = folder / "begun"
    started = time.perf_counter()
    words = ["run", str(study), "--out", str(root), "--workers", str(workers), "--quiet", "--checkpoint-seconds", "0"]
    process = _start(words, folder)
    while not (root.is_dir() and any(root.glob(f"*/{CHECKPOINT}"))):
        if process.poll() is not None or time.perf_counter() - started > PATIENCE:
            raise RuntimeError(f"the study did not begin: {process.poll()}")
        time.sleep(LOOK)
    seconds = time.perf_counter() - started
    os.killpg(process.pid, signal.SIGTERM)
    _, _, used = os.wait4(process.pid, 0)
    return Taken(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def _start(words: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "prunecheck", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
