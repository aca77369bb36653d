import itertools
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from prunecheck.errors import InputError
from prunecheck.pruning import CRITERIA, DENSE, METHODS, Method, Training
from prunecheck.registry import Entry
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study
from prunecheck.studies.suggestions import study_with_suggestions
from prunecheck.studies.validate import Validation

Ask = Callable[..., CheckStudy]


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Return a function that makes questions about digits; it is given what is to be different."""

    def make(method: str = "snip", **changes: Any) -> CheckStudy:
        values: dict[str, Any] = {
            "dataset": "digits",
            "places": None,
            "train_images": None,
            "test_images": None,
            "model": "resnet8",
            "width": 2,
            "sparsities": (0.8,),
            "checks": ("rearrange-mask",),
            "baseline": "random-smart",
            "seeds": (0, 1),
            "epochs": 2,
            "batch_size": None,
            "learning_rate": None,
            "samples_per_class": 2,
            "scoring_rounds": 1,
            "margin": 2.0,
        }
        return study_with_suggestions(method, **(values | changes))

    return make


def test_runs_are_those_of_the_questions_each_once(ask: Ask) -> None:
    questions = ask("snip"), ask("lt", checks=("random-labels",)), ask("snip", seeds=(1, 2), sparsities=(0.8, 0.9))
    runs = Study("three", questions).runs()
    assert len(runs) == len(set(runs))
    assert set(runs) == {run for question in questions for run in question.runs()}
    assert len(runs) < sum(len(question.runs()) for question in questions)


def test_runs_come_seed_by_seed_over_all_questions_and_after_what_they_need(ask: Ask) -> None:
    study = Study("two", (ask("imp@3", seeds=(2, 0)), ask("hybrid", seeds=(0, 1))))
    seeds = [run.seed for run in study.runs()]
    assert [seed for seed, _ in itertools.groupby(seeds)] == [2, 0, 1]
    seen: set[RunSpec] = set()
    for planned in study.planned_runs:
        assert seen.issuperset(planned.dependencies)
        seen.add(planned.spec)


def test_a_study_of_one_question_has_its_runs_and_jobs(ask: Ask) -> None:
    question = ask("lt")
    study = Study("one", (question,))
    assert study.runs() == question.runs()

    def everything(run: RunSpec) -> bool:
        return True

    assert study.jobs(everything, Path("runs"), "cpu") == question.jobs(everything, Path("runs"), "cpu")


def test_jobs_name_the_data_set_of_their_question(ask: Ask, tmp_path: Path) -> None:
    study = Study("sizes", (ask(train_images=100), ask("lt", train_images=200)))
    jobs = study.jobs(lambda run: run.method == DENSE, tmp_path, "cuda:1")
    assert [(job.spec.setting.train_images, job.dataset, job.device) for job in jobs] == [
        (100, "digits", "cuda:1"),
        (200, "digits", "cuda:1"),
    ] * 2


def test_the_hash_is_of_what_is_asked_in_whatever_order(ask: Ask) -> None:
    first, second = ask(sparsities=(0.8, 0.9), seeds=(0, 1)), ask("lt")
    reordered = replace(first, sparsities=(0.9, 0.8), seeds=(1, 0))
    study = Study("a", (first, second))
    assert study.hash == Study("b", (second, reordered)).hash
    assert study.hash != Study("a", (first,)).hash
    for change in ({"margin": 1.0}, {"baseline": None}, {"checks": ()}, {"epochs": 3}, {"samples_per_class": 3}):
        assert Study("a", (ask(**change),)).hash != Study("a", (ask(),)).hash


def test_a_study_that_asks_nothing_or_too_much_is_refused(ask: Ask) -> None:
    with pytest.raises(InputError, match="the study nothing asks nothing"):
        Study("nothing", ())
    question = ask(seeds=range(10_000), sparsities=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
    with pytest.raises(InputError, match="the study much has 220,000 runs and may have 200,000"):
        Study("much", (question,))


def test_the_validation_says_which_question_is_wrong(ask: Ask) -> None:
    with pytest.raises(InputError, match=r"^lt on digits with resnet8 of width 2: sparsity 0\.999 cannot"):
        Study("two", (ask(), ask("lt", sparsities=(0.999,), seeds=(0,)))).validate()
    with pytest.raises(InputError, match=r"^weight-rewinding@9 asks for the weights of epoch 9"):
        Study("one", (ask("weight-rewinding@9"),)).validate()


@pytest.mark.parametrize("again", [0.8, 0.4])
def test_a_method_that_needs_itself_is_refused(ask: Ask, monkeypatch: pytest.MonkeyPatch, again: float) -> None:
    def scored(sparsity: float) -> Training:
        return Training("itself", 1.2 - sparsity if again == 0.4 else sparsity)

    method = Method("itself", CRITERIA.get("magnitude"), "global", scored=scored)
    monkeypatch.setitem(METHODS.entries, "itself", Entry("itself", method, ""))
    with pytest.raises(InputError, match=r"a ticket of itself needs the trained weights of itself at sparsity 0\.[48]"):
        Study("cycle", (ask("itself"),)).validate()


def test_a_method_that_needs_others_without_end_is_refused(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunecheck.runs.dependencies.MOST_EARLIER_RUNS", 50)
    method = Method("endless", CRITERIA.get("magnitude"), "global", scored=lambda s: Training("endless", s / 2))
    monkeypatch.setitem(METHODS.entries, "endless", Entry("endless", method, ""))
    with pytest.raises(InputError, match="endless needs more than 50 trainings before it"):
        Study("endless", (ask("endless"),)).validate()


USER_FILE = """
calls = []

