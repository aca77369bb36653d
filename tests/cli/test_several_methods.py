"""``check`` of several methods, as it is typed; and keys of a study that are given beside it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prunecheck

Call = Callable[..., Any]
Refused = Callable[..., str]

SMALL = ["--seeds", "1", "--epochs", "1", "--train-images", "100", "--test-images", "50", "--samples-per-class", "1"]
SMALL += ["--width", "2", "--sparsity", "0.5"]


def test_several_methods_are_one_family_and_share_their_runs(call: Call) -> None:
    ended = call("check", "magnitude,random-erk", *SMALL, "--checks", "rearrange-mask", "--json", "--quiet")
    assert ended.code == 0
    found = json.loads(ended.stdout)
    assert [answer["method"] for answer in found["answers"]] == ["magnitude", "random-erk"]
    assert {(answer["family"]["scope"], answer["family"]["questions"]) for answer in found["answers"]} == {
        ("report", 2)
    }
    assert found["across_settings"] == []
    # Dense and baseline once, and of each method its ticket and the changed one.
    assert len(Path("runs/results.csv").read_text().splitlines()) == 1 + 6
    alone = call(
        "check",
        "magnitude,random-erk",
        *SMALL,
        "--checks",
        "rearrange-mask",
        "--family",
        "question",
        "--json",
        "--quiet",
    )
    assert {answer["family"]["scope"] for answer in json.loads(alone.stdout)["answers"]} == {"question"}
    small: dict[str, Any] = {"seeds": 1, "epochs": 1, "train_images": 100, "test_images": 50, "samples_per_class": 1}
    small |= {"width": 2, "sparsity": 0.5, "checks": "rearrange-mask", "quiet": True}
    in_python = prunecheck.check_settings(["magnitude", "random-erk"], **small)
    assert [answer.question.method for answer in in_python] == ["magnitude", "random-erk"]
    assert in_python.call.startswith("prunecheck.check_settings(['magnitude', 'random-erk'], ")


def test_names_that_say_nothing_are_refused(refused: Refused) -> None:
    assert "METHOD takes one or more values with commas" in refused("check", "snip,")
    assert "one question here" in refused("check", "snip,snip", *SMALL)
    assert "there is no method named 'snop'" in refused("check", "magnitude,snop", *SMALL)


def test_keys_of_a_study_are_given_beside_it(call: Call, refused: Refused) -> None:
    Path("s.toml").write_text(
        'methods = ["magnitude"]\ndatasets = ["digits"]\nseeds = 9\nwidths = [2]\nsparsities = [0.5]\n'
        'checks = []\nrecipes = ["a"]\ntrain_images = 100\ntest_images = 50\n[recipe.a]\nepochs = 40\n'
    )
    given = ("--set", "seeds=1", "--set", "recipe.a.epochs=1", "--set", "baseline=none")
    planned = json.loads(call("plan", "s.toml", *given, "--json").stdout)
    assert (planned["runs"], planned["epochs_to_go"]) == (2, 2)
    ended = call("run", "s.toml", *given, "--quiet", "--json")
    assert ended.code == 0
    (answer,) = json.loads(ended.stdout)["answers"]
    assert answer["seeds"] == [0]
    assert len(Path("runs/results.csv").read_text().splitlines()) == 3
    assert refused("run", "s.toml", "--set", "sead=1").startswith("--set sead: there is no key named 'sead'")
    assert refused("plan", "s.toml", "--set", "seeds").startswith("--set takes KEY=VALUE")
