"""Methods after training: one network, one test for each ticket, and what calibration data do to them."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import prunecheck
from prunecheck import Answer, process_limits
from prunecheck.analysis.verdicts import Verdict
from prunecheck.api.questions import asked_study
from prunecheck.audits.audit import OTHER_SEEDS, PERTURBED
from prunecheck.data.batches import Batches
from prunecheck.data.datasets import forget_datasets
from prunecheck.engine.execution import execute
from prunecheck.engine.shared_tickets import unchanged_ticket
from prunecheck.engine.tickets import build_network
from prunecheck.errors import InputError
from prunecheck.pruning.post_training import POST_TRAINING_METHODS, cost_of, find_stages, prune_after_training
from prunecheck.runs.dependencies import dependencies_of
from prunecheck.runs.index import find_runs
from prunecheck.runs.result import Status
from prunecheck.runs.store import RunStore
from prunecheck.studies.after_training import NETWORKS, NUMBER
from prunecheck.studies.plan import plan_study
from prunecheck.studies.rates import stated_rates, tokens_of_run
from prunecheck.studies.study import Study

SMALL: dict[str, Any] = {
    "train_images": 60,
    "test_images": 20,
    "sequence_length": 32,
    "width": 32,
    "epochs": 1,
    "calibration_sequences": 8,
    "seeds": 2,
    "quiet": True,
}

SMALL_STUDY = {name: value for name, value in SMALL.items() if name not in ("epochs", "quiet")}

OF_A_NARROW_CORPUS = """
import torch
from torch import nn

