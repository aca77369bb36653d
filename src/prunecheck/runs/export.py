"""What a run began and ended with, to be written for other programs."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from prunecheck.errors import InputError, field_name
from prunecheck.pruning import Ticket
from prunecheck.pruning.export_formats import ExportedNetwork
from prunecheck.pruning.layers import Masks, weight_name
from prunecheck.pruning.tickets import Weights, load_ticket
from prunecheck.pruning.tied_weights import tied_in_files
from prunecheck.runs.index import FoundRun, read_run
from prunecheck.runs.store import CHECKPOINT, SPEC, TICKET
from prunecheck.training import Checkpoint


class WhichWeights(StrEnum):
    """Which weights of a run are exported."""

    TRAINED = "trained"
    START = "start"


@dataclass(frozen=True)
class ExportedRun:
    """A run, and what of it is written."""

    run: FoundRun
    network: ExportedNetwork


def is_run(folder: Path) -> bool:
    """Say whether a folder is that of one run."""
    return (folder / SPEC).is_file()


def read_exported_run(folder: Path, weights: WhichWeights = WhichWeights.TRAINED) -> ExportedRun:
    """Read the ticket that a run began with, or the network that it ended with; no code of users is run.

    Args:
        folder: the run's.
        weights: ``start``: the ticket, whose weights are not masked yet. ``trained``: the weights after the last
            epoch, with zeros at pruned weights; of a method after training, which trains nothing, those of its ticket.

    Raises:
        InputError: it is not a run's folder, the run has no such weights (yet), or its files are damaged or do not
            belong together.
    """
    if not is_run(folder):
        raise InputError(f"{folder} is not the folder of a run: `prunecheck results` lists those that there are.")
    try:
        run = read_run(folder)
    except ValueError as error:
        raise InputError(f"{folder} cannot be read ({error}): the run has to be done anew.") from error
    if missing := why_not(run, weights):
        raise InputError(f"{folder} {missing[0]}: {missing[1]}.")
    ticket, _ = load_ticket(folder / TICKET)
    if not ticket.weights:
        raise InputError(f"{folder} has an empty ticket ({run.reason}): choose another run.")
    _require_same_network(folder, ticket.weights, ticket.masks)
    described = describe(run, weights)
    if run.spec.is_evaluated_only:
        start = ExportedNetwork(ticket, described, tied=tied_in_files(ticket.masks, ticket.weights))
        return ExportedRun(run, start if weights is WhichWeights.START else start.masked)
    trained = _trained_ticket(folder, ticket) if _is_trained(run) else None
    # What is tied is equal before and after the training: a layer may begin as a copy of another.
    states = [ticket.weights, trained.weights] if trained else [ticket.weights]
    tied = tied_in_files(ticket.masks, *states)
    if weights is WhichWeights.TRAINED:
        assert trained is not None
        ticket = trained
    return ExportedRun(run, ExportedNetwork(ticket, described, tied=tied))


def _trained_ticket(folder: Path, ticket: Ticket) -> Ticket:
    """Return what a training ended with: its masks are others than the ticket's if these moved."""
    checkpoint = _read_checkpoint(folder / CHECKPOINT)
    masks = checkpoint.masks or ticket.masks
    _require_same_network(folder, checkpoint.weights, masks, are_masked=True)
    return Ticket(checkpoint.weights, masks, structure=ticket.structure)


def describe(run: FoundRun, weights: WhichWeights) -> dict[str, object]:
    """Return what a file says of the network in it."""
    spec = run.spec
    described = {"run": spec.folder_name, "weights": str(weights), **spec.described()}
    if run.result and run.result.collapse:
        described["collapse"] = str(run.result.collapse)
    if weights is WhichWeights.TRAINED and run.result:
        described["accuracy"] = run.result.accuracy
        if run.result.metric:
            described["value"] = run.result.value
    return described


def file_stem(run: FoundRun, weights: WhichWeights) -> str:
    """Return a name that tells the run, with its method, sparsity, check and seed, and which weights."""
    return f"{run.spec.folder_name}-{weights}"


def _is_trained(run: FoundRun) -> bool:
    return run.result is not None and run.result.status == "trained"


def why_not(run: FoundRun, weights: WhichWeights) -> tuple[str, str] | None:
    """Say why a run has no such weights, and what to do; the reason follows the run's name in a sentence.

    Returns:
        None if it has them.
    """
    result, has_ticket = run.result, (run.path / TICKET).is_file()
    call_again = "call the command that began it again"
    if weights is WhichWeights.TRAINED and not _is_trained(run):
        start = f"give {field_name('weights')} start for its ticket" if has_ticket else ""
        if result is None:
            reason = f"is not finished, it has done {run.epochs_done} of {run.spec.epochs} epochs"
            return reason, f"{call_again}, or {start}" if start else call_again
        why = f" ({run.reason})" if run.reason else ""
        remedy = f"{start}, or choose another run" if start else "choose another run"
        return f"has no trained network, because the run {result.status}{why}", remedy
    if has_ticket:
        return None
    if result is None:
        return "has no ticket yet", call_again
    if _is_trained(run):
        return f"has lost its {TICKET}", "the run has to be done anew"
    return f"has no ticket, because the run {result.status} ({run.reason})", "choose another run"


def _read_checkpoint(file: Path) -> Checkpoint:
    if not file.is_file():
        raise InputError(f"{file} is gone, and with it the trained weights: the run has to be done anew.")
    return Checkpoint.read(file)


def _require_same_network(folder: Path, weights: Weights, masks: Masks, *, are_masked: bool = False) -> None:
    for layer, mask in masks.items():
        weight = weights.get(weight_name(layer))
        if weight is None or weight.shape != mask.shape or (are_masked and bool(weight[~mask].any())):
            raise InputError(f"the weights and masks of {folder} do not belong together: the run has to be done anew.")
