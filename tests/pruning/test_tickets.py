import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import (
    CRITERIA,
    METHODS,
    Collapse,
    Method,
    Ticket,
    allocate,
    dense_ticket,
    load_ticket,
    magnitude,
    make_ticket,
    prunable_weights,
    save_ticket,
    sparsity_of,
)
from prunecheck.pruning.collapse import NOT_FINITE
from prunecheck.pruning.criteria import Criterion
from prunecheck.pruning.layers import Scores

DESCRIPTION: dict[str, object] = {"method": "snip", "sparsity": 0.9, "nested": {"seed": 3}, "none": None}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def method_of(function: Callable[..., Any]) -> Method:
    return Method("mine.py:score", Criterion("mine", function, sees_data=True), "global")


def test_every_method_makes_a_ticket_of_the_sparsity_asked_for() -> None:
    model = build_model("resnet8", num_classes=3, width=8, seed=4)
    data = (torch.randn(12, 3, 8, 8, generator=seeded()), torch.arange(12) % 3)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name in METHODS.names():
        ticket = make_ticket(METHODS.get(name), model, [data], 0.9, seeded())
        assert sparsity_of(ticket.masks) == pytest.approx(0.9, abs=0.002)
        assert {layer: mask.shape for layer, mask in ticket.masks.items()} == {
            layer: weight.shape for layer, weight in prunable_weights(model).items()
        }
        # Not masked: a mask that is moved uncovers the weights that it moves to.
        assert ticket.weights.keys() == state.keys()
        assert all(torch.equal(tensor, state[key]) for key, tensor in ticket.weights.items())
        assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
        assert ticket.collapse is None


def test_a_ticket_shares_no_memory_with_the_network(small_network: nn.Module) -> None:
    for ticket in (
        dense_ticket(small_network),
        make_ticket(METHODS.get("magnitude"), small_network, [], 0.5, seeded()),
    ):
        live = {tensor.data_ptr() for tensor in small_network.state_dict().values()}
        assert live.isdisjoint(tensor.data_ptr() for tensor in ticket.weights.values())
        assert not any(tensor.requires_grad for tensor in ticket.weights.values())


def test_a_dense_ticket_prunes_nothing(small_network: nn.Module) -> None:
    ticket = dense_ticket(small_network)
    assert ticket.masks == {}
    assert ticket.checked(small_network, (1, 4, 4)).collapse is None
    assert ticket.weights.keys() == small_network.state_dict().keys()


def test_the_masks_are_those_of_the_scores_and_the_allocation(small_network: nn.Module, batch: Batch) -> None:
    snip = METHODS.get("snip")
    ticket = make_ticket(snip, small_network, [batch], 0.7, seeded())
    expected = allocate(snip.criterion(small_network, [batch], seeded()), 0.7, "global")
    assert all(torch.equal(mask, expected[layer]) for layer, mask in ticket.masks.items())
    mine = Method("mine", CRITERIA.get("magnitude"), "uniform")
    uniform = make_ticket(mine, small_network, [batch], 0.7, seeded()).masks
    assert all(torch.equal(uniform[k], m) for k, m in allocate(magnitude(small_network), 0.7, "uniform").items())


