"""What verdicts mean, in words: in two sentences and at length, of the same clauses."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prunecheck.analysis.comparison import Comparison
from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.checks import find_check
from prunecheck.checks.registry import JOINT, SHARE
from prunecheck.pruning.mask_files import are_masks_in_files
from prunecheck.report.remarks import about_mask_files
from prunecheck.runs.result import Status
from prunecheck.runs.sparsities import sparsity_text

FEW_SEEDS = 3

MOST_NAMES = 4
"""So many methods are named in a sentence."""

OF_CHECKS = {
    Verdict.USES: "{subject} uses {what}",
    Verdict.DOES_NOT_USE: "{subject} does not use {what}",
    Verdict.UNDECIDED: "Whether {subject} uses {what} is not decided",
    Verdict.COLLAPSED: "Whether {subject} uses {what} cannot be told, because too many tickets collapsed",
}
"""What a method uses; a sentence may begin so, and goes on in lower case."""

OF_COSTS = {
    Verdict.USES: "such a change costs more than {points}",
    Verdict.DOES_NOT_USE: "such a change costs less than {points}",
}
"""What follows in the long form."""

OF_BASELINES = {
    Verdict.EQUIVALENT: "Its tickets do as well as {others}, within {points}, {at}",
    Verdict.BETTER: "Its tickets beat {others} by more than {points} {at}",
    Verdict.WORSE: "Its tickets fall behind {others} by more than {points} {at}",
    Verdict.UNDECIDED: "Whether its tickets beat {others} is not decided {at}",
    Verdict.COLLAPSED: "Too many tickets collapsed to compare them with {others} {at}",
}
"""How a method's tickets do beside a baseline's."""

COUNTED_CHECKS = {
    Verdict.USES: ("costs", "cost", "more than {points_of}"),
    Verdict.DOES_NOT_USE: ("costs", "cost", "less than {points_of}"),
    Verdict.UNDECIDED: ("is", "are", "not decided"),
    Verdict.COLLAPSED: ("is", "are", "beyond telling, because tickets collapsed"),
}
"""What so many changes do, where several questions are answered: the verb for one and for more, and the rest."""

COUNTED_BASELINES = {
    Verdict.EQUIVALENT: ("does", "do", "as well within {points}"),
    Verdict.BETTER: ("is", "are", "better by more than {points}"),
    Verdict.WORSE: ("is", "are", "worse by more than {points}"),
    Verdict.UNDECIDED: ("is", "are", "not decided"),
    Verdict.COLLAPSED: ("was", "were", "lost to collapsed tickets"),
}


def reading(answer: Conclusion) -> str:
    """Say what the verdicts mean: which information the method uses, and whether it beats the baseline's tickets."""
    if not answer.comparisons:
        return " ".join(["Nothing is compared here: verdicts need checks or a baseline.", *about_mask_files(answer)])
    sentences = [
        *_about_chance(answer),
        *(f"{clause}." for clause in _of_checks(answer, at_length=True)),
        *(f"{clause}." for clause in _of_baseline(answer)),
        *_about_percentages(answer),
        *_about_losses(answer),
        *_about_collapses(answer),
    ]
    sentences += about_mask_files(answer)
    count = len(answer.seeds)
    if count <= FEW_SEEDS and any(one.verdict is Verdict.UNDECIDED for one in answer.comparisons):
        unit = answer.question.paired_by
        sentences.append(f"{few_decide(count, unit)}.")
    return " ".join(sentences)


def few_decide(count: int, unit: str) -> str:
    """Say in a clause how little :data:`FEW_SEEDS` or fewer decide."""
    return f"{f'One {unit} cannot' if count == 1 else f'{count} {unit}s seldom'} decide anything"


def headline(answers: Sequence[Conclusion]) -> tuple[str, str]:
    """Return the answer in two sentences: about what the methods use, and about the baseline."""
    if not answers:
        return (
            "These runs compare nothing.",
            "Verdicts need a method's tickets beside changed ones (checks), or beside those of a baseline.",
        )
    if len(answers) > 1:
        return _counted_checks(answers), _counted_baselines(answers)
    (answer,) = answers
    if answer.dense_at_chance:
        return (
            f"These runs decide nothing, because {_lowered(_dense_clause(answer))}.",
            f"{_remedy(answer).capitalize()}: a change that costs nothing then shows nothing.",
        )
    name = answer.question.method
    if clauses := list(_of_checks(answer, at_length=False)):
        first = _one_sentence(clauses)
    else:
        first = f"Nothing was changed in the tickets of {name}, so that nothing is known of what it uses."
    if clauses := list(_of_baseline(answer)):
        return first, _one_sentence(clauses)
    count = len(answer.checks)
    return first, (
        f"{'This verdict rests' if count == 1 else f'These {count} verdicts rest'} on pairs of "
        f"{len(answer.seeds)} {answer.question.paired_by}s and a margin of {_points(answer)}; there is no baseline."
    )


