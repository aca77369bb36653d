from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from prunecheck.data import ScoringData
from prunecheck.data.datasets import OF_PATH
from prunecheck.errors import InputError
from prunecheck.pruning import (
    ALLOCATIONS,
    CRITERIA,
    DENSE,
    METHODS,
    Method,
    Training,
    find_method,
    make_ticket,
    method_names,
)
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS
from prunecheck.pruning.methods import OF_METHOD


def takes_argument(name: str) -> bool:
    return not isinstance(METHODS.entries[name].item, Method)


@pytest.mark.parametrize("name", [name for name in method_names() if not name.endswith((OF_PATH, OF_METHOD))])
def test_a_built_in_method_is_found_by_its_name(name: str) -> None:
    method = find_method(f"{name}@1" if name in METHODS.names() and takes_argument(name) else name)
    assert method.name.partition("@")[0] == name
    assert (method.reference, method.source_hash) == (None, None)
    assert method.is_after_training or method.criterion is CRITERIA.get(method.criterion.name)
    assert method.allocation in (GLOBAL, GLOBAL_CONVOLUTIONS, *ALLOCATIONS.names())
    assert find_method(method.argument).name == method.name


def test_all_names_that_are_listed_are_described_and_different() -> None:
    names = method_names()
    assert len(set(names)) == len(names)
    assert {"snip", "grasp", "magnitude", "random", "synflow", "random-smart", "random-uniform", "random-erk"} <= {
        *names
    }
    assert {"lt", "weight-rewinding", "lr-rewinding", "hybrid", "imp"} <= {*METHODS.names()}
    assert all(entry.summary for entry in METHODS)


def recipe_of(text: str) -> tuple[str, str]:
    method = find_method(text)
    return method.criterion.name, method.allocation


def test_methods_are_the_recipes_that_they_are_named_after() -> None:
    recipes = {
        "snip": ("snip", GLOBAL),
        "grasp": ("grasp", GLOBAL),
        "magnitude": ("magnitude", GLOBAL),
        "random": ("random", GLOBAL),
        "random-smart": ("random", "smart"),
        "random-smart-ascend": ("random", "smart-ascend"),
        "snip-uniform": ("snip", "uniform"),
        "iter-snip-erk": ("iter-snip", "erk"),
        "iter-snip@5-erk": ("iter-snip@5", "erk"),
        "synflow@3": ("synflow@3", GLOBAL),
        "magnitude-global-convolutions": ("magnitude", GLOBAL_CONVOLUTIONS),
        "lt": ("magnitude", GLOBAL_CONVOLUTIONS),
        "lr-rewinding": ("magnitude", GLOBAL_CONVOLUTIONS),
        "weight-rewinding@3": ("magnitude", GLOBAL_CONVOLUTIONS),
        "imp@3": ("magnitude", GLOBAL_CONVOLUTIONS),
        "imp@0.2": ("magnitude", GLOBAL_CONVOLUTIONS),
        "hybrid": ("magnitude", "smart"),
    }
    assert {text: recipe_of(text) for text in recipes} == recipes
    assert {text: find_method(text).name for text in recipes} == {text: text for text in recipes}


def test_a_criterion_with_one_threshold_has_its_plain_name() -> None:
    assert find_method("snip-global") == find_method("snip")
    assert find_method("snip-global").name == "snip"


NOW, THEN = Training(), Training(epochs=3)


@pytest.mark.parametrize(
    ("text", "scored", "start"),
    [
        ("snip", None, None),
        ("random-smart", None, None),
        ("lt", NOW, None),
        ("lr-rewinding", NOW, NOW),
        ("hybrid", NOW, NOW),
        ("weight-rewinding@3", NOW, THEN),
        ("imp@1", NOW, None),
        ("imp@2", Training("imp@1", 0.552786), None),  # the square root of 0.2 is left
    ],
)
def test_methods_ask_for_the_weights_that_they_score_and_start_from(
    text: str, scored: Training | None, start: Training | None
) -> None:
    method = find_method(text)
    assert (method.scored(0.8), method.start(0.8)) == (scored, start)
    assert method.trainings(0.8) == tuple(dict.fromkeys(t for t in (scored, start) if t))


