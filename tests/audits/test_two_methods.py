"""Masks of two methods in one audit."""

from dataclasses import replace

import pytest

from prunecheck.audits.agreement import agreement, overlaps
from prunecheck.audits.audit import MethodAudit, audit_method
from prunecheck.audits.tables import audit_json
from prunecheck.audits.two_methods import compare_methods, tables_of_two_methods
from prunecheck.pruning import Collapse
from prunecheck.pruning.collapse import NOT_FINITE
from tests.audits.test_audit import masks_of, study_of


@pytest.fixture(scope="module")
def audits() -> list[MethodAudit]:
    return [audit_method(study_of(name, checks=(), seeds=range(2))) for name in ("magnitude", "random-smart")]


def test_each_two_methods_are_compared_seed_by_seed(audits: list[MethodAudit]) -> None:
    (two,) = compare_methods(audits)
    assert (two.first, two.second) == ("magnitude", "random-smart")
    magnitude, random_smart = (one.study for one in audits)
    expected = [overlaps(masks_of(magnitude, seed), masks_of(random_smart, seed)) for seed in (0, 1)]
    assert [pair.seeds for pair in two.comparison.pairs] == [(0, 0), (1, 1)]
    assert [pair.overlap for pair in two.comparison.pairs] == expected
    assert compare_methods(audits[:1]) == ()


def test_one_mask_is_compared_with_those_of_every_seed(audits: list[MethodAudit]) -> None:
    one_mask = replace(audits[0], tickets=audits[0].tickets[:1])
    (two,) = compare_methods([one_mask, audits[1]])
    assert [pair.seeds for pair in two.comparison.pairs] == [(0, 0), (0, 1)]
    (back,) = compare_methods([audits[1], one_mask])
    assert back.comparison.agreement == two.comparison.agreement


def test_masks_that_no_score_chose_are_not_compared(audits: list[MethodAudit]) -> None:
    first, second = audits[0].tickets
    lost = replace(audits[0], tickets=(replace(first, collapse=Collapse("fc", NOT_FINITE)), second))
    (two,) = compare_methods([lost, audits[1]])
    assert ([pair.seeds for pair in two.comparison.pairs], two.comparison.left_out) == ([(1, 1)], ((0, 0),))


def test_tables_and_json_say_how_alike_layers_are(audits: list[MethodAudit]) -> None:
    compared = compare_methods(audits)
    summary, layers = tables_of_two_methods(compared)
    found = agreement([pair.overlap for pair in compared[0].comparison.pairs])
    assert found
    assert summary.rows[0][:4] == ("magnitude", "random-smart", "2", f"{100 * found.observed:.1f} %")
    row = next(row for row in layers.rows if row[0] == "fc")
    kept = [int(masks_of(one.study, seed)["fc"].sum()) for one in audits for seed in (0, 1)]
    assert row[1:3] == (f"{sum(kept[:2]) / 2:.0f}", f"{sum(kept[2:]) / 2:.0f}")
    (between,) = audit_json(audits, compared)["between_methods"]
    assert between["methods"] == ["magnitude", "random-smart"]
    assert between["agreement"] == pytest.approx(found.observed, abs=1e-6)
    assert [layer["layer"] for layer in between["layers"]] == [row[0] for row in layers.rows[:-1]]


def test_of_three_methods_only_the_summary_is_shown(audits: list[MethodAudit]) -> None:
    third = replace(audits[1], study=study_of("random-erk", checks=()))
    (summary,) = tables_of_two_methods(compare_methods([*audits, third]))
    assert len(summary.rows) == 3
