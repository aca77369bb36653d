"""``LT_prune.py``: the largest weights of a trained network, as a mask."""

import math

import torch

from prunecheck.errors import InputError
from prunecheck.io import atomic_write
from prunecheck.paper.scripts.checkpoints import file_hash, plain
from prunecheck.paper.scripts.evaluation import Accuracy, measure
from prunecheck.paper.scripts.flags import PruneFlags
from prunecheck.paper.scripts.masks import (
    masked,
    masks_file,
    masks_of,
    network_in,
    network_weights,
    what_was_read,
    write_pruned,
)
from prunecheck.paper.scripts.save_dir import SaveDir, require_save_dir
from prunecheck.paper.scripts.setting import (
    ONLY_IN_TRAINING,
    Machine,
    dense_spec,
    describe,
    idle_everywhere,
    load,
    network_with,
    say_without_effect,
)
from prunecheck.pruning import allocate, magnitude, sparsity_of
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.layers import Masks, Scores
from prunecheck.pruning.masks import GLOBAL_CONVOLUTIONS

PRUNED, REPORT = "pruned.pth.tar", "prune.txt"

IDLE = (*ONLY_IN_TRAINING, "evaluate", "train_images")
"""Flags that the script takes and does not read."""

LOWEST = -1.0
"""The score of a weight that was pruned before: less than any magnitude."""


def lt_prune(flags: PruneFlags, machine: Machine) -> tuple[Accuracy, Accuracy]:
    """Prune a network, and write ``pruned.pth.tar``, its masks beside it, and ``prune.txt``.

    Returns:
        What the network reaches on the test images before pruning and after.

    Raises:
        InputError: the checkpoint does not fit, or ``--save_dir`` holds other masks.
    """
    require_save_dir(flags.save_dir)
    dataset = load(flags, machine)
    spec = dense_spec(flags, dataset, flags.manual_seed or 0)
    model = network_with(spec, dataset, None)
    weights = plain(model.state_dict())
    kept = {layer: torch.ones_like(score, dtype=torch.bool) for layer, score in magnitude(model).items()}
    if flags.resume:
        content = read_checkpoint(flags.resume, "--resume")
        found = network_in(flags.resume, content, model, describe(flags, dataset))
        weights = network_weights(flags.resume, found)
        kept, _ = masks_of(flags.resume, found, model)
        if note := what_was_read(flags.resume, found):
            machine.say(note)
        model.load_state_dict(weights)
    masks = prune_further(magnitude(model), kept, flags.prune_ratio)
    identity = {
        "dataset": spec.setting.dataset,
        "dataset_hash": spec.setting.dataset_hash,
        "test_images": spec.setting.test_images,
        "model": spec.setting.model,
        "prune_ratio": flags.prune_ratio,
        "resume": file_hash(flags.resume) if flags.resume else None,
        "seed": None if flags.resume else spec.seed,
    }
    save_dir = SaveDir(flags.save_dir, "LT_prune", (PRUNED, masks_file(flags.save_dir / PRUNED).name, REPORT))
    if not flags.overwrite:
        save_dir.require_free(identity)
    _say_without_effect(flags, machine)
    before = measure(model, dataset, machine.device)
    pruned = masked(weights, masks)
    model.load_state_dict(pruned)
    after = measure(model, dataset, machine.device)
    report = _report(before, after, masks)
    with save_dir.locked():
        save_dir.claim(identity, flags.overwrite)
        content = {"epoch": 0, "state_dict": plain(pruned), "acc": after.accuracy, "best_acc": 0.0}
        write_pruned(save_dir.path / PRUNED, content, masks)
        atomic_write(save_dir.path / REPORT, report)
    say_layers(masks, machine)
    machine.say(report.rstrip())
    return before, after


def _say_without_effect(flags: PruneFlags, machine: Machine) -> None:
    idle = [*IDLE, *(["manual_seed"] if flags.resume else [])]
    say_without_effect(flags, [*idle_everywhere(machine), *idle], machine.say)
    if flags.resume is None:
        machine.say(f"no --resume: initial weights are pruned, those of --manualSeed {flags.manual_seed or 0}")


def prune_further(scores: Scores, kept: Masks, ratio: float) -> Masks:
    """Remove a share of the weights that are left, the smallest of the convolutions; linear layers lose none.

    Args:
        scores: magnitudes by layer.
        kept: what is left, True = kept; at first everything.
        ratio: the share to remove of all weights that are left, those of linear layers among them.

    Raises:
        InputError: the convolutions do not have so many.
    """
    total, left = (sum(counts) for counts in zip(*((m.numel(), int(m.sum())) for m in kept.values()), strict=True))
    if left == total:
        return allocate(scores, ratio, GLOBAL_CONVOLUTIONS)
    # allocate counts linear layers as whole, those pruned before among them.
    missing = sum(int((~mask).sum()) for mask in kept.values() if mask.dim() != 4)
    target = round(left * (1 - ratio)) + missing
    linear = sum(mask.numel() for mask in kept.values() if mask.dim() != 4)
    if target - linear < 1:
        raise InputError(f"--prune_ratio {ratio:g} leaves no weight of the convolutions: give a smaller one.")
    remaining = {layer: score.masked_fill(~kept[layer], LOWEST) for layer, score in scores.items()}
    masks = allocate(remaining, 1 - target / total, GLOBAL_CONVOLUTIONS)
    return {layer: mask & kept[layer] for layer, mask in masks.items()}


def say_layers(masks: Masks, machine: Machine) -> None:
    """Print how many weights of each layer are kept."""
    for number, (layer, mask) in enumerate(masks.items(), 1):
        kind = "Conv" if mask.dim() == 4 else "Linear"
        kept, total = int(mask.sum()), math.prod(mask.shape)
        machine.say(
            f"LAYER {number}({kind}) : KEEP_RATIO = {100 * kept / total:.6f}    NUM_PARA = {total}    "
            f"REMAINED_PARA = {kept}    {layer}"
        )


def _report(before: Accuracy, after: Accuracy, masks: Masks) -> str:
    """Return the content of ``prune.txt``."""
    total = sum(mask.numel() for mask in masks.values())
    pruned = total - sum(int(mask.sum()) for mask in masks.values())
    lines = [
        f"Before pruning: Test Loss:  {before.loss:.8f}, Test Acc:  {before.accuracy:.2f}",
        f"Total params: {total}, Pruned params: {pruned}, Pruned ratio: {sparsity_of(masks)}",
        f"After Pruning: Test Loss:  {after.loss:.8f}, Test Acc:  {after.accuracy:.2f}",
    ]
    if not all(bool(mask.any()) for mask in masks.values()):
        lines.append("There exists a layer with 0 parameters left.")
    return "\n".join(lines) + "\n"
