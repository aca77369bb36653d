"""Recorded text, made safe for where it is shown: names come from files, and may hold anything."""

from html import escape

from prunecheck.printable import printable

LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "…": r"\ldots{}",
}

MARKDOWN_SIGNS = {sign: f"\\{sign}" for sign in "\\`*_[]<>|#~"}


def in_html(text: str) -> str:
    """Return text as HTML and SVG show it, in attributes too."""
    return escape(printable(text, keep="\n"))


def in_markdown(text: str) -> str:
    """Return text as one line of Markdown, none of it markup."""
    return "".join(MARKDOWN_SIGNS.get(sign, sign) for sign in _one_line(text))


def in_latex(text: str) -> str:
    """Return text as one line of LaTeX, none of it a command."""
    escaped = "".join(LATEX_SIGNS.get(sign, sign) for sign in _one_line(text))
    # A line that begins with [ would be taken for an argument of the line break before it.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
