"""The dense network that an audit of a method after training prunes: trained and there, or refused in a sentence."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prunecheck.api.questions import asked_study
from prunecheck.api.trained_weights import weights_after_training
from prunecheck.errors import InputError
from prunecheck.runs.dependencies import TRAINED_SEED
from prunecheck.runs.result import RunResult, Status
from prunecheck.runs.store import RunFolder, RunStore
from prunecheck.studies.check_study import CheckStudy
from prunecheck.training import Checkpoint
from tests.cli.runs import FAILED, LOST, TRAINED

WEIGHTS = {"layer.weight": torch.arange(6.0).view(2, 3)}

CHECKPOINT = Checkpoint(WEIGHTS, {}, ())


@pytest.fixture
def study(tmp_path: Path) -> CheckStudy:
    (tmp_path / "text.txt").write_text("some words " * 300)
    return asked_study(
        "wanda",
        model=None,
        dataset=f"text:{tmp_path / 'text.txt'}",
        sparsity=0.5,
        seeds=1,
        sequence_length=16,
        checks=["padding-only"],
        baseline="none",
    )


def ended_with(study: CheckStudy, root: Path, result: RunResult, checkpoint: Checkpoint | None) -> RunFolder:
    """Leave the dense run's folder as one that ended so."""
    root.mkdir()
    folder = RunStore(root).folder(study.dense_run(TRAINED_SEED))
    folder.open()
    if checkpoint:
        folder.write_checkpoint(checkpoint)
    folder.write_result(result)
    return folder


def test_a_trained_network_s_weights_are_those_of_its_run(study: CheckStudy, tmp_path: Path) -> None:
    ended_with(study, tmp_path / "runs", TRAINED, CHECKPOINT)
    weights = weights_after_training(study, tmp_path / "runs", "cpu")
    assert weights
    assert torch.equal(weights["layer.weight"], WEIGHTS["layer.weight"])


@pytest.mark.parametrize(
    ("result", "checkpoint", "words"),
    [
        (FAILED, CHECKPOINT, r"that wanda prunes failed: RuntimeError: no luck \(see .*\): change the recipe, or"),
        (
            replace(LOST, status=Status.DIVERGED),
            CHECKPOINT,
            r"that wanda prunes diverged \(see .*\): change the recipe",
        ),
        (
            TRAINED,
            None,
            "was trained, and its weights are not in .* any more: remove that folder, so that it is trained",
        ),
    ],
)
def test_what_did_not_end_trained_or_has_no_weights_is_refused(
    result: RunResult, checkpoint: Checkpoint | None, words: str, study: CheckStudy, tmp_path: Path
) -> None:
    folder = ended_with(study, tmp_path / "runs", result, checkpoint)
    with pytest.raises(InputError, match=words) as raised:
        weights_after_training(study, tmp_path / "runs", "cpu")
    assert str(folder.path) in str(raised.value)
