import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.checks import CHECKS
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.pruning import DENSE
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study
from prunecheck.studies.suggestions import study_with_suggestions
from prunecheck.training import Recipe

Suggested = Callable[..., CheckStudy]

BASELINE = "random-smart"

SEES_NOTHING: dict[str, Any] = {"samples_per_class": 0, "scoring_rounds": 0}


NAMED_CHECKS = [name for name in CHECKS.names() if "<" not in name]
"""Without kinds of checks, which are named with what they bring."""


@pytest.fixture(scope="module")
def suggested() -> Suggested:
    """Return a function that makes studies of digits; it is given what is to be different."""

    def make(method: str = "snip", **changes: Any) -> CheckStudy:
        values: dict[str, Any] = {
            "dataset": "digits",
            "places": None,
            "train_images": None,
            "test_images": None,
            "model": None,
            "width": None,
            "sparsities": (0.9, 0.95),
            "checks": ("corrupted-data", "rearrange-mask"),
            "baseline": BASELINE,
            "seeds": (0, 1, 2),
            "epochs": None,
            "batch_size": None,
            "learning_rate": None,
            "samples_per_class": 10,
            "scoring_rounds": 1,
            "margin": 2.0,
        }
        return study_with_suggestions(method, **(values | changes))

    return make


@given(
    seeds=st.integers(1, 4),
    sparsities=st.lists(st.sampled_from([0.5, 0.8, 0.9, 0.95]), unique=True, min_size=1, max_size=3),
    checks=st.lists(st.sampled_from(NAMED_CHECKS), unique=True, max_size=4),
)
@settings(max_examples=15, deadline=None)
def test_runs_are_each_method_check_baseline_and_dense_run_once(
    suggested: Suggested, seeds: int, sparsities: list[float], checks: list[str]
) -> None:
    study = suggested(sparsities=tuple(sparsities), checks=tuple(checks), seeds=tuple(range(seeds)))
    runs = study.runs()
    assert len({run.hash for run in runs}) == len(runs) == seeds * (1 + len(sparsities) * (2 + len(checks)))
    expected: set[tuple[str, float, str | None]] = {(DENSE, 0.0, None)}
    expected |= {(BASELINE, sparsity, None) for sparsity in sparsities}
    expected |= {("snip", sparsity, check) for sparsity in sparsities for check in (None, *checks)}
    for seed in range(seeds):
        assert {(run.method, run.sparsity, run.check) for run in runs if run.seed == seed} == expected


def test_runs_come_seed_by_seed_so_that_pairs_are_whole(suggested: Suggested) -> None:
    seeds = [run.seed for run in suggested(seeds=(3, 1, 2)).runs()]
    assert [seed for seed, _ in itertools.groupby(seeds)] == [3, 1, 2]


def test_a_run_and_what_it_is_compared_with_differ_in_one_thing(suggested: Suggested) -> None:
    study = suggested()
    unchanged = study.method_run(0.9, None, 1)
    assert study.method_run(0.9, "rearrange-mask", 1) == replace(unchanged, check="rearrange-mask")
    assert study.method_run(0.9, "corrupted-data", 1) == replace(unchanged, check="corrupted-data")
    assert study.baseline_run(0.9, 1) == replace(unchanged, method=BASELINE, **SEES_NOTHING)
    assert study.dense_run(1) == replace(unchanged, method=DENSE, sparsity=0.0, **SEES_NOTHING)
    assert study.method_run(0.9, None, 2) == replace(unchanged, seed=2)


@pytest.mark.parametrize("check", ["corrupted-data", "random-labels@0.5", "half-data", "random-pixels+single-class"])
def test_a_data_check_of_a_method_that_sees_no_data_is_the_unchanged_run(suggested: Suggested, check: str) -> None:
    study = suggested("magnitude", checks=(check, "rearrange-mask"))
    assert study.method_run(0.9, check, 0) == study.method_run(0.9, None, 0)
    assert study.method_run(0.9, "rearrange-mask", 0) != study.method_run(0.9, None, 0)
    assert len(study.runs()) == 3 * (1 + 2 * (2 + 1))


def test_a_study_of_the_baseline_itself_does_not_run_it_twice(suggested: Suggested) -> None:
    study = suggested(BASELINE)
    runs = study.runs()
    assert study.method_run(0.9, None, 0) == study.baseline_run(0.9, 0)
    assert len(set(runs)) == len(runs) == 3 * (1 + 2 * (1 + 1))


def test_suggestions_of_the_data_set_stand_for_what_is_not_given(suggested: Suggested) -> None:
    study = suggested()
    assert (study.model, study.width) == ("resnet8", 16)
    assert study.recipe == Recipe(epochs=20, batch_size=64, learning_rate=0.2, milestones=(10, 15))


