"""Names for the files of a report's figures."""

import re
from collections.abc import Collection, Sequence

from prunecheck.report.contents import ReportContents
from prunecheck.report.sections import report_sections

LONGEST = 100
"""Letters of a name, unless its parts are many."""

CUT = "--"
"""Stands in a name for what was left out of its middle."""

AT_SPARSITY = re.compile(r"sparsity-[\d.]+$")
"""The end of what stays whole in a name."""


def named_figures(contents: ReportContents) -> dict[str, str]:
    """Return every figure of a report by a name for its file: of its section, its group and its caption.

    Of a long name the middle of its longest parts is left out, which are methods or settings, so that section,
    quantity and sparsity stay whole.
    """
    figures: dict[str, str] = {}
    parts_of: dict[str, int] = {}
    for section in report_sections(contents):
        groups = [group for group in section.groups if group.figures]
        several = sum(len(group.figures) for group in groups) > 1
        for group in groups:
            for figure in group.figures:
                told = [*group.title.split(", "), *figure.caption.split(": ")] if several else []
                words = [_as_in_files(word) for word in (section.identity, *told) if word]
                whole = "-".join(words)
                parts_of[whole] = parts_of.get(whole, 0) + 1
                end = [f"part{parts_of[whole]}"] if parts_of[whole] > 1 else []
                figures[_another(_shortened([*words, *end], section.identity), figures)] = figure.svg
    return figures


def _as_in_files(text: str) -> str:
    return re.sub(r"[^\w.@+]+", "-", text.lower()).strip("-")


def _shortened(words: Sequence[str], section: str) -> str:
    """Return words as one name, the longest of them shortened as far as it takes, but no section and no sparsity."""
    for most in range(max(map(len, words)), len(CUT) + 1, -1):
        name = "-".join(
            word if word == section or AT_SPARSITY.search(word) else _without_middle(word, most) for word in words
        )
        if len(name) <= LONGEST:
            break
    return name


def _without_middle(word: str, most: int) -> str:
    """Return a word in so many letters, its beginning and its end."""
    if len(word) <= most:
        return word
    end = (most - len(CUT)) // 2
    return f"{word[: most - len(CUT) - end]}{CUT}{word[-end:]}"


def _another(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: of methods that differ in what was left out, the second has a number."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