def score(model, batches{more}):
    from prunecheck.pruning import prunable_weights
    with open({log!r}, "a") as log:
        log.write(f"{{float(batches[0][0].sum()):.3f}}\\n")
    return {{layer: weight.detach().abs() for layer, weight in prunable_weights(model).items()}}
"""


@pytest.mark.parametrize("more", ["", ", sparsity"])
def test_a_users_function_is_called_once_for_each_sparsity_and_each_kind_of_data_that_it_sees(
    ask: Ask, tmp_path: Path, more: str
) -> None:
    file, log = tmp_path / "mine.py", tmp_path / "log"
    file.write_text(USER_FILE.format(more=more, log=str(log)))
    checks = ("rearrange-mask", "random-pixels", "random-pixels+reinit")
    question = ask(f"{file}:score", sparsities=(0.5, 0.8), checks=checks, epochs=2)
    Study("mine", (question, replace(question, seeds=(0,)))).validate()
    elsewhere, *calls = log.read_text().split()  # first in a process that it may end
    assert len(calls) == 3  # the first sparsity with each kind of data, and the second
    assert len(set(calls)) == 2  # the images, and random pixels
    assert elsewhere == calls[0]


def test_built_in_criteria_are_not_called(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_ticket(*arguments: object) -> None:
        raise AssertionError("a ticket was made")

    monkeypatch.setattr("prunecheck.studies.validate.build_ticket", build_ticket)
    for method in ("grasp", "imp@3", "gem-miner", "random-ratios-of:snip", "hybrid"):
        Study("cheap", (ask(method, checks=("half-data", "random-labels+reinit")),)).validate()


@pytest.mark.parametrize(
    ("method", "changes", "sentence"),
    [
        ("random-ratios-of:hybrid", {"sparsities": (0.999,)}, "0.999 cannot be reached"),
        ("lt", {"sparsities": (0.999,)}, "0.999 cannot be reached while the linear layers stay whole"),
        ("lt", {"checks": ("part-of-data@0",)}, "part of the data has no images here"),
        ("snip", {"checks": ("single-class",), "samples_per_class": 65}, "needs 65 of each class"),
        ("snip-erk", {"model": "vgg11", "baseline": None}, "vgg11 needs images of at least 16x16"),
    ],
)
def test_what_cannot_be_done_is_counted_out(ask: Ask, method: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ask(method, **({"baseline": None} | changes)).validate()


def test_a_validation_knows_the_sizes_of_networks(ask: Ask) -> None:
    size = Validation().network(ask().dense_run(0), ask().data)
    assert size.shapes["conv1"] == (2, 1, 3, 3)
    assert size.shapes["fc"] == (10, 8)
    assert size.parameters == ask().parameter_count()


def test_a_spec_that_is_sent_to_another_process_leaves_behind_what_was_computed(ask: Ask) -> None:
    run = ask().dense_run(0)
    assert {run}
    assert run.folder_name
    assert {field.name for field in fields(run)} < vars(run).keys()
    sent = pickle.loads(pickle.dumps(run))
    assert vars(sent).keys() == {field.name for field in fields(run)}
    assert (sent, hash(sent), sent.hash) == (run, hash(run), run.hash)


def test_a_large_study_comes_in_parts_that_have_its_runs_in_their_order(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Study("large", (ask("imp@3", seeds=tuple(range(7))), ask("lt", seeds=tuple(range(7)))))
    runs = whole.runs()
    monkeypatch.setattr("prunecheck.studies.study.RUNS_OF_A_PART", 20)
    parts = list(whole.parts())
    assert [len(part.questions[0].seeds) for part in parts] == [2, 2, 2, 1]
    assert [run for part in parts for run in part.runs()] == runs
    assert all(part.validation is whole.validation for part in parts)
    assert all(part.questions[0].data is whole.questions[0].data for part in parts)


def test_a_small_study_and_one_whose_questions_have_different_seeds_are_their_only_part(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Study("small", (ask(),))
    assert list(small.parts()) == [small]
    monkeypatch.setattr("prunecheck.studies.study.RUNS_OF_A_PART", 1)
    different = Study("different", (ask(), ask("lt", seeds=(1, 2, 3))))
    assert list(different.parts()) == [different]
    assert len(list(small.parts())) == 2