def test_random_methods_place_by_the_generator(small_network: nn.Module) -> None:
    random = METHODS.get("random-uniform")
    first, again, other = (make_ticket(random, small_network, [], 0.7, seeded(seed)).masks["0"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def without_layer(scores: Scores) -> object:
    del scores["4"]
    return scores


WRONG_SCORES: dict[str, tuple[Callable[[Scores], object], str]] = {
    "a layer missing": (without_layer, "none for layer 4"),
    "a bias scored": (lambda scores: {**scores, "4.bias": scores["4"]}, "4.bias, which is not a prunable layer"),
    "another shape": (lambda scores: {**scores, "4": scores["4"].T}, r"shape \(8, 3\) for layer 4.*shape \(3, 8\)"),
    "a number": (lambda scores: {**scores, "4": 1.0}, "for layer 4 it returned no tensor of numbers"),
    "a list": (lambda scores: {**scores, "0": scores["0"].tolist()}, "for layer 0 it returned no tensor of numbers"),
    "a mask": (lambda scores: {**scores, "4": scores["4"] > 0}, "for layer 4 it returned no tensor of numbers"),
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
        make_ticket(method_of(lambda model, batches: change(magnitude(model))), small_network, [], 0.5, seeded())


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.float64])
def test_scores_of_every_kind_of_number_make_the_same_ticket(dtype: torch.dtype, small_network: nn.Module) -> None:
    def score(model: nn.Module, batches: object) -> dict[str, Tensor]:
        return {layer: torch.arange(w.numel()).view(w.shape).to(dtype) for layer, w in prunable_weights(model).items()}

    masks = make_ticket(method_of(score), small_network, [], 0.5, seeded()).masks
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

    ticket = make_ticket(scored(first_row_undefined), small_network, [], 0.25, seeded())
    assert ticket.collapse == Collapse("4", NOT_FINITE)
    assert not bool(ticket.masks["4"][0].any())
    assert sum(int(mask.sum()) for mask in ticket.masks.values()) == round(42 * 0.75)


def test_equal_scores_are_carried_along_as_a_collapse(small_network: nn.Module) -> None:
    everywhere = method_of(lambda model, batches: {k: torch.ones_like(s) for k, s in magnitude(model).items()})
    ticket = make_ticket(everywhere, small_network, [], 0.9, seeded())
    assert ticket.collapse is not None
    assert ticket.collapse.layer == "0"


def test_checking_finds_an_emptied_layer_and_keeps_an_earlier_finding(small_network: nn.Module) -> None:
    ticket = make_ticket(
        scored(lambda score: score * 0 - torch.rand(3, 8, generator=seeded())), small_network, [], 0.6, seeded()
    )
    assert ticket.collapse is None
    checked = ticket.checked(small_network, (1, 4, 4))
    assert checked.collapse is not None
    assert checked.collapse.layer == "4"
    assert checked.masks is ticket.masks
    earlier = Ticket(ticket.weights, ticket.masks, None, Collapse("0", NOT_FINITE))
    assert earlier.checked(small_network, (1, 4, 4)) == earlier


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("name", ["resnet8", "vgg11_bn"])
def test_a_ticket_comes_back_from_its_file_bit_for_bit(name: str, tmp_path: Path) -> None:
    model = build_model(name, num_classes=3, width=2)
    ticket = make_ticket(METHODS.get("magnitude"), model, [], 0.5, seeded())
    weight = next(key for key, tensor in ticket.weights.items() if tensor.dim() == 4)
    ticket.weights[weight][0, 0, 0] = torch.tensor([torch.nan, -0.0, torch.inf])
    ticket.weights[weight] = ticket.weights[weight].to(memory_format=torch.channels_last)
    save_ticket(ticket, tmp_path / "ticket.safetensors", DESCRIPTION)
    loaded, description = load_ticket(tmp_path / "ticket.safetensors")
    assert description == DESCRIPTION
    for read, written in ((loaded.weights, ticket.weights), (loaded.masks, ticket.masks)):
        assert read.keys() == written.keys()
        for key, tensor in written.items():
            assert (read[key].shape, read[key].dtype) == (tensor.shape, tensor.dtype)
            assert bits(read[key]) == bits(tensor)
    build_model(name, num_classes=3, width=2, seed=1).load_state_dict(loaded.weights)
    assert [path.name for path in tmp_path.iterdir()] == ["ticket.safetensors"]


def test_the_same_ticket_makes_the_same_file(tmp_path: Path, small_network: nn.Module) -> None:
    ticket = make_ticket(METHODS.get("magnitude"), small_network, [], 0.5, seeded())
    save_ticket(ticket, tmp_path / "a", DESCRIPTION)
    save_ticket(ticket, tmp_path / "b", dict(reversed(DESCRIPTION.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_layer_without_a_name_is_saved_too(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    ticket = make_ticket(METHODS.get("magnitude"), model, [], 0.5, seeded())
    save_ticket(ticket, tmp_path / "t", {})
    loaded, _ = load_ticket(tmp_path / "t")
    assert torch.equal(loaded.masks[""], ticket.masks[""])
    assert loaded.weights.keys() == {"weight", "bias"}


OTHER_FILES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("weights and masks\n" * 10),
    "a torch file": lambda path: torch.save({"weights/a": torch.ones(2)}, path),
    "tensors without a description": lambda path: save_file({"weights/a": torch.ones(2)}, path),
    "a description that is no JSON": lambda path: save_file({"weights/a": torch.ones(2)}, path, {"description": "{"}),
    "other tensors": lambda path: save_file({"a": torch.ones(2)}, path, {"description": json.dumps({})}),
    "a folder": lambda path: path.mkdir(),
    "no file": lambda path: None,
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_what_is_not_a_ticket_is_refused_with_its_path(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    OTHER_FILES[kind](path)
    with pytest.raises(InputError, match=r"ticket\.safetensors.*prunecheck prune"):
        load_ticket(path)


def test_half_a_ticket_is_refused(tmp_path: Path, small_network: nn.Module) -> None:
    path = tmp_path / "ticket.safetensors"
    save_ticket(dense_ticket(small_network), path, DESCRIPTION)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="is not a ticket"):
        load_ticket(path)


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
    ticket = make_ticket(method_of(careless), model, [data], 0.5, seeded())
    assert all(torch.equal(ticket.weights[name], tensor) for name, tensor in before.items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_user_criterion_that_fails_is_named_and_a_built_in_one_is_not_hushed_up(tmp_path: Path) -> None:
    def failing(model: nn.Module, batches: list[Batch]) -> Scores:
        raise ZeroDivisionError("of mine")

    model = build_model("resnet8", num_classes=3, width=4)
    users = Method("mine.py:score", Criterion("mine", failing, sees_data=True), "global", source=tmp_path / "mine.py")
    with pytest.raises(InputError, match=r"mine.py:score failed \(ZeroDivisionError: of mine\)"):
        make_ticket(users, model, [], 0.5, seeded())
    with pytest.raises(ZeroDivisionError):
        make_ticket(method_of(failing), model, [], 0.5, seeded())


def test_a_user_criterion_that_exits_does_not_end_the_command_in_silence(tmp_path: Path) -> None:
    def leaving(model: nn.Module, batches: list[Batch]) -> Scores:
        raise SystemExit

    model = build_model("resnet8", num_classes=3, width=4)
    users = Method("mine.py:score", Criterion("mine", leaving, sees_data=True), "global", source=tmp_path / "mine.py")
    with pytest.raises(InputError, match=r"mine.py:score failed \(SystemExit"):
        make_ticket(users, model, [], 0.5, seeded())
