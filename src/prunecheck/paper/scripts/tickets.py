"""Which ticket the flags of ``train_ticket.py`` ask for, and how it is made."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from numpy import float32
from torch import nn

from prunecheck.checks import find_check
from prunecheck.data import Dataset, blank_batch
from prunecheck.engine.tickets import build_ticket, check_ticket
from prunecheck.errors import InputError
from prunecheck.paper.scripts.checkpoints import file_hash
from prunecheck.paper.scripts.flags import TicketFlags
from prunecheck.paper.scripts.masks import masks_file, masks_of, network_in, start_weights, what_was_read
from prunecheck.paper.scripts.setting import dense_spec, describe, network_with
from prunecheck.pruning import ALLOCATIONS, DENSE, Ticket, allocate, dense_ticket, find_method, sparsity_of
from prunecheck.pruning.allocations import LINEAR_KEEP_RATIO, exact_ratio
from prunecheck.pruning.checkpoint_files import read_checkpoint
from prunecheck.pruning.layers import Masks, Shapes, prunable_shapes
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.randomness import generator
from prunecheck.runs.spec import RunSpec

LOTTERY = "lt"

RATIOS = {"linear_decay": "smart-linear", "ascend": "smart-ascend", "cubic": "smart-cubic", "uniform": "uniform"}
"""The flags that change smart ratios, and the allocations that they stand for."""

DEEPEST_IN_ONE_BATCH = 32
"""ResNets deeper than this see one image of a class at a time, as published: so that a GPU of its time holds them."""

SPARSITY_DECIMALS = 4
"""To which the sparsity of a mask from a file is rounded, so that runs of the same sparsity stand together."""


@dataclass(frozen=True)
class Source:
    """The user's files that a ticket is made of.

    Attributes:
        weights: what it starts from; None for initial weights.
        masks: None unless they come from a file.
        hash: SHA-256 that tells these files from any others; None if there are none.
        notes: what there is to say of how the files were read.
    """

    weights: Weights | None
    masks: Masks | None
    hash: str | None
    notes: tuple[str, ...]


def require_one_ticket(flags: TicketFlags) -> None:
    """Raise :class:`InputError` if the flags contradict each other, before anything is read."""
    methods = [name for name in ("resume", "grasp", "snip", "smart_ratio") if getattr(flags, name)]
    if len(methods) > 1:
        first, second = (flags.given[name] for name in methods[:2])
        raise InputError(f"{first} and {second} each make a mask and a ticket has one: leave one of them out.")
    ratios = [name for name in RATIOS if getattr(flags, name)]
    if len(ratios) > 1:
        first, second = (flags.given[name] for name in ratios[:2])
        raise InputError(f"{first} and {second} each set the keep ratios: leave one of them out.")
    for name in ("hybrid", *ratios):
        if getattr(flags, name) and not flags.smart_ratio:
            raise InputError(f"{flags.given[name]} changes the tickets of --smart_ratio: add --smart_ratio 1.")
    for name in ("rearrange", "shuffle_unmasked_weights"):
        if getattr(flags, name) and not methods:
            raise InputError(
                f"{flags.given[name]} has no mask to work on: give --resume with a pruned.pth.tar, or --GraSP 1, "
                "--SNIP 1 or --smart_ratio 1."
            )
    for name in ("rand_label", "shuffle_pixel"):
        if getattr(flags, name) and flags.resume:
            raise InputError(
                f"{flags.given[name]} corrupts what GraSP and SNIP see, and the mask of --resume saw its data in "
                "training: give it to baseline.py, whose network LT_prune.py then prunes."
            )


def read_source(flags: TicketFlags, dataset: Dataset) -> Source:
    """Read the checkpoints that the flags name.

    Raises:
        InputError: one is missing or does not fit the network, or ``--resume`` names one that is not
            pruned.
    """
    network = network_with(dense_spec(flags, dataset, 0), dataset, None)
    name = describe(flags, dataset)
    used: list[tuple[str, Path]] = []
    notes: list[str | None] = []
    weights = masks = None
    if flags.model_file:
        found = network_in(flags.model_file, read_checkpoint(flags.model_file, "--model"), network, name)
        weights = start_weights(flags.model_file, found)
        notes.append(what_was_read(flags.model_file, found))
        used.append(("weights", flags.model_file))
    if flags.resume:
        found = network_in(flags.resume, read_checkpoint(flags.resume, "--resume"), network, name)
        masks, stored = masks_of(flags.resume, found, network)
        notes.append(what_was_read(flags.resume, found))
        _require_pruned(flags, flags.resume, masks, stored)
        used.append(("mask", flags.resume))
        if stored and masks is not found.masks:
            used.append(("stored mask", masks_file(flags.resume)))
    roles = [f"{role}:{file_hash(file)}" for role, file in used]
    files_hash = hashlib.sha256("/".join(roles).encode()).hexdigest() if roles else None
    return Source(weights, masks, files_hash, tuple(dict.fromkeys(note for note in notes if note)))


def _require_pruned(flags: TicketFlags, path: Path, masks: Masks, stored: bool) -> None:
    if not all(bool(mask.all()) for mask in masks.values()):
        return
    if flags.rearrange:
        raise InputError(f"--rearrange has nothing to rearrange: {path} prunes no weight; give a pruned.pth.tar.")
    if not stored:
        raise InputError(f"no weight of {path} is 0, so that it has no mask: give the pruned.pth.tar of LT_prune.py.")


def ticket_spec(flags: TicketFlags, dataset: Dataset, source: Source) -> RunSpec:
    """Return the run of the ticket, with seed 0.

    Without files it is the run that ``prunecheck check`` makes of the same ticket.
    """
    spec = replace(dense_spec(flags, dataset, 0), method_hash=source.hash)
    changes = {"rearrange-mask": flags.rearrange, "shuffle-weights": flags.shuffle_unmasked_weights}
    checks = [name for name, wanted in changes.items() if wanted]
    name = _method_name(flags)
    if name == DENSE:
        return spec
    if source.masks is not None:
        sparsity = round(sparsity_of(source.masks), SPARSITY_DECIMALS)
    else:
        sparsity = flags.init_prune_ratio
    if flags.grasp or flags.snip:
        checks = [flags.corruption, *checks] if flags.corruption else checks
        per_class, rounds = (1, 10) if _is_large(flags) else (10, 1)
        spec = replace(spec, samples_per_class=per_class, scoring_rounds=rounds)
    return replace(spec, method=name, sparsity=sparsity, check=find_check("+".join(checks)).name or None)


def _is_large(flags: TicketFlags) -> bool:
    return flags.dataset == "tinyimagenet" or (flags.arch == "resnet" and flags.depth > DEEPEST_IN_ONE_BATCH)


def _method_name(flags: TicketFlags) -> str:
    """Return the library's name of the method; with ``@R`` for smart ratios that keep R of the linear layer."""
    if flags.resume:
        return LOTTERY
    if flags.grasp or flags.snip:
        return "grasp" if flags.grasp else "snip"
    if not flags.smart_ratio:
        return DENSE
    name = f"{'magnitude' if flags.hybrid else 'random'}-{_allocation(flags)}"
    return name if flags.linear_keep_ratio == LINEAR_KEEP_RATIO else f"{name}@{flags.linear_keep_ratio!r}"


