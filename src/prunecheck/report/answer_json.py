"""A conclusion as JSON."""

from typing import Any

from prunecheck.analysis.comparison import Comparison, Summary
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.statistics import LEVEL
from prunecheck.report.cells import family_text, why_undecided
from prunecheck.report.looks import looks_text
from prunecheck.report.reading import reading

SCHEMA = 1
"""Of the objects; raised when a key changes its meaning."""

DECIMALS = 4
"""To which percentages are rounded in JSON."""


def answer_json(answer: Conclusion) -> dict[str, Any]:
    """Return the object that ``prunecheck check`` prints as JSON.

    Accuracies are in percent; a difference is the method minus the changed tickets, so that a
    positive one means that the change costs something.
    """
    question, setting = answer.question, answer.question.setting
    return {
        "schema": SCHEMA,
        "method": question.method,
        "baseline": question.baseline,
        "dataset": setting.dataset,
        "train_images": setting.train_images,
        "test_images": setting.test_images,
        "augment": setting.augment,
        "normalize": setting.normalize,
        "model": setting.model,
        "width": setting.width,
        "prunable": list(setting.prunable),
        "keep_dense": list(setting.keep_dense),
        "sparsities": list(question.sparsities),
        "checks": list(question.checks),
        "seeds": list(question.seeds),
        "epochs": setting.recipe.epochs,
        "margin": question.margin,
        "family": {
            "scope": answer.family.scope,
            "comparisons": answer.family.size,
            "questions": answer.family.questions,
            "correction": "Holm",
            "level": LEVEL,
            "text": family_text(answer.family),
        },
        "looks": {"seeds": list(answer.looks), "text": looks_text(answer)},
        "chance": rounded(answer.chance),
        "dense": _summary_json(answer.dense),
        "tickets": [{"sparsity": sparsity} | _summary_json(own) for sparsity, own in answer.found.own.items()],
        "verdicts": [_comparison_json(comparison) for comparison in answer.checks],
        "baselines": [_comparison_json(comparison) for comparison in answer.baselines],
        "reading": reading(answer),
    }


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {
        "accuracy": rounded(summary.accuracy),
        "deviation": rounded(summary.std),
        "n": summary.n,
        "accuracies": {str(seed): rounded(accuracy) for seed, accuracy in summary.accuracies.items()},
        "lost": _lost_json(summary),
        "empty_layers": dict(summary.empty_layers),
        "most_by_lot": round(summary.most_by_lot, 6),
    }


def _lost_json(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"seed": ticket.seed, "status": ticket.status, "layer": ticket.layer, "reason": ticket.reason}
        for ticket in summary.lost
    ]


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    own, other = comparison.own.accuracies, comparison.other.accuracies
    return {
        "method": comparison.method,
        "sparsity": comparison.sparsity,
        "check": comparison.against,
        "accuracy": rounded(comparison.own.accuracy),
        "changed_accuracy": rounded(comparison.other.accuracy),
        "difference": rounded(difference.mean) if difference else None,
        "deviation": rounded(difference.std) if difference else None,
        "interval": [rounded(end) for end in difference.interval] if difference and difference.interval else None,
        "n": difference.n if difference else 0,
        "p": comparison.adjusted_p,
        "p_unadjusted": comparison.p,
        "is_tested": comparison.is_tested,
        "verdict": comparison.verdict,
        "why": why_undecided(comparison, dense_at_chance=False),
        "seeds_needed": comparison.seeds_needed,
        "at_chance": comparison.at_chance,
        "pairs": [
            {
                "seed": seed,
                "accuracy": rounded(own[seed]),
                "changed_accuracy": rounded(other[seed]),
                "difference": rounded(own[seed] - other[seed]),
            }
            for seed in comparison.pairs
        ],
        "lost": _lost_json(comparison.own),
        "changed_lost": _lost_json(comparison.other),
        "lost_by_the_change": list(comparison.lost_by_the_change),
        "lost_without_the_change": list(comparison.lost_without_the_change),
    }


def rounded(value: float | None) -> float | None:
    """Return a percentage as JSON holds it; None for none."""
    return None if value is None else round(value, DECIMALS) + 0.0  # no -0.0