class Bigrams(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.linear = nn.Linear(num_classes, num_classes, bias=False)

    def forward(self, tokens):
        return self.linear(nn.functional.one_hot(tokens, self.linear.in_features).float())

class TwoLayers(Bigrams):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.hidden = nn.Linear(num_classes, num_classes, bias=False)

    def forward(self, tokens):
        return self.linear(self.hidden(nn.functional.one_hot(tokens, self.linear.in_features).float()))

def most_active(model, *, calibration, sparsity):
    active = torch.bincount(calibration.flatten(), minlength=model.linear.in_features)
    kept = active.argsort(descending=True)[: round((1 - sparsity) * len(active))]
    mask = torch.zeros_like(model.linear.weight, dtype=torch.bool)
    mask[:, kept] = True
    return {"linear": mask}
"""

OF_BIGRAMS: dict[str, Any] = {name: value for name, value in SMALL.items() if name != "width"} | {"learning_rate": 0.5}
"""Logits of letters that follow each other are learned in a few large steps."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a network is trained once, on a text of few letters."""
    folder = tmp_path_factory.mktemp("after-training")
    generator = torch.Generator().manual_seed(0)
    words = ["abba ", "bac ", "cab ", "acca "]
    chosen = torch.randint(len(words), (6000,), generator=generator).tolist()
    (folder / "text.txt").write_text("".join(words[index] for index in chosen))
    digits = torch.randint(10, (9000,), generator=generator).tolist()
    (folder / "other.txt").write_text("".join(map(str, digits)))
    (folder / "method.py").write_text(OF_A_NARROW_CORPUS)
    forget_datasets()
    return folder


def ask(folder: Path, method: str, **changes: Any) -> Answer:
    return prunecheck.check(method, dataset=f"text:{folder / 'text.txt'}", out=folder / "runs", **(SMALL | changes))


def test_one_network_is_trained_and_every_ticket_is_tested_once(folder: Path) -> None:
    answer = ask(folder, "wanda", checks=["random-tokens", "rearrange-rows"])
    runs = find_runs([folder / "runs"]).runs
    trained = [run for run in runs if run.result and run.result.epochs]
    assert [run.spec.method for run in trained] == ["dense"]
    tested = [run for run in runs if run not in trained and run.spec.method in ("wanda", "magnitude-after-training")]
    assert len(tested) == 2 * 3 + 2
    assert {run.status for run in tested} == {Status.TRAINED}
    assert all(run.result and len(run.result.sequence_losses) == 20 for run in tested)
    assert {run.spec.calibration_sequences for run in tested if run.spec.method == "wanda"} == {8}
    assert answer.question.quantity.name == "bits-per-byte"
    assert answer.question.margin.amount == 0.02
    assert answer.question.sparsities == (0.5,)
    assert [one.against for one in answer.comparisons] == [
        "random-tokens",
        "rearrange-rows",
        "magnitude-after-training",
    ]
    dense = next(run.result for run in trained)
    assert dense and answer.conclusion.dense.values == {0: dense.value}


def test_words_are_those_of_calibration_draws_and_of_a_metric_that_is_better_when_lower(folder: Path) -> None:
    answer = ask(folder, "wanda", checks=["random-tokens"])
    text = str(answer)
    for words in (
        "2 calibration draws",
        "paired by calibration draw",
        "Nothing is trained after pruning",
        "a draw of 8 calibration sequences",
        "the changed tickets minus wanda",
        "bits-per-byte",
        "Over the 20 test sequences instead of the draws (bootstrap, 95 %)",
    ):
        assert words in text.replace("\n", " ").replace("  ", " "), words
    (check, _) = answer.comparisons
    own, other = check.own.mean, check.other.mean
    assert check.difference
    assert own is not None
    assert other is not None
    assert check.difference.mean == pytest.approx(other - own)
    spread = check.text_spread
    assert spread
    assert spread.low <= check.difference.mean <= spread.high
    assert answer.to_dict()["paired_by"] == "calibration draw"


@pytest.mark.parametrize("check", ["random-tokens", "padding-only", "one-sequence", "fewer-sequences"])
def test_magnitude_does_not_use_calibration_data_at_all(check: str, folder: Path) -> None:
    answer = ask(folder, "magnitude-after-training", checks=[check], baseline=None)
    (comparison,) = answer.comparisons
    assert comparison.difference
    assert comparison.difference.differences == (0.0, 0.0)
    assert comparison.verdict is Verdict.DOES_NOT_USE


def test_a_method_that_keeps_what_a_narrow_corpus_activates_loses_with_another(folder: Path) -> None:
    file, other = folder / "method.py", f"text:{folder / 'other.txt'}"
    answer = prunecheck.check(
        f"{file}:most_active",
        model=f"{file}:Bigrams",
        dataset=f"text:{folder / 'text.txt'}",
        out=folder / "runs",
        checks=["shuffled-tokens"],
        calibration_data=other,
        baseline=None,
        sparsity=0.96875,
        **(OF_BIGRAMS | {"seeds": 6, "train_images": 400, "epochs": 2}),
    )
    verdicts = {one.against: one.verdict for one in answer.comparisons}
    assert verdicts == {"shuffled-tokens": Verdict.DOES_NOT_USE, f"other-corpus:{other}": Verdict.USES}


def test_the_update_of_sparsegpt_can_be_taken_away_and_a_pattern_is_kept(folder: Path) -> None:
    answer = ask(folder, "sparsegpt-2:4", checks=["no-update", "rearrange-mask"], seeds=1)
    costs = {one.against: one.difference.mean for one in answer.comparisons if one.difference}
    assert set(costs) == {"no-update", "rearrange-mask", "magnitude-after-training-2:4"}
    assert costs["no-update"] != 0
    assert costs["rearrange-mask"] > 0


def test_masks_of_other_calibration_data_are_compared_with_those_of_the_same_and_with_chance(folder: Path) -> None:
    other = f"text:{folder / 'other.txt'}"
    small = {name: SMALL[name] for name in ("sequence_length", "width", "calibration_sequences", "seeds")}
    found = prunecheck.audit(
        ["wanda", "magnitude-after-training"],
        dataset=f"text:{folder / 'text.txt'}",
        checks=["random-tokens", "shuffled-tokens"],
        calibration_data=other,
        out=folder / "runs-of-audit",
        **small,
    )
    wanda, magnitude = found.methods
    shares = {one.against: one.agreement for one in wanda.comparisons}
    assert list(shares) == ["random-tokens", "shuffled-tokens", f"other-corpus:{other}", PERTURBED, OTHER_SEEDS]
    assert [one.against for one in magnitude.comparisons] == [PERTURBED, OTHER_SEEDS]
    draws = {against: one.observed for against, one in shares.items() if one}
    assert len(draws) == len(shares)
    assert shares["random-tokens"]
    assert shares["random-tokens"].chance == pytest.approx(0.5)
    assert shares["random-tokens"].chance < draws["random-tokens"] < draws["shuffled-tokens"] <= 1
    assert draws[f"other-corpus:{other}"] < draws[OTHER_SEEDS]
    assert magnitude.comparisons[1].agreement
    assert magnitude.comparisons[1].agreement.observed == 1  # another draw is nothing to it
    assert wanda.study.sparsities == (0.5,)
    assert wanda.tickets[0].sparsity == pytest.approx(0.5)
    text = " ".join(str(found).split())
    assert "other calibration draws" in text
    assert "on text:" in text
    assert "2 calibration draws" in text
    assert "multiply-adds of a sequence" in text
    (run,) = find_runs([folder / "runs-of-audit"]).runs  # the trained network, which was made for it
    assert (run.spec.method, run.spec.seed) == ("dense", 0)
    with pytest.raises(InputError, match="rearrange-rows changes something else than the data"):
        prunecheck.audit("wanda", dataset=f"text:{folder / 'text.txt'}", checks="rearrange-rows")


def test_a_plan_says_what_memory_a_run_needs_and_too_little_is_refused_beforehand(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(
        "s",
        tuple(
            asked_study(method, model=None, dataset=f"text:{folder / 'text.txt'}", sparsity=None, **SMALL_STUDY)
            for method in ("magnitude-after-training", "sparsegpt")
        ),
    )
    found = plan_study(study, folder / "nowhere")
    assert found.memory
    name, memory = found.memory
    assert name == "sparsegpt"
    network = build_network(study.questions[1].dense_run(0), study.questions[1].data)
    stages = find_stages(network, 32)
    assert memory.pruning == cost_of(stages, POST_TRAINING_METHODS.get("sparsegpt"), 8, 32).memory
    assert memory.networks == NETWORKS * NUMBER * sum(one.numel() for one in network.parameters())
    assert memory.peak == memory.networks + max(memory.pruning, memory.test)
    assert memory.test == NUMBER * 20 * 32 * (3 * 256 + 4 * 128)  # of a token, three logits and four outputs of fc1
    calibrated = tokens_of_run(study, study.questions[1].method_run(0.5, None, 0))
    assert calibrated
    assert calibrated > 20 * 32  # the test, and the pruning
    monkeypatch.setattr(process_limits, "available_memory", lambda: memory.peak - 1)
    with pytest.raises(
        InputError, match=r"a run of sparsegpt: .* MiB of memory are needed, and .* are free: give fewer"
    ):
        study.questions[1].validate()
    assert not (folder / "nowhere").exists()


@pytest.mark.parametrize("check", ["rearrange-rows", "no-update"])
def test_a_check_of_the_ticket_changes_what_the_unchanged_run_has_left_and_gives_the_same(
    check: str, folder: Path, make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(folder, "wanda", checks=["random-tokens"])
    made: list[str] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        made.append(named["method"])
        return prune_after_training(*arguments, **named)

    monkeypatch.setattr("prunecheck.pruning.methods_without_training.prune_after_training", counted)
    asked: dict[str, Any] = {
        "model": None,
        "dataset": f"text:{folder / 'text.txt'}",
        "sparsity": None,
        "checks": [check, "random-tokens"],
    }
    study = asked_study("sparsegpt", **asked, epochs=1, **SMALL_STUDY)
    specs = [study.method_run(0.5, one, 0) for one in (None, check, "random-tokens")]
    results: dict[str, Any] = {}
    for name, chosen in (("alone", specs[1:2]), ("beside", specs)):
        store = RunStore(folder / f"{name}-{check}")
        dense = store.folder(study.dense_run(0)).path
        shutil.copytree(folder / "runs" / dense.name, dense)
        results[name] = [execute(make_job(spec, store.root), lambda *_: None) for spec in chosen]
        changed = store.folder(specs[1]).ticket()
        assert changed
        results[f"ticket {name}"] = changed
    assert len(made) == 1 + 2  # not for the check of the ticket beside the unchanged one
    alone, beside = results["alone"][0], results["beside"][1]
    assert (alone.value, alone.sequence_losses) == (beside.value, beside.sequence_losses)
    first, second = results["ticket alone"], results["ticket beside"]
    for ours, theirs in ((first.weights, second.weights), (first.masks, second.masks)):
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert results["beside"][0].value != beside.value


def test_a_ticket_of_other_weights_is_not_taken(folder: Path) -> None:
    ask(folder, "wanda", checks=["random-tokens"])
    asked: dict[str, Any] = {
        "model": None,
        "dataset": f"text:{folder / 'text.txt'}",
        "sparsity": None,
        "checks": ["rearrange-rows"],
    }
    study = asked_study("wanda", **asked, epochs=1, **SMALL_STUDY)
    spec, store = study.method_run(0.5, "rearrange-rows", 0), RunStore(folder / "runs")
    (training,) = dependencies_of(spec, study.method)
    checkpoint = store.folder(study.dense_run(0)).checkpoint()
    assert checkpoint
    assert unchanged_ticket(store, spec, study.method, {training: checkpoint.weights})
    other = checkpoint.weights | {"norm.bias": checkpoint.weights["norm.bias"] + 1}
    assert unchanged_ticket(store, spec, study.method, {training: other}) is None
    assert unchanged_ticket(RunStore(folder / "nowhere"), spec, study.method, {training: other}) is None


def test_what_is_asked_again_is_not_done_again(folder: Path) -> None:
    ask(folder, "wanda", checks=["random-tokens"])
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/result.json")}
    ask(folder, "wanda", checks=["random-tokens"])
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/result.json")}


def test_lottery_tickets_and_pruning_at_initialisation_can_be_asked_of_text(folder: Path) -> None:
    answer = ask(folder, "snip", sparsity=0.5, seeds=1, samples_per_class=4)
    assert [one.against for one in answer.comparisons] == ["random-tokens", "rearrange-mask", "random-erk"]
    assert all(one.difference for one in answer.comparisons)
    assert answer.question.paired_by == "seed"


def test_a_network_that_comes_trained_is_tested_and_not_trained(folder: Path) -> None:
    from prunecheck.models import Model, find_model

    found = find_model(f"{folder / 'method.py'}:TwoLayers")
    model = Model(found.name, found.builder, reference=found.reference, code=found.code, is_trained=True)
    runs = folder / "trained"
    answer = prunecheck.check(
        "magnitude-per-row-after-training",
        model=model,  # type: ignore[arg-type]
        dataset=f"text:{folder / 'text.txt'}",
        out=runs,
        checks=["rearrange-rows"],
        baseline=None,
        **(OF_BIGRAMS | {"seeds": 1}),
    )
    results = [run.result for run in find_runs([runs]).runs]
    assert [(result.status, result.epochs) for result in results if result] == [(Status.TRAINED, 0)] * 3
    assert answer.conclusion.dense.n == 1


def test_the_memory_of_a_plan_is_that_of_the_largest_of_all_networks(folder: Path) -> None:
    dataset = f"text:{folder / 'text.txt'}"
    narrow, wide = (
        asked_study("wanda", model=None, dataset=dataset, sparsity=None, **(SMALL_STUDY | {"width": width}))
        for width in (32, 64)
    )
    largest = plan_study(Study("s", (wide,)), folder / "nowhere").memory
    assert largest
    for questions in ((narrow, wide), (wide, narrow)):
        assert plan_study(Study("s", questions), folder / "nowhere").memory == largest


def test_steps_are_counted_by_the_length_of_sequences(folder: Path) -> None:
    dataset = f"text:{folder / 'text.txt'}"
    questions = tuple(
        asked_study(
            "wanda",
            model=None,
            dataset=dataset,
            sparsity=None,
            **(SMALL_STUDY | {"sequence_length": length, "train_images": None}),
        )
        for length in (16, 64)
    )
    rates = stated_rates(Study("s", questions), {None: 1000.0})
    assert rates.seconds_an_epoch
    for question in questions:
        batches = Batches(question.data.train, question.data, question.recipe.batch_size)
        assert rates.seconds_an_epoch(question.dense_run(0)) == len(batches)
    assert len({rates.seconds_an_epoch(question.dense_run(0)) for question in questions}) == 2
