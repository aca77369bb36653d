"""Where the words of a cell are broken: long ones, such as names of methods with their options, behind their signs."""

import re
from collections.abc import Iterator

AFTER_SIGN = re.compile(r"(?<=[?:/=&+])(?=[^\s?:/=&+])")


def longest_word(text: str) -> int:
    """Return the columns of the longest word in a text of several lines, with the spaces that its line begins with."""
    return max((len(_indent(line)) + len(word) for line in text.split("\n") for word in line.split()), default=0)


def longest_part(text: str) -> int:
    """Return likewise the columns of the longest part of a word, that is broken only where there is no room for it."""
    return longest_word(AFTER_SIGN.sub(" ", text))


def broken_line(line: str, width: int) -> list[str]:
    """Return a line in lines of a width: broken between words, words that are too long behind signs, else anywhere.

    All of them begin with the spaces with which it begins.
    """
    if len(line) <= width:
        return [line]
    indent = _indent(line)
    room = max(width - len(indent), 1)
    lines = [""]
    for between, part in _parts(line, room):
        added = f"{between}{part}" if lines[-1] else part
        if len(lines[-1] + added) <= room:
            lines[-1] += added
        else:
            lines.append(part)
    return [indent + one for one in lines]


def _parts(line: str, room: int) -> Iterator[tuple[str, str]]:
    """Yield what stays whole of a line, each with what is between it and the one before."""
    for word in line.split():
        between = " "
        for part in [word] if len(word) <= room else AFTER_SIGN.split(word):
            for start in range(0, len(part), room):
                yield between, part[start : start + room]
                between = ""


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
