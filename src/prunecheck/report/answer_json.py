"""A conclusion as JSON."""

import math
from dataclasses import asdict
from typing import Any

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.statistics import LEVEL
from prunecheck.analysis.summary import Summary
from prunecheck.analysis.sweeps import falling_behind
from prunecheck.metrics import ACCURACY, Quantity
from prunecheck.report.afterwards import chosen_afterwards
from prunecheck.report.cells import family_text, why_undecided
from prunecheck.report.looks import looks_text
from prunecheck.report.reading import reading
from prunecheck.report.sweeps import sweep_text

SCHEMA = 1
"""Of the objects; raised when a key changes its meaning."""

AS_ACCURACY = {"value": "accuracy", "changed_value": "changed_accuracy", "values": "accuracies"}
"""Per key, what it is called, too, where runs are judged by accuracy."""


def answer_json(answer: Conclusion) -> dict[str, Any]:
    """Return the object that ``prunecheck check`` prints as JSON.

    Values are in the unit of the metric; a difference is by how much the method's tickets are better than the changed
    ones, so that a positive one means that the change costs something. It and the margin are in ``differences_in``: %
    of the method's own value where the margin was stated so.
    """
    quantity, question, setting = answer.question.quantity, answer.question, answer.question.setting
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
        "seeds": list(answer.seeds),
        "max_seeds": len(question.seeds) if question.sequential else None,
        "epochs": setting.recipe.epochs,
        "recipe": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(setting.recipe).items()},
        "samples_per_class": question.own.samples_per_class,
        "scoring_rounds": question.own.scoring_rounds,
        "sequence_length": setting.sequence_length,
        "calibration_sequences": question.own.calibration_sequences,
        "paired_by": question.paired_by,
        "hashes": {
            "method": question.own.method_hash,
            "model": setting.model_hash,
            "dataset": setting.dataset_hash,
            "metric": setting.metric_hash,
            "checks": dict(zip(question.checks, question.check_hashes, strict=True)),
        },
        "metric": {"name": quantity.name, "unit": quantity.unit, "higher_is_better": quantity.higher_is_better},
        "margin": question.margin.amount,
        "differences_in": quantity.unit_of_differences,
        "asked": answer.asked and answer.asked.as_json(),
        "chosen_afterwards": [asdict(one) for one in chosen_afterwards(answer)],
        "family": {
            "scope": answer.family.scope,
            "comparisons": answer.family.size,
            "questions": answer.family.questions,
            "correction": "Holm",
            "level": LEVEL,
            "text": family_text(answer.family, answer.question.paired_by),
        },
        "looks": {
            "seeds": list(answer.looks),
            "sequential": _sequential_json(answer),
            "missing_runs": len(answer.missing),
            "text": looks_text(answer),
        },
        "chance": rounded(answer.chance, quantity),
        "dense": _summary_json(answer.dense, quantity),
        "tickets": [
            {"sparsity": sparsity} | _summary_json(own, quantity) for sparsity, own in answer.found.own.items()
        ],
        "verdicts": [_comparison_json(comparison) for comparison in answer.checks],
        "baselines": [_comparison_json(comparison) for comparison in answer.baselines],
        "falls_behind": _falls_behind_json(answer),
        "reading": reading(answer),
        "versions": {name: list(values) for name, values in answer.found.versions.items()},
        "devices": list(answer.found.devices),
    }


def _falls_behind_json(answer: Conclusion) -> dict[str, Any] | None:
    """Return where the method falls behind its baseline, in sparsities; None for what is no sweep."""
    found = falling_behind(answer)
    if found is None:
        return None
    return asdict(found) | {"asked": list(found.asked), "text": sweep_text(answer)}


def _sequential_json(answer: Conclusion) -> list[dict[str, float]] | None:
    """Return the looks, and the level that each may spend; None where all is looked at once."""
    if answer.question.sequential is None:
        return None
    return [{"seeds": look.seeds, "level": round(LEVEL * look.share, 8)} for look in answer.question.looks]


def _summary_json(summary: Summary, quantity: Quantity) -> dict[str, Any]:
    found = {
        "value": rounded(summary.mean, quantity),
        "deviation": rounded(summary.std, quantity),
        "n": summary.n,
        "values": {str(seed): rounded(value, quantity) for seed, value in summary.values.items()},
        "lost": _lost_json(summary),
        "empty_layers": dict(summary.empty_layers),
        "most_by_lot": round(summary.most_by_lot, 6),
    }
    return _with_accuracy(found, quantity)


def _with_accuracy(found: dict[str, Any], quantity: Quantity) -> dict[str, Any]:
    if quantity != ACCURACY:
        return found
    return found | {name: found[key] for key, name in AS_ACCURACY.items() if key in found}


def _lost_json(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"seed": ticket.seed, "status": ticket.status, "layer": ticket.layer, "reason": ticket.reason}
        for ticket in summary.lost
    ]


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    difference, quantity = comparison.difference, comparison.quantity
    own, other = comparison.own.values, comparison.other.values
    found = {
        "method": comparison.method,
        "sparsity": comparison.sparsity,
        "check": comparison.against,
        "value": rounded(comparison.own.mean, quantity),
        "changed_value": rounded(comparison.other.mean, quantity),
        "difference": rounded(difference.mean, quantity) if difference else None,
        "deviation": rounded(difference.std, quantity) if difference else None,
        "interval": [rounded(end, quantity) for end in (difference.interval if difference else None) or ()] or None,
        "adjusted_interval": _finite(comparison.adjusted_interval, quantity),
        "level": comparison.level,
        "n": difference.n if difference else 0,
        "p": comparison.adjusted_p,
        "p_unadjusted": comparison.p,
        "is_tested": comparison.is_tested,
        "verdict": comparison.verdict,
        "why": why_undecided(comparison, dense_at_chance=False),
        "seeds_needed": comparison.seeds_needed,
        "look": comparison.look.seeds if comparison.look else None,
        "at_chance": comparison.at_chance,
        "text_spread": comparison.text_spread and asdict(comparison.text_spread),
        "pairs": [
            _with_accuracy(
                {
                    "seed": seed,
                    "value": rounded(own[seed], quantity),
                    "changed_value": rounded(other[seed], quantity),
                    "difference": rounded(cost, quantity),
                },
                quantity,
            )
            for seed, cost in comparison.costs.items()
        ],
        "lost": _lost_json(comparison.own),
        "changed_lost": _lost_json(comparison.other),
        "lost_by_the_change": list(comparison.lost_by_the_change),
        "lost_without_the_change": list(comparison.lost_without_the_change),
    }
    return _with_accuracy(found, quantity)


def _finite(interval: tuple[float, float] | None, quantity: Quantity) -> list[float | None] | None:
    """Return the ends of an interval; None for an infinite one."""
    if interval is None:
        return None
    return [rounded(end, quantity) if math.isfinite(end) else None for end in interval]


def rounded(value: float | None, quantity: Quantity) -> float | None:
    """Return a value as JSON holds it; None for none."""
    return None if value is None else quantity.rounded(value)
