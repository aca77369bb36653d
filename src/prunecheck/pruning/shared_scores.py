"""Scores that several tickets are made of: of one seed, at other sparsities and under checks that change masks."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from prunecheck.pruning.criteria import Criterion
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.networks_alike import found_once
from prunecheck.pruning.scoring import BatchSource
from prunecheck.pruning.signatures import OFFERED, takes
from prunecheck.tensors import checksum


class _Drawn(Exception):  # noqa: N818 - no error
    """Carries what was returned, of which another call may make something else."""


def scored_once(criterion: Criterion, network: nn.Module, batches: BatchSource, score: Callable[[], Any]) -> Any:
    """Return what a criterion makes of a network, at once if it made it before of the same weights and images.

    That holds for criteria that come with prunecheck and are given the network and some images alone, of small networks
    on the CPU; of others, and where random numbers are drawn, it is made anew.

    Args:
        criterion: which scores.
        network: with the weights that are scored.
        batches: what the criterion sees.
        score: calls it.

    Returns:
        Scores of the caller's own, or whatever ``score`` returns.
    """
    is_on_cpu = all(parameter.device.type == "cpu" for parameter in network.parameters())
    if not is_on_cpu or not _follows_from_weights_and_images(criterion):
        return score()

    def find() -> Scores:
        before = torch.get_rng_state()
        scores: Scores = score()
        if not torch.equal(before, torch.get_rng_state()):
            raise _Drawn(scores)
        return scores

    images = {
        f"{part} {number}": tensor
        for number, batch in enumerate(batches)
        for part, tensor in zip("xy", batch, strict=True)
    }
    try:
        found = found_once(network, ("scores", criterion.function, checksum(network.state_dict() | images)), find)
    except _Drawn as drawn:
        return drawn.args[0]
    return {layer: scores.clone() for layer, scores in found.items()}


def _follows_from_weights_and_images(criterion: Criterion) -> bool:
    function = criterion.function
    whose = function.func if isinstance(function, functools.partial) else function
    is_own = str(getattr(whose, "__module__", "")).startswith("prunecheck.")
    is_given_more = criterion.new_samples or any(takes(function, name) for name in OFFERED)
    return is_own and criterion.sees == "samples" and not is_given_more
