"""What is measured on a GPU, each step by itself: given what to train, it returns what goes into the JSON."""

import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy.settings import Setting
from benchmarks.accuracy.task import RealTask
from benchmarks.accuracy.trainings import train_seeds
from benchmarks.gpu.grouped import Step, grouped_step, stacked_step
from benchmarks.training.contestants import NOTHING, Contestant, all_together, everything, plain
from benchmarks.training.speed import compete, row
from benchmarks.training.task import CIFAR_SHAPE, CLASSES, Task
from benchmarks.training.workers import compare_crews
from prunecheck.pruning import Ticket
from prunecheck.training import Recipe

Found = dict[str, Any]

GPU_TESTS = "tests.training.test_on_a_gpu"

MINUTES_OF_A_TICKET = 4.0
TIMES_THE_PLAIN_LOOP = 20.0
"""The goals: a ResNet32 ticket of 160 epochs in so many minutes, and so many times the plain loop's tickets an hour."""


@dataclass(frozen=True)
class Amounts:
    """How much is measured.

    Attributes:
        tickets: how many are trained at once, one after the other.
        repeats: rounds, of which the median is taken.
        accuracy_seeds: tickets that are trained with bfloat16 and without.
        processes: that train at once.
    """

    tickets: tuple[int, ...]
    repeats: int
    accuracy_seeds: int
    processes: int


def tests(timeout: float) -> Found:
    """Run the tests that wait for a GPU, with pytest if it is installed."""
    has_pytest = importlib.util.find_spec("pytest") is not None
    if has_pytest:
        file = f"{GPU_TESTS.replace('.', '/')}.py"
        # The options of pyproject.toml are those of plugins, which need not be here.
        overridden = ["-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-q", *overridden, file]
    else:
        command = [sys.executable, "-m", "benchmarks.gpu.without_pytest", GPU_TESTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return {"with_pytest": has_pytest, "return_code": done.returncode, "last_lines": lines[-40:]}


def options(task: Task, amounts: Amounts) -> Found:
    """Compare the plain loop with one ticket in prunecheck's, each option alone and all together."""
    contestants = [plain(task), Contestant("prunecheck's loop alone", task, NOTHING)]
    for field, value in _options_of(task.device).items():
        contestants.append(Contestant(f"loop + {field}", task, replace(NOTHING, **{field: value})))
    contestants.append(all_together(task))
    rows = compete(contestants, amounts.repeats, f"options, {task.model}")
    return {"rows": rows, "minutes_of_a_ticket": {one["name"]: 60 / one["tickets_per_hour"] for one in rows}}


def _options_of(device: torch.device) -> Found:
    on_gpu = {"bfloat16": True, "cuda_graphs": True} if device.type == "cuda" else {"sparse_convolutions": True}
    return {"channels_last": True, **on_gpu}


def at_once(task: Task, amounts: Amounts) -> Found:
    """Compare so many tickets at once on streams, with everything, without bfloat16 and without graphs."""
    fastest = everything(task.device)
    contestants = [plain(task)]
    for count in amounts.tickets:
        contestants.append(all_together(task, count, name=f"{count} at once"))
        if task.device.type == "cuda":
            for field in ("bfloat16", "cuda_graphs"):
                by = replace(fastest, **{field: False})
                contestants.append(Contestant(f"{count} at once, all but {field}", task, by, count))
    return {"rows": compete(contestants, amounts.repeats, f"at once, {task.model}")}


def stacked(task: Task, amounts: Amounts) -> Found:
    """Time tickets as groups of one network, and stacked for ``torch.func``; what cannot be had says why."""
    found: Found = {}
    kinds: dict[str, Callable[..., Step]] = {"grouped convolutions": grouped_step, "torch.func": stacked_step}
    for name, kind in kinds.items():
        found[name] = []
        for count in amounts.tickets:
            try:
                found[name].append({"tickets": count, **_timed(task, kind, task.tickets(count), amounts.repeats)})
            except (RuntimeError, NotImplementedError, torch.OutOfMemoryError) as error:
                found[name].append({"tickets": count, "error": f"{type(error).__name__}: {error}"[:300]})
                break
    return found


def _timed(task: Task, kind: Callable[..., Step], tickets: Sequence[Ticket], repeats: int) -> Found:
    step = kind(task.network(), tickets, Recipe(batch_size=task.batch_size), task.device)
    generator = torch.Generator().manual_seed(0)
    shape = (len(tickets), task.batch_size)
    images = torch.randn(*shape, *CIFAR_SHAPE, generator=generator).to(task.device)
    labels = torch.randint(CLASSES, shape, generator=generator).to(task.device)
    step(images, labels)
    seconds = []
    for _ in range(repeats):
        _wait_for(task.device)
        started = time.perf_counter()
        for _ in range(task.batches):
            step(images, labels)
        _wait_for(task.device)
        seconds.append((time.perf_counter() - started) / task.batches / len(tickets))
    return row("a step of one ticket", seconds, task.batch_size)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def processes(task: Task, amounts: Amounts) -> Found:
    """Time several processes that train a ticket each."""
    return {"rows": compare_crews(task, amounts.repeats, amounts.processes)}


def accuracy(file: Path, cache: Path, task: Task, recipe: Recipe, amounts: Amounts, images: int | None) -> Found:
    """Train the same tickets in float32 and in bfloat16 on real images, and return both accuracies by seed, percent."""
    from prunecheck.data import DataPlaces

    real = RealTask(
        dataset_name=f"npz:{file}",
        places=DataPlaces((), cache),
        train_images=images,
        test_images=images,
        model=task.model,
        width=task.width,
        sparsity=task.sparsity,
        recipe=recipe,
        device=task.device,
    )
    precise = replace(everything(task.device), bfloat16=False)
    settings = [Setting("float32", precise)]
    if task.device.type == "cuda":
        settings.append(Setting("bfloat16", replace(precise, bfloat16=True)))
    seeds = range(amounts.accuracy_seeds)
    found = {one.name: [trained.accuracy for trained in train_seeds(real, one, seeds)] for one in settings}
    return {"epochs": recipe.epochs, "accuracies": found, **_difference(found)}


def _difference(found: dict[str, list[float]]) -> Found:
    if "bfloat16" not in found:
        return {}
    differences = [one - other for one, other in zip(found["bfloat16"], found["float32"], strict=True)]
    spread = statistics.stdev(differences) if len(differences) > 1 else None
    return {"bfloat16_minus_float32": {"mean": statistics.fmean(differences), "std": spread, "n": len(differences)}}


def goals(found: Found, model: str) -> Found:
    """Say how far the figures are from what is aimed at; None where nothing was measured."""
    single = found.get(f"options {model}", {}).get("minutes_of_a_ticket", {}).get("all together")
    ratios = {
        one["name"]: one["ratio"]["median"]
        for one in found.get(f"at once {model}", {}).get("rows", [])
        if one["name"] != "plain loop"
    }
    best = max(ratios, key=lambda name: ratios[name]) if ratios else None
    return {
        "minutes_of_a_ticket": {"measured": single, "goal": MINUTES_OF_A_TICKET},
        "times_the_plain_loop": {
            "measured": ratios[best] if best else None,
            "by": best,
            "goal": TIMES_THE_PLAIN_LOOP,
        },
    }
