"""The examples of the docs, installed as a user's package would be, and the command line."""

import importlib
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prunecheck.checks import CHECKS
from prunecheck.cli import main
from prunecheck.data import DATASETS
from prunecheck.metrics import METRICS
from prunecheck.models import MODELS
from prunecheck.pruning import ALLOCATIONS, CRITERIA, METHODS
from prunecheck.registry import Registry

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

PACKAGE = "examples_of_docs"

OFFERS: dict[str, tuple[Registry[Any], str]] = {
    "criterion": (CRITERIA, "gradient"),
    "method": (METHODS, "lt-erk"),
    "allocation": (ALLOCATIONS, "first-layer-whole"),
    "check": (CHECKS, "flip-signs"),
    "network": (MODELS, "plain<depth>"),
    "dataset": (DATASETS, "stripes"),
    "metric": (METRICS, "calibration-error"),
}
"""By file, where it registers what, and under which name."""

SMALL = (
    *("--epochs", "1", "--seeds", "1", "--train-images", "100", "--test-images", "100", "--sparsity", "0.8"),
    *("--baseline", "none", "--workers", "1", "--quiet"),
)

SMALL_SETTING: dict[str, Any] = {
    **{"model": "resnet8", "width": 4, "epochs": 1, "seeds": 1, "sparsity": 0.8, "checks": "rearrange-mask"},
    **{"train_images": 100, "test_images": 100, "baseline": None, "quiet": True},
}
"""The same in Python, of a small network."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it, and commands put their files where no other test's lie."""
    monkeypatch.chdir(tmp_path)
    for registry, _ in OFFERS.values():
        monkeypatch.setattr(registry, "entries", dict(registry.entries))
        monkeypatch.setattr(registry, "_loaded", False)


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Offer examples by entry points, as an installed package does."""
    place = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(place)

    def offer(example: str) -> ModuleType:
        registry, name = OFFERS[example]
        package, info = place / PACKAGE, place / f"{PACKAGE}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        shutil.copy(EXAMPLES / f"{example}.py", package)
        (package / "__init__.py").touch()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.group}]\n{name} = {PACKAGE}.{example}\n")
        assert name in registry.names()
        return importlib.import_module(f"{PACKAGE}.{example}")

    yield offer
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Call ``prunecheck check`` on few epochs in this process, and return what it prints as JSON."""
    before = signal.getsignal(signal.SIGTERM)

    def check(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["check", *arguments, *SMALL, "--json"])
        printed = capsys.readouterr()
        assert ended.value.code in (0, None), printed.err
        answer: dict[str, Any] = json.loads(printed.out)
        return answer

    yield check
    signal.signal(signal.SIGTERM, before)
