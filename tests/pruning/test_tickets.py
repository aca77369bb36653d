import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
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
    Training,
    allocate,
    dense_ticket,
    find_method,
    load_ticket,
    magnitude,
    make_ticket,
    method_names,
    prunable_weights,
    save_ticket,
    sparsity_of,
)
from prunecheck.pruning.collapse import NOT_FINITE
from prunecheck.pruning.criteria import Criterion
from prunecheck.pruning.layers import Scores

DESCRIPTION: dict[str, object] = {"method": "snip", "sparsity": 0.9, "nested": {"seed": 3}, "none": None}


NOTHING = ScoringData()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def method_of(function: Callable[..., Any]) -> Method:
    return Method("mine.py:score", Criterion("mine", function, sees="samples"), "global")


def test_every_method_makes_a_ticket_of_the_sparsity_asked_for() -> None:
    model = build_model("resnet8", num_classes=3, width=8, seed=4)
    data = (torch.randn(12, 3, 8, 8, generator=seeded()), torch.arange(12) % 3)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given = {Training(): state, Training(epochs=1): state, Training("imp@1", 0.683772): state}
    seen = ScoringData([data], [data], [data])
    methods = [
        find_method({"imp": "imp@2", "weight-rewinding": "weight-rewinding@1"}.get(n, n)) for n in method_names()
    ]
    for method in methods:
        ticket = make_ticket(method, model, seen, 0.9, seeded(), given=given)
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
        make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded()),
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
    snip = find_method("snip")
    ticket = make_ticket(snip, small_network, ScoringData(samples=[batch]), 0.7, seeded())
    expected = allocate(snip.criterion(small_network, [batch], seeded(), 0.7), 0.7, "global")
    assert all(torch.equal(mask, expected[layer]) for layer, mask in ticket.masks.items())
    mine = Method("mine", CRITERIA.get("magnitude"), "uniform")
    uniform = make_ticket(mine, small_network, ScoringData(samples=[batch]), 0.7, seeded()).masks
    assert all(torch.equal(uniform[k], m) for k, m in allocate(magnitude(small_network), 0.7, "uniform").items())