def chain(text: str, sparsity: float) -> list[tuple[str, float]]:
    """Return the earlier trainings of tickets in rounds, from the last before the ticket's own to the first."""
    found: list[tuple[str, float]] = []
    while (training := find_method(text).scored(sparsity)) is not None:
        assert training.epochs is None
        found.append((training.method, training.sparsity))
        if training.method == DENSE:
            break
        text, sparsity = training.method, training.sparsity
    return found


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.98])
def test_every_round_of_imp_removes_the_same_share_of_what_is_left(rounds: int, sparsity: float) -> None:
    trainings = chain(f"imp@{rounds}", sparsity)
    assert [method for method, _ in trainings] == [f"imp@{number}" for number in range(rounds - 1, 0, -1)] + [DENSE]
    left = [1 - before for _, before in reversed(trainings)] + [1 - sparsity]
    assert left[0] == 1
    for before, after in pairwise(left):
        # Sparsities are rounded to 6 decimals.
        assert after / before == pytest.approx((1 - sparsity) ** (1 / rounds), abs=2e-6 / (1 - sparsity))


def test_imp_at_a_rate_removes_that_share_a_round_and_what_is_missing_in_the_last() -> None:
    assert chain("imp@0.2", 0.5) == [("imp@0.2", 0.488), ("imp@0.2", 0.36), ("imp@0.2", 0.2), (DENSE, 0.0)]
    assert chain("imp@0.5", 0.75) == [("imp@0.5", 0.5), (DENSE, 0.0)]
    assert chain("imp@0.2", 0.2) == chain("imp@0.2", 0.1) == [(DENSE, 0.0)]
    assert find_method("imp@.2").name == find_method("imp@0.20").name == "imp@0.2"


def test_levels_of_imp_at_a_rate_are_shared_between_sparsities() -> None:
    low, high = chain("imp@0.2", 0.7), chain("imp@0.2", 0.95)
    assert high[-len(low) :] == low
    # 0.8 ** 13 = 0.055 is left after the last whole round.
    assert len(high) == 1 + 13


