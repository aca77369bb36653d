"""What a function that prunes may return, and what is made of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import ScoringData
from prunecheck.errors import InputError
from prunecheck.pruning import Ticket, Training, magnitude, make_ticket, prunable_weights
from prunecheck.pruning.layers import Masks
from prunecheck.pruning.methods import Method, method_of_function
from prunecheck.pruning.returned import OwnMasks, read_returned
from prunecheck.pruning.tickets import copy_weights

NAME = "mine.py:prune"

Function = Callable[..., Any]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ticket_of(function: Function, network: nn.Module, sparsity: float = 0.5, **more: Any) -> Ticket:
    return make_ticket(method_of_function(NAME, function), network, ScoringData(), sparsity, seeded(), **more)


def largest(model: nn.Module, sparsity: float) -> Masks:
    """Keep the largest weights of each layer."""
    kept = {}
    for layer, weight in prunable_weights(model).items():
        order = weight.detach().abs().flatten().argsort(descending=True)
        mask = torch.zeros(weight.numel(), dtype=torch.bool)
        mask[order[: round((1 - sparsity) * weight.numel())]] = True
        kept[layer] = mask.view(weight.shape)
    return kept


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


def test_masks_are_kept_bit_for_bit_in_the_order_of_the_network(small_network: nn.Module) -> None:
    expected = largest(small_network, 0.5)
    ticket = ticket_of(lambda model, sparsity: dict(reversed(largest(model, sparsity).items())), small_network)
    assert same(ticket.masks, expected)
    assert same(ticket.weights, copy_weights(small_network))
    assert ticket.share_by_lot == 0


FORMS: dict[str, Callable[[nn.Module, Masks], object]] = {
    "arrays": lambda model, masks: {layer: mask.numpy() for layer, mask in masks.items()},
    "arrays turned round": lambda model, masks: {layer: mask.numpy()[::-1][::-1] for layer, mask in masks.items()},
    "names of weights": lambda model, masks: {f"{layer}.weight": mask for layer, mask in masks.items()},
    "with a bias": lambda model, masks: {**masks, "0.bias": torch.ones(2, dtype=torch.bool)},
    "with a batch norm": lambda model, masks: {"1": torch.ones(2, dtype=torch.bool), **masks},
    "a ticket": lambda model, masks: Ticket(copy_weights(model), masks),
    "weights and masks": lambda model, masks: (model.state_dict(), masks),
    "some of the weights": lambda model, masks: ({"0.bias": model.state_dict()["0.bias"]}, masks),
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_of_every_form_are_the_same(form: str, small_network: nn.Module) -> None:
    ticket = ticket_of(lambda model, sparsity: FORMS[form](model, largest(model, sparsity)), small_network)
    assert same(ticket.masks, largest(small_network, 0.5))
    assert same(ticket.weights, copy_weights(small_network))


@pytest.mark.parametrize("dtype", [numpy.float16, numpy.float32, ">f8", numpy.int8, numpy.uint16, numpy.uint32])
def test_scores_in_arrays_are_scores(dtype: Any, small_network: nn.Module) -> None:
    def score(model: nn.Module) -> dict[str, Any]:
        return {k: numpy.arange(w.numel()).reshape(w.shape).astype(dtype) for k, w in prunable_weights(model).items()}

    def expected(model: nn.Module) -> dict[str, Tensor]:
        return {k: torch.arange(w.numel()).view(w.shape) for k, w in prunable_weights(model).items()}

    assert same(ticket_of(score, small_network).masks, ticket_of(expected, small_network).masks)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_and_ordered_as_it_is(dtype: torch.dtype, small_network: nn.Module) -> None:
    def half(model: nn.Module) -> dict[str, Tensor]:
        return {layer: score.to(dtype) for layer, score in magnitude(model).items()}

    found = read_returned(NAME, small_network, half(small_network))
    assert isinstance(found, dict)
    assert {score.dtype for score in found.values()} == {torch.float32}
    assert all(torch.equal(found[layer].to(dtype), score) for layer, score in half(small_network).items())


def test_a_negative_zero_is_a_zero(small_network: nn.Module) -> None:
    def scores(sign: float) -> Function:
        def score(model: nn.Module) -> dict[str, Tensor]:
            found = {layer: torch.zeros(w.shape) for layer, w in prunable_weights(model).items()}
            found["0"] += 2.0
            found["4"][0] = sign * 0.0
            found["4"][1, 0] = -1
            return found

        return score

    plus, minus = (ticket_of(scores(sign), small_network, sparsity=0.25) for sign in (1.0, -1.0))
    assert same(plus.masks, minus.masks)
    assert plus.share_by_lot == minus.share_by_lot > 0


def zeros_and_ones(dtype: torch.dtype) -> Function:
    return lambda model, sparsity: {layer: mask.to(dtype) for layer, mask in largest(model, sparsity).items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8, torch.int64])
def test_zeros_and_ones_that_are_no_booleans_are_refused(dtype: torch.dtype, small_network: nn.Module) -> None:
    with pytest.raises(InputError, match=r"^mine.py:prune returned only zeros and ones.*return masks as booleans"):
        ticket_of(zeros_and_ones(dtype), small_network)


def test_scores_some_of_which_are_zeros_and_ones_are_scores(small_network: nn.Module) -> None:
    def score(model: nn.Module, sparsity: float) -> dict[str, Tensor]:
        found: dict[str, Tensor] = zeros_and_ones(torch.float32)(model, sparsity)
        found["4"][0, 0] = 0.5
        return found

    assert ticket_of(score, small_network).masks


def changed(key: str, value: object) -> Function:
    return lambda model, sparsity: ({**model.state_dict(), key: value}, largest(model, sparsity))


WRONG: dict[str, tuple[Function, str]] = {
    "too few kept": (
        lambda model, sparsity: largest(model, 0.9),
        r"keeps 4 of 42 weights, a sparsity of 0\.9048, and sparsity 0\.5 is to keep 21: take sparsity as a parameter",
    ),
    "everything kept": (lambda model: largest(model, 0.0), "keeps 42 of 42 weights, a sparsity of 0, and sparsity 0.5"),
    "soft masks": (
        lambda model: (model.state_dict(), {layer: mask * 0.5 for layer, mask in largest(model, 0.5).items()}),
        "mask of layer 0 is not boolean: compare it with 0",
    ),
    "masks before weights": (
        lambda model: (largest(model, 0.5), model.state_dict()),
        r"masks before weights: a ticket is \(weights, masks\), turn them round",
    ),
    "two lists": (lambda model: ([], []), "returned a pair of list and list: a ticket is"),
    "three things": (lambda model: ({}, {}, {}), "it returned tuple"),
    "a mask lacking": (
        lambda model: (model.state_dict(), {"0": largest(model, 0.5)["0"]}),
        "it returned none for layer 4",
    ),
    "foreign weights": (changed("9.weight", torch.ones(3)), "weights for 9.weight, which the network does not have"),
    "weights of another shape": (changed("4.bias", torch.ones(4)), r"4.bias is not a tensor of shape \(3,\)"),
    "no weights": (changed("4.bias", "none"), r"4.bias is not a tensor of shape \(3,\)"),
    "weights without value": (changed("4.bias", torch.full((3,), torch.nan)), "whose 4.bias is not finite"),
    "sparse": (
        lambda model: {layer: mask.double().to_sparse() for layer, mask in largest(model, 0.5).items()},
        "for layer 0 it returned a sparse tensor",
    ),
    "unsigned integers of 64 bits": (
        lambda model: {layer: mask.numpy().astype(numpy.uint64) for layer, mask in largest(model, 0.5).items()},
        "for layer 0 it returned no tensor of numbers",
    ),
    "texts": (
        lambda model: {layer: numpy.full(mask.shape, "x") for layer, mask in largest(model, 0.5).items()},
        "for layer 0 it returned no tensor of numbers",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_ticket_of_the_network_is_refused_in_a_sentence(wrong: str, small_network: nn.Module) -> None:
    function, sentence = WRONG[wrong]
    with pytest.raises(InputError, match=f"^mine.py:prune .*{sentence}") as refused:
        ticket_of(function, small_network)
    assert "\n" not in str(refused.value)


def test_rounding_by_layer_is_no_other_sparsity(small_network: nn.Module) -> None:
    for sparsity in (0.1, 0.3, 0.55, 0.77, 0.9):
        masks = ticket_of(largest, small_network, sparsity).masks
        assert same(masks, largest(small_network, sparsity))


def test_masks_have_no_scores_to_change(small_network: nn.Module) -> None:
    with pytest.raises(InputError, match=r"^mine.py:prune returns masks, and this check changes scores: leave"):
        ticket_of(largest, small_network, change_scores=lambda scores: scores)


def test_a_ticket_s_weights_are_where_training_starts_bit_for_bit(small_network: nn.Module) -> None:
    generator = seeded(3)
    new = {k: torch.randn(v.shape, generator=generator).to(v.dtype) for k, v in copy_weights(small_network).items()}
    ticket = ticket_of(lambda model, sparsity: (new, largest(model, sparsity)), small_network)
    assert same(ticket.weights, new)
    new["0.weight"].zero_()  # a ticket keeps what it was given
    assert bool(ticket.weights["0.weight"].any())


def test_the_network_that_is_pruned_is_left_as_it_was(small_network: nn.Module) -> None:
    before = copy_weights(small_network)

    def destroy(model: nn.Module, sparsity: float) -> Masks:
        masks = largest(model, sparsity)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        return masks

    ticket = ticket_of(destroy, small_network)
    assert same(copy_weights(small_network), before)
    assert same(ticket.weights, before)


def test_the_trained_network_and_the_seed_are_handed_over(small_network: nn.Module) -> None:
    trained = {name: tensor + 1 for name, tensor in copy_weights(small_network).items()}
    seen: dict[str, Any] = {}

    def prune(model: nn.Module, trained_model: nn.Module, seed: int, sparsity: float) -> tuple[object, Masks]:
        seen.update(seed=seed, initial=copy_weights(model), trained=copy_weights(trained_model))
        return trained_model.state_dict(), largest(trained_model, sparsity)

    ticket = ticket_of(prune, small_network, seed=7, given={Training(): trained})
    assert seen["seed"] == 7
    assert same(seen["initial"], copy_weights(small_network))
    assert same(seen["trained"], trained)
    assert same(ticket.weights, trained)


def test_masks_that_let_nothing_through_are_a_collapse(small_network: nn.Module) -> None:
    def cut(model: nn.Module) -> Masks:
        weights = prunable_weights(model)
        return {"0": torch.zeros(weights["0"].shape).bool(), "4": torch.ones(weights["4"].shape).bool()}

    ticket = ticket_of(cut, small_network, sparsity=18 / 42)
    assert ticket.collapse is None
    found = ticket.checked(small_network, (1, 4, 4)).collapse
    assert found is not None
    assert found.layer == "0"


def test_masks_of_ones_own_give_their_ratios_to_random_tickets(small_network: nn.Module) -> None:
    def uneven(model: nn.Module) -> Masks:
        weights = prunable_weights(model)
        return {"0": torch.ones(weights["0"].shape).bool(), "4": torch.arange(24).view(3, 8) < 3}

    from prunecheck.pruning import find_method

    mine = method_of_function(NAME, uneven)
    method: Method = replace(find_method("random-ratios-of:snip"), ratios_of=mine)
    masks = make_ticket(method, small_network, ScoringData(), 0.5, seeded()).masks
    assert [int(mask.sum()) for mask in masks.values()] == [18, 3]
    assert not torch.equal(masks["4"], uneven(small_network)["4"])


def test_what_is_read_says_what_it_is(small_network: nn.Module) -> None:
    assert isinstance(read_returned(NAME, small_network, largest(small_network, 0.5)), OwnMasks)
    assert isinstance(read_returned(NAME, small_network, magnitude(small_network)), dict)
