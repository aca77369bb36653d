"""Recorded text as lines that can be printed: names come from files, and may hold anything."""

import unicodedata

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode that a terminal obeys, or that turn or hide what stands beside them."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Return a text in which control and other unseen characters stand as escapes, such as ``\x1b``.

    Args:
        text: any.
        keep: characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        repr(sign)[1:-1] if sign not in keep and unicodedata.category(sign) in UNSEEN else sign for sign in text
    )


def for_terminal(text: str) -> str:
    """Return lines of text that no terminal takes for commands."""
    return printable(text, keep="\n")
