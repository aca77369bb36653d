"""The sanity checks: one controlled change of one ingredient of a ticket."""

from prunecheck.checks import data, ticket
from prunecheck.checks.registry import CHECKS, Check, register_check
from prunecheck.checks.ticket import rearrange_mask, reinit, shuffle_weights

__all__ = [
    "CHECKS",
    "Check",
    "data",
    "rearrange_mask",
    "register_check",
    "reinit",
    "shuffle_weights",
    "ticket",
]
