from collections.abc import Callable
from dataclasses import replace

import pytest

from prunecheck.analysis.families import Conclusion
from prunecheck.analysis.verdicts import Verdict
from prunecheck.report.reading import COUNTED_BASELINES, COUNTED_CHECKS, OF_BASELINES, OF_CHECKS, headline, reading

Conclude = Callable[..., Conclusion]
N = 6
OWN = [80.0] * N
COSTLY = [70.0 + 0.1 * seed for seed in range(N)]
BETTER = [90.0 + 0.1 * seed for seed in range(N)]
SAME = [80.0 + 0.1 * seed for seed in range(N)]
UNCLEAR = [80.0 + 20 * (-1) ** seed for seed in range(N)]
GONE = ["collapsed"] * N
THE_OTHERS = (
    "It was the tickets that snip's are compared with that were lost at sparsity 0.9: ask at a lower sparsity, for "
    "other checks, or with another baseline."
)
MASK, DATA, RANDOM = "rearrange-mask", "corrupted-data", "random-smart"


def read(conclude: Conclude, random: list[float] | list[str] = GONE, **changed: list[float] | list[str]) -> str:
    outcomes = {(0.9, None): OWN, (0.9, RANDOM): random}
    return reading(conclude(outcomes | {(0.9, check.replace("_", "-")): found for check, found in changed.items()}))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            COSTLY,
            "snip uses which weights of each layer it keeps: such a change costs more than 2 points.",
        ),
        (
            SAME,
            "snip does not use which weights of each layer it keeps: such a change costs less than 2 points.",
        ),
        (
            BETTER,
            "snip does not use which weights of each layer it keeps: such a change costs less than 2 points.",
        ),
        (UNCLEAR, "Whether snip uses which weights of each layer it keeps is not decided."),
        (
            GONE,
            "Whether snip uses which weights of each layer it keeps cannot be told, because too many tickets "
            "collapsed.",
        ),
    ],
)
def test_sentence_about_a_check(conclude: Conclude, changed: list[float], sentence: str) -> None:
    assert read(conclude, rearrange_mask=changed).startswith(sentence)


@pytest.mark.parametrize(
    ("random", "sentence"),
    [
        (COSTLY, "Its tickets beat random-smart tickets by more than 2 points at sparsity 0.9."),
        (BETTER, "Its tickets fall behind random-smart tickets by more than 2 points at sparsity 0.9."),
        (
            SAME,
            "Its tickets do as well as random-smart tickets, within 2 points, at sparsity 0.9.",
        ),
        (UNCLEAR, "Whether its tickets beat random-smart tickets is not decided at sparsity 0.9."),
        (
            GONE,
            f"Too many tickets collapsed to compare them with random-smart tickets at sparsity 0.9. {THE_OTHERS}",
        ),
    ],
)
def test_sentence_about_random_tickets(conclude: Conclude, random: list[float], sentence: str) -> None:
    assert read(conclude, random, rearrange_mask=SAME).endswith(sentence)


def test_what_is_used_together_is_joined_by_and_and_what_is_not_by_or(conclude: Conclude) -> None:
    used = read(conclude, rearrange_mask=COSTLY, corrupted_data=COSTLY)
    assert used.startswith("snip uses which weights of each layer it keeps and the training data: ")
    unused = read(conclude, rearrange_mask=SAME, corrupted_data=SAME, random_labels=SAME)
    assert unused.startswith(
        "snip does not use which weights of each layer it keeps, the training data or the labels: "
    )


def test_each_check_is_in_the_sentence_of_its_verdict(conclude: Conclude) -> None:
    text = read(conclude, rearrange_mask=COSTLY, corrupted_data=SAME)
    assert "snip uses which weights of each layer it keeps: " in text
    assert "snip does not use the training data: " in text


def test_a_verdict_of_some_sparsities_names_them(conclude: Conclude) -> None:
    outcomes = {
        (sparsity, ticket): found
        for sparsity, changed in ((0.9, SAME), (0.95, COSTLY), (0.98, COSTLY))
        for ticket, found in ((None, OWN), (MASK, changed), (DATA, SAME), (RANDOM, changed))
    }
    text = reading(conclude(outcomes))
    assert "snip uses which weights of each layer it keeps (at sparsity 0.95 and 0.98): " in text
    assert "not use which weights of each layer it keeps (at sparsity 0.9) or the training data: " in text
    assert "by more than 2 points at sparsity 0.95 and 0.98." in text
    assert "within 2 points, at sparsity 0.9." in text


