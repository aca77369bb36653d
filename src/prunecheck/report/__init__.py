"""How answers are shown: terminal, HTML, Markdown, LaTeX, JSON."""

from prunecheck.report.reading import reading
from prunecheck.report.terminal import answer_json, answer_table

__all__ = ["answer_json", "answer_table", "reading"]
