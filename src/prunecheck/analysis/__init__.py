"""From results to verdicts: paired comparisons, families, verdicts, and how many seeds they need."""

from prunecheck.analysis.adjustment import adjust
from prunecheck.analysis.comparison import Comparison, compare
from prunecheck.analysis.families import Conclusion, Family, answer_questions
from prunecheck.analysis.statistics import PairedDifference, holm, paired_difference, seeds_to_decide
from prunecheck.analysis.summary import Summary
from prunecheck.analysis.verdicts import Verdict
from prunecheck.studies.question import Scope

__all__ = [
    "Conclusion",
    "Comparison",
    "Family",
    "PairedDifference",
    "Scope",
    "Summary",
    "Verdict",
    "adjust",
    "answer_questions",
    "compare",
    "holm",
    "paired_difference",
    "seeds_to_decide",
]