def test_the_margin_is_the_one_of_the_study(conclude: Conclude) -> None:
    outcomes = {(0.9, None): OWN, (0.9, MASK): COSTLY, (0.9, RANDOM): COSTLY}
    assert reading(conclude(outcomes, margin=0.5)).count("more than 0.5 points") == 2


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [(1, "One seed cannot decide anything."), (2, "2 seeds seldom decide anything."), (3, "3 seeds seldom")],
)
def test_few_seeds_are_said_to_be_few(conclude: Conclude, seeds: int, sentence: str) -> None:
    assert sentence in reading(conclude({(0.9, None): OWN[:seeds], (0.9, MASK): UNCLEAR[:seeds]}, baseline=None))


def test_few_seeds_that_have_decided_everything_are_not_said_to_decide_seldom(conclude: Conclude) -> None:
    answer = conclude({(0.9, None): OWN[:3], (0.9, MASK): COSTLY[:3]}, baseline=None)
    assert [one.verdict for one in answer.comparisons] == [Verdict.USES]
    assert "seldom" not in reading(answer)


def test_enough_seeds_are_not_said_to_be_few(conclude: Conclude) -> None:
    assert "seldom" not in reading(conclude({(0.9, ticket): OWN[:4] for ticket in (None, MASK, RANDOM)}))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (COSTLY, "Its tickets beat random-uniform tickets by more than 2 points at sparsity 0.9."),
        (BETTER, "Its tickets fall behind random-uniform tickets by more than 2 points at sparsity 0.9."),
        (SAME, "Its tickets do as well as random-uniform tickets, within 2 points, at sparsity 0.9."),
        (UNCLEAR, "Whether its tickets beat random-uniform tickets is not decided at sparsity 0.9."),
        (
            GONE,
            f"Too many tickets collapsed to compare them with random-uniform tickets at sparsity 0.9. {THE_OTHERS}",
        ),
    ],
)
def test_the_baseline_of_the_users_choice_is_named(conclude: Conclude, changed: list[float], sentence: str) -> None:
    outcomes = {(0.9, None): OWN, (0.9, MASK): SAME, (0.9, "random-uniform"): changed}
    assert reading(conclude(outcomes, baseline="random-uniform")).endswith(sentence)


def test_without_a_baseline_nothing_is_said_of_one(conclude: Conclude) -> None:
    assert reading(conclude({(0.9, None): OWN, (0.9, MASK): COSTLY}, baseline=None)) == (
        "snip uses which weights of each layer it keeps: such a change costs more than 2 points."
    )


@pytest.mark.parametrize(
    ("check", "what"),
    [
        ("random-labels@0.25", "the labels (a share of 0.25)"),
        ("random-labels@1", "the labels"),
        (
            "rearrange-mask+reinit",
            "which weights of each layer it keeps together with the weights that training starts from",
        ),
        (
            "random-labels@0.5+rearrange-mask",
            "the labels (a share of 0.5) together with which weights of each layer it keeps",
        ),
    ],
)
def test_shares_and_combined_checks_are_said_in_words(conclude: Conclude, check: str, what: str) -> None:
    text = reading(conclude({(0.9, None): OWN, (0.9, check): COSTLY}, baseline=None))
    assert text == f"snip uses {what}: such a change costs more than 2 points."


def test_each_share_is_in_the_sentence_of_its_verdict(conclude: Conclude) -> None:
    shares = {"random-labels@0.25": SAME, "random-labels@0.5": SAME, "random-labels": COSTLY}
    outcomes = {(0.9, None): OWN} | {(0.9, check): changed for check, changed in shares.items()}
    text = reading(conclude(outcomes, baseline=None))
    assert "snip uses the labels (random-labels at sparsity 0.9): such a change costs more" in text
    assert "snip does not use the labels (random-labels@0.25 and random-labels@0.5 at sparsity 0.9): " in text


NOTHING_LEARNED = [10.0 + 0.1 * seed for seed in range(N)]


def test_masks_in_files_have_one_sparsity_and_no_lower_one_is_advised(conclude: Conclude) -> None:
    answer = conclude({(0.98, None): NOTHING_LEARNED, (0.98, MASK): NOTHING_LEARNED[::-1]}, baseline=None)
    own = replace(answer.question.own, method="mask:own.pt")
    of_a_file = replace(answer, question=replace(answer.question, own=own, method="ours"))
    assert "%): train for longer." in reading(of_a_file)
    assert "lower sparsity" not in reading(of_a_file)


