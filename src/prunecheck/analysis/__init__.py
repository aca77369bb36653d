"""Statistics, verdicts, and how they are shown."""

from prunecheck.analysis.comparison import CheckAnswer, Comparison, Summary, analyse
from prunecheck.analysis.reading import reading
from prunecheck.analysis.statistics import PairedDifference, holm, paired_difference, seeds_to_decide
from prunecheck.analysis.tables import answer_json, answer_table

__all__ = [
    "CheckAnswer",
    "Comparison",
    "PairedDifference",
    "Summary",
    "analyse",
    "answer_json",
    "answer_table",
    "holm",
    "paired_difference",
    "reading",
    "seeds_to_decide",
]