def joined(parts: Sequence[str], word: str) -> str:
    """Return parts as a list in words: ``a, b and c``."""
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _dense_clause(answer: Conclusion) -> str:
    value, quantity = answer.dense.mean, answer.question.quantity
    if value is None:
        return "The dense network itself could not be trained"
    return f"The dense network itself learned nothing ({quantity.with_unit(value, 1)}; {_guessing(answer)})"


def _remedy(answer: Conclusion) -> str:
    is_trained = answer.question.setting.model_is_trained
    return "give a network that has learned this text" if is_trained else "change the recipe"


def _guessing(answer: Conclusion) -> str:
    if answer.chance is None:
        return "could not be trained"
    return f"guessing gives {answer.question.quantity.with_unit(answer.chance, 1)}"


def _about_chance(answer: Conclusion) -> Iterator[str]:
    if answer.dense_at_chance:
        yield f"{_dense_clause(answer)}, so that a change that costs nothing shows nothing: {_remedy(answer)}."
    elif at_chance := list(dict.fromkeys(c.sparsity for c in answer.comparisons if c.at_chance)):
        yield (
            f"The tickets of {answer.question.method} {_at_chance(answer)} {_at(at_chance, answer)} "
            f"({_guessing(answer)}): "
            f"{'train for longer' if are_masks_in_files(answer.question.own.method) else 'choose a lower sparsity'}."
        )


def _at_chance(answer: Conclusion) -> str:
    """Say that tickets are no better than guessing: what is not trained has learned nothing in any case."""
    return "are no better than guessing" if answer.question.is_after_training else "learned nothing"


def _of_checks(answer: Conclusion, *, at_length: bool) -> Iterator[str]:
    """Yield a clause for each verdict about the checks; at length, each with the method's name and what it costs."""
    subject = answer.question.method
    for verdict, clause in OF_CHECKS.items():
        found = [comparison for comparison in answer.checks if comparison.verdict is verdict]
        if not found:
            continue
        told = clause.format(subject=subject, what=_information(answer, found))
        cost = OF_COSTS.get(verdict) if at_length else None
        yield f"{told}: {cost.format(points=_points(answer))}" if cost else told
        if not at_length:
            subject = "it"


def _of_baseline(answer: Conclusion) -> Iterator[str]:
    """Yield a clause for each verdict about the baseline."""
    for verdict, clause in OF_BASELINES.items():
        found = [comparison for comparison in answer.baselines if comparison.verdict is verdict]
        if found:
            at = _at([comparison.sparsity for comparison in found], answer)
            yield clause.format(others=f"{found[0].against} tickets", points=_points(answer), at=at)


def _about_percentages(answer: Conclusion) -> Iterator[str]:
    if any(one.seeds_without_percentages and one.verdict is Verdict.UNDECIDED for one in answer.comparisons):
        metric = answer.question.quantity.name
        yield (
            f"The margin is a percentage of {metric}, and where {metric} of the method's own ticket is 0 or less no "
            "difference is a percentage of it: state the margin in its unit."
        )


def _about_losses(answer: Conclusion) -> Iterator[str]:
    if any(one.is_of_survivors and one.verdict is Verdict.UNDECIDED for one in answer.comparisons):
        yield (
            "Where tickets collapsed or diverged on one side only, that is evidence about the change, and those that "
            "are left do not show that nothing is lost."
        )


def _about_collapses(answer: Conclusion) -> Iterator[str]:
    """Say how to go on where so many tickets were lost that nothing can be told."""
    where = list(dict.fromkeys(one.sparsity for one in answer.comparisons if one.verdict is Verdict.COLLAPSED))
    own = {at: answer.found.own[at].lost for at in where}
    if collapsed := [at for at in where if any(lost.status is Status.COLLAPSED for lost in own[at])]:
        if are_masks_in_files(answer.question.own.method):
            yield "Nothing gets through such a mask: give another one."
        else:
            lowest = sparsity_text(min(collapsed), answer.question.sparsities)
            yield f"To learn more, ask at a sparsity lower than {lowest}, or of another method or allocation."
    if diverged := [at for at in where if any(lost.status is Status.DIVERGED for lost in own[at])]:
        yield (
            f"Where its tickets diverged ({_at(diverged, answer)}), change the recipe: a lower learning rate, a "
            "warm-up or shorter gradients."
        )
    if others := [at for at in where if not own[at]]:
        yield (
            f"It was the tickets that {answer.question.method}'s are compared with that were lost "
            f"{_at(others, answer)}: ask at a lower sparsity, for other checks, or with another baseline."
        )


