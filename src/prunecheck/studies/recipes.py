"""The recipe that a user names: one by its name, one in a TOML file, or what the data set suggests."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prunecheck.constraints import Constraint, Name
from prunecheck.data.datasets import Suggestion
from prunecheck.errors import InputError
from prunecheck.registry import unknown_name
from prunecheck.studies.study_keys import Keys, StudyText
from prunecheck.training.named_recipes import RECIPES, recipe_of
from prunecheck.training.recipe import RECIPE, Recipe, step_schedule

SUGGESTED = "suggested"
"""What the data set suggests."""

BASE = "base"
"""In a table: the name of the recipe that has the fields that are left out; else it is the data set's suggestion."""

TABLE: dict[str, Constraint[Any]] = {BASE: Name(), **RECIPE}
"""The keys of a recipe's table, in a file of its own and in study files."""

ENDING = ".toml"


def find_recipe(given: object, suggestion: Suggestion, fields: Mapping[str, Any] = MappingProxyType({})) -> Recipe:
    """Return the recipe that is meant.

    Args:
        given: a :class:`Recipe`, a name, a path that ends in ``.toml``, or None for what is suggested.
        suggestion: of the data set.
        fields: what is to be otherwise; to other epochs the schedule is stretched.

    Raises:
        InputError: there is none of that name, or what the file says, or a field, is wrong.
    """
    if given in (None, SUGGESTED):
        base = suggested_recipe(replace(suggestion, epochs=fields.get("epochs", suggestion.epochs)))
    else:
        base = given if isinstance(given, Recipe) else _named(given, suggestion)
    if fields and not base.milestones and base.schedule == fields.get("schedule", "steps") == "steps":
        fields = {"milestones": (), **fields}  # a rate that stays is no schedule that is missing
    return recipe_of(fields, base) if fields else base


def _named(given: object, suggestion: Suggestion) -> Recipe:
    if not isinstance(given, str | Path) or not str(given).strip():
        raise InputError(
            f"a recipe is a name, the path of a {ENDING} file or a prunecheck.Recipe, not {given!r}.", field="recipe"
        )
    name = str(given)
    if name.endswith(ENDING):
        text = StudyText.read(Path(name))
        return recipe_of_table(Keys.read(text, (), text.content, TABLE), suggestion)
    if name not in (known := RECIPES.names()):
        raise unknown_name("recipe", name, [*known, SUGGESTED], field="recipe")
    return RECIPES.get(name)


def recipe_of_table(table: Keys, suggestion: Suggestion) -> Recipe:
    """Return the recipe that a table describes, for a data set that suggests one; an error names its line."""
    values = dict(table.values)
    base = values.pop(BASE, SUGGESTED)
    try:
        if base == SUGGESTED:
            epochs = values.get("epochs", suggestion.epochs)
            return recipe_of(values, suggested_recipe(replace(suggestion, epochs=epochs)))
        if base not in (known := RECIPES.names()):
            raise unknown_name("recipe", base, [*known, SUGGESTED], field=BASE)
        return recipe_of(values, RECIPES.get(base))
    except InputError as error:
        raise table.text.error((*table.path, error.field or ""), error) from error


def suggested_recipe(suggestion: Suggestion) -> Recipe:
    """Return the recipe that a data set suggests, with the published schedule for its epochs unless it names one."""
    if suggestion.recipe is not None:
        own = {name: getattr(suggestion, name) for name in ("epochs", "batch_size", "learning_rate")}
        return recipe_of(own, RECIPES.get(suggestion.recipe))
    return Recipe(
        epochs=suggestion.epochs,
        batch_size=suggestion.batch_size,
        learning_rate=suggestion.learning_rate,
        milestones=step_schedule(suggestion.epochs),
    )
