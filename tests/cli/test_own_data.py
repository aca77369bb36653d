"""Data of users' own, of each kind: checked from the command line and from Python, with and without workers."""

import importlib
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import prunecheck

SMALL = shlex.split(
    "--model resnet8 --width 2 --seeds 1 --epochs 1 --sparsity 0.8 --checks noise-data+rearrange-mask "
    "--samples-per-class 2 --baseline none --quiet"
)

HUGGINGFACE = Path(__file__).parents[1] / "data" / "readers" / "huggingface" / "colour"

OWN = """
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

def drawn(count, seed=0):
    y = torch.arange(count) % 3
    x = torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(seed)) * 3 + 5
    return x + 20 * (torch.arange(8) // 3 == y[:, None, None, None]), y

class Stripes(Dataset):
    def __init__(self, count, noise=0.0):
        self.x, self.y, self.noise = *drawn(count), noise

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return {"image": self.x[index] + self.noise * torch.rand(()), "label": int(self.y[index])}

class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(*drawn(30)))

def datasets():
    return Stripes(60), Stripes(30)

def loaders():
    return {"train": DataLoader(TensorDataset(*drawn(60)), 8, shuffle=True), "test": Stream()}

def noisy():
    return Stripes(60, noise=1.0), Stripes(30)

def floats():
    return *drawn(60), *drawn(30, seed=1)

def wrong():
    return Stripes(60)
"""


def digits_like(folder: Path) -> None:
    draw = numpy.random.default_rng(0)
    y_train, y_test = numpy.arange(60) % 3, numpy.arange(30) % 3
    x_train = draw.integers(0, 100, (60, 8, 8, 3), dtype=numpy.uint8)
    x_test = draw.integers(0, 100, (30, 8, 8, 3), dtype=numpy.uint8)
    for x, y in ((x_train, y_train), (x_test, y_test)):
        x[numpy.arange(len(y)), 2 * y] += 100
    numpy.savez(folder / "bytes.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    numpy.savez(folder / "floats.npz", x_train=x_train / 7.0, y_train=y_train, x_test=x_test / 7.0, y_test=y_test)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    digits_like(tmp_path)
    shutil.copytree(HUGGINGFACE, tmp_path / "saved")
    return tmp_path


KINDS = {
    "npz:bytes.npz": ["--augment", "crop=2,flip", "--normalize", "mean=0.5,0.4,0.3 std=0.2"],
    "npz:floats.npz": [],
    "huggingface:saved": [],
    "own.py:floats": ["--augment", "crop=1", "--normalize", "none"],
    "own.py:datasets": ["--workers", "2"],
    "own.py:loaders": [],
    "own.py:noisy": ["--augment", "none"],
}


@pytest.mark.parametrize("dataset", KINDS)
def test_each_kind_is_checked(call: Callable[..., Any], caplog: pytest.LogCaptureFixture, dataset: str) -> None:
    options = KINDS[dataset] if "--workers" in KINDS[dataset] else [*KINDS[dataset], "--workers", "1"]
    ended = call("check", "snip", "--dataset", dataset, *SMALL, *options, "--json")
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["dataset"] == dataset
    results = [json.loads(file.read_text()) for file in Path("runs").glob("*/result.json")]
    assert [result["status"] for result in results] == ["trained"] * 3
    said = "train in own.py:noisy returns another image each time: it is read once"
    told = [record.message for record in caplog.records if record.name.startswith("prunecheck")]
    assert [message.startswith(said) for message in told] == [True] * (dataset == "own.py:noisy")


def test_what_is_no_data_set_is_refused_before_any_work(refused: Callable[..., str]) -> None:
    said = refused("check", "snip", "--dataset", "own.py:wrong", *SMALL)
    assert said.startswith("the data set own.py:wrong returned an object of type Stripes: expected the four arrays")
    assert "is not a folder: huggingface:PATH takes one" in refused("check", "snip", "--dataset", "huggingface:none")


def test_python_is_given_the_objects_themselves(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.syspath_prepend(str(folder))
    own: Any = importlib.import_module("own")
    (x_train, y_train), (x_test, y_test) = own.drawn(60), own.drawn(30)
    small: dict[str, Any] = {"model": "resnet8", "width": 2, "seeds": 1, "samples_per_class": 2}
    asked = small | {"epochs": 1, "sparsity": 0.8, "checks": "rearrange-mask", "baseline": None, "quiet": True}
    asked |= {"augment": "crop=1,flip", "normalize": "none"}
    pair = prunecheck.check("snip", dataset=(own.Stripes(60), own.Stripes(30)), **asked)
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    mapping = prunecheck.check("snip", dataset=arrays, out="of-arrays", **asked)
    names = [answer.question.setting.data for answer in (pair, mapping)]
    assert names == [f"{name} (augment crop=1,flip, normalize none)" for name in ("Stripes", "arrays")]
    hashes = {answer.question.setting.dataset_hash for answer in (pair, mapping)}
    assert len(hashes) == 1
    assert hashes != {None}
    assert "dataset=(Stripes, Stripes)" in pair.report("report.html").read_text()
    read = [0]

    class Counted(own.Stripes):  # type: ignore[misc]
        def __getitem__(self, index: int) -> Any:
            read[0] += 1
            return super().__getitem__(index)

    audit = prunecheck.audit(["snip", "magnitude"], dataset=(Counted(60), Counted(30)), **small)
    assert audit.to_dict()["dataset"] == "Counted"
    assert read == [60 + 30 + 8 + 8]  # once, and the first ones again
