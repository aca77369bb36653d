import json
import math
import sys
from collections.abc import Mapping

import numpy
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import recipe_tuning
from benchmarks.recipe_tuning import TURNS, USUAL, Candidate, Changes, Tried, choose, shown, split
from prunecheck.data import load_dataset
from prunecheck.errors import InputError
from prunecheck.training import Recipe


def test_what_is_held_out_is_of_the_training_part_and_not_learned_from() -> None:
    digits = load_dataset("digits")
    parts = split(digits, 200, 100)
    assert [numpy.bincount(part.labels).tolist() for part in (parts.train, parts.test)] == [[20] * 10, [10] * 10]
    for label in range(10):
        own = digits.train.pixels[digits.train.labels == label]
        numpy.testing.assert_array_equal(parts.train.pixels[parts.train.labels == label], own[:20])
        numpy.testing.assert_array_equal(parts.test.pixels[parts.test.labels == label], own[20:30])
    with pytest.raises(InputError, match="takes a multiple of 10, not 105"):
        split(digits, 200, 105)


def test_each_turn_goes_on_from_the_best_so_far() -> None:
    found = {0.1: 50.0, 0.3: 70.0, 0.9: math.nan}

    def trial(candidate: Candidate) -> Tried:
        smoothed = 5.0 if candidate.recipe.label_smoothing else -5.0
        return Tried(candidate, "", (found[candidate.recipe.learning_rate] + smoothed,), 0.0)

    turns: list[Mapping[str, Changes]] = [
        {"low": {}, "high": {"learning_rate": 0.3}, "too high": {"learning_rate": 0.9}},
        {"smoothed": {"label_smoothing": 0.1}, "nesterov": {"nesterov": True}},
        {"both": {"nesterov": True}},
    ]
    tried = choose(Candidate("", Recipe()), turns, trial)
    names = ["low", "high", "too high", "high, smoothed", "high, nesterov", "high, smoothed, both"]
    assert [one.candidate.name for one in tried] == names
    assert tried[-1].candidate.recipe == Recipe(learning_rate=0.3, label_smoothing=0.1, nesterov=True)
    assert tried[2].mean == -math.inf
    assert "diverged" in shown(tried).splitlines()[3]


def test_candidates_are_recipes_that_differ() -> None:
    for turn in TURNS:
        recipes = [
            one.candidate.recipe for one in choose(Candidate("", USUAL), [turn], lambda one: Tried(one, "", (0.0,), 0))
        ]
        assert len(set(recipes)) == len(recipes)


def test_the_best_are_trained_again_on_the_other_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe_tuning, "TURNS", ({"high": {"learning_rate": 0.2}, "nothing": {"learning_rate": 1e-9}},))
    size = ["--train-images", "100", "--held-out", "100", "--epochs", "2", "--seeds", "2"]
    networks = ["--network", "resnet8:4", "--confirm", "resnet8:8", "--best", "1"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "recipe-tuning", "--dataset", "digits", *size, *networks, "--json"])

    benchmarks.main()

    tried = json.loads(capsys.readouterr().out)["tried"]
    assert [(one["name"], one["network"]) for one in tried[:2]] == [
        ("high", "resnet8 of width 4"),
        ("nothing", "resnet8 of width 4"),
    ]
    (best,) = tried[2:]
    assert best["network"] == "resnet8 of width 8"
    assert best["name"] == max(tried[:2], key=lambda one: sum(one["accuracies"]))["name"]
    assert best["recipe"]["epochs"] == 2
    assert len(best["accuracies"]) == 2
    assert best["accuracies"][0] != best["accuracies"][1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--network", "resnet8:"], "MODEL or MODEL:WIDTH"),
        (["--best", "0"], "--best takes at least 1, not 0"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "recipe-tuning", "--dataset", "digits", *arguments])
    with pytest.raises(SystemExit) as ended:
        benchmarks.main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
