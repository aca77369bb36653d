"""Sparsities as tables and sentences show them."""

from collections.abc import Iterable

DIGITS = 4
"""Significant digits: masks have sparsities such as 0.900003."""

MOST_DIGITS = 17
"""So many tell any two numbers apart."""

NEAR = 0.01
"""Share of the density by which what is shown may differ: 0.99995 is not shown as 1."""


def sparsity_text(sparsity: float, among: Iterable[float] = ()) -> str:
    """Return a sparsity with four significant digits, or as many as tell it from others.

    Args:
        sparsity: in [0, 1).
        among: those that stand beside it, with or without itself.
    """
    others = [other for other in among if other != sparsity]
    for digits in range(DIGITS, MOST_DIGITS):
        text = f"{sparsity:.{digits}g}"
        if abs(float(text) - sparsity) <= NEAR * (1 - sparsity) and all(text != f"{o:.{digits}g}" for o in others):
            return text
    return f"{sparsity:.{MOST_DIGITS}g}"
