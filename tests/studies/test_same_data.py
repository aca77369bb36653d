import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import prunecheck
from prunecheck.studies.plan import plan_study
from prunecheck.studies.same_data import as_recorded
from prunecheck.studies.study import Study
from prunecheck.studies.suggestions import study_with_suggestions

ASKED: dict[str, Any] = {
    "model": "resnet8",
    "width": 2,
    "sparsity": 0.8,
    "checks": "reinit",
    "baseline": None,
    "seeds": 1,
    "epochs": 1,
    "quiet": True,
}


@pytest.fixture
def npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(name: str, seed: int = 0) -> str:
        draw = numpy.random.default_rng(seed)
        x = draw.integers(0, 256, (60, 1, 8, 8), dtype=numpy.uint8)
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        numpy.savez(file, x_train=x, y_train=numpy.arange(60) % 3, x_test=x[:12], y_test=numpy.arange(12) % 3)
        return f"npz:{file}"

    return write


def test_data_are_known_by_their_images_and_not_by_their_path(
    npz: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, first = tmp_path / "runs", npz("a.npz")
    answer = prunecheck.check("magnitude", dataset=first, out=runs, **ASKED)
    before = {path: path.read_bytes() for path in runs.glob("*/result.json")}
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "a.npz", tmp_path / "elsewhere" / "b.npz")
    second = f"npz:{tmp_path / 'elsewhere' / 'b.npz'}"
    again = prunecheck.check("magnitude", dataset=second, out=runs, **ASKED | {"quiet": False})
    assert {path: path.read_bytes() for path in runs.glob("*/result.json")} == before
    assert again.to_dict() == answer.to_dict()
    assert f"{second} holds the data of {first}, under whose name their runs stand" in capsys.readouterr().err
    assert len(list(prunecheck.load_answers(runs))) == 1
    # A further seed trains under the same name, with the images of the new path.
    more = prunecheck.check("magnitude", dataset=second, out=runs, **ASKED | {"seeds": 2})
    assert len(list(runs.glob("*/result.json"))) == 2 * len(before)
    assert more.question.setting == answer.question.setting


def study_of(dataset: str) -> Study:
    none: Any = dict.fromkeys(("train_images", "test_images", "baseline", "batch_size", "learning_rate", "margin"))
    question = study_with_suggestions(
        "magnitude",
        dataset=dataset,
        places=prunecheck.DataPlaces(roots=(), cache=Path("cache").absolute()),
        model="resnet8",
        width=2,
        sparsities=(0.8,),
        checks=(),
        seeds=range(1),
        epochs=1,
        samples_per_class=1,
        scoring_rounds=1,
        **none,
    )
    return Study("one", (question,))


def test_other_images_and_names_that_are_there_are_left_as_they_are(
    npz: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, same, other = npz("a.npz"), npz("b.npz"), npz("c.npz", seed=1)
    runs = tmp_path / "runs"
    for run in study_of(first).runs():
        (runs / run.folder_name).mkdir(parents=True)
        (runs / run.folder_name / "spec.json").write_text(run.canonical() + "\n")
    (runs / "damaged").mkdir()
    (runs / "damaged" / "spec.json").write_text("{")
    names = [as_recorded(study_of(one), runs).questions[0].dataset_name for one in (first, same, other)]
    assert names == [first, first, other]
    assert as_recorded(study_of(same), tmp_path / "nowhere").questions[0].dataset_name == same
    assert plan_study(as_recorded(study_of(same), runs), runs).total.runs == len(study_of(first).runs())
    assert as_recorded(study_of(same), runs).runs() == study_of(first).runs()
