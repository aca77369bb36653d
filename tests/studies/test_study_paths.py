from pathlib import Path

import numpy
import pytest

from prunecheck.data import DataPlaces
from prunecheck.errors import InputError
from prunecheck.studies.study_file import read_study
from prunecheck.studies.study_paths import placed

SCORE = """
import torch

def score(model, batches):
    return {name: torch.rand(p.shape) for name, p in model.named_parameters() if p.dim() > 1}
"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("snip", "snip"),
        ("magnitude-erk-2:4", "magnitude-erk-2:4"),
        ("package.module:score", "package.module:score"),
        ("my.py:score", "studies/my.py:score"),
        ("../my.py:score?file=other.py:a", "my.py:score?file=other.py:a"),
        ("random-ratios-of:my.py:score", "random-ratios-of:studies/my.py:score"),
        ("npz:data.npz", "npz:studies/data.npz"),
        ("folder:../photos", "folder:photos"),
        ("mask:masks/{seed}.pt", "mask:studies/masks/{seed}.pt"),
        ("own.toml", "studies/own.toml"),
        ("/abs/my.py:score", "/abs/my.py:score"),
        ("~/my.py:score", "~/my.py:score"),
        ("npz:/abs/data.npz", "npz:/abs/data.npz"),
        ("text:mails", "text:studies/mails"),
        ("other-corpus:text:mails", "other-corpus:text:studies/mails"),
    ],
)
def test_only_relative_paths_are_placed(name: str, found: str) -> None:
    assert placed(name, Path("studies")) == found
    assert placed(name, Path()) == name


def test_a_study_below_the_working_directory_is_as_it_would_be_called_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert placed("npz:data.npz", tmp_path / "studies") == "npz:studies/data.npz"
    assert placed("npz:data.npz", tmp_path) == "npz:data.npz"
    assert placed("npz:data.npz", Path("/elsewhere")) == "npz:/elsewhere/data.npz"


def test_a_study_finds_what_lies_beside_it_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "my.py").write_text(SCORE)
    (folder / "own.toml").write_text("epochs = 3\n")
    images = numpy.arange(40 * 64, dtype=numpy.uint8).reshape(40, 1, 8, 8)
    labels = numpy.arange(40) % 4
    numpy.savez(folder / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    (folder / "study.toml").write_text(
        'methods = ["my.py:score"]\nbaseline = "random-ratios-of:my.py:score"\ndatasets = ["npz:data.npz"]\n'
        'models = ["resnet8"]\nwidths = [4]\nrecipes = ["own.toml"]\n[dataset."npz:data.npz"]\nsamples_per_class = 2\n'
    )
    found = []
    for place, file in ((folder, "study.toml"), (tmp_path, "studies/study.toml"), (Path("/"), folder / "study.toml")):
        monkeypatch.chdir(place)
        (question,) = read_study(Path(file), DataPlaces((), tmp_path / "cache")).questions
        assert (question.recipe.epochs, question.samples_per_class) == (3, 2)
        found.append((question.method.name, question.method.source_hash, question.data.fingerprint))
    assert len(set(found)) == 1
    assert found[0][0] == "my.py:score"


def test_what_is_given_beside_the_file_is_found_where_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "my.py").write_text(SCORE)
    file = Path("studies/study.toml")
    monkeypatch.chdir(tmp_path)
    file.write_text('methods = ["snip"]\ndatasets = ["digits"]\n')
    (question,) = read_study(file, None, {"methods": "my.py:score"}).questions
    assert question.method.name == "my.py:score"
    file.write_text('methods = ["my.py:score"]\ndatasets = ["digits"]\n')
    with pytest.raises(InputError, match=r"there is no file studies/my\.py"):
        read_study(file, None)
