import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from prunecheck.data import DataPlaces, Dataset, load_dataset
from prunecheck.paper.scripts import (
    BaselineFlags,
    PruneFlags,
    TicketFlags,
    baseline,
    lt_prune,
    parse_flags,
    train_ticket,
)
from prunecheck.paper.scripts.flags import DATASETS
from prunecheck.paper.scripts.setting import Machine
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore

NETWORK = ["-a", "resnet", "--depth", "8"]


def write_set(file: Path, classes: int, seed: int) -> None:
    """Images of 16x16 pixels, brighter the higher their class: 12 of each to train on and 3 to test."""
    source = numpy.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for part, each in (("train", 12), ("test", 3)):
        labels = source.permutation(numpy.repeat(numpy.arange(classes), each))
        noise = source.integers(0, 100, (len(labels), 16, 16, 3))
        arrays[f"x_{part}"] = (noise + 150 * labels[:, None, None, None] // classes).astype(numpy.uint8)
        arrays[f"y_{part}"] = labels
    numpy.savez(file, **arrays)


@dataclass
class Scripts:
    """Calls the scripts in this process, on small sets that stand for the published ones."""

    places: DataPlaces
    said: list[str] = field(default_factory=list)

    @property
    def machine(self) -> Machine:
        return Machine(self.places, "cpu", self.said.append)

    @property
    def data(self) -> Dataset:
        return load_dataset(DATASETS["cifar10"], self.places)

    def baseline(self, text: str) -> Any:
        return baseline(parse_flags(BaselineFlags, [*NETWORK, *shlex.split(text)]), self.machine)

    def lt_prune(self, text: str) -> Any:
        return lt_prune(parse_flags(PruneFlags, [*NETWORK, *shlex.split(text)]), self.machine)

    def train_ticket(self, text: str) -> Any:
        return train_ticket(parse_flags(TicketFlags, [*NETWORK, *shlex.split(text)]), self.machine)

    def interrupted(self, script: Callable[[str], Any], text: str, after: int) -> None:
        """Call a script and interrupt it once it has said that so many epochs are done."""
        done: list[str] = []

        class Lines(list[str]):
            def append(self, line: str) -> None:
                if line.startswith("Epoch:"):
                    done.append(line)
                    if len(done) == after:
                        raise KeyboardInterrupt

        before, self.said = self.said, Lines()
        with pytest.raises(KeyboardInterrupt):
            script(text)
        self.said = before


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> DataPlaces:
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder / "ten.npz", 10, seed=0)
    write_set(folder / "twenty.npz", 20, seed=1)
    return DataPlaces((folder,), folder / "cache")


@pytest.fixture
def scripts(places: DataPlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripts:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DATASETS, "cifar10", f"npz:{places.roots[0] / 'ten.npz'}")
    monkeypatch.setitem(DATASETS, "cifar100", f"npz:{places.roots[0] / 'twenty.npz'}")
    return Scripts(places)


@pytest.fixture(scope="session")
def read() -> Callable[[Path | str], dict[str, Any]]:
    """Read a file as anybody would."""

    def read(path: Path | str) -> dict[str, Any]:
        content = torch.load(path, weights_only=True)
        assert isinstance(content, dict)
        return content

    return read


@pytest.fixture(scope="session")
def only_run() -> Callable[[Path | str], tuple[RunSpec, RunResult]]:
    """Return the one complete run that a folder of runs holds."""

    def only_run(folder: Path | str) -> tuple[RunSpec, RunResult]:
        (run,) = RunStore(Path(folder)).results().items()
        return run

    return only_run
