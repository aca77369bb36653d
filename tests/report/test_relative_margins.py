"""Answers whose margin, and so all their differences, are percentages of the value that changes are compared with."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.summary import Summary
from prunecheck.analysis.text_spread import text_spread
from prunecheck.metrics import Margin, find_metric
from prunecheck.report.afterwards import afterwards_texts, chosen_afterwards
from prunecheck.report.answer_json import answer_json
from prunecheck.report.answers import answer_latex, answer_markdown, answer_table
from prunecheck.report.contents import contents_of_conclusions
from prunecheck.report.forest_plot import forest_figure
from prunecheck.report.reading import reading
from prunecheck.report.tables import verdict_table
from prunecheck.studies.question_log import Terms, note_questions, read_questions
from tests.fixtures.answers import judged

Conclude = Callable[..., Conclusion]

CHECK, RANDOM = "rearrange-mask", "random-smart"
SWEEP = (0.5, 0.8, 0.9, 0.95)
OWN = [0.5, 0.8, 1.0, 2.0, 4.0]  # in these units no amount is one that matters to all


def answer_of(conclude: Conclude, scale: float = 1.0, margin: float | str = "5%") -> Conclusion:
    own = [scale * value for value in OWN]
    costly = [value * (1.10 + 0.001 * place) for place, value in enumerate(own)]
    alike = [value * (1.01 - 0.001 * place) for place, value in enumerate(own)]
    outcomes = {(0.9, None): own, (0.9, CHECK): costly, (0.9, RANDOM): alike}
    return conclude(outcomes, margin=margin, dense=0.1 * scale, metric="cross-entropy", chance=100.0 * scale)


def test_differences_are_percentages_of_the_method_s_own_value(conclude: Conclude) -> None:
    (check,), (baseline,) = (answer := answer_of(conclude)).checks, answer.baselines
    assert list(check.costs.values()) == pytest.approx([10.0, 10.1, 10.2, 10.3, 10.4])
    assert (check.verdict, baseline.verdict) == ("uses it", "equivalent")
    assert check.margin == 5.0
    assert answer_of(conclude, margin=0.05).checks[0].verdict == "undecided"


def test_verdicts_do_not_hang_on_the_unit_that_values_are_in(conclude: Conclude) -> None:
    one, other = answer_of(conclude), answer_of(conclude, scale=1000.0)
    for first, second in zip(one.comparisons, other.comparisons, strict=True):
        assert first.p == pytest.approx(second.p)
        assert first.verdict == second.verdict


def test_learning_nothing_is_told_by_the_margin_too(conclude: Conclude) -> None:
    own = [2.2, 2.21, 2.2, 2.19, 2.2]
    outcomes = {(0.9, None): own, (0.9, CHECK): own, (0.9, RANDOM): own}
    for margin, learned in (("3%", True), ("6%", False)):  # guessing is about 4.5 % worse
        answer = conclude(outcomes, margin=margin, dense=0.1, metric="cross-entropy", chance=2.3)
        assert answer.checks[0].at_chance is not learned


def test_every_form_says_of_what_differences_are_percentages(conclude: Conclude) -> None:
    answer = answer_of(conclude)
    (table_note,) = answer_table(answer).notes
    assert "in percent of the method's own value, paired by seed" in table_note
    assert "margin of 5 % of cross-entropy" in table_note
    assert "+10.20" in answer_markdown(answer)
    assert "costs more than 5 % of cross-entropy" in reading(answer)
    assert r"5 \% of cross-entropy" in answer_latex(answer)
    found = answer_json(answer)
    assert (found["margin"], found["differences_in"], found["metric"]["unit"]) == (5.0, "%", "nats")
    assert found["verdicts"][0]["difference"] == pytest.approx(10.2)
    figure = forest_figure("f", answer.comparisons, 5.0, "snip")
    assert "margin ±5 %" in figure
    assert "% of cross-entropy that the change costs" in figure
    for text in (table_note, reading(answer), figure):
        assert "nats of" not in text


def test_a_question_is_stored_with_its_percentage(conclude: Conclude, tmp_path: Path) -> None:
    question = answer_of(conclude).question
    note_questions(tmp_path, [question, replace(question, margin=Margin(5.0))], shown=True)
    stored = json.loads((tmp_path / "questions.json").read_text())["questions"]
    assert [one["margin"] for one in stored] == ["5%", 5.0]
    relative, absolute = read_questions(tmp_path)
    assert relative.question == question
    assert absolute.question != question
    assert absolute.shown_before == ()


def test_another_way_to_state_the_margin_is_said_to_be_chosen_afterwards(conclude: Conclude) -> None:
    answer = answer_of(conclude)
    asked = Terms(Margin(0.05), RANDOM)
    (text,) = afterwards_texts(replace(answer, asked=asked))
    assert text.startswith(
        "Asked with a margin of 0.05 nats, and shown with 5 % of cross-entropy: what is chosen when the runs are known"
    )


NO_PERCENTAGE = (
    "cross-entropy of snip itself is 0 or less with 1 of 5 seeds, and nothing is a percentage of that: state the "
    "margin in its unit"
)


def nothing_in_one(conclude: Conclude, margin: float | str = "5%", own: float = 0.0) -> Conclusion:
    outcomes = {(sparsity, None): [own, *OWN[1:]] for sparsity in SWEEP}
    outcomes |= {(sparsity, CHECK): [value * 1.5 for value in OWN] for sparsity in SWEEP}
    outcomes |= {(sparsity, RANDOM): OWN for sparsity in SWEEP}
    return conclude(outcomes, margin=margin, dense=0.1, metric="cross-entropy", chance=100.0)


@pytest.mark.parametrize("own", [0.0, -0.1])
def test_where_a_value_has_no_percentages_nothing_is_decided_and_every_form_says_why(
    conclude: Conclude, own: float
) -> None:
    answer = nothing_in_one(conclude, own=own)
    assert {(one.verdict, one.difference, one.is_tested) for one in answer.comparisons} == {("undecided", None, False)}
    assert answer.family.size == 0
    assert f"undecided ({NO_PERCENTAGE})" in answer_markdown(answer)
    assert "where cross-entropy of the method's own ticket is 0 or less no difference is a percentage" in reading(
        answer
    )
    found = answer_json(answer)
    assert {(one["difference"], one["why"]) for one in found["verdicts"]} == {(None, NO_PERCENTAGE)}
    assert found["falls_behind"] is None  # the line between other sparsities would say what is not known
    assert "undecided" in forest_figure("f", answer.comparisons, 5.0, "snip")
    in_its_unit = nothing_in_one(conclude, margin=0.05, own=own)
    assert all(one.difference for one in in_its_unit.comparisons)
    assert "percentage" not in reading(in_its_unit)


def test_a_run_that_is_compared_with_itself_differs_by_nothing_whatever_its_value(conclude: Conclude) -> None:
    outcomes = {(0.9, None): [0.0] * 5, (0.9, "corrupted-data"): [0.0] * 5}
    answer = conclude(
        outcomes, method="magnitude", margin="5%", dense=0.1, metric="cross-entropy", chance=9.0, baseline=None
    )
    (check,) = answer.checks
    assert (check.verdict, set(check.costs.values())) == ("does not use it", {0.0})


@pytest.mark.parametrize(("value", "chance", "learned"), [(0.0, 2.3, True), (-1.0, -1.0, False), (0.0, -0.5, False)])
def test_a_mean_without_percentages_has_learned_something_if_it_is_better_than_guessing(
    value: float, chance: float, learned: bool
) -> None:
    quantity = Margin(5.0, is_relative=True).quantity(find_metric("cross-entropy").quantity)
    assert Summary({0: value}).learned_nothing(chance, 5.0, quantity) is not learned


def test_no_spread_over_texts_is_told_in_percent_of_nothing(conclude: Conclude) -> None:
    result = replace(judged(0.0, None), sequence_losses=(0.0, 0.0))
    quantity = find_metric("cross-entropy").quantity
    assert text_spread([result], [result], quantity)
    assert text_spread([result], [result], Margin(1.0, is_relative=True).quantity(quantity)) is None


PERCENT = "of cross-entropy"


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (Margin(0.05), Margin(0.1), ("0.05 nats", "0.1")),
        (Margin(0.05), Margin(5.0, is_relative=True), ("0.05 nats", f"5 % {PERCENT}")),
        (Margin(5.0, is_relative=True), Margin(0.05), (f"5 % {PERCENT}", "0.05 nats")),
        (Margin(1.0, is_relative=True), Margin(2.0, is_relative=True), (f"1 % {PERCENT}", f"2 % {PERCENT}")),
    ],
)
def test_only_a_margin_that_comes_second_may_do_without_its_unit(
    conclude: Conclude, first: Margin, second: Margin, told: tuple[str, str]
) -> None:
    answer = answer_of(conclude)
    shown = replace(answer, question=replace(answer.question, margin=second), asked=Terms(first, RANDOM))
    (text,) = afterwards_texts(shown)
    assert text.startswith(f"Asked with a margin of {told[0]}, and shown with {told[1]}: ")
    asked = replace(answer, question=replace(answer.question, margin=first), shown_before=(Terms(second, RANDOM),))
    (text,) = afterwards_texts(asked)
    assert text.startswith(f"Asked with a margin of {told[0]} when an answer with a margin of {told[1]} had been shown")
    (one,) = chosen_afterwards(asked)
    assert (one.before, one.now) == (second.given, first.given)


def test_a_table_of_both_kinds_of_margins_says_that_differences_are_of_both_kinds(
    conclude: Conclude, tmp_path: Path
) -> None:
    answers = [answer_of(conclude, margin="1%"), answer_of(conclude, margin=0.02)]
    (note,) = verdict_table(contents_of_conclusions(answers, {}, tmp_path)).notes
    assert "else in the metric's unit, or in percent of the method's own value, where the margin is" in note
