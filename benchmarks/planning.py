"""Planning a study: read, checked and compared with what is done, before any run and when all are done.

Every figure is of a process that has imported what it needs; the results that lie in the folder are made up.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.store import RunStore
from prunecheck.studies.plan import plan_study
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study

STUDY = """
methods = ["snip", "grasp", "synflow", "lt", "hybrid"]
datasets = ["digits"]
models = ["resnet8", "resnet14"]
widths = [2, 4]
sparsities = [0.5, 0.6, 0.7, 0.8, 0.9]
checks = ["random-labels", "rearrange-mask", "shuffle-weights", "reinit"]
seeds = SEEDS
"""

RUNS_PER_SEED = 508


def add_command(commands: Any) -> None:
    """Add ``planning`` to the benchmarks' command line."""
    parser = commands.add_parser("planning", help=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=10_000, help="about how many runs the study has")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Time the planning and print medians."""
    with tempfile.TemporaryDirectory() as folder:
        file, root = Path(folder) / "study.toml", Path(folder) / "runs"
        file.write_text(STUDY.replace("SEEDS", str(max(1, round(arguments.runs / RUNS_PER_SEED)))))
        study = planned(file, root)  # imports and opens what is opened once
        result = {
            "runs": len(study.runs()),
            "questions": len(study.questions),
            "repeats": arguments.repeats,
            "seconds": {"nothing done": _seconds(lambda: planned(file, root), arguments.repeats)},
        }
        make_up_results(study, root)
        result["seconds"]["all done"] = _seconds(lambda: planned(file, root), arguments.repeats)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for state, seconds in result["seconds"].items():
        print(
            f"{state:12} {seconds['elapsed']:6.2f} s, {seconds['processor']:6.2f} s of the processor "
            f"(median of {arguments.repeats} plans of {result['runs']:,} runs)"
        )


def planned(file: Path, root: Path) -> Study:
    """Do what ``prunecheck plan`` does, and return the study."""
    study = read_study(file, None)
    study.validate()
    plan_study(study, root)
    return study


def make_up_results(study: Study, root: Path) -> None:
    """Leave folders as finished runs do, with the files that planning reads."""
    store = RunStore(root)
    root.mkdir()
    kept = {f"layer{number}": (100, 1000) for number in range(20)}
    for spec in study.runs():
        folder = store.folder(spec).path
        folder.mkdir()
        (folder / "spec.json").write_text(spec.canonical() + "\n")
        result = RunResult(
            Status.TRAINED, 90.0, 91.0, spec.setting.recipe.epochs, 10.0, 0.9, kept, None, None, 5.0, "cpu", {}
        )
        (folder / "result.json").write_text(result.to_json())


def _seconds(function: Callable[[], object], repeats: int) -> dict[str, float]:
    elapsed, processor = [], []
    for _ in range(repeats):
        begun, begun_processor = time.perf_counter(), time.process_time()
        function()
        elapsed.append(time.perf_counter() - begun)
        processor.append(time.process_time() - begun_processor)
    return {"elapsed": statistics.median(elapsed), "processor": statistics.median(processor)}
