"""What a run is: one training of one network, fully described by a frozen, hashable spec."""

import functools
import hashlib
import json
import operator
import re
from dataclasses import dataclass, fields
from typing import Any

from prunecheck.pruning.methods import DENSE
from prunecheck.training.recipe import Recipe

FORMAT = 3
"""Raised when the meaning of a field changes, so that old folders are not taken for new runs."""

HASH_LENGTH = 12


@dataclass(frozen=True)
class RunSpec:
    """One run.

    Attributes:
        dataset_hash: SHA-256 of the images, where the set's name does not determine them.
        train_images: how many training images are used, the first of every class; None for all.
        test_images: how many test images measure accuracy, the first of every class; None for all.
        width: channels of the network's first stage; None where it offers no choice.
        method: a method's name, or ``dense``.
        method_hash: SHA-256 of the method's code from outside of prunecheck, and of what it reads; None for a
            built-in one.
        sparsity: share of weights removed; 0 for ``dense``.
        check: the check's name; None for the unchanged ticket.
        trained_on: the checks that corrupt the training data, for a training whose weights a
            method uses; None for the true data.
        samples_per_class: how many training images of each class the criterion sees at a time; 0 if
            it sees no samples.
        scoring_rounds: how many times it sees so many; 0 if it sees no samples.
        seed: of every random draw of the run, each through a generator of its own.
        model_hash: SHA-256 of the network's code from outside of prunecheck, and of what it reads; None for a
            built-in one.
        check_hash: likewise, of the checks.
    """

    dataset: str
    dataset_hash: str | None
    train_images: int | None
    test_images: int | None
    model: str
    width: int | None
    method: str
    method_hash: str | None
    sparsity: float
    check: str | None
    trained_on: str | None
    samples_per_class: int
    scoring_rounds: int
    seed: int
    recipe: Recipe
    model_hash: str | None = None
    check_hash: str | None = None

    def canonical(self) -> str:
        """Return the spec as JSON that is the same for equal specs, with sorted keys."""
        return self._canonical

    @functools.cached_property
    def _canonical(self) -> str:
        values = {"format": FORMAT, **_as_declared(self), "recipe": _recipe_as_declared(self.recipe)}
        return ENCODER.encode(values)

    @functools.cached_property
    def hash(self) -> str:
        """The first 12 hexadecimal digits of the SHA-256 of the canonical spec."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:HASH_LENGTH]

    @functools.cached_property
    def folder_name(self) -> str:
        """A readable name and the hash."""
        parts = [self.dataset]
        if self.train_images is not None:
            parts.append(f"{self.train_images}images")
        parts.append(self.model)
        if self.width is not None:
            parts.append(f"width{self.width}")
        parts.append(self.method)
        if self.method != DENSE:
            parts.append(f"{self.sparsity:g}")
        if self.check:
            parts.append(self.check)
        if self.trained_on:
            parts.append(f"trained-on-{self.trained_on}")
        parts += [f"seed{self.seed}", self.hash]
        return re.sub(r"[^\w.+@-]+", "_", "-".join(parts))

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash(VALUES_OF_SPEC(self))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was computed: Python's hashes are another process's own."""
        return {name: getattr(self, name) for name in FLOATS[RunSpec]}

    @staticmethod
    def from_json(text: str) -> "RunSpec":
        """Read a canonical spec.

        Raises:
            ValueError: the text is not a spec of this format.
        """
        values: Any = json.loads(text)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise ValueError(f"not a spec of format {FORMAT}")
        recipe = values.pop("recipe", None)
        if not isinstance(recipe, dict) or set(values) != {field.name for field in fields(RunSpec)} - {"recipe"}:
            raise ValueError("not the fields of a spec")
        try:
            recipe["milestones"] = tuple(recipe["milestones"])
            return RunSpec(**values, recipe=Recipe(**recipe))
        except (KeyError, TypeError) as error:
            raise ValueError("not the fields of a recipe") from error


VALUES_OF_SPEC = operator.attrgetter(*(field.name for field in fields(RunSpec)))

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

FLOATS = {kind: {field.name: field.type is float for field in fields(kind)} for kind in (RunSpec, Recipe)}
"""The fields of specs, and whether they are declared as floats; thousands of specs are hashed at a time."""


def _as_declared(values: RunSpec | Recipe) -> dict[str, Any]:
    """Return the fields, numbers as floats where they are declared so: 0 and 0.0 are equal and one run."""
    declared = {}
    for name, is_float in FLOATS[type(values)].items():
        value = getattr(values, name)
        declared[name] = float(value) if is_float else value
    return declared


_recipe_as_declared = functools.lru_cache(maxsize=64)(_as_declared)
