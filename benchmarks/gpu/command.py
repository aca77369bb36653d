"""All that eight minutes on a GPU are to show: tests, tickets an hour, one and many at once, bfloat16, in one JSON.

``benchmarks/gpu.sh`` calls it on a machine that has torch and numpy only. Steps are done in the order of their worth,
none begins after the time is over, and what fails is written down and does not stop the others.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import steps
from benchmarks.gpu.packed import pack
from benchmarks.machine import describe
from benchmarks.training.task import Task, width_of
from prunecheck.errors import InputError
from prunecheck.training import Recipe, step_schedule

MODELS = ("resnet32", "vgg19_bn")

AMOUNTS = steps.Amounts(tickets=(4, 8, 16, 32), repeats=3, accuracy_seeds=8, processes=4)
REHEARSED = steps.Amounts(tickets=(2,), repeats=1, accuracy_seeds=1, processes=1)

Steps = dict[str, Callable[[], dict[str, Any]]]


def add_command(commands: Any) -> None:
    """Add ``gpu`` to the benchmarks' command line."""
    summary, _, details = (__doc__ or "").partition("\n")
    parser = commands.add_parser("gpu", help=summary, description=summary + details)
    parser.add_argument("--data", type=Path, help="a packed part of CIFAR-10, which --pack wrote")
    parser.add_argument(
        "--out", type=Path, help="the JSON, written after each step; without it, it is printed at the end"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=450, help="after which no step begins; 450 by default")
    parser.add_argument("--rehearse", action="store_true", help="the same steps with tiny networks and amounts")
    parser.add_argument("--pack", type=Path, help="write a part of CIFAR-10 to this file, and do nothing else")
    parser.add_argument("--data-root", type=Path, default=Path(), help="where CIFAR-10 lies, for --pack")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Pack images, or take all figures."""
    with tempfile.TemporaryDirectory() as cache:
        if arguments.pack:
            pack(arguments.data_root, Path(cache), arguments.pack)
            return
        device = torch.device(arguments.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise InputError("there is no GPU here that this build of torch can use: give --device cpu --rehearse.")
        if arguments.data is not None and not arguments.data.is_file():
            raise InputError(f"{arguments.data} is not a file: write it with --pack, or leave --data out.")
        torch.set_num_threads(1 if device.type == "cpu" else torch.get_num_threads())
        found = {"machine": describe(device), "seconds_allowed": arguments.seconds, "rehearsal": arguments.rehearse}
        todo = _steps(arguments, device, Path(cache))
        measure(todo, found, arguments.seconds, partial(write, arguments.out))
        if arguments.out is None:
            print(json.dumps(found, indent=2))


def measure(todo: Steps, found: dict[str, Any], seconds: float, save: Callable[[dict[str, Any]], None]) -> None:
    """Do one step after the other, and save what was found after each.

    Args:
        todo: by name.
        found: what each returns is put here under its name, beside the ``seconds`` it took; of one that fails,
            ``error``; of one that would begin too late, ``left_out``.
        seconds: after which none begins.
        save: called after each step.
    """
    started = time.monotonic()
    for name, step in todo.items():
        begun = time.monotonic()
        if begun - started > seconds:
            found[name] = {"left_out": "the time was over"}
            continue
        print(f"{begun - started:.0f} s: {name}", file=sys.stderr, flush=True)
        try:
            found[name] = step()
        except Exception as error:  # whatever it is, the other figures are worth having
            found[name] = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        found[name]["seconds"] = round(time.monotonic() - begun, 1)
        found["goals"] = steps.goals(found, MODELS[0])
        save(found)
    save(found)


def write(file: Path | None, found: dict[str, Any]) -> None:
    """Write the JSON whole, or not at all where there is no file."""
    if file is not None:
        part = file.with_suffix(".part")
        part.write_text(f"{json.dumps(found, indent=2)}\n")
        part.replace(file)


def _steps(arguments: argparse.Namespace, device: torch.device, cache: Path) -> Steps:
    amounts = REHEARSED if arguments.rehearse else AMOUNTS
    tasks = {model: _task(model, device, arguments.rehearse) for model in MODELS}
    resnet, vgg = (tasks[model] for model in MODELS)
    todo: Steps = {
        "tests": partial(steps.tests, arguments.seconds / 3),
        "options resnet32": partial(steps.options, resnet, amounts),
        "at once resnet32": partial(steps.at_once, resnet, amounts),
        "stacked resnet32": partial(steps.stacked, resnet, amounts),
        "at once vgg19_bn": partial(steps.at_once, vgg, amounts),
        "options vgg19_bn": partial(steps.options, vgg, amounts),
        "stacked vgg19_bn": partial(steps.stacked, vgg, amounts),
        "processes resnet32": partial(steps.processes, resnet, amounts),
    }
    if arguments.data is not None:
        recipe = _short_recipe(1 if arguments.rehearse else 10)
        images = 100 if arguments.rehearse else None
        accuracy = partial(steps.accuracy, arguments.data.resolve(), cache, resnet, recipe, amounts, images)
        todo = {name: todo[name] for name in ("tests", "options resnet32", "at once resnet32")} | {
            "accuracy resnet32": accuracy,
            **todo,
        }
    return todo


def _task(model: str, device: torch.device, is_rehearsal: bool) -> Task:
    return Task(
        model=model,
        width=8 if is_rehearsal else width_of(model),
        sparsity=0.98 if not is_rehearsal else 0.8,
        batch_size=64 if not is_rehearsal else 4,
        batches=2 if is_rehearsal else 60,
        device=device,
        loader_workers=0 if is_rehearsal else 2,
    )


def _short_recipe(epochs: int) -> Recipe:
    return Recipe(epochs=epochs, milestones=step_schedule(epochs))
