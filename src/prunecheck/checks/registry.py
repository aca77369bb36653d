"""The register of checks, and how checks are joined to one change."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from prunecheck.data.datasets import Dataset, Images
from prunecheck.data.token_data import TokenDataset
from prunecheck.errors import InputError
from prunecheck.pruning.layers import Scores
from prunecheck.pruning.methods import Method
from prunecheck.pruning.tickets import Ticket
from prunecheck.randomness import generator
from prunecheck.registry import Registry, first_line

Shown = Literal["images", "tokens", "either"]

Ingredient = Literal["selection", "data", "scores", "ticket", "topology"]

DATA: tuple[Ingredient, ...] = ("selection", "data")

JOINT = "+"
SHARE = "@"
OF_DATASET = ":<dataset>"
"""Ends the registered name of a kind of check that brings another data set, which is named after the colon."""


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: with the share that it is given, such as ``random-labels@0.25``, unless it is the
            usual one.
        changes: ``selection``: which training images the method sees, and ``data``: what these
            show, by a function ``(images, num_classes, generator) -> Images``; ``scores``: what
            the criterion returned, by ``(scores, generator) -> scores``; ``ticket``: the ticket,
            by ``(ticket, generator) -> Ticket``; ``topology``: how its mask moves in training, likewise.
        information: what is taken away, in words that complete "the method depends on ...".
        function: what changes it; one that takes ``share`` changes part of it.
        absorbs: the names of checks that change nothing more beside it, before or after it: what they change, it
            draws anew.
        shows: what the data are that it can change.
        dataset: the name of the data set that it brings; None for one that brings none.
        unfit: given a method, says why the check says nothing about it, in a clause in which ``{method}`` stands for
            the method's name; None where it does, and for a check that fits every method.
    """

    name: str
    changes: Ingredient
    information: str
    function: Callable[..., Any]
    absorbs: tuple[str, ...] = ()
    unfit: Callable[[Method], str | None] | None = None
    shows: Shown = "either"
    dataset: str | None = None

    @property
    def base(self) -> str:
        """The name without a share: shares of one check draw the same numbers."""
        return self.name.partition(SHARE)[0]

    @property
    def registered(self) -> str:
        """The name that it is registered under."""
        return self.base if self.dataset is None else f"{self.base.partition(':')[0]}{OF_DATASET}"

    def of_dataset(self, name: str) -> "Check":
        """Return the check with the data set that it brings, as its name says it."""
        return replace(
            self,
            name=f"{self.name.removesuffix(OF_DATASET)}:{name}",
            function=functools.partial(self.function, dataset=name),
            dataset=name,
        )

    @property
    def usual_share(self) -> float | None:
        """How much is changed unless the name says otherwise; None if there is no choice."""
        parameter = inspect.signature(self.function).parameters.get("share")
        return None if parameter is None else float(parameter.default)

    def with_share(self, text: str) -> "Check":
        """Return the check at a share of its effect.

        Raises:
            InputError: ``text`` is no number in [0, 1], or the check has no shares.
        """
        if self.usual_share is None:
            raise InputError(f"the check {self.name} is done whole or not at all: leave {SHARE}{text} out.")
        try:
            share = float(text) + 0.0  # no -0
        except ValueError:
            share = -1
        if not 0 <= share <= 1:
            raise InputError(f"{self.name}{SHARE}{text} names no share: write a number from 0 to 1 after {SHARE}.")
        if share == self.usual_share:
            return self
        written = repr(share).removesuffix(".0")  # every digit, for the name says which run it is
        return replace(
            self,
            name=f"{self.name}{SHARE}{written}",
            information=f"{self.information} (a share of {written})",
            function=functools.partial(self.function, share=share),
        )


