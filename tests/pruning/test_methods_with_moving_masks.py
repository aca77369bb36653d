import pytest
import torch

from prunecheck.data import ScoringData
from prunecheck.errors import InputError
from prunecheck.models import build_model
from prunecheck.pruning import Ticket, Training, find_method, keep_ratios, make_ticket
from prunecheck.randomness import generator


def ticket_of(text: str, sparsity: float = 0.9) -> Ticket:
    network = build_model("resnet8", 10, width=8, input_channels=1)
    blank = [(torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64))]
    return make_ticket(find_method(text), network, ScoringData(shape_only=blank), sparsity, generator(0, "mask"))


@pytest.mark.parametrize(
    ("text", "allocation"), [("set", "er"), ("set-erk", "erk"), ("rigl", "uniform-first-dense"), ("rigl@7-erk", "erk")]
)
def test_sparse_training_starts_from_random_masks_of_an_allocation(text: str, allocation: str) -> None:
    ticket = ticket_of(text)
    ratios = keep_ratios(allocation, build_model("resnet8", 10, width=8, input_channels=1), 0.9)
    assert {layer: int(mask.sum()) for layer, mask in ticket.masks.items()} == {
        layer: round(mask.numel() * ratios[layer]) for layer, mask in ticket.masks.items()
    }
    assert ticket.updates and ticket.updates.growth == ("random" if text.startswith("set") else "gradient")
    assert ticket.updates.interval == (7 if "@" in text else None)


@pytest.mark.parametrize(("text", "allocation"), [("gmp", "global"), ("gmp-erk", "erk"), ("granet@5", "global")])
def test_gradual_pruning_starts_with_all_weights(text: str, allocation: str) -> None:
    ticket = ticket_of(text)
    assert all(bool(mask.all()) for mask in ticket.masks.values())
    assert ticket.updates and (ticket.updates.sparsity, ticket.updates.allocation) == (0.9, allocation)


def test_the_first_layer_stays_whole_in_the_uniform_allocation_of_rigl() -> None:
    shapes = {"first": (2, 1, 3, 3), "second": (10, 10), "last": (10, 8)}
    ratios = find_allocation(shapes, 0.8)
    assert ratios["first"] == 1
    assert ratios["second"] == ratios["last"] == pytest.approx((0.2 * 198 - 18) / 180)
    with pytest.raises(InputError, match=r"choose at most 0\.909, or another allocation"):
        find_allocation(shapes, 0.95)


def find_allocation(shapes: dict[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    from prunecheck.pruning import ALLOCATIONS

    return dict(ALLOCATIONS.get("uniform-first-dense")(shapes, sparsity))


def test_final_masks_come_from_the_training_of_their_method() -> None:
    masks, weights = Training("rigl@5-erk", 0.9, part="masks"), Training("rigl@5-erk", 0.9)
    assert find_method("final-mask-of:rigl@5-erk").trainings(0.9) == (masks,)
    assert set(find_method("final-ticket-of:rigl@5-erk").trainings(0.9)) == {masks, weights}
    assert masks in find_method("random-ratios-of:final-mask-of:rigl@5-erk").trainings(0.9)


def test_data_reach_what_grows_by_gradients_or_comes_from_training() -> None:
    assert find_method("rigl").sees_data
    assert find_method("granet").sees_data
    assert find_method("final-mask-of:set").sees_data
    assert not find_method("set").sees_data
    assert not find_method("gmp").sees_data


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("final-mask-of:snip", "the masks of snip stay as they are in training"),
        ("final-mask-of:rigll", "did you mean rigl"),
        ("final-mask-of:rigl+lt", r"rigl\+lt joins methods by \+, .*: name rigl or lt"),
        ("snip+lt", r"snip\+lt joins methods by \+"),
        ("rigl+rearrange-mask", r"there is no method named 'rigl\+rearrange-mask'"),
        ("random-ratios-of:gmp", "write random-ratios-of:final-mask-of:gmp"),
        ("rigl@0", "a number of steps, such as rigl@100, not '0'"),
        ("rigl@", "not ''"),
        ("rigl-ekr", "did you mean er"),
        ("lt@3", "takes no argument"),
    ],
)
def test_what_is_written_wrongly_is_refused(wrong: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_method(wrong)


def test_a_name_says_what_differs_and_nothing_else() -> None:
    assert find_method("rigl-uniform-first-dense").name == "rigl"
    assert find_method("rigl@7-erk").name == "rigl@7-erk"
    assert find_method("final-mask-of:set-er").name == "final-mask-of:set"
