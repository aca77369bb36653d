import pytest
import torch

from prunecheck.checks import CHECKS, find_check, usual_checks
from prunecheck.errors import InputError
from prunecheck.pruning import Ticket, TopologyUpdates, find_method

WEIGHTS = {"a.weight": torch.tensor([[3.0, -2.0, 0.1, 5.0], [0.2, -7.0, 0.3, 1.0]])}
WHOLE = {"a": torch.ones(2, 4, dtype=torch.bool)}
RIGL = TopologyUpdates(growth="gradient")
GMP = TopologyUpdates(is_gradual=True, sparsity=0.5)


def changed(check: str, updates: TopologyUpdates | None, masks: dict[str, torch.Tensor] = WHOLE) -> Ticket:
    ticket = Ticket(WEIGHTS, masks, updates=updates)
    made = find_check(check).change_ticket(ticket, seed=0)
    assert ticket.updates == updates
    assert made.weights is WEIGHTS
    return made


def test_a_frozen_topology_is_that_of_the_start() -> None:
    masks = {"a": WEIGHTS["a.weight"] > 0}
    made = changed("freeze-topology", RIGL, masks)
    assert made.updates is None
    assert torch.equal(made.masks["a"], masks["a"])


def test_what_is_pruned_gradually_is_frozen_at_its_sparsity() -> None:
    made = changed("freeze-topology", GMP)
    assert made.updates is None
    assert made.masks["a"].tolist() == [[True, True, False, True], [False, True, False, False]]
    at_random = changed("random-drop+freeze-topology", GMP)
    assert int(at_random.masks["a"].sum()) == 4
    assert not torch.equal(at_random.masks["a"], made.masks["a"])


def test_each_check_changes_one_thing_of_the_updates() -> None:
    assert changed("random-growth", RIGL).updates == TopologyUpdates(growth="random")
    assert changed("random-drop", RIGL).updates == TopologyUpdates(growth="gradient", drop="random")
    assert changed("prune-at-once", GMP).updates == TopologyUpdates(is_gradual=True, sparsity=0.5, at_once=True)
    for check in ("random-growth", "random-drop", "prune-at-once"):
        assert torch.equal(changed(check, GMP).masks["a"], WHOLE["a"])


@pytest.mark.parametrize(
    ("check", "method"),
    [
        *((check, "snip") for check in ("freeze-topology", "random-growth", "random-drop", "prune-at-once")),
        ("random-growth", "gmp"),
        ("prune-at-once", "rigl"),
        ("rearrange-mask", "gmp"),
        ("ratios-only", "granet"),
        ("invert-scores", "final-mask-of:rigl"),
        ("freeze-topology", "final-mask-of:rigl"),
    ],
)
def test_a_check_that_says_nothing_about_a_method_is_refused(check: str, method: str) -> None:
    with pytest.raises(InputError, match=f"the check {check} says nothing about {method}: .*{method}.* Leave it out"):
        find_check(check).require_fit(find_method(method))


@pytest.mark.parametrize("method", ["set", "rigl-erk", "final-mask-of:gmp", "snip"])
def test_the_usual_checks_fit(method: str) -> None:
    find_check("corrupted-data+rearrange-mask+reinit").require_fit(find_method(method))
    assert {"freeze-topology", "random-growth", "random-drop", "prune-at-once"} <= {*CHECKS.names()}


@pytest.mark.parametrize("method", ["set", "final-mask-of:gmp", "snip", "synflow"])
def test_both_usual_checks_are_asked_about_methods_that_they_fit(method: str) -> None:
    assert usual_checks(find_method(method)) == (("corrupted-data", "rearrange-mask"), ())


@pytest.mark.parametrize("method", ["gmp", "granet-erk"])
def test_a_usual_check_that_does_not_fit_is_left_out_and_told(method: str) -> None:
    checks, (told,) = usual_checks(find_method(method))
    assert checks == ("corrupted-data",)
    assert told.startswith(f"rearrange-mask is left out of the usual checks of {method}: {method} starts with all")
    assert told.endswith(f"that of final-mask-of:{method}.")
