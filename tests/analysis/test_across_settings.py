"""Whether verdicts hang on the setting: from made-up numbers whose verdicts are plain, to the sentence that is said."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from prunecheck.analysis.across_settings import Dependence, MethodAcrossSettings, across_settings
from prunecheck.analysis.families import Conclusion, answer_questions
from prunecheck.report.across_settings import across_json, across_sentence, across_table, settings_in_words
from prunecheck.report.formats.markdown import markdown
from prunecheck.report.table import VerdictCell
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.question import Scope
from prunecheck.training import Recipe
from prunecheck.training.named_recipes import RECIPES
from tests.fixtures.answers import RANDOM, result_of, study_of

N = 6
OWN = [80.0] * N
COSTLY = [70.0 + 0.1 * seed for seed in range(N)]
SAME = [80.0 + 0.1 * seed for seed in range(N)]
UNCLEAR = [80.0 + 4 * (-1) ** seed for seed in range(N)]
GONE = ["collapsed"] * N
MASK = "rearrange-mask"

PUBLISHED, ADAMW = Recipe(), RECIPES.get("adamw")

Outcomes = Mapping[str, Sequence[Any]]
"""Per check or baseline."""


def asked(changes: Mapping[str, Any], outcomes: Outcomes) -> tuple[CheckStudy, dict[RunSpec, Any]]:
    numbers: dict[tuple[float, str | None], Sequence[Any]] = {(0.9, None): OWN} | {
        (0.9, against): values for against, values in outcomes.items()
    }
    study = replace(study_of(numbers, 2.0, "snip", RANDOM if RANDOM in outcomes else None), **changes)
    results = {study.dense_run(seed): result_of(95.0) for seed in study.seeds}
    for against, values in ((None, OWN), *outcomes.items()):
        for seed, outcome in zip(study.seeds, values, strict=True):
            is_random = against == RANDOM
            run = study.baseline_run(0.9, seed) if is_random else study.method_run(0.9, against, seed)
            results[run] = result_of(outcome)
    return study, results


def conclude(*settings: tuple[Mapping[str, Any], Outcomes], scope: Scope = Scope.REPORT) -> list[Conclusion]:
    studies = []
    results: dict[RunSpec, Any] = {}
    for changes, outcomes in settings:
        study, found = asked(changes, outcomes)
        studies.append(study.question)
        results |= found
    return answer_questions(studies, results, scope)


def across(*settings: tuple[Mapping[str, Any], Outcomes]) -> MethodAcrossSettings:
    (found,) = across_settings(conclude(*settings))
    return found


def with_recipes(first: Outcomes, second: Outcomes) -> MethodAcrossSettings:
    return across(({"recipe": PUBLISHED}, first), ({"recipe": ADAMW}, second))


def test_a_verdict_that_turns_round_hangs_on_the_recipe() -> None:
    found = with_recipes({MASK: COSTLY, RANDOM: SAME}, {MASK: SAME, RANDOM: SAME})
    assert (found.varied, found.dependence) == (("recipe",), Dependence.DEPENDS)
    assert [one.dependence for one in found.comparisons] == [Dependence.DEPENDS, Dependence.SAME]
    assert across_sentence(found) == (
        "The verdicts about snip hang on the recipe: at sparsity 0.9 snip uses which weights of each layer it keeps "
        "with published and does not use which weights of each layer it keeps with adamw."
    )


def test_verdicts_that_are_the_same_do_not_hang_on_the_recipe() -> None:
    found = with_recipes({MASK: SAME, RANDOM: SAME}, {MASK: SAME, RANDOM: SAME})
    assert found.dependence is Dependence.SAME
    assert across_sentence(found) == (
        "The verdicts about snip do not hang on the recipe: all 2 are the same with published and adamw."
    )


@pytest.mark.parametrize("other", [UNCLEAR, GONE])
def test_what_is_not_decided_somewhere_shows_neither(other: Sequence[Any]) -> None:
    found = with_recipes({MASK: COSTLY, RANDOM: SAME}, {MASK: other, RANDOM: SAME})
    assert found.dependence is Dependence.UNDECIDED
    sentence = across_sentence(found)
    assert sentence.startswith("Whether the verdicts about snip hang on the recipe is not decided: 1 of 2 is the same")
    assert ("seeds would decide" in sentence) == (other is UNCLEAR)


def test_a_check_that_was_not_asked_for_somewhere_shows_nothing() -> None:
    found = with_recipes({MASK: SAME, RANDOM: SAME}, {RANDOM: SAME})
    assert {one.against: one.dependence for one in found.comparisons} == {
        MASK: Dependence.UNDECIDED,
        RANDOM: Dependence.SAME,
    }
    assert "not asked" in markdown([across_table(found)])


def test_a_baseline_turns_round_too() -> None:
    found = with_recipes({RANDOM: COSTLY}, {RANDOM: SAME})
    assert across_sentence(found) == (
        "The verdict about snip hangs on the recipe: at sparsity 0.9 snip is better than random-smart tickets with "
        "published and is equivalent to random-smart tickets with adamw."
    )


def test_what_settings_differ_in_is_named() -> None:
    found = across(
        ({"recipe": PUBLISHED, "model": "resnet14"}, {MASK: SAME}),
        ({"recipe": PUBLISHED, "train_images": 100}, {MASK: SAME}),
        ({"recipe": ADAMW}, {MASK: SAME}),
    )
    assert found.varied == ("data set", "network", "recipe")
    assert "The verdict about snip does not hang on the data set, network and recipe: " in across_sentence(found)
    assert settings_in_words(found.settings) == [
        "digits / resnet14 of width 4 / published",
        "digits (100 training images) / resnet8 of width 4 / published",
        "digits / resnet8 of width 4 / adamw",
    ]


def test_recipes_that_have_one_name_are_told_apart_all_the_same() -> None:
    found = across(*(({"recipe": Recipe(epochs=e, momentum=m)}, {MASK: SAME}) for e, m in ((9, 0.5), (9, 0.6))))
    first, second = settings_in_words(found.settings)
    assert first != second
    assert "momentum 0.5" in first


def test_one_setting_is_none_across() -> None:
    assert across_settings(conclude(({}, {MASK: SAME}))) == []


def test_all_settings_are_one_family_and_the_table_has_a_row_for_each() -> None:
    answers = conclude(({"recipe": PUBLISHED}, {MASK: COSTLY}), ({"recipe": ADAMW}, {MASK: SAME}))
    assert {answer.family.size for answer in answers} == {2}
    (found,) = across_settings(answers)
    table = across_table(found)
    assert [row[0] for row in table.rows] == ["published", "adamw"]
    cells = [row[-1] for row in table.rows]
    assert cells == ["uses it", "does not use it"]
    assert all(isinstance(cell, VerdictCell) for cell in cells)
    assert "2 comparisons of all 2 questions" in table.notes[0]
    apart = conclude(({"recipe": PUBLISHED}, {MASK: COSTLY}), ({"recipe": ADAMW}, {MASK: SAME}), scope=Scope.QUESTION)
    assert "not over all of them together" in across_table(across_settings(apart)[0]).notes[0]


def test_json_says_what_the_sentence_says() -> None:
    found = across_json(with_recipes({MASK: COSTLY}, {MASK: SAME}))
    assert found["depends_on_the_setting"] is True
    assert found["comparisons"] == [
        {
            "sparsity": 0.9,
            "against": MASK,
            "verdicts": {"published": "uses it", "adamw": "does not use it"},
            "together": "depends on the setting",
        }
    ]
    assert across_json(with_recipes({MASK: SAME}, {MASK: SAME}))["depends_on_the_setting"] is False
    assert across_json(with_recipes({MASK: UNCLEAR}, {MASK: SAME}))["depends_on_the_setting"] is None
