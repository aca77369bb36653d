"""Recipes by name, and what to call a recipe."""

from collections.abc import Mapping
from typing import Any

from prunecheck.errors import InputError, field_name
from prunecheck.registry import Registry
from prunecheck.training.recipe import ADAMW, DEFAULTS, ONLY_WITH, WEIGHTS, Recipe, step_schedule

RECIPES: Registry[Recipe] = Registry("recipe", "prunecheck.recipes")

PUBLISHED, SHORT = "published", "short"

FEW_MILESTONES = {0: " (constant learning rate)", 1: " (learning rate falls once)"}
"""What stands behind the epochs of a step schedule with fewer than the two milestones that it usually has."""

RECIPES.add(PUBLISHED, Recipe(), "SGD with momentum, 160 epochs, a tenth of the rate at 1/2 and 3/4 (arXiv:2009.11094)")
RECIPES.add(
    SHORT,
    Recipe(
        epochs=16,
        batch_size=64,
        learning_rate=0.1,
        nesterov=True,
        weight_decay=5e-4,
        schedule="one-cycle",
    ),
    "16 epochs: SGD with Nesterov's momentum, one cycle, as tuned on a part of CIFAR-10",
)
RECIPES.add(
    ADAMW,
    Recipe(
        epochs=160,
        batch_size=64,
        learning_rate=2e-3,
        optimizer=ADAMW,
        weight_decay=0.05,
        decayed=WEIGHTS,
        schedule="cosine",
        warmup_epochs=5.0,
    ),
    "AdamW, 160 epochs: warm-up, half a cosine, weight decay on weights only",
)


def recipe_of(values: Mapping[str, Any], base: Recipe | None = None) -> Recipe:
    """Return a recipe of what is said of it.

    Args:
        values: by field.
        base: has the fields that are left out, its schedule stretched to the epochs; None for the published ones. What
            it says of another optimizer or schedule than this one's is left out.

    Raises:
        InputError: a value is not what its field takes, or says nothing beside another.
    """
    values = dict(values)
    if values.get("schedule", base.schedule if base else "steps") != "steps" and "milestones" in values:
        raise InputError(
            f"{field_name('milestones')} are those of the schedule steps: leave them out, or choose that schedule.",
            field="milestones",
        )
    if base is None:
        epochs = values.get("epochs", DEFAULTS["epochs"])
        milestones = values.get("milestones", step_schedule(epochs))
        return Recipe(**values | {"milestones": tuple(sorted(milestones))})
    if "epochs" in values:
        base = base.of_epochs(values["epochs"])
    said = {name: values.get(name, getattr(base, name)) for name in DEFAULTS}
    for name, (other, allowed) in ONLY_WITH.items():
        if name not in values and said[other] not in allowed:
            said[name] = DEFAULTS[name]
    if said["schedule"] == "steps" and not said["milestones"] and "milestones" not in values:
        said["milestones"] = step_schedule(said["epochs"])
    return Recipe(**said | {"milestones": tuple(sorted(said["milestones"]))})


def recipe_name(recipe: Recipe) -> str:
    """Return what tells a recipe from others in a few words: its name, for its number of epochs, if it has one."""
    for entry in RECIPES:
        if entry.item.of_epochs(recipe.epochs) == recipe:
            return entry.name
    words = [] if recipe.optimizer != "sgd" or recipe.nesterov else ["sgd"]
    words += [str(recipe)] if str(recipe) else []
    return ", ".join([*words, f"learning rate {recipe.learning_rate:g}"])


def recipe_in_words(recipe: Recipe) -> str:
    """Return the epochs of a recipe, and what it is where it is not SGD with a step schedule: "20 epochs of adamw".

    Said, too, where the rate falls less than twice, as in epochs so few that a scaled milestone no longer fits.
    """
    epochs = f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
    if not str(recipe):
        return epochs + FEW_MILESTONES.get(len(recipe.milestones), "")
    name = recipe_name(recipe)
    return f"{epochs} of {name}" if name in RECIPES.names() else f"{epochs} ({recipe})"
