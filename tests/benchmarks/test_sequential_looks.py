import json
import math
import sys

import numpy
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.error_rates import sequential
from benchmarks.error_rates.populations import MARGIN
from benchmarks.error_rates.sequential import drawn_studies, is_wrong, runs_of_designs, shares_of_sequential, worst_rows
from prunecheck.analysis.simulated_looks import look_at
from prunecheck.studies.looks import USUAL_LOOKS, Look

LOOKS = USUAL_LOOKS.up_to(20)


@pytest.mark.parametrize("noise", [*sequential.NOISES, "images"])
def test_noises_have_the_mean_and_the_deviation_that_they_are_drawn_with(noise: str) -> None:
    values = drawn_studies(40_000, 1, noise, 1.5, 1.4, 4)
    assert values.mean() == pytest.approx(1.5, abs=5 * 1.4 / math.sqrt(values.size))
    assert values.std() == pytest.approx(1.4, rel=0.03)
    if noise == "images":
        counts = values * sequential.IMAGES / 100
        assert counts == pytest.approx(numpy.round(counts), abs=1e-9)


@pytest.mark.parametrize("family", [1, 6])
@pytest.mark.parametrize("mean", [MARGIN - 1e-9, MARGIN + 1e-9])
def test_looks_at_a_true_difference_of_the_margin_are_wrong_in_five_percent_at_most(family: int, mean: float) -> None:
    found = look_at(drawn_studies(1500, family, "normal", mean, 1.0, 20), MARGIN, LOOKS)
    wrong = is_wrong(found, mean).any(axis=1).mean()
    assert 0 < wrong < 0.05
    at_full_level = look_at(
        drawn_studies(1500, family, "normal", mean, 1.0, 20), MARGIN, [Look(look.seeds, 1.0) for look in LOOKS]
    )
    assert is_wrong(at_full_level, mean).any(axis=1).mean() > 1.5 * wrong


def test_a_verdict_is_wrong_on_the_other_side_of_the_margin() -> None:
    found = look_at(drawn_studies(50, 1, "normal", 0.0, 0.5, 20), MARGIN, LOOKS)
    assert found.is_decided.all()
    assert not is_wrong(found, 0.0).any()
    assert is_wrong(found, 2 * MARGIN).all()


def test_the_worst_deviation_is_shown() -> None:
    rows = [
        {"family": 1, "noise": "normal", "difference": "0", "sd": sd, "looks: wrong": wrong}
        for sd, wrong in ((1, 0.01), (2, 0.03), (3, 0.02))
    ]
    assert [row["sd"] for row in worst_rows(rows)] == [2]


def test_the_looks_that_are_used_take_three_quarters_of_the_runs_where_nobody_knows_the_deviation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sequential, "FAMILIES", {6: 3})
    monkeypatch.setattr(sequential, "DESIGNS", {"as used": sequential.DESIGNS["as used"]})
    rows = {(row["sd"], row["difference"]): row for row in runs_of_designs(1600)}
    for difference in ("0", "2 margins"):
        assert float(str(rows["unknown", difference]["ratio"])) < 0.75
        assert float(str(rows["unknown", difference]["decided"])) > 0.95


def test_the_command_prints_both_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sequential, "FAMILIES", {1: 1})
    monkeypatch.setattr(sequential, "DEVIATIONS", (0.5, 1.0))
    words = ["benchmarks", "error-rates", "sequential", "designs", "--repetitions", "200"]
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    benchmarks.main()
    found = json.loads(capsys.readouterr().out)
    assert len(found["sequential"]) == 1 * 4 * 2 * 4
    assert {row["sd"] for row in found["designs"]} == {"unknown", "0.5", "1.0"}
    assert found["sequential"] == json.loads(json.dumps(shares_of_sequential(40), default=float))
    monkeypatch.setattr(sys, "argv", words)
    benchmarks.main()
    shown = capsys.readouterr().out
    assert shown.count("margin +") == 4
    assert "as used" in shown
