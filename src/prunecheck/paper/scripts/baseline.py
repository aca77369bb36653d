"""``baseline.py``: train a whole network."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from prunecheck.checks import find_check
from prunecheck.data import Dataset
from prunecheck.engine.tickets import corrupted
from prunecheck.errors import InputError
from prunecheck.io import atomic_write
from prunecheck.paper.scripts.checkpoints import file_hash, momentum_for, plain, to_bytes
from prunecheck.paper.scripts.epoch_files import EpochFiles
from prunecheck.paper.scripts.evaluation import Accuracy, measure
from prunecheck.paper.scripts.flags import BaselineFlags
from prunecheck.paper.scripts.logs import read_log
from prunecheck.paper.scripts.masks import network_in, network_weights
from prunecheck.paper.scripts.runs import ScriptRun, finish
from prunecheck.paper.scripts.save_dir import SaveDir, identity_of, require_save_dir
from prunecheck.paper.scripts.setting import (
    ONLY_IN_TRAINING,
    Machine,
    dense_spec,
    describe,
    idle_everywhere,
    load,
    network_with,
    recipe_of,
    say_seed,
    say_without_effect,
    with_seed,
)
from prunecheck.pruning import Ticket, dense_ticket
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.tickets import Weights
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from prunecheck.training import Checkpoint

INIT, CHECKPOINT, BEST, LOG = "init.pth.tar", "checkpoint.pth.tar", "model_best.pth.tar", "log.txt"

FIRST_BATCHES = "first-batches"
"""With ``@N`` in ``trained_on``: the first N batches in file order, in every epoch."""

IDLE_IN_EVALUATION = (*ONLY_IN_TRAINING, "rand_label", "shuffle_pixel", "max_batch_idx", "save_dir", "overwrite")
"""Flags that ``--evaluate`` does not read."""


def baseline(flags: BaselineFlags, machine: Machine) -> RunResult | Accuracy:
    """Train a whole network, or go on with that, and write ``init.pth.tar``, ``checkpoint.pth.tar`` and ``log.txt``.

    Returns:
        What the run ended with; with ``--evaluate``, what was measured.

    Raises:
        InputError: what is asked for does not fit together, or a checkpoint does not fit.
    """
    if not flags.evaluate:
        require_save_dir(_folder(flags))
    dataset = load(flags, machine)
    if flags.evaluate:
        return _evaluate(flags, machine, dataset)
    save_dir = SaveDir(_folder(flags), "baseline", (INIT, CHECKPOINT, BEST, LOG))
    spec, start = _run(flags, dataset, save_dir)
    identity, store = identity_of(spec), RunStore(save_dir.path)
    if not flags.overwrite and not flags.resume:
        save_dir.require_free(identity)
    _say_without_effect(flags, machine)
    say_seed(spec, flags, machine.say)
    trained_on = training_data(dataset, flags, spec)
    model = network_with(spec, dataset, None)
    first_epoch = 0 if flags.resume else flags.start_epoch
    files = EpochFiles(save_dir.path, CHECKPOINT, LOG, BEST, model, spec, first_epoch)
    with save_dir.locked():
        save_dir.claim(identity, flags.overwrite)
        if not (save_dir.path / INIT).exists() and start is None:
            atomic_write(save_dir.path / INIT, to_bytes({"state_dict": plain(model.state_dict())}))
        ticket = Ticket(start.weights, {}) if start else dense_ticket(model)
        result = finish(ScriptRun(store.folder(spec), trained_on, ticket, start, files), machine)
        store.write_results()
    return result


def _say_without_effect(flags: BaselineFlags, machine: Machine) -> None:
    idle = idle_everywhere(machine)
    if flags.resume:
        idle += ["start_epoch", *(["save_dir"] if flags.save_dir != flags.resume.parent else [])]
    say_without_effect(flags, idle, machine.say)


def _folder(flags: BaselineFlags) -> Path:
    """Return where files are written: as published, a training goes on in the folder of its checkpoint."""
    return flags.resume.parent if flags.resume else flags.save_dir


def _run(flags: BaselineFlags, dataset: Dataset, save_dir: SaveDir) -> tuple[RunSpec, Checkpoint | None]:
    """Return the run that is asked for and, if it goes on from a file that is not of a run here, from where."""
    spec = replace(dense_spec(flags, dataset, 0), trained_on=trained_on(flags))
    found = save_dir.run()
    if flags.resume is None:
        return with_seed(spec, flags, found), None
    spec = spec.changed(recipe=recipe_of(replace(flags, start_epoch=0)))
    content = read_checkpoint(flags.resume, "--resume")
    found_network = network_in(flags.resume, content, network_with(spec, dataset, None), describe(flags, dataset))
    weights = network_weights(flags.resume, found_network)
    if found and _is_run_of(found, spec, flags, save_dir):
        return found, None
    start = _start(flags.resume, content, weights, network_with(spec, dataset, None), flags.epochs)
    spec = replace(spec, method_hash=file_hash(flags.resume))
    if found and flags.manual_seed is None:
        return replace(spec, seed=found.seed), start  # the training goes on as that which wrote the checkpoint
    return with_seed(spec, flags, None), start


def _is_run_of(found: RunSpec, spec: RunSpec, flags: BaselineFlags, save_dir: SaveDir) -> bool:
    """Say whether ``--resume`` names the last checkpoint of the run that is here, unchanged in all else."""
    wanted = replace(
        spec, method_hash=found.method_hash, seed=found.seed if flags.manual_seed is None else flags.manual_seed
    )
    own = flags.resume == save_dir.path / CHECKPOINT
    return own and wanted == found and RunStore(save_dir.path).folder(found).checkpoint() is not None


def _start(path: Path, content: dict[str, object], weights: Weights, model: nn.Module, epochs: int) -> Checkpoint:
    """Return the state that a published checkpoint and the log beside it describe."""
    done = content.get("epoch")
    if not isinstance(done, int) or done < 1:
        raise InputError(f"{path} does not say how many epochs it was trained for: give a checkpoint.pth.tar.")
    if done >= epochs:
        raise InputError(f"{path} was trained for {done} epochs already: give --epochs more than that.")
    return Checkpoint(weights, momentum_for(model, content, path), read_log(path.parent / LOG, done))


def trained_on(flags: BaselineFlags) -> str | None:
    """Return the name of what is done to the training data, None for nothing."""
    parts = [flags.corruption] if flags.corruption else []
    if flags.max_batch_idx:
        parts.append(f"{FIRST_BATCHES}@{flags.max_batch_idx}")
    return "+".join(parts) or None


def training_data(dataset: Dataset, flags: BaselineFlags, spec: RunSpec) -> Dataset:
    """Return the data set with its training images corrupted, and cut to the first batches.

    ``--max_batch_idx`` N trains on the first N batches, in file order in every epoch: with 390 on
    24,960 images of CIFAR-10.
    """
    dataset = corrupted(dataset, find_check(flags.corruption), spec.seed)
    if not flags.max_batch_idx:
        return dataset
    images, count = dataset.train, flags.max_batch_idx * flags.train_batch
    first = replace(images, pixels=images.pixels[:count], labels=images.labels[:count], in_file_order=True)
    return replace(dataset, train=first)


def _evaluate(flags: BaselineFlags, machine: Machine, dataset: Dataset) -> Accuracy:
    spec = dense_spec(flags, dataset, flags.manual_seed or 0)
    model = network_with(spec, dataset, None)
    if flags.resume:
        content = read_checkpoint(flags.resume, "--resume")
        found = network_in(flags.resume, content, model, describe(flags, dataset))
        model.load_state_dict(network_weights(flags.resume, found))
    say_without_effect(flags, [*idle_everywhere(machine), *IDLE_IN_EVALUATION], machine.say)
    measured = measure(model, dataset, machine.device)
    machine.say(f" Test Loss:  {measured.loss:.8f}, Test Acc:  {measured.accuracy:.2f}")
    return measured
