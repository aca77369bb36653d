import math

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


@pytest.mark.parametrize(
    ("epochs", "milestones"),
    [(160, (80, 120)), (300, (150, 225)), (20, (10, 15)), (30, (15, 22)), (3, (1, 2)), (2, (1, 1)), (1, ())],
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