def _information(answer: Conclusion, found: Sequence[Comparison]) -> str:
    """Name what was taken away; the shares and sparsities too, where others of them have another verdict."""
    phrases = []
    for base in dict.fromkeys(_base(comparison.against) for comparison in found):
        of_base = [comparison for comparison in answer.checks if _base(comparison.against) == base]
        here = [comparison for comparison in found if _base(comparison.against) == base]
        names = {comparison.against for comparison in of_base}
        phrase = find_check(names.pop() if len(names) == 1 else base).information
        phrases.append(f"{phrase} ({_which(here, of_base, answer)})" if len(here) < len(of_base) else phrase)
    return joined(phrases, "and" if found[0].verdict is Verdict.USES else "or")


def _base(check: str) -> str:
    """Return a check's name without shares."""
    return JOINT.join(part.partition(SHARE)[0] for part in check.split(JOINT))


def _which(here: Sequence[Comparison], of_base: Sequence[Comparison], answer: Conclusion) -> str:
    """Say which of a check's comparisons are meant."""
    sparsities: dict[str, list[float]] = {}
    for sparsity in dict.fromkeys(comparison.sparsity for comparison in here):
        checks = [comparison.against for comparison in here if comparison.sparsity == sparsity]
        every = [comparison.against for comparison in of_base if comparison.sparsity == sparsity]
        named = "" if len(checks) == len(every) else f"{joined(checks, 'and')} "
        sparsities.setdefault(named, []).append(sparsity)
    return joined([named + _at(where, answer) for named, where in sparsities.items()], "and")


def _at(sparsities: Iterable[float], answer: Conclusion) -> str:
    texts = [sparsity_text(sparsity, answer.question.sparsities) for sparsity in sparsities]
    return f"at sparsity {joined(texts, 'and')}"


def _points(*answers: Conclusion) -> str:
    margins = {(answer.question.quantity, answer.question.margin.amount) for answer in answers}
    if len(margins) > 1:
        return "the margin"
    ((quantity, margin),) = margins
    return quantity.amount(margin)


def _points_of(answers: Sequence[Conclusion]) -> str:
    """Return the margin of answers, and what it is of."""
    quantities = {answer.question.quantity for answer in answers}
    margins = {answer.question.margin.amount for answer in answers}
    if len(quantities) > 1:
        return "the margin"
    (quantity,) = quantities
    return quantity.amount_of(margins.pop()) if len(margins) == 1 else f"the margin of {quantity.name}"


def _counted_checks(answers: Sequence[Conclusion]) -> str:
    verdicts = Counter(comparison.verdict for answer in answers for comparison in answer.checks)
    methods = list(dict.fromkeys(answer.question.method for answer in answers))
    names = joined(methods, "and") if len(methods) <= MOST_NAMES else f"{len(methods)} methods"
    if not verdicts:
        return f"Nothing was changed in the tickets of {names}, so that nothing is known of what they use."
    changes = _number(verdicts.total(), "change")
    return f"Of {changes} to the tickets of {names}, {_counted(verdicts, COUNTED_CHECKS, answers)}."


def _counted_baselines(answers: Sequence[Conclusion]) -> str:
    baselines = [comparison for answer in answers for comparison in answer.baselines]
    if not baselines:
        return "There is no baseline beside them."
    others = joined(list(dict.fromkeys(comparison.against for comparison in baselines)), "or")
    verdicts = Counter(comparison.verdict for comparison in baselines)
    counted = _counted(verdicts, COUNTED_BASELINES, answers)
    return f"Of {_number(len(baselines), 'comparison')} with tickets of {others}, {counted}."


def _counted(
    verdicts: Counter[Verdict], forms: Mapping[Verdict, tuple[str, str, str]], answers: Sequence[Conclusion]
) -> str:
    """Say how many have each verdict, with a verb that agrees."""
    margin = {"points": _points(*answers), "points_of": _points_of(answers)}
    told = [
        f"{count} {of_one if count == 1 else of_more} {rest.format(**margin)}"
        for verdict, (of_one, of_more, rest) in forms.items()
        if (count := verdicts[verdict])
    ]
    return joined(told, "and")


def _number(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def _one_sentence(clauses: Sequence[str]) -> str:
    first, *others = clauses
    return f"{'; '.join([first, *map(_lowered, others)])}."


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
