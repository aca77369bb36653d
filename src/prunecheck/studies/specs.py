"""What a run is: one training of one network, fully described by a frozen, hashable spec."""

import hashlib
import json
import re
from dataclasses import dataclass, fields
from typing import Any

from prunecheck.training.recipe import Recipe

FORMAT = 1
"""Raised when the meaning of a field changes, so that old folders are not taken for new runs."""

DENSE = "dense"
"""Stands in the place of a method for the network that nothing is pruned of."""

HASH_LENGTH = 12


@dataclass(frozen=True)
class RunSpec:
    """One run.

    Attributes:
        width: channels of the network's first stage; None where it offers no choice.
        method: a method's name, or ``dense``.
        method_hash: SHA-256 of the user's file that defines the method; None for a built-in one.
        sparsity: share of weights removed; 0 for ``dense``.
        check: the check's name; None for the unchanged ticket.
        samples_per_class: how many training images of each class the criterion sees; 0 if none.
        seed: of every random draw of the run, each through a generator of its own.
    """

    dataset: str
    model: str
    width: int | None
    method: str
    method_hash: str | None
    sparsity: float
    check: str | None
    samples_per_class: int
    seed: int
    recipe: Recipe

    def canonical(self) -> str:
        """Return the spec as JSON that is the same for equal specs, with sorted keys."""
        values = {"format": FORMAT, **_as_declared(self), "recipe": _as_declared(self.recipe)}
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """The first 12 hexadecimal digits of the SHA-256 of the canonical spec."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:HASH_LENGTH]

    @property
    def folder_name(self) -> str:
        """A readable name and the hash."""
        parts = [self.dataset, self.model]
        if self.width is not None:
            parts.append(f"width{self.width}")
        parts.append(self.method)
        if self.method != DENSE:
            parts.append(f"{self.sparsity:g}")
        if self.check:
            parts.append(self.check)
        parts += [f"seed{self.seed}", self.hash]
        return re.sub(r"[^\w.+@-]+", "_", "-".join(parts))

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


def _as_declared(values: RunSpec | Recipe) -> dict[str, Any]:
    """Return the fields, numbers as floats where they are declared so: 0 and 0.0 are equal and one run."""
    declared = {}
    for field in fields(values):
        value = getattr(values, field.name)
        declared[field.name] = float(value) if field.type is float else value
    return declared