def test_what_is_given_stands(suggested: Suggested) -> None:
    study = suggested(model="resnet14", width=5, epochs=8, batch_size=32, learning_rate=0.05)
    assert (study.model, study.width) == ("resnet14", 5)
    assert study.recipe == Recipe(epochs=8, batch_size=32, learning_rate=0.05, milestones=(4, 6))
    assert suggested(width=5).width == 5


def test_a_named_network_has_its_published_width(suggested: Suggested) -> None:
    assert suggested(model="resnet8").width == 32
    assert suggested(model="vgg11").width == 64


def test_the_parameters_are_counted(suggested: Suggested) -> None:
    stage = 9 * 2 * 2 * 2 + 2 * 2 * 2  # two convolutions of 2 channels and their batch norms
    second = 9 * 2 * 4 + 9 * 4 * 4 + 2 * 4 + 3 * 2 * 4  # and a shortcut with batch norm
    third = 9 * 4 * 8 + 9 * 8 * 8 + 4 * 8 + 3 * 2 * 8
    assert suggested(width=2).parameter_count() == (9 * 2 + 2 * 2) + stage + second + third + (8 * 10 + 10)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"seeds": ()}, "^seeds takes a list .* this one is empty"),
        ({"seeds": range(0)}, "^seeds takes a list .* this one is empty"),
        ({"seeds": (0, -1)}, "^seeds takes whole numbers, at least 0, not -1"),
        ({"seeds": (4, 4)}, "^seeds takes .* 4 is given twice"),
        ({"margin": 0.0}, "^margin takes .*more than 0 and less than 100, not 0"),
        ({"margin": -1.0}, "^margin takes .* not -1"),
        ({"margin": float("nan")}, "^margin takes .* not nan"),
        ({"margin": "2"}, "^margin takes .* not '2'"),
        ({"samples_per_class": 0}, "^samples_per_class takes a whole number, at least 1, not 0"),
        ({"samples_per_class": 2.5}, "^samples_per_class takes a whole number, at least 1, not 2.5"),
        ({"scoring_rounds": 0}, "^scoring_rounds takes a whole number, at least 1, not 0"),
        ({"scoring_rounds": -1}, "^scoring_rounds takes .* not -1"),
        ({"margin": 100.0}, "^margin takes .* not 100"),
        ({"seeds": range(10_001)}, "^seeds takes at most 10,000 seeds, and this list has 10,001"),
        ({"train_images": 0}, "^train_images takes a whole number, at least 1, not 0"),
        ({"width": 0}, "^width takes a whole number, at least 1 and at most 65,536, not 0"),
        ({"model": "resnet8", "width": -1}, "^width takes .* not -1"),
        ({"checks": ("random-labels@1", "random-labels")}, "^checks takes names, and 'random-labels' is given twice"),
        ({"checks": ("random-labels@2",)}, "random-labels@2 names no share"),
        ({"baseline": "random-smrt"}, "no allocation named 'smrt': did you mean smart"),
        ({"method": "imp@0"}, "imp is written with @ and the number of rounds"),
        ({"sparsities": (0.9, 1.0)}, "^sparsity takes numbers, at least 0 and less than 1, not 1"),
        ({"sparsities": (-0.1,)}, "^sparsity takes numbers, at least 0 .* not -0.1"),
        ({"sparsities": (0.9, 0.9)}, "^sparsity takes .* 0.9 is given twice"),
        ({"checks": ("reinit", "reinit")}, "'reinit' is given twice"),
        ({"checks": ("re-init",)}, "no check named 're-init': did you mean reinit"),
        ({"dataset": "digit"}, "no data set named 'digit': did you mean digits"),
        ({"model": "resnt8"}, "no model named 'resnt8'"),
        ({"epochs": 0}, "^epochs takes a whole number, at least 1, not 0"),
        ({"batch_size": 1}, "^batch_size takes a whole number, at least 2 for batch norm, not 1"),
        ({"learning_rate": 0.0}, "^learning_rate takes a number, more than 0 and finite, not 0"),
        ({"method": "snipp"}, "no method named 'snipp': did you mean snip"),
    ],
)
def test_wrong_input_is_found_when_the_study_is_made(
    suggested: Suggested, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        suggested(**wrong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"model": "resnt8", "width": 4}, "no model named 'resnt8'"),
        ({"model": "resnet9", "width": 4}, "resnet9 does not exist"),
        ({"model": "vgg11", "width": 2}, "vgg11 needs images of at least 16x16"),
        ({"sparsities": (0.999,), "width": 2}, "sparsity 0.999 cannot be reached"),
        ({"samples_per_class": 65, "width": 2}, "needs 65 of each class"),
        ({"samples_per_class": 33, "scoring_rounds": 2, "width": 2}, "needs 66 of each class"),
        ({"samples_per_class": 33, "checks": ("part-of-data",), "width": 2}, "needs 33 of each class"),
        ({"train_images": 100, "samples_per_class": 11, "width": 2}, "needs 11 of each class"),
        ({"train_images": 15, "width": 2}, "train_images takes a multiple of 10, not 15"),
        ({"test_images": 1160, "width": 2}, "test_images 1160 needs 116 of each class"),
        (
            {"method": "weight-rewinding@4", "epochs": 3},
            "weight-rewinding@4 asks for the weights of epoch 4 and the training has 3 epochs: go back to an earlier",
        ),
        ({"baseline": "weight-rewinding@4", "epochs": 3}, "weight-rewinding@4 asks for the weights of epoch 4"),
        ({"method": "imp@2", "sparsities": (0.999,), "width": 2}, "sparsity 0.999 cannot be reached"),
    ],
)
def test_other_wrong_input_is_found_by_the_validation(
    suggested: Suggested, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        suggested(**wrong).validate()


def test_jobs_find_their_methods(tmp_path: Path, suggested: Suggested) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def score(model, batches):\n    return {}\n")
    study = suggested(f"{file}:score", seeds=(0,))
    runs = study.runs()
    jobs = study.jobs(lambda _: True, tmp_path / "runs", "cpu")
    assert [(job.spec, job.root, job.device) for job in jobs] == [(run, tmp_path / "runs", "cpu") for run in runs]
    own = {job.method for job in jobs if job.spec.method == "mine.py:score"}
    assert own == {f"{file}:score"}
    assert {job.method for job in jobs} - own == {BASELINE, DENSE}


def test_another_version_of_a_users_file_makes_other_runs(tmp_path: Path, suggested: Suggested) -> None:
    file = tmp_path / "mine.py"

    def run_of(text: str) -> RunSpec:
        file.write_text(text)
        return suggested(f"{file}:score").method_run(0.9, None, 0)

    text = "def score(model, batches):\n    return {}\n"
    first, second, again = run_of(text), run_of(text + "# faster\n"), run_of(text)
    assert first.method_hash is not None
    assert first == again
    assert replace(second, method_hash=first.method_hash) == first
    assert second.folder_name != first.folder_name
    assert suggested().method_run(0.9, None, 0).method_hash is None


def test_the_study_s_data_are_shortened_and_so_are_its_runs(suggested: Suggested) -> None:
    study = suggested(train_images=100, test_images=50)
    assert (len(study.data.train), len(study.data.test)) == (100, 50)
    assert {(run.setting.train_images, run.setting.test_images) for run in study.runs()} == {(100, 50)}


def test_rounds_of_scoring_are_those_of_methods_that_see_samples_alone(suggested: Suggested) -> None:
    study = suggested("lt", baseline="random-ratios-of:snip", scoring_rounds=3)
    seen = {run.method: (run.samples_per_class, run.scoring_rounds) for run in study.runs()}
    assert seen == {"dense": (0, 0), "lt": (0, 0), "random-ratios-of:snip": (10, 3)}


def test_a_study_needs_no_baseline(suggested: Suggested) -> None:
    study = suggested(baseline=None)
    assert study.baseline is None
    assert {run.method for run in study.runs()} == {DENSE, "snip"}
    assert len(study.runs()) == 3 * (1 + 2 * 3)


def test_checks_have_one_name_however_they_are_written(suggested: Suggested) -> None:
    study = suggested(checks=("random-labels@1.0+reinit", "random-labels@0.250"))
    assert study.checks == ("random-labels+reinit", "random-labels@0.25")
    assert study.method_run(0.9, "random-labels@1.0+reinit", 0).check == "random-labels+reinit"


def test_what_corrupts_data_is_left_out_of_a_check_of_a_method_that_sees_none(suggested: Suggested) -> None:
    study = suggested("magnitude", checks=("random-labels+rearrange-mask", "rearrange-mask", "half-data"))
    assert study.method_run(0.9, "random-labels+rearrange-mask", 0).check == "rearrange-mask"
    assert study.method_run(0.9, "half-data", 0) == study.method_run(0.9, None, 0)
    assert len(study.runs()) == 3 * (1 + 2 * 3)
    assert suggested("lt").method_run(0.9, "half-data", 0).check == "half-data"


@pytest.mark.parametrize("method", ["lt", "imp@3", "imp@0.3", "hybrid", "weight-rewinding@2", "random-ratios-of:imp@2"])
def test_every_run_stands_once_and_after_those_that_it_needs(suggested: Suggested, method: str) -> None:
    study = suggested(method, checks=("random-labels", "half-data+reinit", "rearrange-mask"), baseline="imp@2")
    runs = study.runs()
    assert len(set(runs)) == len({run.hash for run in runs}) == len(runs)
    seen: set[RunSpec] = set()
    jobs = study.jobs(lambda _: True, Path("runs"), "cpu")
    assert [job.spec for job in jobs] == runs
    for job in jobs:
        assert seen.issuperset(job.dependencies)
        seen.add(job.spec)
    wanted = {study.method_run(s, c, k) for s in (0.9, 0.95) for c in (None, *study.checks) for k in study.seeds}
    assert wanted | {study.dense_run(seed) for seed in study.seeds} < set(runs)
    needed = {need for job in jobs for need in job.dependencies}
    assert set(runs) - needed - wanted == {study.baseline_run(s, k) for s in (0.9, 0.95) for k in study.seeds} - wanted
    assert [key for key, _ in itertools.groupby(run.seed for run in runs)] == [0, 1, 2]


def test_a_trained_ticket_shares_its_dense_run_with_all_sparsities_methods_and_the_study(suggested: Suggested) -> None:
    study = suggested("lt", baseline="hybrid", checks=("rearrange-mask", "random-labels", "random-labels+reinit"))
    jobs = {job.spec: job for job in study.jobs(lambda _: True, Path("runs"), "cpu")}
    dense = study.dense_run(0)
    corrupted = replace(dense, trained_on="random-labels")
    for sparsity in (0.9, 0.95):
        for check, needed in (
            (None, dense),
            ("rearrange-mask", dense),
            ("random-labels", corrupted),
            ("random-labels+reinit", corrupted),
        ):
            run = study.method_run(sparsity, check, 0)
            assert (run.check, run.trained_on) == (check, None)
            assert jobs[run].dependencies == (needed,)
        assert jobs[study.baseline_run(sparsity, 0)].dependencies == (dense,)
    assert len(jobs) == 3 * (2 + 2 * (4 + 1))


def test_jobs_are_those_that_are_wanted_and_still_say_what_they_need(suggested: Suggested) -> None:
    study = suggested("lt", checks=(), seeds=(0,), sparsities=(0.9,), baseline=None)
    run = study.method_run(0.9, None, 0)
    (job,) = study.jobs(lambda spec: spec == run, Path("runs"), "cuda:1")
    assert (job.spec, job.method, job.device, job.dependencies) == (run, "lt", "cuda:1", (study.dense_run(0),))


def test_intermediate_runs_find_their_methods(suggested: Suggested) -> None:
    study = suggested("imp@3", checks=("half-data",), seeds=(0,), sparsities=(0.9,), baseline=None)
    jobs = study.jobs(lambda _: True, Path("runs"), "cpu")
    assert {(job.method, job.spec.method) for job in jobs} == {
        (name, name) for name in ("dense", "imp@1", "imp@2", "imp@3")
    }
    assert len(jobs) == 8


def test_a_study_with_trained_tickets_is_validated_without_training(
    suggested: Suggested, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[object] = []
    for step in ("training_step", "train_epochs"):
        monkeypatch.setattr(f"prunecheck.training.loop.{step}", lambda *given, **_: trained.append(given))
    for method in ("lt", "imp@3", "hybrid", "weight-rewinding@2", "random-ratios-of:lt"):
        suggested(method, width=2, seeds=(0,), sparsities=(0.8,), checks=("random-labels",)).validate()
    assert not trained


def test_usual_checks_are_those_that_fit_and_the_others_are_told(suggested: Suggested) -> None:
    snip, gmp = (suggested(method, checks=None) for method in ("snip", "gmp"))
    assert (snip.checks, snip.left_out) == (("corrupted-data", "rearrange-mask"), ())
    assert gmp.checks == ("corrupted-data",)
    assert list(Study("two", (snip, gmp, gmp)).left_out_checks()) == list(gmp.left_out)
    assert suggested("gmp", checks=("random-drop",)).left_out == ()


@pytest.mark.parametrize("method", ["ntk-sap", "phew", "synflow"])
def test_corrupted_data_are_not_trained_on_in_vain(suggested: Suggested, method: str) -> None:
    study = suggested(method)
    assert study.method_run(0.9, "corrupted-data", 0) == study.method_run(0.9, None, 0)
    assert study.method_run(0.9, "corrupted-data+rearrange-mask", 0) == study.method_run(0.9, "rearrange-mask", 0)


@pytest.mark.parametrize("method", ["prospr", "snip"])
def test_corrupted_data_reach_what_looks_at_them(suggested: Suggested, method: str) -> None:
    study = suggested(method, train_images=200, samples_per_class=2, width=4)
    own, corrupted = (study.method_run(0.9, check, 0) for check in (None, "corrupted-data"))
    network = build_network(own, study.data)
    first, second = (build_ticket(run, study.data, network, study.method) for run in (own, corrupted))
    assert any(not torch.equal(mask, second.masks[layer]) for layer, mask in first.masks.items())
    assert all(torch.equal(weight, second.weights[name]) for name, weight in first.weights.items())