def test_random_methods_place_by_the_generator(small_network: nn.Module) -> None:
    random = find_method("random-uniform")
    first, again, other = (
        make_ticket(random, small_network, NOTHING, 0.7, seeded(seed)).masks["0"] for seed in (1, 1, 2)
    )
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


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("name", ["resnet8", "vgg11_bn"])
def test_a_ticket_comes_back_from_its_file_bit_for_bit(name: str, tmp_path: Path) -> None:
    model = build_model(name, num_classes=3, width=2)
    ticket = make_ticket(find_method("magnitude"), model, NOTHING, 0.5, seeded())
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
    ticket = make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded())
    save_ticket(ticket, tmp_path / "a", DESCRIPTION)
    save_ticket(ticket, tmp_path / "b", dict(reversed(DESCRIPTION.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_layer_without_a_name_is_saved_too(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    ticket = make_ticket(find_method("magnitude"), model, NOTHING, 0.5, seeded())
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
    ticket = make_ticket(method_of(careless), model, ScoringData(samples=[data]), 0.5, seeded())
    assert all(torch.equal(ticket.weights[name], tensor) for name, tensor in before.items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_user_criterion_that_fails_is_named_and_a_built_in_one_is_not_hushed_up(tmp_path: Path) -> None:
    def failing(model: nn.Module, batches: list[Batch]) -> Scores:
        raise ZeroDivisionError("of mine")

    model = build_model("resnet8", num_classes=3, width=4)
    users = Method("mine.py:score", Criterion("mine", failing, sees="samples"), "global", source=tmp_path / "mine.py")
    with pytest.raises(InputError, match=r"mine.py:score failed \(ZeroDivisionError: of mine\)"):
        make_ticket(users, model, NOTHING, 0.5, seeded())
    with pytest.raises(ZeroDivisionError):
        make_ticket(method_of(failing), model, NOTHING, 0.5, seeded())


def test_a_user_criterion_that_exits_does_not_end_the_command_in_silence(tmp_path: Path) -> None:
    def leaving(model: nn.Module, batches: list[Batch]) -> Scores:
        raise SystemExit

    model = build_model("resnet8", num_classes=3, width=4)
    users = Method("mine.py:score", Criterion("mine", leaving, sees="samples"), "global", source=tmp_path / "mine.py")
    with pytest.raises(InputError, match=r"mine.py:score failed \(SystemExit"):
        make_ticket(users, model, NOTHING, 0.5, seeded())


@pytest.fixture
def trainings(small_network: nn.Module) -> dict[Training, dict[str, Tensor]]:
    """The weights after all epochs, and after the third, of one training; no two tensors are alike."""
    given = {}
    for number, training in enumerate((Training(), Training(epochs=3))):
        source = seeded(10 + number)
        given[training] = {
            name: torch.randn(tensor.shape, generator=source, dtype=torch.float64).to(tensor.dtype)
            for name, tensor in small_network.state_dict().items()
        }
    return given


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("text", "start"),
    [("lt", None), ("lr-rewinding", Training()), ("weight-rewinding@3", Training(epochs=3)), ("imp@1", None)],
)
def test_what_was_trained_is_scored_and_training_starts_where_the_method_says(
    text: str, start: Training | None, small_network: nn.Module, trainings: dict[Training, dict[str, Tensor]]
) -> None:
    initial = {name: tensor.clone() for name, tensor in small_network.state_dict().items()}
    ticket = make_ticket(find_method(text), small_network, NOTHING, 0.25, seeded(), given=trainings)
    # Of 18 + 24 weights 32 stay: all of the linear layer, and the 8 largest of the convolution.
    largest = trainings[Training()]["0.weight"].abs().flatten().argsort(descending=True)[:8]
    assert set(ticket.masks["0"].flatten().nonzero().flatten().tolist()) == set(largest.tolist())
    assert bool(ticket.masks["4"].all())
    assert same(ticket.weights, initial if start is None else trainings[start])
    assert same(dict(small_network.state_dict()), initial)
    live = {tensor.data_ptr() for given in trainings.values() for tensor in given.values()}
    assert live.isdisjoint(tensor.data_ptr() for tensor in ticket.weights.values())


def test_the_ratios_of_another_method_are_its_own_to_the_weight(small_network: nn.Module, batch: Batch) -> None:
    for sparsity in (0.1, 0.3, 0.5, 0.7, 0.9):
        data = ScoringData(samples=[batch])
        snip = make_ticket(find_method("snip"), small_network, data, sparsity, seeded())
        random = make_ticket(find_method("random-ratios-of:snip"), small_network, data, sparsity, seeded())
        assert {k: int(m.sum()) for k, m in random.masks.items()} == {k: int(m.sum()) for k, m in snip.masks.items()}
        assert sparsity < 0.2 or not same(random.masks, snip.masks)


def test_the_ratios_of_a_trained_ticket_are_those_of_its_trained_weights(
    small_network: nn.Module, trainings: dict[Training, dict[str, Tensor]]
) -> None:
    method = find_method("magnitude-ratios-of:lt")
    masks = make_ticket(method, small_network, NOTHING, 0.25, seeded(), given=trainings).masks
    largest = small_network.state_dict()["0.weight"].abs().flatten().argsort(descending=True)[:8]
    assert set(masks["0"].flatten().nonzero().flatten().tolist()) == set(largest.tolist())
    assert bool(masks["4"].all())


def test_scores_are_changed_before_the_mask_is_made_of_them(small_network: nn.Module) -> None:
    given: list[Scores] = []

    def first_come(scores: Scores) -> Scores:
        given.append(scores)
        return {layer: -torch.arange(s.numel(), dtype=s.dtype).view(s.shape) for layer, s in scores.items()}

    ticket = make_ticket(
        find_method("magnitude-uniform"), small_network, NOTHING, 0.5, seeded(), change_scores=first_come
    )
    assert same(given[0], magnitude(small_network))
    for layer, mask in ticket.masks.items():
        kept = int(mask.sum())
        assert mask.flatten().tolist() == [True] * kept + [False] * (mask.numel() - kept), layer


def test_changed_scores_that_choose_nothing_are_a_collapse(small_network: nn.Module) -> None:
    ticket = make_ticket(
        find_method("magnitude"),
        small_network,
        NOTHING,
        0.9,
        seeded(),
        change_scores=lambda scores: {layer: torch.zeros_like(score) for layer, score in scores.items()},
    )
    assert ticket.collapse is not None


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
    return Method("mine.py:score", Criterion("mine", function), "global", source=tmp_path / "mine.py")


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
    method = Method("random-ratios-of:mine.py:score", CRITERIA.get("random"), "", ratios_of=mine, source=mine.source)
    with pytest.raises(InputError, match=r"^mine.py:score failed \(ZeroDivisionError: of mine\)"):
        make_ticket(method, small_network, NOTHING, 0.5, seeded())


def test_a_ticket_is_moved_to_the_cpu_whole(small_network: nn.Module) -> None:
    ticket = make_ticket(find_method("magnitude"), small_network, NOTHING, 0.5, seeded(), lambda seed: {})
    moved = ticket.on_cpu()
    assert same(moved.weights, ticket.weights)
    assert same(moved.masks, ticket.masks)
    assert (moved.draw_weights, moved.collapse) == (ticket.draw_weights, ticket.collapse)
