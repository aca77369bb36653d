from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from prunecheck.api.questions import asked_study
from prunecheck.data import load_dataset
from prunecheck.engine.tickets import build_network, build_ticket
from prunecheck.errors import InputError
from prunecheck.pruning import CRITERIA, find_method
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.suggestions import study_with_suggestions

CRITERION = """
import torch
from prunecheck.pruning import prunable_weights

def score(model, batches):
    scores = {{layer: weight.detach().abs() for layer, weight in prunable_weights(model).items()}}
    {line}
    return scores
"""


def study_of(file: Path, line: str, sparsities: tuple[float, ...] = (0.8,)) -> CheckStudy:
    file.write_text(CRITERION.format(line=line))
    return study_with_suggestions(
        f"{file}:score",
        dataset="digits",
        places=None,
        train_images=None,
        test_images=None,
        model="resnet8",
        width=2,
        sparsities=sparsities,
        checks=("rearrange-mask",),
        baseline="random-smart",
        seeds=(0, 1),
        epochs=1,
        batch_size=None,
        learning_rate=None,
        samples_per_class=2,
        scoring_rounds=1,
        margin=2.0,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_criterion_that_works_passes_and_leaves_no_folder(folder: Path) -> None:
    study_of(folder / "mine.py", "pass").validate()
    assert {path.name for path in folder.iterdir()} <= {"mine.py", "__pycache__"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1 / 0", r"mine\.py:score failed \(ZeroDivisionError: division by zero\): correct it first"),
        ("batches[0][0].view(3, 3)", r"mine\.py:score failed \(RuntimeError: "),
        ("scores['fc'] = scores['fc'].T", r"shape \(8, 10\) for layer fc: its weights have shape \(10, 8\)"),
        ("scores['conv1'] = scores['conv1'].sum()", r"shape \(\) for layer conv1"),
        ("scores['layer2.0.conv1'][0] = torch.nan", "scores that are not finite for layer layer2.0.conv1"),
        ("scores['fc'][3, 2] = -torch.inf", "scores that are not finite for layer fc: correct it first"),
        ("del scores['layer3.0.conv2']", r"it returned none for layer layer3\.0\.conv2"),
        ("scores['bn9'] = scores['fc']", "one for bn9, which is not a prunable layer"),
        ("scores['fc'] = 5", "for layer fc it returned no tensor of numbers"),
        ("scores = list(scores.values())", "it returned list"),
        ("scores = None", "it returned NoneType"),
    ],
)
def test_what_is_wrong_with_a_users_criterion_is_found_before_any_folder_is_made(
    folder: Path, line: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        study_of(folder / "mine.py", line).validate()
    assert {path.name for path in folder.iterdir()} <= {"mine.py", "__pycache__"}


def test_every_sparsity_is_validated(folder: Path) -> None:
    with pytest.raises(InputError, match=r"the random-smart tickets .*: sparsity 0\.999 cannot be reached"):
        study_of(folder / "mine.py", "pass", sparsities=(0.8, 0.999)).validate()


def test_a_built_in_method_that_collapses_is_left_to_its_run() -> None:
    study = study_with_suggestions(
        "snip",
        dataset="digits",
        places=None,
        train_images=None,
        test_images=None,
        model="resnet8",
        width=2,
        sparsities=(0.98,),
        checks=(),
        baseline="random-smart",
        seeds=(0,),
        epochs=1,
        batch_size=None,
        learning_rate=None,
        samples_per_class=2,
        scoring_rounds=1,
        margin=2.0,
    )
    run, dataset = study.method_run(0.98, None, 0), load_dataset("digits")
    assert build_ticket(run, dataset, build_network(run, dataset), study.method).collapse
    study.validate()


def test_a_network_that_the_criterion_cannot_score_is_refused_before_any_work(
    folder: Path,
) -> None:
    def refuse(model: nn.Module, image_shape: tuple[int, ...]) -> None:
        raise InputError(f"not images of shape {image_shape}")

    study = study_of(folder / "mine.py", "pass")
    choosy = replace(find_method("random"), criterion=replace(CRITERIA.get("random"), requires=refuse))
    with pytest.raises(InputError, match=r"not images of shape \(1, 8, 8\)"):
        replace(study, method=choosy).validate()
    with pytest.raises(InputError, match="not images"):
        replace(study, method=replace(find_method("random-ratios-of:snip"), ratios_of=choosy)).validate()
    replace(study, method=find_method("synflow")).validate()


MASKS = "return {layer: score >= score.flatten().quantile(0.8) for layer, score in scores.items()}"
"""Whatever sparsity is asked for, 0.8 of each layer."""


def test_a_change_of_scores_is_refused_for_masks_before_any_work(folder: Path) -> None:
    study = study_of(folder / "mine.py", MASKS)
    study.validate()
    with pytest.raises(InputError, match=r"mine\.py:score returns masks, and this check changes scores: leave the"):
        replace(study, checks=("rearrange-mask", "invert-scores")).validate()
    replace(study_of(folder / "mine.py", "pass"), checks=("invert-scores",)).validate()


def test_masks_are_held_to_every_sparsity_that_is_asked_for(folder: Path) -> None:
    study = study_of(folder / "mine.py", MASKS, sparsities=(0.8, 0.9))
    with pytest.raises(
        InputError, match=r"keeps .* of .* weights, a sparsity of 0\.79\d*, and sparsity 0\.9 is to keep"
    ):
        study.validate()


def test_every_check_of_calibration_data_is_tried_before_any_work(folder: Path) -> None:
    (folder / "text.txt").write_text("some words " * 300)
    study = asked_study(
        "wanda",
        model=None,
        dataset="text:text.txt",
        sparsity=0.5,
        seeds=1,
        sequence_length=16,
        calibration_sequences=2,
        checks=["padding-only"],
        baseline="none",
    )
    study.validate()
    with pytest.raises(InputError, match=r"has no token that begins a text \(BOS\), which the check first-token-only"):
        replace(study, checks=("padding-only", "first-token-only")).validate()
