"""Which of a network's Conv2d and Linear layers may be pruned: all of them, unless it is chosen otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from prunecheck.constraints import ListOf, Name, OrNone
from prunecheck.errors import InputError, field_name
from prunecheck.registry import nearest_names

FIRST, LAST = "first", "last"
"""Stand for the first and the last Conv2d or Linear layer in the order of the network's modules."""

PATTERNS = OrNone(ListOf(Name(), "names or patterns of layers", '["first", "layer3.*"]'))
"""What a choice of layers takes."""

CHOICE = "prunecheck_prunable_layers"
"""The attribute of a network that holds what was chosen; a copy of the network has it, too."""

MOST_NAMED = 4
"""So many layers are named in the place of one that there is not."""


@dataclass(frozen=True)
class PrunableLayers:
    """A choice among the Conv2d and Linear layers of a network.

    Each name is that of a layer or of a module around layers, in which ``*``, ``?`` and ``[...]`` stand for other
    characters as in file names; or ``first`` or ``last``. Of layers that share a weight any may be named.

    Attributes:
        prunable: which layers may be pruned; empty for all.
        keep_dense: which of these are kept whole all the same.
    """

    prunable: tuple[str, ...] = ()
    keep_dense: tuple[str, ...] = ()

    @staticmethod
    def of(prunable: Sequence[str] | None, keep_dense: Sequence[str] | None) -> "PrunableLayers":
        """Return a choice of which there is one form: sorted, without repetitions, and without what says nothing."""
        only = () if prunable is None or "*" in prunable else tuple(sorted(set(prunable)))
        return PrunableLayers(only, tuple(sorted(set(keep_dense or ()))))

    def require_among(self, weights: Mapping[str, int]) -> set[int]:
        """Return which of a network's weights may be pruned.

        Args:
            weights: per Conv2d and Linear layer, in the order of the modules, the number of its weight, which layers
                that share one have in common.

        Raises:
            InputError: a name is that of no layer, or no weight is left.
        """
        chosen = self._matched("prunable", self.prunable, weights) if self.prunable else set(weights.values())
        chosen -= self._matched("keep_dense", self.keep_dense, weights)
        if weights and not chosen:
            raise InputError(
                f"{field_name('keep_dense')} leaves no layer to prune: keep fewer layers dense.", field="keep_dense"
            )
        return chosen

    def _matched(self, field: str, patterns: Sequence[str], weights: Mapping[str, int]) -> set[int]:
        names = list(weights)
        found: set[int] = set()
        for pattern in patterns:
            matched = {number for name, number in weights.items() if _matches(pattern, name, names)}
            if names and not matched:
                raise _no_such_layer(field, pattern, names)
            found |= matched
        return found

    def __str__(self) -> str:
        """Return the choice in words, such as "only layer3.* prunable, first and last kept dense"; empty for all."""
        only = [f"only {_listed(self.prunable)} prunable"] * bool(self.prunable)
        return ", ".join([*only, *[f"{_listed(self.keep_dense)} kept dense"] * bool(self.keep_dense)])


EVERY_LAYER = PrunableLayers()
"""What is pruned unless it is chosen otherwise."""


def chosen_layers(model: nn.Module) -> PrunableLayers:
    """Return what was chosen for a network."""
    chosen = getattr(model, CHOICE, EVERY_LAYER)
    return chosen if isinstance(chosen, PrunableLayers) else EVERY_LAYER


def _matches(pattern: str, name: str, names: Sequence[str]) -> bool:
    if pattern in (FIRST, LAST):
        return name == names[0 if pattern == FIRST else -1]
    return any(fnmatchcase(module, pattern) for module in _modules_around(name))


def _modules_around(name: str) -> Iterator[str]:
    """Yield the name of a layer and those of the modules that it is in."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length])


def _no_such_layer(field: str, pattern: str, names: Sequence[str]) -> InputError:
    modules = dict.fromkeys(module for name in names for module in _modules_around(name))
    nearest = nearest_names(pattern, modules)
    if nearest:
        hint = f"did you mean {' or '.join(nearest)}?"
    else:
        shown = ", ".join(names[:MOST_NAMED])
        hint = f"its layers are {shown}{', ...' if len(names) > MOST_NAMED else ''}."
    return InputError(
        f"{field_name(field)} names {pattern!r}, and no Conv2d or Linear layer of this network is called so: {hint}",
        field=field,
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
