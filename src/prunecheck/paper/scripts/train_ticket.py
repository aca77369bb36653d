"""``train_ticket.py``: make a ticket, of files or by a method, and train it."""

import copy

import torch

from prunecheck.data import Batches, Dataset
from prunecheck.engine.training import one_thread
from prunecheck.paper.scripts.epoch_files import EpochFiles
from prunecheck.paper.scripts.flags import TicketFlags
from prunecheck.paper.scripts.lt_prune import say_layers
from prunecheck.paper.scripts.masks import masked
from prunecheck.paper.scripts.runs import ScriptRun, finish
from prunecheck.paper.scripts.save_dir import SaveDir, identity_of, require_save_dir
from prunecheck.paper.scripts.scalars import Scalars, require_writerdir
from prunecheck.paper.scripts.setting import (
    Machine,
    idle_everywhere,
    load,
    network_with,
    say_seed,
    say_without_effect,
    with_seed,
)
from prunecheck.paper.scripts.tickets import (
    make_run_ticket,
    read_source,
    require_one_ticket,
    ticket_spec,
)
from prunecheck.pruning import Ticket
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore

CHECKPOINT, LOG = "scratch.pth.tar", "log_scratch.txt"


def train_ticket(flags: TicketFlags, machine: Machine) -> RunResult | None:
    """Train a ticket, or go on with that, and write ``scratch.pth.tar``, ``log_scratch.txt`` and scalars.

    Returns:
        What the run ended with; None with ``--print_output``.

    Raises:
        InputError: what is asked for does not fit together, or a checkpoint does not fit.
    """
    require_one_ticket(flags)
    require_writerdir(flags.writerdir)
    if not flags.print_output:
        require_save_dir(flags.save_dir)
    dataset = load(flags, machine)
    source = read_source(flags, dataset)
    for note in source.notes:
        machine.say(note)
    save_dir = SaveDir(flags.save_dir, "train_ticket", (CHECKPOINT, LOG))
    spec = with_seed(ticket_spec(flags, dataset, source), flags, save_dir.run())
    if flags.print_output:
        say_seed(spec, flags, machine.say)
        _print_output(make_run_ticket(flags, dataset, source, spec, machine.device), spec, dataset, machine)
        return None
    if not flags.overwrite:
        save_dir.require_free(identity_of(spec))
    folder = RunStore(save_dir.path).folder(spec)
    with one_thread():  # made now, so that what is wrong with it is found before any work
        begun = folder.ticket() if folder.checkpoint() else None
        ticket = begun or make_run_ticket(flags, dataset, source, spec, machine.device)
    _say_without_effect(flags, machine)
    say_seed(spec, flags, machine.say)
    say_layers(ticket.masks, machine)
    model = network_with(spec, dataset, None)
    files = EpochFiles(save_dir.path, CHECKPOINT, LOG, None, model, spec, flags.start_epoch)
    with save_dir.locked():
        save_dir.claim(identity_of(spec), flags.overwrite)
        with Scalars(flags.writerdir, spec.hash, flags.start_epoch) as scalars:
            result = finish(ScriptRun(folder, dataset, ticket, None, files), machine, scalars.write)
        RunStore(save_dir.path).write_results()
    return result


def _say_without_effect(flags: TicketFlags, machine: Machine) -> None:
    idle = [*idle_everywhere(machine), "evaluate"]
    if not (flags.grasp or flags.snip):
        idle += ["rand_label", "shuffle_pixel"]
    if not flags.smart_ratio:
        idle.append("linear_keep_ratio")
        if not (flags.grasp or flags.snip):
            idle.append("init_prune_ratio")
    say_without_effect(flags, idle, machine.say)


def _print_output(ticket: Ticket, spec: RunSpec, dataset: Dataset, machine: Machine) -> None:
    """Print the logits of a first training batch and the accuracy on all of them, with the ticket untrained.

    In training mode, as published: with the batches' own statistics. The published script ended
    before it came to the accuracy.
    """
    say_layers(ticket.masks, machine)
    model = copy.deepcopy(network_with(spec, dataset, masked(ticket.weights, ticket.masks))).to(machine.device).train()
    batches = Batches(dataset.train, dataset, spec.setting.recipe.batch_size, machine.device)
    hits = 0
    with one_thread(), torch.inference_mode():
        for number, (x, y) in enumerate(batches.epoch(spec.seed, 0)):
            logits = model(x)
            if number == 0:
                machine.say(str(logits.cpu()))
            hits += int((logits.argmax(dim=1) == y).sum())
    machine.say(f"Train acc : {100 * hits / len(dataset.train)}")
