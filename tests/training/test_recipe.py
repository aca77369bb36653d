import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.errors import InputError
from prunecheck.training import Recipe, step_schedule


def test_defaults_are_those_of_the_paper() -> None:
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.milestones) == (160, 64, (80, 120))
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay, recipe.gamma) == (0.1, 0.9, 1e-4, 0.1)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.1), (79, 0.1), (80, 0.01), (119, 0.01), (120, 0.001), (159, 0.001), (1000, 0.001)]
)
def test_learning_rate_falls_tenfold_at_each_milestone(epoch: int, rate: float) -> None:
    assert Recipe().learning_rate_at(epoch) == pytest.approx(rate, rel=1e-12)


@given(
    rate=st.floats(1e-4, 10), gamma=st.floats(0.01, 1), milestones=st.lists(st.integers(1, 12), unique=True, max_size=4)
)
@settings(max_examples=30, deadline=None)
def test_schedule_is_that_of_torch(rate: float, gamma: float, milestones: list[int]) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma)
    recipe = Recipe(epochs=14, learning_rate=rate, gamma=gamma, milestones=tuple(milestones))
    for epoch in range(recipe.epochs):
        assert recipe.learning_rate_at(epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


Make = Callable[[torch.optim.Optimizer, int], Any]
"""A scheduler of torch for a training of so many steps."""

LATER = torch.optim.lr_scheduler
STEPS = 5
"""Of an epoch."""

OF_TORCH: list[tuple[dict[str, Any], Make]] = [
    ({"schedule": "cosine"}, LATER.CosineAnnealingLR),
    ({"schedule": "linear"}, lambda o, total: LATER.LinearLR(o, 1, 0, total)),
    ({"schedule": "constant"}, lambda o, total: LATER.ConstantLR(o, 1, total)),
    ({"schedule": "one-cycle"}, lambda o, total: LATER.OneCycleLR(o, 0.4, total, cycle_momentum=False)),
    (
        {"schedule": "one-cycle", "peak": 0.07},
        lambda o, total: LATER.OneCycleLR(o, 0.4, total, pct_start=0.07, cycle_momentum=False),
    ),
    (
        {"schedule": "cosine", "warmup_epochs": 1.4},
        lambda o, total: LATER.SequentialLR(
            o, [LATER.LinearLR(o, 0.01, 1, 7), LATER.CosineAnnealingLR(o, total - 7)], [7]
        ),
    ),
    (
        {"milestones": (1, 4), "gamma": 0.2, "warmup_epochs": 2},
        lambda o, total: LATER.ChainedScheduler(
            [LATER.LinearLR(o, 0.01, 1, 2 * STEPS), LATER.MultiStepLR(o, [STEPS, 4 * STEPS], 0.2)]
        ),
    ),
]


@pytest.mark.parametrize(("values", "make"), OF_TORCH)
def test_schedules_are_those_of_torch_in_every_step(values: dict[str, Any], make: Make) -> None:
    recipe = Recipe(epochs=6, learning_rate=0.4, **values)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    scheduler = make(optimizer, recipe.epochs * STEPS)
    for step in range(recipe.epochs * STEPS):
        rate = recipe.learning_rate_at(*divmod(step, STEPS), STEPS)
        assert rate == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9, abs=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=6, schedule="cosine"),
        Recipe(epochs=6, schedule="one-cycle"),
        Recipe(epochs=6, milestones=(2, 4), warmup_epochs=3),
        Recipe(epochs=6, milestones=(1, 4)),
    ],
)
def test_a_training_that_stops_earlier_is_the_beginning_of_the_whole_one(recipe: Recipe) -> None:
    stopped = recipe.stopped_after(2)
    assert stopped.epochs == 2
    for epoch, step in itertools.product(range(2), range(STEPS)):
        assert stopped.learning_rate_at(epoch, step, STEPS) == recipe.learning_rate_at(epoch, step, STEPS)
    assert recipe.stopped_after(6) == recipe


def test_a_stopped_training_of_steps_has_the_fields_that_it_always_had() -> None:
    assert Recipe().stopped_after(3) == Recipe(epochs=3)


def test_a_recipe_for_other_epochs_keeps_its_shape() -> None:
    assert Recipe().of_epochs(30) == Recipe(epochs=30, milestones=step_schedule(30))
    assert Recipe().of_epochs(1) == Recipe(epochs=1, milestones=())
    assert Recipe(milestones=(60, 120, 130, 150)).of_epochs(5).milestones == (1, 3, 4)
    assert Recipe(milestones=(80, 80, 120)).of_epochs(4).milestones == (2, 2, 3)  # twice on purpose
    warm = Recipe(epochs=16, schedule="cosine", warmup_epochs=2).of_epochs(4)
    assert (warm.epochs, warm.warmup_epochs, warm.milestones) == (4, 0.5, ())


def test_recipes_that_train_the_same_are_equal() -> None:
    assert Recipe(schedule="cosine") == Recipe(schedule="cosine", milestones=())
    assert Recipe(scheduled_epochs=200) == Recipe()
    assert Recipe(schedule="cosine", scheduled_epochs=160) == Recipe(schedule="cosine")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nesterov": True, "optimizer": "adam"}, "nesterov says nothing where optimizer is adam"),
        ({"beta2": 0.9}, "beta2 says nothing where optimizer is sgd: .* another optimizer .adam, adamw."),
        ({"peak": 0.5}, "peak says nothing where schedule is steps"),
        ({"schedule": "cosine", "gamma": 0.5}, "gamma says nothing where schedule is cosine"),
        ({"schedule": "one-cycle", "warmup_epochs": 1}, "warmup_epochs says nothing where schedule is one-cycle"),
        ({"nesterov": True, "momentum": 0}, "looks ahead by the momentum, which is 0"),
        ({"warmup_epochs": 160}, "leave nothing of 160 epochs"),
        ({"schedule": "cosine", "scheduled_epochs": 20}, "ends after 20 epochs and the training has 160"),
        ({"optimizer": "adamm"}, "adamw"),
        ({"schedule": "cosin"}, "cosine"),
        ({"label_smoothing": 1.0}, "less than 1"),
        ({"nesterov": 1}, "true or false"),
    ],
)
def test_what_says_nothing_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**values)


def test_a_recipe_says_what_is_unusual_about_it() -> None:
    assert str(Recipe(epochs=3, batch_size=8, learning_rate=0.7)) == ""
    assert str(Recipe(nesterov=True)) == "nesterov"
    recipe = Recipe(optimizer="adamw", schedule="cosine", decayed="weights", label_smoothing=0.1, warmup_epochs=5)
    assert str(recipe) == "adamw, cosine, warmup epochs 5, label smoothing 0.1, decayed weights"


@pytest.mark.parametrize(
    ("epochs", "milestones"),
    [(160, (80, 120)), (300, (150, 225)), (20, (10, 15)), (30, (15, 22)), (3, (1, 2)), (2, (1,)), (1, ())],
)
def test_step_schedule_is_half_and_three_quarters(epochs: int, milestones: tuple[int, ...]) -> None:
    assert step_schedule(epochs) == milestones


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": -3},
        {"batch_size": 1},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": -0.1},
        {"learning_rate": math.nan},
    ],
)
def test_wrong_values_are_refused_by_their_value(wrong: dict[str, float]) -> None:
    (value,) = wrong.values()
    with pytest.raises(InputError, match=f"not {value:g}"):
        Recipe(**wrong)  # type: ignore[arg-type]


def test_the_least_values_are_taken() -> None:
    assert Recipe(epochs=1, batch_size=2, learning_rate=1e-9).epochs == 1
