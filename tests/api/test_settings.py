"""One question in several settings, whose runs are really done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import prunecheck
from prunecheck.analysis.across_settings import Dependence, across_settings
from prunecheck.errors import InputError
from prunecheck.pruning import prunable_weights
from prunecheck.report.across_settings import across_sentence

Call = Callable[..., Any]

SMALL: dict[str, Any] = {
    "sparsity": 0.5,
    "seeds": 1,
    "checks": "rearrange-mask",
    "baseline": None,
    "epochs": 1,
    "train_images": 100,
    "test_images": 50,
    "samples_per_class": 1,
    "quiet": True,
}


def linear(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))


def least_squares(model: nn.Module, batches: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A method whose tickets are solved already: half of the weights of a least-squares fit of the labels."""
    ((x, y),) = batches
    flat = x.flatten(1)
    targets = nn.functional.one_hot(y, 10).float()
    fitted = torch.linalg.solve(flat.T @ flat + 20 * torch.eye(64), flat.T @ (targets - targets.mean(0))).T
    (layer,) = prunable_weights(model)
    threshold = fitted.abs().flatten().median()
    weights = dict(model.state_dict()) | {f"{layer}.weight": 10 * fitted, f"{layer}.bias": torch.zeros(10)}
    return weights, {layer: fitted.abs() > threshold}


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> prunecheck.Answers:
    """Tickets that need no training, and what they are worth without their weights, in three recipes."""
    still = prunecheck.Recipe(epochs=1, learning_rate=1e-9, milestones=())
    trains = prunecheck.Recipe(epochs=3, batch_size=16, learning_rate=0.05, optimizer="adamw", schedule="cosine")
    trains_too = prunecheck.Recipe(epochs=3, batch_size=16, learning_rate=0.1, nesterov=True, schedule="one-cycle")
    return prunecheck.check_settings(
        least_squares,
        recipes=[still, trains, trains_too],
        model=linear,
        sparsity=0.5,
        seeds=3,
        checks="reinit",
        baseline=None,
        margin=10,
        samples_per_class=60,
        out=tmp_path_factory.mktemp("controlled"),
        quiet=True,
    )


def test_what_makes_up_for_lost_weights_turns_the_verdict_round(controlled: prunecheck.Answers) -> None:
    still, *trained = controlled
    assert set(still.verdicts.values()) == {prunecheck.Verdict.USES}
    for answer in trained:
        assert set(answer.verdicts.values()) == {prunecheck.Verdict.DOES_NOT_USE}
    assert [one.dependence for one in controlled.across_settings] == [Dependence.DEPENDS]
    assert "hangs on the recipe" in controlled.robustness
    assert controlled.robustness in " ".join(str(controlled).split())
    assert controlled.to_dict()["across_settings"][0]["sentence"] == controlled.robustness
    assert {answer.family.size for answer in controlled} == {3}


def test_recipes_that_make_up_for_it_alike_do_not(controlled: prunecheck.Answers) -> None:
    _, *trained = controlled
    (found,) = across_settings([answer.conclusion for answer in trained])
    assert found.dependence is Dependence.SAME
    assert "does not hang on the recipe" in across_sentence(found)


def test_the_command_asks_in_each_setting_and_says_what_follows(call: Call) -> None:
    settings = ["--datasets", "digits", "--models", "resnet8,resnet14", "--recipes", "short,adamw", "--width", "2"]
    small = ["--sparsity", "0.5", "--seeds", "1", "--checks", "rearrange-mask", "--baseline", "none", "--epochs", "1"]
    images = ["--train-images", "60", "--test-images", "30", "--samples-per-class", "1"]
    words = ["check", "snip", *settings, *small, *images, "--workers", "1", "--quiet"]
    ended = call(*words)
    assert ended.code == 0, ended.stderr
    assert "snip in 4 settings" in ended.stdout
    for row in ("resnet8 of width 2 / short", "resnet14 of width 2 / adamw"):
        assert row in ended.stdout
    assert "hangs on the network and recipe is not decided" in " ".join(ended.stdout.split())
    page = Path("runs/report.html").read_text()
    assert "What hangs on the setting" in page
    again = json.loads(call(*words, "--json").stdout)
    assert len(again["answers"]) == 4
    assert again["across_settings"][0]["varied"] == ["network", "recipe"]
    assert {answer["family"]["scope"] for answer in again["answers"]} == {"report"}


def test_the_call_is_told_as_it_was_made(controlled: prunecheck.Answers) -> None:
    assert controlled.call.startswith("prunecheck.check_settings(least_squares, recipes=[")
    assert "model=linear, sparsity=0.5, seeds=3, checks='reinit'" in controlled.call


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipes": ["short"]}, "there is one question here: give several methods"),
        ({"recipes": ["published", prunecheck.Recipe()]}, "there is one question here"),
        ({"recipes": ["short", "adamw"], "recipe": "short"}, "recipes and recipe say the same"),
        ({"recipes": []}, "recipes names nothing"),
        ({"models": ["resnet8", "resnet9"]}, "resnet9|depth"),
        ({"recipes": ["short", "adamv"]}, "did you mean adamw"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_done(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prunecheck.check_settings("snip", **SMALL | given)
    assert not Path("runs").exists()


def test_options_that_say_the_same_are_refused(refused: Callable[..., str]) -> None:
    sentence = refused("check", "snip", "--recipes", "short,adamw", "--recipe", "short")
    assert sentence == "--recipes and --recipe say the same: give one of them."
    assert "--recipes takes one or more values" in refused("check", "snip", "--recipes", "short,")


OWN_METHOD = """
def score(model, batches, smallest=True):
    ...
"""


@pytest.mark.parametrize("method", ["snip,magnitude", ["snip", "magnitude"], "own.py:score?smallest=false,snip"])
def test_several_methods_in_the_place_of_one_are_refused_and_it_is_said_who_takes_them(method: Any) -> None:
    Path("own.py").write_text(OWN_METHOD)
    with pytest.raises(InputError, match=r": check takes one, and check_settings takes a list of several\.$"):
        prunecheck.check(method)
    if isinstance(method, str):
        with pytest.raises(InputError, match=r"names several methods: audit takes several as a list"):
            prunecheck.audit(method)
        with pytest.raises(InputError, match=r"names several methods: check_settings takes several as a list"):
            prunecheck.check_settings(method)


def test_a_comma_in_an_argument_is_no_list_of_methods() -> None:
    Path("own.py").write_text(OWN_METHOD)
    with pytest.raises(InputError, match=r"the argument smallest of own.py:score is true or false, not '1,5'"):
        prunecheck.check("own.py:score?smallest=1,5")


def test_few_seeds_are_said_to_be_few_before_they_are_trained_and_not_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[Any] = []
    monkeypatch.setattr("prunecheck.api.study_runs.executors.execute_all", lambda jobs, *_, **__: done.extend(jobs))
    said = "One seed cannot decide anything: `prunecheck seeds` says how many a question needs.\n"
    prunecheck.check("magnitude", **SMALL | {"quiet": False})
    assert done
    assert said in capsys.readouterr().err
    for given in ({}, {"quiet": False, "seeds": 4}, {"quiet": False, "checks": "none"}):
        prunecheck.check("magnitude", **SMALL | given)
        assert "prunecheck seeds" not in capsys.readouterr().err
