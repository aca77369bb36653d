"""Methods and networks of users' own, changed between two calls of the same command."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

SMALL = shlex.split(
    "--epochs 1 --seeds 1 --train-images 200 --test-images 50 --sparsity 0.8 --checks rearrange-mask --baseline none "
    "--quiet --no-sparse-convolutions"
)

RESNET = ["--model", "resnet8", "--width", "8"]

FROM_MASK = """
import pathlib, torch

def score(model, batches):
    return torch.load(pathlib.Path(__file__).with_name("mask.pt"))
"""

NETWORK = """
from torch import nn
from prunecheck.models import register_model
from prunecheck.pruning import magnitude

WIDTH = 16

@register_model("mine")
def mine(num_classes, input_channels=3):
    "Mine."
    return nn.Sequential(
        nn.Conv2d(input_channels, WIDTH, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(4 * WIDTH, num_classes),
    )

def score(model, batches):
    return magnitude(model)
"""


def runs(folder: Path) -> set[str]:
    return {path.parent.name for path in (folder / "runs").glob("*/result.json")}


def test_a_mask_file_that_is_replaced_makes_other_runs(
    tmp_path: Path, prunecheck_in_a_fork: Callable[..., object]
) -> None:
    from prunecheck.models import build_model
    from prunecheck.pruning import prunable_weights

    weights = prunable_weights(build_model("resnet8", 10, 0, width=8, input_channels=1))
    (tmp_path / "frommask.py").write_text(FROM_MASK)
    done = []
    for seed in (1, 2, 1):
        draws = torch.Generator().manual_seed(seed)
        torch.save({name: torch.rand(w.shape, generator=draws) for name, w in weights.items()}, tmp_path / "mask.pt")
        prunecheck_in_a_fork("check", "frommask.py:score", *RESNET, *SMALL, "--workers", "1", cwd=tmp_path)
        done.append(runs(tmp_path))
    first, both, again = done
    assert len(first) == 3  # dense, the ticket, and the rearranged one
    assert len(both - first) == 2
    assert again == both


def assert_all_trained(folder: Path) -> None:
    results = [path.read_text() for path in (folder / "runs").glob("*/result.json")]
    assert len(results) == 3
    assert not [result for result in results if '"failed"' in result]


@pytest.mark.slow
def test_a_network_that_a_method_s_file_registers_and_what_it_imports_are_known_to_all_workers(
    tmp_path: Path, prunecheck: Callable[..., object]
) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "methods" / "mi[n]e.py"
    file.write_text(NETWORK.replace("WIDTH = 16", "from beside import WIDTH"))
    file.with_name("beside.py").write_text("WIDTH = 16\n")
    command = ("check", "../methods/mi[n]e.py:score", "--model", "mine", *SMALL, "--workers", "2")
    ended = prunecheck(*command, cwd=tmp_path / "elsewhere")
    assert getattr(ended, "code", None) == 0, ended
    assert_all_trained(tmp_path / "elsewhere")


def test_a_network_that_a_method_s_file_registers_is_part_of_the_hash(
    tmp_path: Path, prunecheck_in_a_fork: Callable[..., object]
) -> None:
    file, command = tmp_path / "mine.py", ("check", "mine.py:score", "--model", "mine", *SMALL, "--workers", "1")
    file.write_text(NETWORK)
    ended = prunecheck_in_a_fork(*command, cwd=tmp_path)
    assert getattr(ended, "code", None) == 0, ended
    assert_all_trained(tmp_path)
    before = runs(tmp_path)
    file.write_text(NETWORK.replace("WIDTH = 16", "WIDTH = 8"))
    prunecheck_in_a_fork(*command, cwd=tmp_path)
    assert len(runs(tmp_path) - before) == 3  # the dense network, too


def test_a_package_whose_code_is_changed_makes_other_runs(
    tmp_path: Path, prunecheck_in_a_fork: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunecheck.models import MODELS
    from prunecheck.pruning import CRITERIA

    info = tmp_path / "package_of_a_user-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: package-of-a-user\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "[prunecheck.models]\nmine = package_of_a_user\n[prunecheck.criteria]\nown = package_of_a_user\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for registry in (MODELS, CRITERIA):  # as in a process that has not looked for packages yet
        monkeypatch.setattr(registry, "_loaded", False)
    text = NETWORK.replace("import magnitude", "import magnitude, register_criterion").replace(
        "def score", '@register_criterion("own")\ndef score'
    )
    done = []
    for changed in (
        text,
        text.replace("return magnitude(model)", "return {n: -s for n, s in magnitude(model).items()}"),
    ):
        (tmp_path / "package_of_a_user.py").write_text(changed)
        prunecheck_in_a_fork("check", "own", "--model", "mine", *SMALL, "--workers", "1", cwd=tmp_path)
        done.append(runs(tmp_path))
    assert len(done[0]) == 3
    assert len(done[1] - done[0]) == 3
