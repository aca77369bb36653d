"""The register of checks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from prunecheck.registry import Registry, first_line

Ingredient = Literal["data", "ticket"]


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        changes: ``data``: the images and labels that the criterion sees, by a function
            ``(images, num_classes, generator) -> Images``; ``ticket``: the ticket, by a function
            ``(ticket, generator) -> Ticket``.
        information: what is taken away, in words that complete "the method depends on ...".
    """

    name: str
    changes: Ingredient
    information: str
    function: Callable[..., Any]


CHECKS: Registry[Check] = Registry("check", "prunecheck.checks")


def register_check(
    name: str, changes: Ingredient, information: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a check; see :class:`Check`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        CHECKS.add(name, Check(name, changes, information, function), first_line(function))
        return function

    return decorate
