"""The sanity checks: one controlled change of one ingredient of a ticket."""

from prunecheck.checks import data, scores, ticket, tokens, topology  # noqa: F401 - which registers their checks
from prunecheck.checks.registry import (
    CHECKS,
    Change,
    Check,
    find_asked_check,
    find_check,
    register_check,
    usual_checks,
)
from prunecheck.checks.ticket import rearrange_mask, reinit, shuffle_weights

__all__ = [
    "CHECKS",
    "Change",
    "Check",
    "find_asked_check",
    "find_check",
    "rearrange_mask",
    "register_check",
    "reinit",
    "shuffle_weights",
    "usual_checks",
]