@pytest.mark.parametrize("argument", ["0.0000001", "0.000001", "0.0000004", "0.9999999", "0.1234567", "0.00001"])
def test_a_rate_that_cannot_be_told_from_another_is_refused_or_keeps_its_own_name(argument: str) -> None:
    """A name that is rounded is that of other tickets, and a rate that is rounded to nothing never ends."""
    try:
        method = find_method(f"imp@{argument}")
    except InputError:
        return
    assert float(method.name.partition("@")[2]) == float(argument)
    assert find_method(method.name).name == method.name
    assert float(argument) >= 1e-4, "this would take thousands of trainings, or would never end"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("imp@0", "imp is written with @ and the number of rounds, such as imp@5"),
        ("imp@1.5", "imp@0.2, not '1.5'."),
        ("imp@0.0", "not '0.0'."),
        ("imp@-2", "not '-2'."),
        ("imp@1.0", "not '1.0'."),
        ("imp@five", "not 'five'."),
        ("imp@05", "not '05'."),
        ("imp@٣", "not '٣'."),
        ("imp", "imp@0.2."),
        ("imp@", "imp@0.2."),
        ("lt@3", "the method lt takes no argument: leave @3 out."),
        ("lt@", "the method lt takes no argument: leave @ out."),
        ("hybrid@3", "the method hybrid takes no argument"),
        ("weight-rewinding", "is written with @ and the epoch to go back to, such as weight-rewinding@3."),
        ("weight-rewinding@", "such as weight-rewinding@3."),
        ("weight-rewinding@0", "such as weight-rewinding@3, not '0'."),
        ("weight-rewinding@2.5", "not '2.5'."),
        ("snip@3", "the criterion snip takes no argument"),
        ("snip-smrt", "no allocation named 'smrt': did you mean smart"),
        ("random-ratios-of:snpi", "no method named 'snpi': did you mean snip"),
        ("ticket.safetensors", "is not a method: write mask:ticket.safetensors for its mask"),
        ("random-ratios-of:ticket.pt", "is named like a file of weights, and is not a method: write mask:ticket.pt"),
        ("./masks/ticket.PT", "is not a method: write mask:./masks/ticket.PT for its mask"),
        ("random-ratios-of:", "no method named ''"),
        ("random-ratios-of:imp@0", "imp is written with @"),
        ("lt-smart", "no method named 'lt-smart'"),
        ("", "no method named ''"),
        ("dense", "no method named 'dense'"),
    ],
)
def test_what_is_no_method_is_answered_in_one_sentence(wrong: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        find_method(wrong)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_ratios_of_another_method_come_with_all_that_it_needs() -> None:
    method = find_method("random-ratios-of:weight-rewinding@3")
    assert method.name == method.argument == "random-ratios-of:weight-rewinding@3"
    assert method.criterion is CRITERIA.get("random")
    assert method.ratios_of is not None
    assert method.ratios_of.name == "weight-rewinding@3"
    assert method.trainings(0.8) == (NOW, THEN)
    assert method.scored(0.8) is None
    assert method.start(0.8) is None
    nested = find_method("random-ratios-of:snip-ratios-of:lt")
    assert nested.name == "random-ratios-of:snip-ratios-of:lt"
    assert nested.trainings(0.8) == (NOW,)


def test_methods_say_which_data_have_a_way_into_their_tickets() -> None:
    sees = {
        text: (find_method(text).sees("samples"), find_method(text).sees("training set"), find_method(text).sees_data)
        for text in (
            "snip",
            "magnitude",
            "random-smart",
            "synflow",
            "lt",
            "imp@2",
            "random-ratios-of:snip",
            "random-ratios-of:lt",
            "snip-ratios-of:magnitude",
            "random-ratios-of:magnitude",
        )
    }
    assert sees == {
        "snip": (True, False, True),
        "magnitude": (False, False, False),
        "random-smart": (False, False, False),
        "synflow": (False, False, False),
        "lt": (False, False, True),
        "imp@2": (False, False, True),
        "random-ratios-of:snip": (True, False, True),
        "random-ratios-of:lt": (False, False, True),
        "snip-ratios-of:magnitude": (True, False, True),
        "random-ratios-of:magnitude": (False, False, False),
    }


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("snpi", "snip"), ("Grasp", "grasp"), ("weight-rewindin@3", "weight-rewinding")]
)
def test_an_unknown_method_is_answered_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"no method named '{wrong}': did you mean .*{nearest}"):
        find_method(wrong)


REGISTERING = """
from prunecheck.pruning import prunable_weights, register_method

@register_method("mine-by-name")
def mine(model, trained_model, fails=False):
    "Mine."
    weights = prunable_weights(model)
    1 / len(weights["no such layer"])
"""


def test_a_method_that_a_file_registers_has_the_file_s_hash_and_fails_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_network: nn.Module
) -> None:
    monkeypatch.setattr(METHODS, "entries", dict(METHODS.entries))
    file = tmp_path / "registers_a_method.py"
    file.write_text(REGISTERING)
    by_file = find_method(f"{file}:mine")
    by_name = find_method("mine-by-name")
    assert by_name.name == "mine-by-name"
    assert by_name.source_hash == by_file.source_hash is not None
    assert by_name.trainings(0.5) == (Training(),)
    given = {Training(): small_network.state_dict()}
    with pytest.raises(InputError, match=r"^mine-by-name failed \(KeyError: 'no such layer'\): correct it first"):
        make_ticket(by_name, small_network, ScoringData(), 0.5, torch.Generator(), given=given)
