"""The trainings of all settings and seeds, in processes of one thread."""

import math
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import torch

from benchmarks.accuracy.plain import train_plainly
from benchmarks.accuracy.settings import Setting
from benchmarks.accuracy.task import RealTask
from prunecheck.training import Record, train


@dataclass(frozen=True)
class Trained:
    """A ticket after the last epoch.

    Attributes:
        accuracy: on the test part, percent; of a training that diverged, where it ended.
        diverged: whether the loss stopped being finite.
        used: the parts of the acceleration that it was trained with.
    """

    accuracy: float
    diverged: bool
    used: tuple[str, ...] = ()


def train_all(task: RealTask, settings: Sequence[Setting], seeds: int, workers: int) -> dict[str, list[Trained]]:
    """Train the tickets of all seeds in each setting.

    Args:
        task: what is trained.
        settings: by which.
        seeds: how many, counted from 0.
        workers: processes that train at once.

    Returns:
        By setting, in the order of the seeds.
    """
    # A GPU trains several tickets of one call at once; on the CPU every ticket is a piece of work of its own.
    together = [tuple(range(seeds))] if task.device.type == "cuda" else [(seed,) for seed in range(seeds)]
    pieces = [(setting, group) for group in together for setting in settings]
    found: dict[tuple[str, int], Trained] = {}
    with ProcessPoolExecutor(
        min(workers, len(pieces)), multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)
    ) as executor:
        waiting = {executor.submit(train_seeds, task, *piece): piece for piece in pieces}
        try:
            for done in as_completed(waiting):
                setting, group = waiting[done]
                for seed, trained in zip(group, done.result(), strict=True):
                    found[setting.name, seed] = trained
                    _tell(f"{setting.name}, seed {seed}: {trained.accuracy:.2f} %", len(found), seeds * len(settings))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    return {setting.name: [found[setting.name, seed] for seed in range(seeds)] for setting in settings}


def train_seeds(task: RealTask, setting: Setting, seeds: Sequence[int]) -> list[Trained]:
    """Train the tickets of some seeds in one setting; each ticket is that of its seed in every setting."""
    dataset = task.dataset()
    tickets = {seed: task.ticket(dataset, seed) for seed in seeds}
    model = task.network(dataset, 0)
    if setting.acceleration is None:
        plain = [
            train_plainly(ticket, model, dataset, task.recipe, seed, task.device) for seed, ticket in tickets.items()
        ]
        return [Trained(accuracy, diverged) for accuracy, diverged in plain]
    records = train(
        list(tickets.values()),
        model,
        dataset,
        task.recipe,
        seeds,
        device=task.device,
        acceleration=setting.acceleration,
    )
    return [_trained(record) for record in records]


def _trained(record: Record) -> Trained:
    accuracy = record.metrics[-1].test_accuracy  # None where it diverged before it was tested
    return Trained(math.nan if accuracy is None else accuracy, record.diverged, record.acceleration)


def accuracies(trained: Mapping[str, Sequence[Trained]]) -> dict[str, list[float]]:
    """Return the accuracies by setting."""
    return {name: [ticket.accuracy for ticket in of_setting] for name, of_setting in trained.items()}


def _tell(what: str, done: int, count: int) -> None:
    print(f"{done} of {count}: {what}", file=sys.stderr, flush=True)
