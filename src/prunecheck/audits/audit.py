"""A look at a method's tickets without training them: what they keep, what of it works, and what it depends on."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import torch
from torch import nn

from prunecheck.audits.agreement import Agreement, LayerOverlap, agreement, overlaps
from prunecheck.audits.costs import Costs, costs_of
from prunecheck.audits.held_masks import HeldMask, held_mask
from prunecheck.checks import find_check
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.pruning import Collapse
from prunecheck.pruning.connectivity import LayerConnectivity, paths_of
from prunecheck.pruning.dense_parameters import DenseParameter, left_dense
from prunecheck.pruning.layers import Masks, prunable_weights
from prunecheck.pruning.mask_files import MaskFiles
from prunecheck.pruning.mask_places import short_name
from prunecheck.pruning.mask_reading import trained_weights
from prunecheck.pruning.patterns import PLAIN, Structure
from prunecheck.pruning.patterns.structure import Units
from prunecheck.pruning.tickets import Weights, copy_weights
from prunecheck.randomness import generator
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.usual import names_of_usual_checks

CORRUPTED = "corrupted-data"
"""The check whose masks are compared with the true ones where data are images."""

OTHER_SEEDS, OTHER_SAMPLES = "other-seeds", "other-samples"

PERTURBED = "perturbed-weights"
"""The floor: what two masks have in common that differ by nothing that counts."""

PERTURBATION = 1e-6
"""Standard deviation of what prunable weights are changed by, as a share of each."""


@dataclass(frozen=True)
class TicketAudit:
    """One ticket of a method.

    Attributes:
        layers: what is left of each layer, in order.
        collapse: why the ticket is degenerate, if it is.
        remarks: what else is remarkable; see :attr:`prunecheck.pruning.Ticket.remarks`.
        not_known: why it is not known which weights are effective; None if it is.
        structure: the pattern of its masks.
        kept_units: which units of the pattern they keep, by pool, boolean.
        masks: boolean, True = kept, by layer.
    """

    seed: int
    layers: dict[str, LayerConnectivity]
    collapse: Collapse | None
    remarks: tuple[str, ...] = ()
    not_known: str | None = None
    structure: Structure = PLAIN
    kept_units: Units = field(default_factory=dict)
    masks: Masks = field(default_factory=dict, repr=False)

    @property
    def was_chosen(self) -> bool:
        """Whether scores chose what is kept: not where all were equal or one was not finite."""
        return not (self.collapse and self.collapse.is_of_scores)

    @property
    def total(self) -> int:
        """Prunable weights of the network."""
        return sum(layer.total for layer in self.layers.values())

    @property
    def kept(self) -> int:
        """Weights that the masks keep."""
        return sum(layer.kept for layer in self.layers.values())

    @property
    def effective(self) -> int | None:
        """Weights that are kept and have a part in a path from the input to the output; None if not known."""
        counts = [layer.effective for layer in self.layers.values()]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def sparsity(self) -> float:
        """Share of prunable weights that the masks remove."""
        return 1 - self.kept / self.total

    @property
    def effective_sparsity(self) -> float | None:
        """Share of prunable weights that have no part in a path (arXiv:2107.02306); None if not known."""
        return None if self.effective is None else 1 - self.effective / self.total


@dataclass(frozen=True)
class Pair:
    """Two masks that are compared.

    Attributes:
        seeds: of the weights of either.
        overlap: what the masks have in common, by layer; of a pattern, which units, by pool.
    """

    seeds: tuple[int, int]
    overlap: dict[str, LayerOverlap]


@dataclass(frozen=True)
class MaskComparison:
    """Masks of a method that differ in one ingredient.

    Attributes:
        against: what differs: a check of the data, such as ``corrupted-data``: the weights are the same, the criterion
            sees changed data; ``other-samples``: the weights are the same, the criterion sees other samples;
            ``other-seeds``: all is another seed's, or, of a method after training, the calibration sequences are
            another draw; ``perturbed-weights``: each weight is changed by about a millionth of itself.
        pairs: those in which both masks were chosen by scores.
        left_out: seeds of pairs in which one was not, for its scores were all equal or not finite.
    """

    against: str
    pairs: tuple[Pair, ...]
    left_out: tuple[tuple[int, int], ...] = ()

    @property
    def agreement(self) -> Agreement | None:
        """What the masks have in common, averaged over the pairs; None if there is nothing to compare."""
        return agreement([pair.overlap for pair in self.pairs])

    def of_layer(self, layer: str) -> "MaskComparison":
        """Return the same of one layer, or of one pool of a pattern."""
        pairs = (Pair(pair.seeds, {layer: pair.overlap[layer]}) for pair in self.pairs)
        return replace(self, pairs=tuple(pairs))

    @property
    def shares(self) -> tuple[str, str, str]:
        """Agreement, chance and the most that the keep ratios allow, in percent, as tables show them."""
        found = self.agreement
        if found is None:
            return ("-", "-", "-")
        chance = f"{100 * found.chance:.1f} ± {100 * found.std:.1f} %"
        return (f"{100 * found.observed:.1f} %", chance, f"{100 * found.most:.1f} %")


@dataclass(frozen=True)
class MethodAudit:
    """A method's tickets.

    Attributes:
        tickets: one per seed.
        changed_collapses: why tickets that were made to be compared are degenerate, by what was
            changed and seed.
        comparisons: empty of what cannot be compared: with one seed there is no other, and a method
            that sees no data cannot see other data; a mask in a file depends on nothing any more.
        costs: what an image costs the network.
        held: what became of the masks in trained checkpoints, one for each seed, if such were given.
        left_dense: the parameters of two dimensions or more that are not pruned.
    """

    study: CheckStudy
    tickets: tuple[TicketAudit, ...]
    changed_collapses: dict[tuple[str, int], Collapse]
    comparisons: tuple[MaskComparison, ...]
    costs: Costs
    held: tuple[HeldMask, ...] = ()
    left_dense: tuple[DenseParameter, ...] = ()

    @property
    def name(self) -> str:
        """The method's name."""
        return self.study.method.name

    @property
    def keep_ratios(self) -> dict[str, tuple[float, ...]]:
        """Per layer, the share of its weights that is kept, for each seed."""
        return {
            layer: tuple(ticket.layers[layer].kept / ticket.layers[layer].total for ticket in self.tickets)
            for layer in self.tickets[0].layers
        }


