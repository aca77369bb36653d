"""Patterns: which weights may be kept together, and masks that have them."""

from prunecheck.pruning.patterns.registry import (
    PATTERN_FAMILIES,
    Pattern,
    find_pattern,
    split_pattern,
    structure_of_description,
)
from prunecheck.pruning.patterns.structure import PLAIN, UNSTRUCTURED, Structure

__all__ = [
    "PATTERN_FAMILIES",
    "PLAIN",
    "UNSTRUCTURED",
    "Pattern",
    "Structure",
    "find_pattern",
    "split_pattern",
    "structure_of_description",
]