def _allocation(flags: TicketFlags) -> str:
    return next((allocation for name, allocation in RATIOS.items() if getattr(flags, name)), "smart")


def make_run_ticket(flags: TicketFlags, dataset: Dataset, source: Source, spec: RunSpec, device: str) -> Ticket:
    """Make the ticket of a run, changed as its check says, with its collapse found.

    Raises:
        InputError: the sparsity cannot be reached.
    """
    model = network_with(spec, dataset, source.weights)
    if spec.method == DENSE:
        return dense_ticket(model)
    if source.masks is not None:
        ticket = Ticket(copy_weights(model), source.masks)
    elif flags.smart_ratio and flags.linear_keep_ratio != LINEAR_KEEP_RATIO:
        ticket = Ticket(copy_weights(model), _smart_masks(flags, dataset, model, spec))
    else:
        return build_ticket(spec, dataset, model, find_method(spec.method), device=device)
    return check_ticket(spec, dataset, model, ticket)


def _smart_masks(flags: TicketFlags, dataset: Dataset, model: nn.Module, spec: RunSpec) -> Masks:
    """Return masks with smart ratios that keep another share of the linear layer than the paper's."""
    allocation = _allocation(flags)
    method = find_method(f"{'magnitude' if flags.hybrid else 'random'}-{allocation}")
    draws = generator(spec.seed, "mask placement")
    scores = method.criterion(model, [blank_batch(dataset.image_shape)], draws, spec.sparsity)
    ratios = ratios_with_linear(
        ALLOCATIONS.get(allocation), prunable_shapes(model), spec.sparsity, flags.linear_keep_ratio
    )
    return allocate(scores, spec.sparsity, ratios)


def ratios_with_linear(
    allocation: Callable[[Shapes, float], Mapping[str, float]], shapes: Shapes, sparsity: float, linear: float
) -> dict[str, float]:
    """Return an allocation's ratios with another share of the linear layers kept.

    The convolutions take the difference: they are given the ratios of the sparsity at which, beside
    the usual share of the linear layers, they would keep as many weights. Counts are cut off in float32,
    as in the published code.

    Args:
        allocation: one that keeps ``LINEAR_KEEP_RATIO`` of linear layers.
        shapes: of the prunable weights.
        sparsity: of the whole network.
        linear: the share to keep of linear layers, in [0, 1].

    Raises:
        InputError: linear layers keep more than the sparsity allows for everything, or the
            allocation cannot reach the sparsity.
    """
    sizes = {layer: math.prod(shape) for layer, shape in shapes.items()}
    total = sum(sizes.values())
    linear_sizes = {layer: size for layer, size in sizes.items() if len(shapes[layer]) != 4}
    kept = {layer: int(float32(size) * float32(linear)) for layer, size in linear_sizes.items()}
    usual = math.floor(sum(linear_sizes.values()) * LINEAR_KEEP_RATIO)
    goal = int(float32(total) * (1 - sparsity)) - sum(kept.values())
    if goal < 1:
        raise InputError(
            f"--linear_keep_ratio {linear:g} keeps all that --init_prune_ratio {sparsity:g} leaves: lower one of them."
        )
    # Half a weight more than is meant: what is computed in float32 is then cut off to the right number.
    ratios = dict(allocation(shapes, 1 - (goal + usual + 0.5) / total))
    return ratios | {layer: exact_ratio(count, sizes[layer]) for layer, count in kept.items()}