@dataclass(frozen=True)
class _Made:
    masks: Masks
    collapse: Collapse | None
    remarks: tuple[str, ...]
    structure: Structure = PLAIN

    @property
    def was_chosen(self) -> bool:
        return not (self.collapse and self.collapse.is_of_scores)


OnTicket = Callable[[int, str], None]
"""Called before a ticket is made, with its seed and what is changed in it; "" for nothing."""


def require_untrained(study: CheckStudy) -> None:
    """Raise :class:`InputError` if the study's method trains: a network for each ticket, or its scores."""
    method = study.method
    if method.trainings(study.sparsities[0]) and not method.is_after_training:
        reason = "prunes a trained network"
    elif method.sees("training set"):
        reason = "learns its scores in epochs of training"
    elif method.updates:
        reason = "moves its mask while it is trained"
    else:
        return
    raise InputError(
        f"{method.name} {reason}, and an audit trains nothing: use `prunecheck check {method.argument}`, which does."
    )


def usual_data_checks(study: CheckStudy) -> tuple[str, ...]:
    """Return the changes of the data under which an audit makes masks where none are named."""
    usual = names_of_usual_checks(study.method, study.data)
    return tuple(name for name in usual if find_check(name).of_data.parts)


def audit_method(
    study: CheckStudy,
    device: str = "cpu",
    on_ticket: OnTicket = lambda seed, change: None,
    after: MaskFiles | None = None,
    trained: Weights | None = None,
) -> MethodAudit:
    """Make a method's tickets, and those of changed data, other samples and perturbed weights; compare their masks.

    The tickets are those that the study's runs would train, or test.

    Args:
        study: whose method, network, data, seeds and first sparsity are meant, and the changes of the data.
        device: where the criterion scores.
        on_ticket: says how far the audit is.
        after: where checkpoints of networks lie that were trained with the masks; None for none.
        trained: the weights that a method after training prunes, by the names of the state dict; None for others.

    Raises:
        InputError: the method trains, a ticket cannot be made, or a checkpoint cannot be read.
    """
    require_untrained(study)
    sparsity = study.sparsities[0]
    make = functools.partial(_make, study, device=device, trained=trained)
    checks = study.checks if study.method.sees_data else ()
    # Of a method after training another draw is another seed.
    has_samples = study.method.sees_data and not study.method.is_after_training
    own: dict[int, _Made] = {}
    changed: dict[str, dict[int, _Made]] = {name: {} for name in (*checks, OTHER_SAMPLES, PERTURBED)}
    tickets, held = [], []
    for seed in study.seeds:
        run = study.method_run(sparsity, None, seed)
        on_ticket(seed, "")
        own[seed] = make(run)
        network = build_network(run, study.data, study.builder)
        if after:
            weights = trained_weights(after.place(seed), network, study.network)
            held.append(held_mask(seed, short_name(after.place(seed)), own[seed].masks, weights))
        paths = paths_of(network, study.data.image_shape)
        layers = paths.layer_connectivity(own[seed].masks)
        units = own[seed].structure.kept_units(own[seed].masks)
        tickets.append(
            TicketAudit(
                seed,
                layers,
                own[seed].collapse,
                own[seed].remarks,
                paths.not_known,
                own[seed].structure,
                units,
                own[seed].masks,
            )
        )
        for check in checks:
            on_ticket(seed, check)
            changed[check][seed] = make(study.method_run(sparsity, check, seed))
        if has_samples:
            on_ticket(seed, OTHER_SAMPLES)
            changed[OTHER_SAMPLES][seed] = make(run, samples_seed=_seed_of_other_samples(study, seed))
        if not study.method.own_files:
            on_ticket(seed, PERTURBED)
            changed[PERTURBED][seed] = make(run, perturbation=PERTURBATION)
    collapses = {
        (change, seed): ticket.collapse
        for change, by_seed in changed.items()
        for seed, ticket in by_seed.items()
        if ticket.collapse
    }
    network = build_network(study.dense_run(study.seeds[0]), study.data, study.builder)
    return MethodAudit(
        study,
        tuple(tickets),
        collapses,
        tuple(_comparisons(own, changed, study.method.own_files)),
        costs_of(network, study.data.image_shape),
        tuple(held),
        left_dense(network),
    )


