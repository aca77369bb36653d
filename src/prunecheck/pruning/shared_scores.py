"""Scores that several tickets are made of: of one seed, at other sparsities and under checks that change masks."""

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.pruning.criteria import Criterion
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.networks_alike import found_once, is_small
from prunecheck.pruning.scoring import BatchSource
from prunecheck.tensors import checksum


class _Drawn(Exception):  # noqa: N818 - no error
    """Carries scores for which random numbers were drawn, so that the next ones are others."""


def scored_once(criterion: Criterion, network: nn.Module, batches: BatchSource, score: Callable[[], Any]) -> Any:
    """Return what a criterion makes of a network, at once if it made it before of the same weights and images.

    That holds for repeatable criteria and small plain networks on the CPU which draw no random numbers, where the
    batches are a list. Of all else scores are made anew.

    Args:
        criterion: which scores.
        network: with the weights that are scored.
        batches: what the criterion sees.
        score: calls it.

    Returns:
        Scores of the caller's own, or whatever ``score`` returns.
    """
    if not (criterion.is_repeatable and is_small(network) and _are_listed(batches)):
        return score()
    tensors = dict((*network.named_parameters(), *network.named_buffers()))
    if any(tensor.device.type != "cpu" for tensor in tensors.values()):
        return score()

    def find() -> Scores:
        before = torch.get_rng_state()
        scores: Scores = score()
        if not torch.equal(before, torch.get_rng_state()):
            raise _Drawn(scores)
        return scores

    images = {f"{part} {number}": tensor for number, batch in enumerate(batches) for part, tensor in enumerate(batch)}
    try:
        found = found_once(network, ("scores", criterion, checksum(tensors | images)), find)
    except _Drawn as drawn:
        return drawn.args[0]
    return {layer: scores.clone() for layer, scores in found.items()}


def _are_listed(batches: BatchSource) -> TypeGuard[Sequence[Batch]]:
    """Say whether batches are the same however often they are gone through."""
    given: Any = batches
    return type(given) is list and all(
        type(batch) is tuple and len(batch) == 2 and all(type(part) is Tensor for part in batch) for batch in given
    )
