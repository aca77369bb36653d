"""Training tickets against a plain loop: each idea alone, all together, how cost grows, where it goes, the floor.

Everything trains random tickets with smart ratios on random images of CIFAR-10's shape, with the published
recipe: batches of 64, cropped and mirrored. Loops take turns in every round. At its turn each trains an epoch that
does not count, then one that does; a plain loop needs only a batch that does not count. An epoch is few batches: what
an epoch costs prunecheck beside its steps (a test image, a copy of the weights and the momentum for the checkpoint)
is in its time, and weighs more than in an epoch of 782 batches. Tickets an hour are those figures for 160 epochs of
50,000 images, extrapolated from these steps, without testing.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from benchmarks.machine import describe, seconds_waited
from benchmarks.training.contestants import (
    ALL_TOGETHER,
    LOOP_ALONE,
    NOTHING,
    Contestant,
    all_together,
    each_idea,
    plain,
)
from benchmarks.training.device_rates import measure_rates, rates_line
from benchmarks.training.floor import ALL_WEIGHTS, KEPT_WEIGHTS, floors, floors_table
from benchmarks.training.growth import AXES, grow
from benchmarks.training.operators import by_operator, operators_table
from benchmarks.training.speed import Row, compete, rows_table
from benchmarks.training.task import Task, width_of
from benchmarks.training.workers import compare_crews
from prunecheck.training import Recipe

Found = dict[str, Any]
Measure = Callable[[Sequence[Task], argparse.Namespace, Found], tuple[Found, str]]
"""Given what to train, and what was found before: returns what it found, and tables of it."""

BATCHES = {"cpu": 3, "cuda": 200}
DISTURBED = 0.02
"""Share of the time from which on it is said that other programs were at work."""
LOADER_WORKERS = {"cpu": 0, "cuda": 2}


def add_command(commands: Any) -> None:
    """Add ``training`` to the benchmarks' command line."""
    summary, _, details = (__doc__ or "").partition("\n")
    parser = commands.add_parser("training", help=summary, description=summary + details)
    parser.add_argument(
        "measures", nargs="*", default=["speed"], help=f"of {', '.join(MEASURES)}, or all of these; speed by default"
    )
    parser.add_argument("--models", nargs="+", default=["resnet32", "vgg19_bn"])
    parser.add_argument("--width", type=int, help="channels of the first stage; as published by default")
    parser.add_argument("--sparsity", type=float, default=0.98)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, help="of a timed epoch; by default 3, and 200 on a GPU")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, of which the median is taken")
    parser.add_argument("--tickets", type=int, default=8, help="trained at once on a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of this process")
    parser.add_argument("--loader-workers", type=int, help="of the plain loop; by default 0, and 2 with a GPU")
    parser.add_argument("--json", action="store_true", help="print JSON, and the tables on stderr")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Take the figures that are asked for."""
    unknown = set(arguments.measures) - {*MEASURES, "all"}
    if unknown:
        raise SystemExit(f"{min(unknown)}: choose of {', '.join(MEASURES)}, or all.")
    torch.set_num_threads(arguments.threads)
    device = _device(arguments.device)
    tasks = [_task(arguments, model, device) for model in arguments.models]
    output = sys.stderr if arguments.json else sys.stdout
    machine = describe(device)
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items()), file=output)
    found: Found = {
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "machine": machine | {"share_of_time_waited_for_a_processor": {}},
        "recipe": asdict(tasks[0].recipe(Recipe().epochs)),
    }
    try:
        for name, measure in MEASURES.items():
            if name in arguments.measures or "all" in arguments.measures:
                text = _watched(name, partial(measure, tasks, arguments), found)
                print(f"\n{text}", file=output, flush=True)
    finally:
        # What was found before an interruption is not lost.
        if arguments.json:
            print(json.dumps(found, indent=2))


def _watched(name: str, measure: Callable[[Found], tuple[Found, str]], found: Found) -> str:
    """Measure, and say so if other programs were at work; those that disturb worker processes are not seen."""
    started, waited = time.perf_counter(), seconds_waited()
    found[name], text = measure(found)
    if name == "workers":
        return text
    share = (seconds_waited() - waited) / (time.perf_counter() - started)
    found["machine"]["share_of_time_waited_for_a_processor"][name] = share
    if share > DISTURBED:
        text += f"\nOther programs kept the processors from this one for {share:.0%} of the time."
    return text


def _device(name: str) -> torch.device:
    device = torch.device(name)
    if device.type not in BATCHES:
        raise SystemExit(f"--device is cpu or cuda, not {name}.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here that this build of torch can use: leave out --device.")
    return device


def _task(arguments: argparse.Namespace, model: str, device: torch.device) -> Task:
    kind, loader_workers = device.type, arguments.loader_workers
    return Task(
        model=model,
        width=arguments.width or width_of(model),
        sparsity=arguments.sparsity,
        batch_size=arguments.batch_size,
        batches=arguments.batches or BATCHES[kind],
        device=device,
        loader_workers=LOADER_WORKERS[kind] if loader_workers is None else loader_workers,
    )


def speed(tasks: Sequence[Task], arguments: argparse.Namespace, _: Found) -> tuple[Found, str]:
    """Compare the plain loop, each idea alone, all together, and all but one."""
    found: Found = {}
    texts = []
    for task in tasks:
        contestants, left_out = each_idea(task, arguments.tickets)
        rows = compete(contestants, arguments.repeats, task.model)
        found[task.model] = {"rows": rows, "left_out": left_out}
        texts.append(rows_table(f"{task.model}, {task.sparsity:.1%}", rows))
        texts += [f"{name} is left out: {why}" for name, why in left_out.items()] + [""]
    return found, "\n".join(texts)


def growth(axis: str, tasks: Sequence[Task], arguments: argparse.Namespace, _: Found) -> tuple[Found, str]:
    """Time steps along an axis."""
    found = {task.model: grow(axis, task, arguments.repeats) for task in tasks}
    return found, "\n\n".join(rows_table(model, rows) for model, rows in found.items())


def workers(tasks: Sequence[Task], arguments: argparse.Namespace, _: Found) -> tuple[Found, str]:
    """Time processes that train at once."""
    found = {task.model: compare_crews(task, arguments.repeats, os.cpu_count() or 1) for task in tasks}
    return found, "\n\n".join(rows_table(model, rows) for model, rows in found.items())


def operators(tasks: Sequence[Task], _: argparse.Namespace, __: Found) -> tuple[Found, str]:
    """Say where the time of a step goes, in the plain loop, with nothing that accelerates, and with everything."""
    found: Found = {}
    texts = []
    for task in tasks:
        contestants = (plain(task), Contestant(LOOP_ALONE, task, NOTHING), all_together(task))
        found[task.model] = {contestant.name: by_operator(contestant) for contestant in contestants}
        texts += [operators_table(f"{task.model}, {name}", result) for name, result in found[task.model].items()]
    return found, "\n\n".join(texts)


def floor(tasks: Sequence[Task], arguments: argparse.Namespace, found: Found) -> tuple[Found, str]:
    """Compare steps with the least that they could take."""
    rates = measure_rates(tasks[0].device)
    by_model = {}
    for task in tasks:
        rows = found["speed"][task.model]["rows"] if "speed" in found else _first_and_last(task, arguments)
        fastest = {row["name"]: row["step"]["minimum"] for row in rows}
        kept = fastest.pop(ALL_TOGETHER)
        # Where all weights are computed with, whichever way is fastest.
        dense = [seconds for name, seconds in fastest.items() if name.startswith(("plain", LOOP_ALONE))]
        by_model[task.model] = floors(task, rates, {ALL_WEIGHTS: min(dense), KEPT_WEIGHTS: kept})
    text = f"{rates_line(rates)}\n{floors_table(by_model)}"
    return {"rates": asdict(rates), "floors": by_model}, text


def _first_and_last(task: Task, arguments: argparse.Namespace) -> list[Row]:
    tickets = arguments.tickets if task.device.type == "cuda" else 1
    return compete((plain(task), all_together(task, tickets)), arguments.repeats, f"floor of {task.model}")


MEASURES: dict[str, Measure] = {
    "speed": speed,
    **{axis: partial(growth, axis) for axis in AXES},
    "workers": workers,
    "operators": operators,
    "floor": floor,
}
