"""The methods whose masks move while they are trained, and their final masks as tickets of their own."""

from collections.abc import Callable

import prunecheck.pruning.methods_with_training  # noqa: F401 - those come first in lists
from prunecheck.errors import InputError
from prunecheck.pruning.criteria import CRITERIA, Criterion
from prunecheck.pruning.masks import GLOBAL
from prunecheck.pruning.method_lookup import find_method
from prunecheck.pruning.methods import METHODS, OF_METHOD, Method
from prunecheck.pruning.topology import TopologyUpdates
from prunecheck.pruning.trainings import Training, WeightsAt, initial


def _random() -> Criterion:
    """Return a criterion of ours, without importing what installed packages offer."""
    return CRITERIA.entries["random"].item


METHODS.add(
    "set",
    Method("set", _random(), "er", updates=TopologyUpdates(growth="random")),
    "sparse evolutionary training: the smallest weights of a layer are dropped, others grown at random; set-erk, "
    "set@50: every 50 steps (arXiv:1707.04780)",
)
METHODS.add(
    "rigl",
    Method("rigl", _random(), "uniform-first-dense", updates=TopologyUpdates(growth="gradient")),
    "as set, but grown where the gradient is largest; rigl-erk starts from ERK (arXiv:1911.11134)",
)
METHODS.add(
    "gmp",
    Method("gmp", _random(), GLOBAL, updates=TopologyUpdates(is_gradual=True)),
    "gradual magnitude pruning: starts with all weights, the smallest are pruned along a cubic; gmp-erk ends with "
    "ERK's ratios (arXiv:1710.01878)",
)
METHODS.add(
    "granet",
    Method("granet", _random(), GLOBAL, updates=TopologyUpdates(growth="gradient", drop_fraction=0.5, is_gradual=True)),
    "as gmp, and each update exchanges weights as rigl does (arXiv:2106.10404)",
)


@METHODS.register("final-mask-of" + OF_METHOD)
def _final_mask_of(text: str) -> Method:
    """The masks with which <method>, such as rigl, ends its training, from initialisation."""
    return _final_of("final-mask-of", text, lambda other: initial)


@METHODS.register("final-ticket-of" + OF_METHOD)
def _final_ticket_of(text: str) -> Method:
    """The masks and the weights with which <method> ends its training, trained on by the whole schedule."""

    def weights_of(other: Method) -> WeightsAt:
        def trained(sparsity: float) -> Training:
            return Training(other.argument, sparsity)

        return trained

    return _final_of("final-ticket-of", text, weights_of)


def _final_of(kind: str, text: str, start_of: Callable[[Method], WeightsAt]) -> Method:
    other = find_method(text)
    if not other.updates:
        raise InputError(
            f"the masks of {other.name} stay as they are in training: check {other.name} itself, or one whose masks "
            "move, such as rigl."
        )
    return Method(f"{kind}:{other.name}", _random(), GLOBAL, start=start_of(other), final_of=other)
