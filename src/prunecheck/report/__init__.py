"""How answers are shown: terminal, HTML, Markdown, LaTeX, CSV, JSON."""

from prunecheck.report.answer_json import answer_json
from prunecheck.report.answers import answer_html, answer_latex, answer_markdown, answer_table
from prunecheck.report.reading import headline, reading

__all__ = ["answer_html", "answer_json", "answer_latex", "answer_markdown", "answer_table", "headline", "reading"]