def _seed_of_other_samples(study: CheckStudy, seed: int) -> int:
    """Return a seed that is none of the study's, another one for each of them."""
    return max(study.seeds) + 1 + seed


def _make(
    study: CheckStudy,
    run: RunSpec,
    *,
    device: str,
    trained: Weights | None,
    samples_seed: int | None = None,
    perturbation: float = 0.0,
) -> _Made:
    """Make a run's ticket, with other samples or perturbed weights, on one thread as when it is trained."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = build_network(run, study.data, study.builder)
        if trained is not None:
            network.load_state_dict(trained)
        if perturbation:
            _perturb(network, perturbation, run.seed)
        given = {training: copy_weights(network) for training in dependencies_of(run, study.method)}
        ticket = build_ticket(
            *(run, study.data, network, study.method, given),
            device=device,
            samples_seed=samples_seed,
            builder=study.builder,
        )
    finally:
        torch.set_num_threads(threads)
    return _Made(ticket.masks, ticket.collapse, tuple(ticket.remarks), ticket.structure)


@torch.no_grad()
def _perturb(network: nn.Module, perturbation: float, seed: int) -> None:
    """Multiply each prunable weight by 1 + perturbation x a standard normal number."""
    draws = generator(seed, PERTURBED)
    for weight in prunable_weights(network).values():
        weight.mul_(1 + perturbation * torch.randn(weight.shape, generator=draws, dtype=torch.float64))


def _comparisons(
    own: Mapping[int, _Made], changed: Mapping[str, Mapping[int, _Made]], files: MaskFiles | None
) -> Iterator[MaskComparison]:
    for change, tickets in changed.items():
        if tickets:
            yield _compare(change, [((seed, seed), own[seed], tickets[seed]) for seed in own])
    if len(own) > 1 and not (files and not files.are_by_seed):
        yield _compare(OTHER_SEEDS, [((a, b), own[a], own[b]) for a, b in combinations(own, 2)])


def _compare(against: str, pairs: Sequence[tuple[tuple[int, int], _Made, _Made]]) -> MaskComparison:
    return MaskComparison(
        against,
        tuple(
            Pair(seeds, overlaps(first.masks, second.masks, first.structure))
            for seeds, first, second in pairs
            if first.was_chosen and second.was_chosen
        ),
        tuple(seeds for seeds, first, second in pairs if not (first.was_chosen and second.was_chosen)),
    )
