"""Statistics, verdicts, and how they are shown."""

from prunecheck.analysis.comparison import Comparison, Summary, compare
from prunecheck.analysis.families import Answer, Family, adjust, answer_questions
from prunecheck.analysis.reading import reading
from prunecheck.analysis.statistics import PairedDifference, holm, paired_difference, seeds_to_decide
from prunecheck.analysis.tables import answer_json, answer_table
from prunecheck.analysis.verdicts import Scope, Verdict

__all__ = [
    "Answer",
    "Comparison",
    "Family",
    "PairedDifference",
    "Scope",
    "Summary",
    "Verdict",
    "adjust",
    "answer_json",
    "answer_questions",
    "answer_table",
    "compare",
    "holm",
    "paired_difference",
    "reading",
    "seeds_to_decide",
]
