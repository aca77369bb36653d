"""What a function that scores may return, is given, and may do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunecheck.data import ScoringData
from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import (
    CRITERIA,
    Collapse,
    Method,
    Ticket,
    find_method,
    magnitude,
    make_ticket,
    prunable_weights,
)
from prunecheck.pruning.collapse import NOT_FINITE
from prunecheck.pruning.criteria import Criterion
from prunecheck.pruning.layers import Scores
from prunecheck.user_code import Code, Reference

NOTHING = ScoringData()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def method_of(function: Callable[..., Any]) -> Method:
    return Method("mine.py:score", Criterion("mine", function, sees="samples"), "global")


def without_layer(scores: Scores) -> object:
    del scores["4"]
    return scores


WRONG_SCORES: dict[str, tuple[Callable[[Scores], object], str]] = {
    "a layer missing": (without_layer, "none for layer 4"),
    "a layer of another network": (lambda scores: {**scores, "9": scores["4"]}, "one for 9, which is not a prunable"),
    "both names of a layer": (lambda scores: {**scores, "4.weight": scores["4"]}, "two for layer 4, under both"),
    "another shape": (lambda scores: {**scores, "4": scores["4"].T}, r"shape \(8, 3\) for layer 4.*shape \(3, 8\)"),
    "a number": (lambda scores: {**scores, "4": 1.0}, "for layer 4 it returned no tensor of numbers"),
    "a list": (lambda scores: {**scores, "0": scores["0"].tolist()}, "for layer 0 it returned no tensor of numbers"),
    "a mask": (lambda scores: {**scores, "4": scores["4"] > 0}, "a mask for layer 4 and scores for layer 0"),
    "complex": (
        lambda scores: {**scores, "4": scores["4"].to(torch.complex64)},
        "for layer 4 it returned no tensor of numbers",
    ),
    "nothing": (lambda scores: None, "it returned NoneType"),
    "one tensor": (lambda scores: scores["4"], "it returned Tensor"),
    "the values": (lambda scores: list(scores.values()), "it returned list"),
    "an empty dict": (lambda scores: {}, "none for layer 0"),
}


@pytest.mark.parametrize("wrong", WRONG_SCORES)
def test_wrong_scores_are_refused_with_the_method_and_the_layer(wrong: str, small_network: nn.Module) -> None:
    change, message = WRONG_SCORES[wrong]
    with pytest.raises(InputError, match=f"^mine.py:score .*{message}"):
        make_ticket(method_of(lambda model, batches: change(magnitude(model))), small_network, NOTHING, 0.5, seeded())


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.float64])
def test_scores_of_every_kind_of_number_make_the_same_ticket(dtype: torch.dtype, small_network: nn.Module) -> None:
    def score(model: nn.Module, batches: object) -> dict[str, Tensor]:
        return {layer: torch.arange(w.numel()).view(w.shape).to(dtype) for layer, w in prunable_weights(model).items()}

    masks = make_ticket(method_of(score), small_network, NOTHING, 0.5, seeded()).masks
    # Of 0 to 17 and 0 to 23 half are kept, 21: everything from 11 on, and the first of the two tens.
    assert masks["0"].flatten().nonzero().flatten().tolist() == list(range(10, 18))
    assert masks["4"].flatten().nonzero().flatten().tolist() == list(range(11, 24))


def scored(change: Callable[[Tensor], Tensor]) -> Method:
    def score(model: nn.Module, batches: object) -> Scores:
        scores = magnitude(model)
        return {**scores, "4": change(scores["4"])}

    return method_of(score)


def test_undefined_scores_are_kept_last_and_carried_along_as_a_collapse(small_network: nn.Module) -> None:
    def first_row_undefined(score: Tensor) -> Tensor:
        return torch.cat([torch.full_like(score[:1], torch.nan), score[1:] - 100])

    ticket = make_ticket(scored(first_row_undefined), small_network, NOTHING, 0.25, seeded())
    assert ticket.collapse == Collapse("4", NOT_FINITE)
    assert not bool(ticket.masks["4"][0].any())
    assert sum(int(mask.sum()) for mask in ticket.masks.values()) == round(42 * 0.75)


def test_equal_scores_are_carried_along_as_a_collapse(small_network: nn.Module) -> None:
    everywhere = method_of(lambda model, batches: {k: torch.ones_like(s) for k, s in magnitude(model).items()})
    ticket = make_ticket(everywhere, small_network, NOTHING, 0.9, seeded())
    assert ticket.collapse is not None
    assert ticket.collapse.layer == "0"


def test_checking_finds_an_emptied_layer_and_keeps_an_earlier_finding(small_network: nn.Module) -> None:
    ticket = make_ticket(
        scored(lambda score: score * 0 - torch.rand(3, 8, generator=seeded())), small_network, NOTHING, 0.6, seeded()
    )
    assert ticket.collapse is None
    checked = ticket.checked(small_network, (1, 4, 4))
    assert checked.collapse is not None
    assert checked.collapse.layer == "4"
    assert checked.masks is ticket.masks
    earlier = Ticket(ticket.weights, ticket.masks, None, Collapse("0", NOT_FINITE))
    assert earlier.checked(small_network, (1, 4, 4)) == earlier


def test_a_criterion_that_trains_on_its_model_leaves_the_ticket_and_the_network_alone() -> None:
    def careless(model: nn.Module, batches: list[Batch]) -> Scores:
        x, y = batches[0]
        nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        scores = {name: weight.detach().clone() for name, weight in prunable_weights(model).items()}
        torch.optim.SGD(model.parameters(), 1.0).step()
        return scores

    model = build_model("resnet8", num_classes=3, width=4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    data = (torch.randn(6, 3, 8, 8, generator=seeded()), torch.arange(6) % 3)
    ticket = make_ticket(method_of(careless), model, ScoringData(samples=[data]), 0.5, seeded())
    assert all(torch.equal(ticket.weights[name], tensor) for name, tensor in before.items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_user_criterion_that_fails_is_named_and_a_built_in_one_is_not_hushed_up(tmp_path: Path) -> None:
    def failing(model: nn.Module, batches: list[Batch]) -> Scores:
        raise ZeroDivisionError("of mine")

    model = build_model("resnet8", num_classes=3, width=4)
    with pytest.raises(InputError, match=r"mine.py:score failed \(ZeroDivisionError: of mine\)"):
        make_ticket(users(failing, tmp_path), model, NOTHING, 0.5, seeded())
    with pytest.raises(ZeroDivisionError):
        make_ticket(method_of(failing), model, NOTHING, 0.5, seeded())


def test_a_user_criterion_that_exits_does_not_end_the_command_in_silence(tmp_path: Path) -> None:
    def leaving(model: nn.Module, batches: list[Batch]) -> Scores:
        raise SystemExit

    model = build_model("resnet8", num_classes=3, width=4)
    with pytest.raises(InputError, match=r"mine.py:score failed \(SystemExit"):
        make_ticket(users(leaving, tmp_path), model, NOTHING, 0.5, seeded())


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_criterion_is_given_what_it_says_that_it_sees_and_nothing_else(
    small_network: nn.Module, batch: Batch
) -> None:
    data = ScoringData(samples=[batch] * 2, training_set=[batch] * 3, shape_only=[batch])
    for sees, count in (("samples", 2), ("training set", 3), ("nothing", 1)):
        given: list[int] = []

        def score(model: nn.Module, batches: list[Batch], given: list[int] = given) -> Scores:
            given.append(len(batches))
            return magnitude(model)

        criterion = Criterion("mine", score, sees=sees)  # type: ignore[arg-type]
        make_ticket(Method("mine", criterion, "global"), small_network, data, 0.5, seeded())
        assert given == [count], sees


def users(function: Callable[..., Any], tmp_path: Path) -> Method:
    reference = Reference("method", "mine.py:score", Code([str(tmp_path / "mine.py")]), None, function)
    return Method("mine.py:score", Criterion("mine", function), "global", reference=reference)


def test_what_a_user_criterion_prints_is_no_part_of_an_answer(
    tmp_path: Path, small_network: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    def talkative(model: nn.Module, batches: list[Batch]) -> Scores:
        print("I am scoring")
        return magnitude(model)

    make_ticket(users(talkative, tmp_path), small_network, NOTHING, 0.5, seeded())
    make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded())
    print("the answer")
    written = capsys.readouterr()
    assert written.out == "the answer\n"
    assert written.err == "I am scoring\n"


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_user_criterion_sets_is_set_back(tmp_path: Path, small_network: nn.Module, fails: bool) -> None:
    def setting(model: nn.Module, batches: list[Batch]) -> Scores:
        assert torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float32
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        if fails:
            raise ZeroDivisionError
        return magnitude(model)

    for _ in range(2):
        try:
            make_ticket(users(setting, tmp_path), small_network, NOTHING, 0.5, seeded())
        except InputError as error:
            assert fails
            assert "ZeroDivisionError" in str(error)
        assert torch.get_default_dtype() == torch.float32
        assert torch.is_grad_enabled()


def test_a_user_criterion_has_gradients_where_its_caller_wants_none(tmp_path: Path, small_network: nn.Module) -> None:
    def gradient(model: nn.Module, batches: list[Batch]) -> Scores:
        weights = prunable_weights(model)
        total = torch.stack([weight.pow(3).sum() for weight in weights.values()]).sum()
        return {
            layer: g.abs() for layer, g in zip(weights, torch.autograd.grad(total, [*weights.values()]), strict=True)
        }

    with torch.no_grad():
        masks = make_ticket(users(gradient, tmp_path), small_network, NOTHING, 0.5, seeded()).masks
        assert not torch.is_grad_enabled()
    assert same(masks, make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded()).masks)


def test_the_ratios_of_a_user_criterion_that_fails_name_it(tmp_path: Path, small_network: nn.Module) -> None:
    def failing(model: nn.Module, batches: list[Batch]) -> Scores:
        print("I fail")
        raise ZeroDivisionError("of mine")

    mine = users(failing, tmp_path)
    method = Method("random-ratios-of:mine.py:score", CRITERIA.get("random"), "", ratios_of=mine)
    with pytest.raises(InputError, match=r"^mine.py:score failed \(ZeroDivisionError: of mine\)"):
        make_ticket(method, small_network, NOTHING, 0.5, seeded())
