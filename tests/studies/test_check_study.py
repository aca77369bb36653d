import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.checks import CHECKS
from prunecheck.errors import InputError
from prunecheck.studies import BASELINE, DENSE, CheckStudy, RunSpec
from prunecheck.training import Recipe

Suggested = Callable[..., CheckStudy]


@pytest.fixture(scope="module")
def suggested() -> Suggested:
    """Return a function that makes studies of digits; it is given what is to be different."""

    def make(method: str = "snip", **changes: Any) -> CheckStudy:
        values: dict[str, Any] = {
            "dataset": "digits",
            "model": None,
            "width": None,
            "sparsities": (0.9, 0.95),
            "checks": ("corrupted-data", "rearrange-mask"),
            "seeds": (0, 1, 2),
            "epochs": None,
            "batch_size": None,
            "learning_rate": None,
            "samples_per_class": 10,
            "margin": 2.0,
        }
        return CheckStudy.with_suggestions(method, **(values | changes))

    return make


@given(
    seeds=st.integers(1, 4),
    sparsities=st.lists(st.sampled_from([0.5, 0.8, 0.9, 0.95]), unique=True, max_size=3),
    checks=st.lists(st.sampled_from(CHECKS.names()), unique=True, max_size=4),
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
    assert study.baseline_run(0.9, 1) == replace(unchanged, method=BASELINE, samples_per_class=0)
    assert study.dense_run(1) == replace(unchanged, method=DENSE, sparsity=0.0, samples_per_class=0)
    assert study.method_run(0.9, None, 2) == replace(unchanged, seed=2)


@pytest.mark.parametrize("check", ["corrupted-data", "random-labels", "random-pixels"])
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
        ({"seeds": ()}, "at least 1 seed"),
        ({"margin": 0.0}, "margin must be more than 0 points, not 0"),
        ({"margin": -1.0}, "margin must be more than 0 points, not -1"),
        ({"margin": float("nan")}, "margin must be more than 0 points, not nan"),
        ({"samples_per_class": 0}, "at least 1 sample a class, not 0"),
        ({"sparsities": (0.9, 1.0)}, "less than 1, not 1"),
        ({"sparsities": (-0.1,)}, "at least 0 and less than 1, not -0.1"),
        ({"sparsities": (0.9, 0.9)}, "sparsity 0.9 is given twice"),
        ({"checks": ("reinit", "reinit")}, "check reinit is given twice"),
        ({"checks": ("re-init",)}, "no check named 're-init': did you mean reinit"),
        ({"dataset": "digit"}, "no data set named 'digit': did you mean digits"),
        ({"model": "resnt8"}, "no model named 'resnt8'"),
        ({"epochs": 0}, "at least 1 epoch, not 0"),
        ({"batch_size": 1}, "at least 2 images for batch norm, not 1"),
        ({"learning_rate": 0.0}, "learning rate must be more than 0"),
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
        ({"width": 0}, "width must be at least 1, not 0"),
        ({"model": "resnet8", "width": -1}, "width must be at least 1, not -1"),
        ({"model": "resnt8", "width": 4}, "no model named 'resnt8'"),
        ({"model": "resnet9", "width": 4}, "resnet9 does not exist"),
        ({"model": "vgg11", "width": 2}, "vgg11 needs images of at least 16x16"),
        ({"sparsities": (0.999,), "width": 2}, "sparsity 0.999 cannot be reached"),
        ({"samples_per_class": 65, "width": 2}, "needs 65 of each class"),
    ],
)
def test_other_wrong_input_is_found_by_the_rehearsal(
    suggested: Suggested, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        suggested(**wrong).rehearse()


def test_jobs_find_their_methods(tmp_path: Path, suggested: Suggested) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def score(model, batches):\n    return {}\n")
    study = suggested(f"{file}:score", seeds=(0,))
    runs = study.runs()
    jobs = study.jobs(runs, tmp_path / "runs", "cpu")
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
    assert first.method_hash == hashlib.sha256(text.encode()).hexdigest()
    assert first == again
    assert replace(second, method_hash=first.method_hash) == first
    assert second.folder_name != first.folder_name
    assert suggested().method_run(0.9, None, 0).method_hash is None
