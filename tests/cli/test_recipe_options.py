"""Every field of a recipe is an option, and an argument in Python."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

import prunecheck
from prunecheck.api.questions import asked_study
from prunecheck.cli.recipe import RecipeOptions
from prunecheck.training import Recipe
from prunecheck.training.recipe import RecipeFields

Refused = Callable[..., str]

USUAL: dict[str, Any] = {"model": None, "dataset": "digits", "sparsity": 0.9, "seeds": 1}


def test_the_options_and_the_arguments_are_the_fields_of_a_recipe() -> None:
    names = [field.name for field in fields(Recipe)]
    assert sorted(get_type_hints(RecipeFields)) == sorted(names)
    assert sorted(field.name for field in fields(RecipeOptions)) == sorted([*names, "recipe"])


def test_what_is_given_is_otherwise_than_in_the_recipe() -> None:
    given = RecipeOptions(optimizer="adamw", schedule="cosine", warmup_epochs=2.0, label_smoothing=0.1).given()
    recipe = asked_study("snip", **USUAL, **given).recipe
    assert (recipe.optimizer, recipe.schedule, recipe.warmup_epochs, recipe.label_smoothing) == (
        "adamw",
        "cosine",
        2,
        0.1,
    )
    assert (recipe.epochs, recipe.batch_size, recipe.milestones) == (20, 64, ())
    given = RecipeOptions(milestones="3,9", epochs=12, nesterov=True).given()
    recipe = asked_study("snip", **USUAL, recipe="published", **given).recipe
    assert (recipe.milestones, recipe.epochs, recipe.nesterov) == ((3, 9), 12, True)
    assert RecipeOptions(milestones="none").given() == {"milestones": ()}
    assert RecipeOptions().given() == {}


def test_the_schedule_is_stretched_to_other_epochs_and_a_rate_that_stays_does() -> None:
    assert asked_study("snip", **USUAL, epochs=8).recipe.milestones == (4, 6)
    assert asked_study("snip", **USUAL, recipe="published", epochs=8, learning_rate=0.3).recipe.milestones == (4, 6)
    constant = Recipe(epochs=5, milestones=())
    assert asked_study("snip", **USUAL, recipe=constant, epochs=8).recipe == Recipe(epochs=8, milestones=())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--optimizer", "sdg"], "there is no optimizer named 'sdg': did you mean sgd?"),
        (["--momentum", "1"], "--momentum takes a number, at least 0 and less than 1, not 1."),
        (["--milestones", "3,x"], "--milestones takes whole numbers with commas between them"),
        (["--peak", "0.2"], "--peak says nothing where --schedule is steps: leave it out"),
        (["--schedule", "cosine", "--milestones", "3"], "--milestones are those of the schedule steps"),
        (["--warmup-epochs", "20"], "--warmup-epochs of 20 leave nothing of 20 epochs"),
        (["--label-smoothing", "2"], "--label-smoothing takes a number"),
        (["--cutout", "9"], "--cutout of 9 is more than the images of digits have, which are 8 by 8 pixels: choose"),
        (["--cutout", "-1"], "--cutout takes a whole number, at least 0, not -1."),
    ],
)
def test_an_error_names_the_option(refused: Refused, options: list[str], said: str) -> None:
    assert said in refused("check", "snip", *options)


def test_an_argument_that_there_is_not_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no argument 'lr'"):
        prunecheck.check("snip", lr=0.1)  # type: ignore[call-arg]
