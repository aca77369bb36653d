"""Which earlier runs a run needs, in which order, and what becomes of it without their weights."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.errors import InputError
from prunecheck.pruning import DENSE
from prunecheck.runs.spec import RunSpec
from tests.runs.dependencies_of import chain_of, needs_of, with_needed

MakeSpec = Callable[..., RunSpec]
MakeJob = Callable[[RunSpec, Path], Job]


def unheard(epoch: int, accuracy: float | None) -> None:
    """Take what is told of an epoch."""


def test_rewound_to_the_last_epoch_is_the_whole_training_and_no_other_run(spec: MakeSpec) -> None:
    assert needs_of(spec(method="weight-rewinding@3")) == [spec(method=DENSE, sparsity=0.0)]
    assert len(needs_of(spec(method="weight-rewinding@2"))) == 2


def test_levels_of_rounds_at_a_rate_are_the_same_runs_for_all_sparsities(spec: MakeSpec) -> None:
    low, high = (chain_of(spec(method="imp@0.2", sparsity=sparsity)) for sparsity in (0.5, 0.8))
    assert high[: len(low) - 1] == low[:-1]
    assert [run.sparsity for run in low] == [0.0, 0.2, 0.36, 0.488, 0.5]
    # A sparsity that is a level is the same run as the level.
    assert chain_of(spec(method="imp@0.2", sparsity=0.36))[-1] == low[2]


NO_WEIGHTS: list[tuple[str, dict[str, object], str, str]] = [
    ("lt", {"learning_rate": 1e12}, "diverged", "the dense run whose weights it needs diverged"),
    # Of the 1,210 weights of the convolutions the first round leaves 4.
    ("imp@0.935", {"sparsity": 0.937}, "collapsed", "the imp@0.935 run whose weights it needs collapsed"),
]


@pytest.mark.parametrize(("method", "changes", "ended", "reason"), NO_WEIGHTS)
def test_a_run_whose_needed_run_has_no_weights_is_collapsed_and_says_why(
    tmp_path: Path,
    spec: MakeSpec,
    make_job: MakeJob,
    method: str,
    changes: dict[str, object],
    ended: str,
    reason: str,
) -> None:
    runs = chain_of(spec(method=method, **changes))
    results = [execute(make_job(run, tmp_path), unheard) for run in runs]
    first = next(number for number, result in enumerate(results) if result.status != "trained")
    assert results[first].status == ended
    assert first < len(runs) - 1
    for run, result in zip(runs[first + 1 :], results[first + 1 :], strict=True):
        assert (result.status, result.accuracy, result.epochs, result.kept) == ("collapsed", None, 0, {})
        assert result.collapse is not None
        assert reason in result.collapse.reason
        assert f"collapsed: {result.collapse}" in (tmp_path / run.folder_name / "log").read_text()
        assert not (tmp_path / run.folder_name / "last.safetensors").exists()
        # A result like any other: found again, and not done anew.
        assert execute(make_job(run, tmp_path), unheard) == result
    if ended == "collapsed":
        layer = results[first].collapse
        assert layer is not None
        assert [result.collapse and result.collapse.layer for result in results[first:]] == [layer.layer] * (
            len(runs) - first
        )


def test_a_run_whose_needed_weights_are_gone_says_what_to_remove(
    tmp_path: Path, spec: MakeSpec, make_job: MakeJob
) -> None:
    run = spec(method="lt", epochs=1)
    (dense,) = needs_of(run)
    folder = tmp_path / dense.folder_name
    for prepare in (lambda: None, lambda: execute(make_job(dense, tmp_path), unheard)):
        prepare()
        (folder / "last.safetensors").unlink(missing_ok=True)
        with pytest.raises(InputError) as refused:
            execute(make_job(run, tmp_path), unheard)
        assert f"needs the trained weights of {folder}" in str(refused.value)
        assert not (tmp_path / run.folder_name / "result.json").exists()


def test_an_interrupted_needed_run_is_no_trained_one(tmp_path: Path, spec: MakeSpec, make_job: MakeJob) -> None:
    run = spec(method="lt")
    (dense,) = needs_of(run)

    def interrupt(epoch: int, accuracy: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(make_job(dense, tmp_path), interrupt)
    assert (tmp_path / dense.folder_name / "last.safetensors").exists()
    with pytest.raises(InputError, match="needs the trained weights"):
        execute(make_job(run, tmp_path), unheard)


def test_needed_runs_come_first_and_once_whatever_needs_them(spec: MakeSpec) -> None:
    wanted = [spec(method="imp@3"), spec(method="lt"), spec(method="imp@2"), spec(method="imp@3")]
    runs = with_needed(*wanted)
    assert len(set(runs)) == len(runs)
    done: set[RunSpec] = set()
    for run in runs:
        assert done.issuperset(needs_of(run))
        done.add(run)
    assert done.issuperset(wanted)
    assert len(runs) == len({*wanted, *flatten(chain_of(run) for run in wanted)})


def flatten(chains: Iterable[list[RunSpec]]) -> list[RunSpec]:
    return [run for chain in chains for run in chain]


def test_an_epoch_past_the_end_is_refused(spec: MakeSpec) -> None:
    with pytest.raises(InputError) as refused:
        needs_of(spec(method="weight-rewinding@4"))
    assert str(refused.value) == (
        "weight-rewinding@4 asks for the weights of epoch 4 and the training has 3 epochs: go back to an earlier "
        "epoch, or train longer."
    )
    with pytest.raises(InputError, match="asks for the weights of epoch 4"):
        needs_of(spec(method="random-ratios-of:weight-rewinding@4"))
