from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from prunecheck.analysis.families import Conclusion, answer_questions
from prunecheck.analysis.summary import summary
from prunecheck.api.answers import Answer
from prunecheck.report.answer_json import answer_json
from prunecheck.report.remarks import remarks
from prunecheck.runs.result import RunResult
from tests.fixtures.answers import RANDOM, result_of, study_of

KEPT = {"z": (3, 9), "shortcut": (0, 4), "a": (2, 5)}
SPARSITIES = {0.9: [90.0, 91.0, 89.5], 0.95: [88.0, 87.0, 88.5]}


def answer(change: Callable[[float, str | None, int, RunResult], RunResult]) -> Conclusion:
    """Conclusion a question of whose results ``change``, given sparsity, ticket and seed, makes others."""
    outcomes: dict[tuple[float, str | None], list[Any]] = {
        (sparsity, ticket): values for sparsity, values in SPARSITIES.items() for ticket in (None, "reinit", RANDOM)
    }
    study = study_of(outcomes, 2.0, "snip", RANDOM)
    results = {}
    for (sparsity, ticket), values in outcomes.items():
        for seed, value in enumerate(values):
            run = study.baseline_run(sparsity, seed) if ticket == RANDOM else study.method_run(sparsity, ticket, seed)
            results[run] = change(sparsity, ticket, seed, replace(result_of(value), kept={"z": (3, 9), "a": (2, 5)}))
    (found,) = answer_questions([study.question], results)
    return found


def test_an_empty_layer_of_a_trained_ticket_is_named_with_how_many_have_it() -> None:
    def change(sparsity: float, ticket: str | None, seed: int, result: RunResult) -> RunResult:
        return replace(result, kept=KEPT) if sparsity == 0.95 and ticket != RANDOM and seed else result

    found = answer(change)
    text = remarks(found)
    assert text.count("no weight is left in shortcut (2 of 3)") == 2
    assert text.startswith("Of snip at sparsity 0.95")
    assert "Of reinit at sparsity 0.95" in text
    assert "0.9," not in text
    assert RANDOM not in text
    tickets = {ticket["sparsity"]: ticket["empty_layers"] for ticket in answer_json(found)["tickets"]}
    assert tickets == {0.9: {}, 0.95: {"shortcut": 2}}
    shown = str(Answer({}, Path(), "", None, found))
    assert "no weight is left in shortcut" in " ".join(shown.split())


def test_what_was_drawn_by_lot_is_said_if_it_is_much() -> None:
    shares = {0: 0.004, 1: 0.31, 2: 0.0}
    found = answer(
        lambda sparsity, ticket, seed, result: replace(result, share_by_lot=shares[seed] * (sparsity == 0.9))
    )
    assert remarks(found).count("at sparsity 0.9, up to 31 % was drawn by lot among equal scores") == 3
    assert "0.95" not in remarks(found)
    assert remarks(answer(lambda *arguments: replace(arguments[-1], share_by_lot=0.004))) == ""


def test_a_collapsed_ticket_has_no_part_in_it_and_layers_stand_in_the_networks_order() -> None:
    lost = replace(result_of("collapsed"), kept={"shortcut": (0, 4)})
    trained = replace(result_of(90.0), kept={"z": (0, 9), "shortcut": (1, 4), "a": (0, 5)})
    found = summary(range(3), [lost, trained, replace(trained, kept=KEPT)])
    assert list(found.empty_layers.items()) == [("z", 1), ("shortcut", 1), ("a", 1)]
