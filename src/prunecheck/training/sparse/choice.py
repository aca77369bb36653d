"""Whether a ticket is trained with the compiled convolutions, and why not."""

import logging

import torch
from torch import nn

from prunecheck.caching import cached
from prunecheck.data.inputs import TokenShape
from prunecheck.errors import InputError, field_name
from prunecheck.pruning.tickets import Ticket
from prunecheck.training.recipe import Recipe
from prunecheck.training.sparse.build import NoCompilerError, UnavailableError, load_kernels
from prunecheck.training.sparse.kernels import NUMBERS
from prunecheck.training.sparse.network import SparseNetwork
from prunecheck.training.sparse.tracing import UnsupportedError


def require_kernels(asked: bool | None) -> bool:
    """Compile the kernels if need be, so that whoever trains later finds them; say whether there are any.

    That this machine's compiler does not compile them is said once.

    Args:
        asked: True if training is to be refused without them; False if they are not wanted.

    Raises:
        InputError: they were asked for and cannot be had.
    """
    if asked is False:
        return False
    reason = _why_there_are_none(asked)
    if reason and not isinstance(reason, NoCompilerError):
        _say_trained_densely(str(reason))
    return reason is None


@cached
def _say_trained_densely(reason: str) -> None:
    logging.getLogger(__name__).warning(
        "prunecheck: the sparse convolutions cannot be had (%s): all weights are computed with, which takes longer.",
        reason,
    )


def _why_there_are_none(asked: bool | None) -> UnavailableError | None:
    """Return why there are no kernels, None if there are; raise :class:`InputError` if they were asked for."""
    try:
        load_kernels()
    except UnavailableError as reason:
        if asked:
            raise _cannot_be_had(reason) from reason
        return reason
    return None


def _cannot_be_had(reason: UnavailableError) -> InputError:
    return InputError(
        f"sparse convolutions cannot be had: {reason}. Install a C++ compiler with pip install 'prunecheck[sparse]' or "
        f"from your system's packages, or leave {field_name('sparse_convolutions')} out.",
        field="sparse_convolutions",
    )


def sparse_network(
    ticket: Ticket, model: nn.Module, recipe: Recipe, image_shape: tuple[int, ...], asked: bool | None
) -> SparseNetwork | None:
    """Return the network that trains a ticket with compiled convolutions; None if it is better trained without.

    Args:
        ticket: what is trained; of one without masks all weights are computed with.
        model: see :class:`SparseNetwork`.
        recipe: see :class:`SparseNetwork`.
        image_shape: channels, height and width of an image.
        asked: True: it must be, if anything is pruned; None: if it can be and pays; False: it must not be.

    Raises:
        InputError: it was asked for and cannot be had.
    """
    if asked is False or isinstance(image_shape, TokenShape) or _why_there_are_none(asked):
        return None
    asked = (asked and bool(ticket.masks)) or None
    if not asked and torch.get_num_threads() != 1:  # of which the kernels use one
        return None
    try:
        if any(parameter.dtype not in NUMBERS for parameter in model.parameters()):
            raise UnsupportedError("its weights are neither float32 nor float64")
        network = SparseNetwork(ticket, model, recipe, image_shape)
        if not network.compiled_layers:
            raise UnsupportedError("none of its convolutions gains by it")
        return network
    except UnavailableError as reason:  # of the model's type of numbers only
        if asked is None:
            return None
        raise _cannot_be_had(reason) from reason
    except UnsupportedError as reason:
        if asked is None:
            return None
        raise InputError(
            f"this network cannot be trained with sparse convolutions: {reason}. Leave "
            f"{field_name('sparse_convolutions')} out.",
            field="sparse_convolutions",
        ) from reason