def test_tickets_that_learned_nothing_are_said_to_with_their_sparsities(conclude: Conclude) -> None:
    outcomes = {(0.9, None): OWN, (0.9, MASK): SAME}
    for sparsity in (0.98, 0.99):
        outcomes |= {(sparsity, None): NOTHING_LEARNED, (sparsity, MASK): NOTHING_LEARNED[::-1]}
    answer = conclude(outcomes, baseline=None)
    assert reading(answer) == (
        f"The tickets of snip learned nothing at sparsity 0.98 and 0.99 (guessing gives {answer.chance:.1f} %): "
        "choose a lower sparsity. "
        "snip does not use which weights of each layer it keeps (at sparsity 0.9): such a change costs less "
        "than 2 points. "
        "Whether snip uses which weights of each layer it keeps (at sparsity 0.98 and 0.99) is not "
        "decided."
    )


@pytest.mark.parametrize(
    ("dense", "said"),
    [
        (11.0, "The dense network itself learned nothing (11.0 %; guessing gives {chance:.1f} %), so that"),
        ("diverged", "The dense network itself could not be trained, so that"),
    ],
)
def test_a_dense_network_that_learned_nothing_is_said_first_and_once(
    conclude: Conclude, dense: float | str, said: str
) -> None:
    outcomes = {(0.9, None): NOTHING_LEARNED, (0.9, MASK): NOTHING_LEARNED[::-1]}
    answer = conclude(outcomes, dense=dense, baseline=None)
    text = reading(answer)
    assert text.startswith(said.format(chance=answer.chance))
    assert "change the recipe." in text
    assert "choose a lower sparsity" not in text
    assert "does not use" not in text


def test_nothing_is_said_of_chance_where_all_learned_something(conclude: Conclude) -> None:
    assert "guessing" not in read(conclude, rearrange_mask=SAME)


def test_tickets_that_collapsed_are_not_said_to_have_learned_nothing(conclude: Conclude) -> None:
    assert "learned nothing" not in reading(conclude({(0.9, None): GONE, (0.9, MASK): GONE}, baseline=None))


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_clause_in_both_forms(verdict: Verdict) -> None:
    of_checks = (Verdict.USES, Verdict.DOES_NOT_USE, Verdict.UNDECIDED, Verdict.COLLAPSED)
    of_baselines = (Verdict.EQUIVALENT, Verdict.BETTER, Verdict.WORSE, Verdict.UNDECIDED, Verdict.COLLAPSED)
    assert (verdict in OF_CHECKS, verdict in COUNTED_CHECKS) == (verdict in of_checks,) * 2
    assert (verdict in OF_BASELINES, verdict in COUNTED_BASELINES) == (verdict in of_baselines,) * 2


@pytest.mark.parametrize("changed", [COSTLY, SAME, UNCLEAR, GONE])
@pytest.mark.parametrize("random", [COSTLY, BETTER, SAME, UNCLEAR, GONE])
def test_the_short_form_is_made_of_the_clauses_of_the_long_one(
    conclude: Conclude, changed: list[float], random: list[float]
) -> None:
    answer = conclude({(0.9, None): OWN, (0.9, MASK): changed, (0.9, DATA): SAME, (0.9, RANDOM): random})
    first, second = headline([answer])
    at_length = reading(answer).lower()
    assert second.lower() in at_length
    for clause in first.lower().removesuffix(".").split("; "):
        assert clause.removeprefix("it ").replace("whether it ", "whether snip ") in at_length


def test_a_dense_network_that_learned_nothing_is_why_nothing_is_decided(conclude: Conclude) -> None:
    outcomes = {(0.9, None): NOTHING_LEARNED, (0.9, MASK): NOTHING_LEARNED[::-1]}
    answer = conclude(outcomes, dense=11.0, baseline=None)
    first, second = headline([answer])
    assert "because the dense network itself learned nothing (11.0 %" in first
    assert "recipe" in second


def test_several_answers_are_counted_with_verbs_that_agree(conclude: Conclude) -> None:
    one = conclude({(0.9, None): OWN, (0.9, MASK): COSTLY, (0.9, RANDOM): SAME})
    other = conclude({(0.9, None): OWN, (0.9, MASK): SAME, (0.9, DATA): SAME, (0.9, RANDOM): SAME}, method="grasp")
    first, second = headline([one, other])
    assert "Of 3 changes to the tickets of snip and grasp, 1 costs more than 2 points" in first
    assert "2 cost less than 2 points" in first
    assert second == "Of 2 comparisons with tickets of random-smart, 2 do as well within 2 points."
    third = conclude({(0.9, None): OWN, (0.9, RANDOM): COSTLY}, margin=1.0)
    assert "by more than the margin" in headline([one, third])[1]
