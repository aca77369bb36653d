"""How one run is executed: data, network, ticket, check, training."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

import prunecheck
from prunecheck.checks import CHECKS
from prunecheck.data import Dataset, Images, load_dataset, scoring_batch
from prunecheck.errors import InputError
from prunecheck.models import build_model, require_input
from prunecheck.pruning import Method, Ticket, dense_ticket, find_method, make_ticket
from prunecheck.pruning.masks import sparsity_of
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.randomness import generator, seeded_global_generator
from prunecheck.studies.curves import Curves
from prunecheck.studies.results import RunResult
from prunecheck.studies.specs import DENSE, RunSpec
from prunecheck.studies.store import RunFolder, RunStore
from prunecheck.training import Checkpoint, Record, train


@dataclass(frozen=True)
class Job:
    """A run to execute.

    Attributes:
        method: how the command line names it: with the whole path, for a method in a user's file.
    """

    spec: RunSpec
    root: Path
    method: str
    device: str


OnEpoch = Callable[[int, float], None]
"""Called after each epoch with the number of epochs done and the test accuracy in percent."""


def execute(job: Job, on_epoch: OnEpoch) -> RunResult:
    """Do a run, or go on with it where it was interrupted, and leave its folder complete.

    Runs on one thread, so that its result does not depend on the machine's number of cores.
    """
    folder = RunStore(job.root).folder(job.spec)
    if result := folder.result():
        return result
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _execute(job, folder, on_epoch)
    finally:
        torch.set_num_threads(threads)


def _execute(job: Job, folder: RunFolder, on_epoch: OnEpoch) -> RunResult:
    spec = job.spec
    started = time.monotonic()
    folder.open()
    dataset = load_dataset(spec.dataset)
    model = build_network(spec, dataset)
    start = folder.checkpoint()
    # What is trained on is the ticket of the checkpoint, whatever another version would make today.
    ticket = folder.ticket() if start else None
    if ticket is None:
        start = None
        ticket = build_ticket(spec, dataset, model, find_spec_method(job))
        folder.write_ticket(ticket)
    if ticket.collapse:
        folder.log(f"collapsed: {ticket.collapse}")
        result = _result(job, ticket, None, time.monotonic() - started)
    else:
        record = _train(job, folder, dataset, model, ticket, start, on_epoch)
        result = _result(job, ticket, record, time.monotonic() - started)
    folder.write_result(result)
    return result


def find_spec_method(job: Job) -> Method | None:
    """Return the method of a job, None for a dense network.

    Raises:
        InputError: the user's file is another than the one that the spec was made for.
    """
    if job.spec.method == DENSE:
        return None
    method = find_method(job.method)
    if method.source_hash != job.spec.method_hash:
        raise InputError(f"{method.source} was changed while its runs were going on: call the command again.")
    return method


def build_network(spec: RunSpec, dataset: Dataset) -> nn.Module:
    """Return the run's network with its initial weights."""
    return _build(spec, dataset, spec.seed)


def _build(spec: RunSpec, dataset: Dataset, seed: int) -> nn.Module:
    channels, height, width = dataset.image_shape
    options = {} if spec.width is None else {"width": spec.width}
    model = build_model(spec.model, dataset.num_classes, seed, input_channels=channels, **options)
    require_input(spec.model, model, height, width)
    return model


def build_ticket(spec: RunSpec, dataset: Dataset, model: nn.Module, method: Method | None) -> Ticket:
    """Make the run's ticket: corrupt the data if its check does, prune, change the ticket if its check does.

    Args:
        spec: the run.
        dataset: the one that the spec names.
        model: the run's network, see :func:`build_network`.
        method: None for a dense network.
    """
    if method is None:
        return dense_ticket(model)
    check = CHECKS.get(spec.check) if spec.check else None
    check_draws = generator(spec.seed, "check", spec.check or "")

    def change(images: Images) -> Images:
        if check and check.changes == "data":
            return check.function(images, dataset.num_classes, check_draws)  # type: ignore[no-any-return]
        return images

    batches = []
    if method.criterion.sees_data:
        batches.append(scoring_batch(dataset.train, dataset, spec.samples_per_class, spec.seed, change))

    def draw_weights(seed: int) -> Weights:
        return copy_weights(_build(spec, dataset, seed))

    with seeded_global_generator(spec.seed, "criterion"):
        ticket = make_ticket(
            method, model, batches, spec.sparsity, generator(spec.seed, "mask placement"), draw_weights
        )
    if check and check.changes == "ticket":
        ticket = check.function(ticket, check_draws)
    return ticket.checked(model, dataset.image_shape)


def _train(
    job: Job,
    folder: RunFolder,
    dataset: Dataset,
    model: nn.Module,
    ticket: Ticket,
    start: Checkpoint | None,
    on_epoch: OnEpoch,
) -> Record:
    done = start.metrics if start else ()
    folder.log(f"training from epoch {len(done) + 1} of {job.spec.recipe.epochs} on {job.device}")
    with Curves(folder.path, done) as curves:

        def after_epoch(_: int, checkpoint: Checkpoint) -> None:
            folder.write_checkpoint(checkpoint)
            curves.add(checkpoint.metrics[-1])
            on_epoch(len(checkpoint.metrics), checkpoint.metrics[-1].test_accuracy)

        (record,) = train(
            [ticket],
            model,
            dataset,
            job.spec.recipe,
            [job.spec.seed],
            device=job.device,
            checkpoints=[start],
            on_epoch=after_epoch,
        )
    return record


def _result(job: Job, ticket: Ticket, record: Record | None, seconds: float) -> RunResult:
    result = RunResult(
        status="collapsed",
        accuracy=None,
        best_accuracy=None,
        epochs=0,
        sparsity=sparsity_of(ticket.masks) if ticket.masks else 0.0,
        kept={layer: (int(mask.sum()), mask.numel()) for layer, mask in ticket.masks.items()},
        collapse=ticket.collapse,
        seconds=round(seconds, 3),
        versions={
            "prunecheck": prunecheck.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )
    if record is None:
        return result
    if record.diverged:
        return replace(result, status="diverged", epochs=len(record.metrics))
    return replace(
        result,
        status="trained",
        accuracy=record.metrics[-1].test_accuracy,
        best_accuracy=max(epoch.test_accuracy for epoch in record.metrics),
        epochs=len(record.metrics),
    )
