"""Recipes as users name them: in commands, in Python, in study files and in files of their own."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.data.datasets import Suggestion
from prunecheck.errors import InputError
from prunecheck.runs.spec import RunSpec, Setting
from prunecheck.studies.recipes import find_recipe
from prunecheck.studies.study_file import read_study
from prunecheck.training import Recipe
from prunecheck.training.named_recipes import RECIPES, recipe_in_words, recipe_name, recipe_of

SUGGESTION = Suggestion(model="resnet8", width=16, epochs=25, batch_size=32, learning_rate=0.2)

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "recipe.toml"
        file.write_text(text)
        return file

    return write


def test_what_is_not_named_the_data_set_suggests() -> None:
    suggested = Recipe(epochs=25, batch_size=32, learning_rate=0.2, milestones=(12, 18))
    assert find_recipe(None, SUGGESTION) == find_recipe("suggested", SUGGESTION) == suggested
    # Not stretched, for its milestones are those of the published schedule for whatever epochs.
    assert find_recipe(None, SUGGESTION, {"epochs": 50}).milestones == (25, 37)


def test_a_name_is_a_recipe_and_what_is_given_beside_it_counts() -> None:
    assert find_recipe("published", SUGGESTION) == Recipe()
    adamw = find_recipe("adamw", SUGGESTION)
    assert (adamw.optimizer, adamw.schedule, adamw.decayed) == ("adamw", "cosine", "weights")
    found = find_recipe("adamw", SUGGESTION, {"epochs": 16, "batch_size": 8, "learning_rate": 0.5})
    assert found == replace(adamw, epochs=16, batch_size=8, learning_rate=0.5, warmup_epochs=0.5)
    assert find_recipe(adamw, SUGGESTION, {"epochs": 16, "batch_size": 8, "learning_rate": 0.5}) == found


def test_a_file_says_what_it_changes(write: Write) -> None:
    file = write('base = "adamw"\nepochs = 32\nlabel_smoothing = 0.1\n')
    expected = replace(RECIPES.get("adamw").of_epochs(32), label_smoothing=0.1)
    assert find_recipe(str(file), SUGGESTION) == find_recipe(file, SUGGESTION) == expected
    assert find_recipe(write("epochs = 8"), SUGGESTION) == find_recipe(None, SUGGESTION, {"epochs": 8})
    published = find_recipe(write('base = "published"\nepochs = 8'), SUGGESTION)
    assert published == Recipe(epochs=8, milestones=(4, 6)) != find_recipe(None, SUGGESTION, {"epochs": 8})


def test_of_the_base_only_what_says_something_is_taken() -> None:
    adamw = RECIPES.get("adamw")
    steps = recipe_of({"schedule": "steps", "optimizer": "sgd", "epochs": 8}, replace(adamw, beta2=0.9))
    assert (steps.milestones, steps.beta2, steps.warmup_epochs) == ((4, 6), 0.999, 0.25)
    assert recipe_of({"schedule": "one-cycle"}, adamw).warmup_epochs == 0
    assert (
        recipe_of({"schedule": "cosine"}, replace(adamw, schedule="one-cycle", peak=0.2, warmup_epochs=0)).peak == 0.3
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('optimiser = "adam"', r"recipe\.toml, line 1: there is no key named 'optimiser': did you mean optimizer\?"),
        ('epochs = 3\noptimizer = "adamm"', r"recipe\.toml, line 2: there is no optimizer named 'adamm'"),
        ('base = "shortest"', r"recipe\.toml, line 1: there is no recipe named 'shortest': did you mean short"),
        ('schedule = "cosine"\nmilestones = [3]', r"recipe\.toml, line 2: milestones are those of the schedule steps"),
        ("\nnesterov = true\nmomentum = 0", r"recipe\.toml, line 2: nesterov looks ahead by the momentum"),
        ("epochs = ", r"recipe\.toml, at its end: this is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(write: Write, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_recipe(write(text), SUGGESTION)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("adamv", "there is no recipe named 'adamv': did you mean adamw"),
        ("missing.toml", r"missing\.toml cannot be read"),
        (3, "a recipe is a name, the path of a .toml file or a prunecheck.Recipe, not 3"),
    ],
)
def test_a_recipe_that_is_not_there_is_refused(given: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_recipe(given, SUGGESTION)


def test_study_files_name_recipes_and_begin_with_others(tmp_path: Path, write: Write) -> None:
    own = write("epochs = 5")
    study = tmp_path / "study.toml"
    study.write_text(
        f'methods = ["snip"]\ndatasets = ["digits"]\nrecipes = ["short", "mine", "{own}"]\n'
        '[recipe.mine]\nbase = "adamw"\nepochs = 32\nweight_average = 0.9\n'
    )
    recipes = [question.recipe for question in read_study(study, None).questions]
    assert recipes[0] == RECIPES.get("short")
    assert recipes[1] == replace(RECIPES.get("adamw").of_epochs(32), weight_average=0.9)
    assert recipes[2].epochs == 5
    study.write_text('methods = ["snip"]\ndatasets = ["digits"]\nrecipes = ["shirt"]\n')
    with pytest.raises(InputError, match=r"line 3: recipes: there is no recipe named 'shirt': did you mean short"):
        read_study(study, None)


def test_recipes_are_told_apart_in_words_and_in_folders() -> None:
    short = RECIPES.get("short").of_epochs(4)
    own = Recipe(epochs=4, optimizer="adam", schedule="constant", label_smoothing=0.1)
    assert [recipe_name(one) for one in (Recipe(), short)] == ["published", "short"]
    assert recipe_name(replace(Recipe(), learning_rate=0.2)) == "sgd, learning rate 0.2"
    assert recipe_name(own) == "adam, constant, label smoothing 0.1, learning rate 0.1"
    assert recipe_in_words(Recipe(epochs=1)) == "1 epoch"
    assert recipe_in_words(Recipe().of_epochs(2)) == "2 epochs (learning rate falls once)"
    assert recipe_in_words(Recipe().of_epochs(1)) == "1 epoch (constant learning rate)"
    assert recipe_in_words(short) == "4 epochs of short"
    assert str(Setting("digits", "resnet8", recipe=own)).endswith("4 epochs (adam, constant, label smoothing 0.1)")
    folders = [RunSpec(Setting("digits", "resnet8", recipe=one)).folder_name for one in (Recipe(), short, own)]
    assert [re.sub("-[0-9a-f]{12}$", "", name) for name in folders] == [
        "digits-resnet8-dense-seed0",
        "digits-resnet8-short-dense-seed0",
        "digits-resnet8-adam-dense-seed0",
    ]


@pytest.mark.parametrize("epochs", range(1, 9))
def test_scaled_to_few_epochs_the_rate_falls_at_distinct_epochs(write: Write, epochs: int) -> None:
    for found in (
        find_recipe(None, SUGGESTION, {"epochs": epochs}),
        find_recipe("published", SUGGESTION, {"epochs": epochs}),
        find_recipe(write(f"epochs = {epochs}"), SUGGESTION),
        find_recipe(write(f'base = "published"\nepochs = {epochs}'), SUGGESTION),
        find_recipe(Recipe(milestones=(80, 120)), SUGGESTION, {"epochs": epochs}),
    ):
        assert len(set(found.milestones)) == len(found.milestones) == min(epochs - 1, 2)