@dataclass(frozen=True)
class Change:
    """One or more checks that are done to the same ticket, in their order.

    Every check draws from a generator of its own, derived from the run's seed and the check's name.
    """

    parts: tuple[Check, ...] = field(default=())

    @property
    def name(self) -> str:
        """The names of the checks, with ``+`` between them."""
        return JOINT.join(part.name for part in self.parts)

    @property
    def information(self) -> str:
        """What is taken away, in words that complete "the method depends on ..."."""
        return " together with ".join(part.information for part in self.parts)

    @property
    def of_data(self) -> "Change":
        """What of it changes the data that the method sees."""
        return Change(tuple(part for part in self.parts if part.changes in DATA))

    @property
    def of_scores(self) -> "Change":
        """What of it changes the scores that the mask is made of."""
        return Change(tuple(part for part in self.parts if part.changes == "scores"))

    @property
    def but_data(self) -> "Change":
        """What of it changes anything else."""
        return Change(tuple(part for part in self.parts if part.changes not in DATA))

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the data sets that it brings."""
        return tuple(part.dataset for part in self.parts if part.dataset is not None)

    def require_data(self, dataset: Dataset) -> None:
        """Raise :class:`InputError` if one of the checks cannot change data of this kind."""
        shown = "tokens" if isinstance(dataset, TokenDataset) else "images"
        for part in self.parts:
            if part.changes in DATA and part.shows not in (shown, "either"):
                others = ", ".join(entry.name for entry in CHECKS if entry.item.shows == shown)
                raise InputError(
                    f"the check {part.name} changes {part.shows}, and {dataset.name} holds {shown}: choose another, "
                    f"such as one of {others}."
                )

    def misfit(self, method: Method) -> tuple[str, str] | None:
        """Return the first of the checks that says nothing about a method, and why, in a clause; None if all do."""
        for part in self.parts:
            if part.unfit and (reason := part.unfit(method)):
                return part.name, reason.format(method=method.name)
        return None

    def require_fit(self, method: Method) -> None:
        """Raise :class:`InputError` if one of the checks says nothing about a method."""
        if found := self.misfit(method):
            name, reason = found
            raise InputError(f"the check {name} says nothing about {method.name}: {reason}. Leave it out.")

    def select(self, images: Images, num_classes: int, seed: int) -> Images:
        """Return the training images that the method may see."""
        selected: Images = self._apply(("selection",), images, seed, num_classes)
        return selected

    def corrupt(self, images: Images, num_classes: int, seed: int) -> Images:
        """Return what these images show to the method."""
        corrupted: Images = self._apply(("data",), images, seed, num_classes)
        return corrupted

    def change_scores(self, scores: Scores, seed: int) -> Scores:
        """Return the scores that the mask is made of."""
        changed: Scores = self._apply(("scores",), scores, seed)
        return changed

    def change_ticket(self, ticket: Ticket, seed: int) -> Ticket:
        """Return the ticket that is trained."""
        changed: Ticket = self._apply(("ticket", "topology"), ticket, seed)
        return changed

    def _apply(self, ingredients: tuple[Ingredient, ...], thing: Any, seed: int, *context: int) -> Any:
        for part in self.parts:
            if part.changes in ingredients:
                thing = part.function(thing, *context, generator(seed, "check", part.base))
        return thing


CHECKS: Registry[Check] = Registry("check", "prunecheck.checks")

USUAL_CHECKS = ("corrupted-data", "rearrange-mask")
"""What is asked about a method where no check is named, as far as it says something about it."""

ChangingFunction = TypeVar("ChangingFunction", bound=Callable[..., Images | Scores | Ticket])


def register_check(
    name: str,
    changes: Ingredient,
    information: str,
    absorbs: tuple[str, ...] = (),
    unfit: Callable[[Method], str | None] | None = None,
    shows: Shown = "images",
) -> Callable[[ChangingFunction], ChangingFunction]:
    """Register a function as a check; see :class:`Check`."""

    def decorate(function: ChangingFunction) -> ChangingFunction:
        check = Check(name, changes, information, function, absorbs, unfit, shows)
        CHECKS.add(name, check, first_line(function))
        return function

    return decorate


def find_check(text: str | None) -> Change:
    """Return the change that a name stands for.

    Args:
        text: checks with ``+`` between them, each with its share after ``@`` or not, such as
            ``random-labels@0.25+rearrange-mask``; None or nothing for no change at all.

    Raises:
        InputError: an unknown check, a share that it does not have, a check named twice.
    """
    parts: list[Check] = []
    for name in text.split(JOINT) if text else []:
        kind, colon, dataset = name.partition(":")
        if colon and kind + OF_DATASET in CHECKS.names():
            check, base, at, share = CHECKS.get(kind + OF_DATASET).of_dataset(dataset), name, "", ""
        else:
            base, at, share = name.partition(SHARE)
            check = CHECKS.get(base)
        if base in [part.base for part in parts]:
            raise InputError(f"{text} names the check {base} twice: name it once.")
        parts.append(check.with_share(share) if at else check)
    return Change(tuple(parts))


def usual_checks(method: Method, names: Sequence[str] = USUAL_CHECKS) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the usual checks of a method, and a sentence for each that says nothing about it.

    Args:
        method: the method.
        names: what is usually asked about methods and data of its kind.
    """
    checks, left_out = [], []
    for name in names:
        if reason := find_check(name).misfit(method):
            left_out.append(f"{name} is left out of the usual checks of {method.name}: {reason[1]}.")
        else:
            checks.append(name)
    return tuple(checks), tuple(left_out)


def find_asked_check(text: str | None) -> Change:
    """Return the change that a name stands for, as :func:`find_check` does, if it is worth asking about.

    Raises:
        InputError: what that raises; or one of the checks changes nothing more beside another: together they are one
            of them, and a second name for the same would count twice.
    """
    change = find_check(text)
    for part in change.parts:
        for other in change.parts:
            if other.base in part.absorbs and part.name == part.base:
                raise InputError(
                    f"{text} is {part.name} by another name: beside {part.name}, {other.base} changes nothing more; "
                    f"ask for {part.name}."
                )
    return change
