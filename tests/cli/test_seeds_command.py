import json
from collections.abc import Callable
from typing import Any

import pytest
from statsmodels.stats.power import TTestPower

from prunecheck.analysis.power import check_test

Call = Callable[..., Any]
Refused = Callable[..., str]


def answers(call: Call, *arguments: str) -> dict[str, dict[str, Any]]:
    ended = call("seeds", *arguments, "--json")
    assert (ended.code, ended.stderr) == (0, "")
    return {answer["of"]: answer for answer in json.loads(ended.stdout)["answers"]}


def test_json_names_the_least_number_whose_power_is_enough(call: Call) -> None:
    found = answers(call, "--sd", "1.5", "--margin", "2", "--power", "0.9", "--difference", "0.5")
    test = check_test(0.5, 2.0, 1.5)
    needed = found["check"]["seeds"]
    assert found["check"]["verdict"] == "does not use it"
    assert test.power(needed) >= 0.9 > test.power(needed - 1)
    plain = TTestPower().solve_power(1.0, alpha=0.05, power=0.9, alternative="larger")
    assert plain < needed < plain + 4
    assert found["check"]["power_by_seeds"]["5"] == round(test.power(5), 4)
    assert found["random tickets"]["verdict"] == "equivalent"
    assert found["random tickets"]["seeds"] >= needed


def test_it_says_what_so_many_seeds_may_miss(call: Call) -> None:
    found = answers(call, "--sd", "1")["check"]["unseen_share_by_seeds"]
    assert (found["3"], found["5"], found["10"]) == (0.6316, 0.4507, 0.2589)
    said = " ".join(call("seeds", "--sd", "1").stdout.split())
    assert "less than 63 %, 45 % or 26 % of all seeds" in said
    assert "none of 3, 5 or 10" in said


def test_few_test_images_need_more_seeds(call: Call) -> None:
    needed = [answers(call, "--sd", "0.5", *more)["check"]["seeds"] for more in ([], ["--test-images", "50"])]
    assert needed == [check_test(0.0, 2.0, 0.5, test_images=images).seeds(0.8) for images in (None, 50)]
    assert needed[0] + 3 <= needed[1]


@pytest.mark.parametrize(
    ("difference", "of_check", "of_baseline"),
    [("3", "uses it", "better"), ("-3", "does not use it", "worse"), ("1.9", "does not use it", "equivalent")],
)
def test_the_verdict_is_the_true_one(call: Call, difference: str, of_check: str, of_baseline: str) -> None:
    found = answers(call, "--sd", "1", "--difference", difference)
    assert (found["check"]["verdict"], found["random tickets"]["verdict"]) == (of_check, of_baseline)


def test_more_verdicts_need_more_seeds_each(call: Call) -> None:
    one, eight = (answers(call, "--sd", "2", "--verdicts", number) for number in ("1", "8"))
    assert eight["check"]["seeds"] > one["check"]["seeds"]
    assert eight["check"]["seeds"] == check_test(0.0, 2.0, 2.0, 0.05 / 8).seeds(0.8)


def test_table_and_json_hold_the_same_numbers(call: Call) -> None:
    table = call("seeds", "--sd", "2")
    assert table.code == 0
    for of, answer in answers(call, "--sd", "2").items():
        (line,) = [line for line in table.stdout.splitlines() if line.strip().startswith(of)]
        powers = [f"{answer['power_by_seeds'][n]:.2f}" for n in ("3", "5", "10")]
        assert line.split()[-4:] == [str(answer["seeds"]), *powers]
        assert answer["verdict"] in line


def test_more_than_a_thousand_are_said_to_be_so(call: Call) -> None:
    assert answers(call, "--sd", "90")["check"]["seeds"] is None
    assert "more than 1,000" in call("seeds", "--sd", "90").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--sd"),
        (["--sd", "-1"], "--sd takes a standard deviation, at least 0 and finite, not -1"),
        (["--sd", "nan"], "--sd takes a standard deviation"),
        (["--sd", "1", "--margin", "0"], "--margin takes points of accuracy, more than 0"),
        (["--sd", "1", "--power", "1"], "--power takes a chance"),
        (["--sd", "1", "--power", "80"], "--power takes a chance"),
        (["--sd", "1", "--difference", "2"], "no number of seeds decides"),
        (["--sd", "1", "--difference", "-2"], "no number of seeds decides"),
        (["--sd", "1", "--difference", "101"], "--difference takes points"),
        (["--sd", "1", "--verdicts", "0"], "--verdicts takes a whole number, at least 1"),
        (["--sd", "1", "--verdicts", "1.5"], "whole number"),
        (["--sd", "1", "--test-images", "0"], "--test-images takes a whole number, at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_refused(refused: Refused, arguments: list[str], said: str) -> None:
    assert said in refused("seeds", *arguments)
