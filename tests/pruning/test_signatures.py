"""What a function that prunes is given, by what its signature takes."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from prunecheck.errors import InputError
from prunecheck.pruning.criteria import register_criterion
from prunecheck.pruning.methods import Method, method_of_function
from prunecheck.pruning.signatures import OFFERED, Sees, call, images_seen_by, require_known_parameters
from prunecheck.pruning.trainings import trained

Given = dict[str, Any]

VALUES: Given = {name: f"the {name}" for name in OFFERED if name != "training_set"}


def only_the_network(net):  # type: ignore[no-untyped-def]
    return {"net": net}


def any_second_name(net, data):  # type: ignore[no-untyped-def]
    return {"net": net, "data": data}


def masks(model, batches, sparsity):  # type: ignore[no-untyped-def]
    return {"model": model, "batches": batches, "sparsity": sparsity}


def another_order(model, sparsity, batches):  # type: ignore[no-untyped-def]
    return {"model": model, "batches": batches, "sparsity": sparsity}


def by_name_alone(model, *, batches, seed):  # type: ignore[no-untyped-def]
    return {"model": model, "batches": batches, "seed": seed}


def batches_with_a_default(model, batches=()):  # type: ignore[no-untyped-def]
    return {"model": model, "batches": batches}


def an_argument_of_its_own(model, power=2):  # type: ignore[no-untyped-def]
    return {"model": model, "power": power}


def by_place_alone(model, power=2, sparsity=0.0, /, *, generator=None):  # type: ignore[no-untyped-def]
    return {"model": model, "power": power, "sparsity": sparsity, "generator": generator}


def batches_by_place_alone(model, data, /):  # type: ignore[no-untyped-def]
    return {"model": model, "data": data}


def the_training_set(model, training_set):  # type: ignore[no-untyped-def]
    return {"model": model, "training_set": training_set}


def the_trained_network(model, trained_model, seed=0):  # type: ignore[no-untyped-def]
    return {"model": model, "trained_model": trained_model, "seed": seed}


def whatever_comes(*everything, **more):  # type: ignore[no-untyped-def]
    return {"everything": everything, "more": more}


def a_network_and_whatever_comes(model, *everything, sparsity):  # type: ignore[no-untyped-def]
    return {"model": model, "everything": everything, "sparsity": sparsity}


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(first, second):  # type: ignore[no-untyped-def]
        return function(first, second)

    return inner


class Scorer:
    def __call__(self, model, batches):  # type: ignore[no-untyped-def]
        return {"model": model, "batches": batches}


IS_GIVEN: list[tuple[Callable[..., Any], Sees, Given]] = [
    (only_the_network, "nothing", {"net": "N"}),
    (any_second_name, "samples", {"net": "N", "data": "B"}),
    (masks, "samples", {"model": "N", "batches": "B", "sparsity": "the sparsity"}),
    (another_order, "samples", {"model": "N", "batches": "B", "sparsity": "the sparsity"}),
    (by_name_alone, "samples", {"model": "N", "batches": "B", "seed": "the seed"}),
    (batches_with_a_default, "samples", {"model": "N", "batches": "B"}),
    (an_argument_of_its_own, "nothing", {"model": "N", "power": 2}),
    (
        by_place_alone,
        "nothing",
        {"model": "N", "power": 2, "sparsity": "the sparsity", "generator": "the generator"},
    ),
    (batches_by_place_alone, "samples", {"model": "N", "data": "B"}),
    (the_training_set, "training set", {"model": "N", "training_set": "B"}),
    (
        the_trained_network,
        "nothing",
        {"model": "N", "trained_model": "the trained_model", "seed": "the seed"},
    ),
    (whatever_comes, "samples", {"everything": ("N", "B"), "more": {}}),
    (
        a_network_and_whatever_comes,
        "samples",
        {"model": "N", "everything": ("B",), "sparsity": "the sparsity"},
    ),
    (decorated(any_second_name), "samples", {"net": "N", "data": "B"}),
    (Scorer(), "samples", {"model": "N", "batches": "B"}),
    (functools.partial(an_argument_of_its_own, power=3), "nothing", {"model": "N", "power": 3}),
    (functools.partial(any_second_name, data=3), "nothing", {"net": "N", "data": 3}),
]


@pytest.mark.parametrize(("function", "sees", "given"), IS_GIVEN)
def test_a_function_is_given_what_its_signature_takes(function: Callable[..., Any], sees: Sees, given: Given) -> None:
    require_known_parameters("mine.py:f", function)
    assert images_seen_by(function) == sees
    assert call(function, "N", "B", VALUES) == given


def takes_nothing():  # type: ignore[no-untyped-def]
    pass


def takes_names_alone(*, model, batches):  # type: ignore[no-untyped-def]
    pass


def asks_for_more(model, batches, temperature):  # type: ignore[no-untyped-def]
    pass


def sees_both(model, batches, training_set):  # type: ignore[no-untyped-def]
    pass


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (takes_nothing, "^mine.py:f takes no network: give it a first parameter, model"),
        (takes_names_alone, "^mine.py:f takes no network"),
        (asks_for_more, "^mine.py:f asks for temperature, and a method is given model, batches, sparsity, generator, "),
        (sees_both, "^mine.py:f takes both batches and training_set, and a method sees one of them"),
        (functools.partial(masks, model=3), "^model is given to mine.py:f by prunecheck: leave it out"),
        (functools.partial(any_second_name, net=3), "^net is given to mine.py:f by prunecheck: leave it out"),
    ],
)
def test_what_cannot_be_called_is_refused_in_a_sentence(function: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        method_of_function("mine.py:f", function)


def test_a_method_of_a_function_that_takes_the_trained_network_asks_for_its_training() -> None:
    method = method_of_function("mine", the_trained_network)
    assert method.trainings(0.5) == (trained(0.5),)
    assert method.sees_data
    composed = Method("mine-erk", method.criterion, "erk")
    assert composed.trainings(0.5) == (trained(0.5),)
    assert not method_of_function("mine", an_argument_of_its_own).trainings(0.5)


def test_no_data_have_a_way_into_a_function_that_takes_none() -> None:
    assert not method_of_function("mine", an_argument_of_its_own).sees_data
    assert method_of_function("mine", masks).sees_data
    assert method_of_function("mine", the_training_set).sees_data


def test_a_criterion_that_takes_the_training_set_must_say_that_it_sees_it() -> None:
    with pytest.raises(ValueError, match='register it with sees="training set"'):
        register_criterion("mine of the signatures' tests")(the_training_set)
