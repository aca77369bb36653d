"""The chain of published commands, as a user types it: baseline.py, LT_prune.py, train_ticket.py.

On real images where there are any; the same scripts on Tiny-ImageNet's layout, with drawn images.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from prunecheck.cli import main
from prunecheck.data import DataPlaces, Dataset, load_dataset
from prunecheck.engine.execution import execute
from prunecheck.engine.job import Job
from prunecheck.engine.tickets import build_network
from prunecheck.pruning import find_method, keep_ratios, magnitude
from prunecheck.pruning.layers import Masks, prunable_shapes
from prunecheck.pruning.masks import GLOBAL_CONVOLUTIONS, allocate
from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore
from tests.fixtures.forked_commands import run_script

ROOT = Path(__file__).parents[2]

RESNET, VGG = "--arch resnet --depth 8", "--arch vgg11_bn --depth 11"

SMALL = "--train_images 100 --test_images 50 --epochs 1"
"""SNIP and GraSP see ten images of a class."""

TINY = "--train_images 20 --test_images 20 --epochs 1"

PATIENCE = 300.0
"""Seconds after which a script that does not end is given up."""


def read(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def kept(masks: Masks) -> dict[str, int]:
    return {layer: int(mask.sum()) for layer, mask in masks.items()}


def only_run(folder: Path) -> tuple[RunSpec, RunResult]:
    (run,) = RunStore(folder).results().items()
    return run


class Chain:
    """Calls the scripts in a folder."""

    def __init__(self, folder: Path, data_root: Path) -> None:
        self.folder = folder
        self.data_root = data_root

    def __call__(self, script: str, text: str) -> str:
        """Call a script as from a shell, but for the start of Python, and return what it prints."""
        done = run_script(ROOT / script, self._arguments(text), self.folder, self.folder / "cache")
        assert (done.code, done.stderr) == (0, "")
        return done.stdout

    def started(self, script: str, text: str) -> None:
        """Call a script in a Python of its own, which has imported nothing yet."""
        done = subprocess.run(
            [sys.executable, ROOT / script, *self._arguments(text)],
            cwd=self.folder,
            env=os.environ | {"XDG_CACHE_HOME": str(self.folder / "cache")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def here(self, command: str, text: str) -> None:
        """Call ``prunecheck published`` in this process, where torch is imported already."""
        with pytest.raises(SystemExit) as ended:
            main(["published", command, *self._arguments(text)])
        assert ended.value.code == 0

    def _arguments(self, text: str) -> list[str]:
        return [*shlex.split(text), "--data_root", str(self.data_root), "--manualSeed", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("published")
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def chain(folder: Path) -> Chain:
    """On CIFAR-10, with a trained network and its masks, for a ResNet and a VGG."""
    real = os.environ.get("PRUNECHECK_TEST_DATA")
    if not real:
        pytest.skip("PRUNECHECK_TEST_DATA names no folder that holds the real data sets")
    chain = Chain(folder, Path(real))
    chain("baseline.py", f"--dataset cifar10 {RESNET} --save_dir resnet {SMALL}")
    chain(
        "LT_prune.py",
        f"--dataset cifar10 {RESNET} --prune_ratio 0.9 --resume resnet/checkpoint.pth.tar --save_dir resnet "
        "--test_images 50",
    )
    chain.here("baseline", f"--dataset cifar10 {VGG} --save_dir vgg {TINY}")
    chain.here("lt-prune", f"--dataset cifar10 {VGG} --resume vgg/checkpoint.pth.tar --save_dir vgg --test_images 20")
    return chain


@pytest.fixture(scope="module")
def cifar(chain: Chain) -> Dataset:
    return load_dataset("cifar10", DataPlaces((chain.data_root,), chain.folder / "cache" / "prunecheck"))


def through_the_library(spec: RunSpec, chain: Chain, root: Path) -> RunResult:
    """Execute a run as ``prunecheck check`` does."""
    places = DataPlaces((chain.data_root,), chain.folder / "cache" / "prunecheck")
    return execute(Job(spec, root, spec.method, spec.setting.dataset, places, "cpu"), lambda *_: None)


def require_masks_held(folder: Path, masks: Masks, result: RunResult) -> None:
    """See that what was trained keeps these counts, and that its pruned weights are 0."""
    weights = read(folder / "scratch.pth.tar")["state_dict"]
    assert {layer: count for layer, (count, _) in result.kept.items()} == kept(masks)
    for layer, mask in masks.items():
        assert not weights[f"{layer}.weight"][~mask].any()
        assert weights[f"{layer}.weight"][mask].any()


def run_masks(folder: Path, spec: RunSpec) -> Masks:
    ticket = RunStore(folder).folder(spec).ticket()
    assert ticket is not None
    return ticket.masks


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_baseline_and_lt_prune(chain: Chain, name: str) -> None:
    folder = chain.folder / name
    assert {path.name for path in folder.glob("*.*") if path.is_file()} >= {
        *("init.pth.tar", "checkpoint.pth.tar", "log.txt"),
        *("pruned.pth.tar", "pruned_masks.pth.tar", "prune.txt"),
    }
    spec, result = only_run(folder)
    dense = read(folder / "checkpoint.pth.tar")
    assert dense["acc"] == result.accuracy
    assert result == only_run(folder)[1]
    library = through_the_library(spec, chain, folder_of_library(chain))
    assert library.accuracy == result.accuracy
    weights, masks = dense["state_dict"], read(folder / "pruned_masks.pth.tar")["masks"]
    scores = {layer: weights[f"{layer}.weight"].abs() for layer in masks}
    expected = allocate(scores, 0.9 if name == "resnet" else 0.98, GLOBAL_CONVOLUTIONS)
    assert kept(masks) == kept(expected)
    pruned = read(folder / "pruned.pth.tar")["state_dict"]
    assert all(torch.equal(pruned[f"{layer}.weight"] != 0, mask) for layer, mask in masks.items())


def folder_of_library(chain: Chain) -> Path:
    root = chain.folder / "library"
    root.mkdir(exist_ok=True)
    return root


@pytest.mark.real_data
def test_baseline_on_shuffled_pixels(chain: Chain) -> None:
    chain.here("baseline", f"--dataset cifar10 {RESNET} --save_dir shuffled --shufflePixel 1 {SMALL}")
    spec, result = only_run(chain.folder / "shuffled")
    assert spec.trained_on == "corrupted-data"
    assert through_the_library(spec, chain, folder_of_library(chain)).accuracy == result.accuracy
    assert result.accuracy is not None


@pytest.mark.real_data
def test_baseline_on_half_of_the_batches(chain: Chain) -> None:
    chain.here("baseline", f"--dataset cifar10 {RESNET} --save_dir half --max_batch_idx 1 {SMALL}")
    spec, result = only_run(chain.folder / "half")
    whole, _ = only_run(chain.folder / "resnet")
    assert (spec.trained_on, spec.setting.recipe) == ("first-batches@1", whole.setting.recipe)
    assert result.status == "trained"


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_train_ticket_with_lottery_masks(chain: Chain, name: str) -> None:
    call: Callable[[str, str], None] = chain.started if name == "resnet" else chain.here
    script = "train_ticket.py" if name == "resnet" else "train-ticket"
    network, size = (RESNET, SMALL) if name == "resnet" else (VGG, TINY)
    files = (
        f"--model {name}/init.pth.tar --resume {name}/pruned.pth.tar --save_dir {name}-lt --writerdir curves/{name}-lt"
    )
    call(script, f"--dataset cifar10 {network} --lr 0.1 {files} {size}")
    masks = read(chain.folder / name / "pruned_masks.pth.tar")["masks"]
    spec, result = only_run(chain.folder / f"{name}-lt")
    assert (spec.method, spec.sparsity) == ("lt", 0.9 if name == "resnet" else 0.98)
    require_masks_held(chain.folder / f"{name}-lt", masks, result)
    assert len(list((chain.folder / "curves" / f"{name}-lt").glob("events.out.tfevents.*"))) == 1
    assert (chain.folder / f"{name}-lt" / "log_scratch.txt").read_text().count("\n") == 2


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("flags", "method"),
    [
        ("--GraSP 1", "grasp"),
        ("--SNIP 1", "snip"),
        ("--smart_ratio 1", "random-smart"),
        ("--smart_ratio 1 --linear_decay 1", "random-smart-linear"),
        ("--smart_ratio 1 --cubic 1", "random-smart-cubic"),
        ("--smart_ratio 1 --uniform 1", "random-uniform"),
        ("--smart_ratio 1 --ascend 1", "random-smart-ascend"),
    ],
)
def test_train_ticket_pruned_at_initialisation(chain: Chain, cifar: Dataset, flags: str, method: str) -> None:
    text = f"--dataset cifar10 {RESNET} {flags} --init_prune_ratio 0.9 --save_dir {method} --writerdir curves/{method}"
    chain.here("train-ticket", f"{text} {SMALL}")
    folder = chain.folder / method
    spec, result = only_run(folder)
    assert spec.method == method
    masks = run_masks(folder, spec)
    require_masks_held(folder, masks, result)
    network = build_network(spec, cifar)
    sizes = {layer: torch.Size(shape).numel() for layer, shape in prunable_shapes(network).items()}
    allocation = find_method(method).allocation
    if allocation == "global":
        assert sum(kept(masks).values()) == round(0.1 * sum(sizes.values()))
    else:
        ratios = keep_ratios(allocation, network, 0.9)
        assert kept(masks) == {layer: round(ratio * sizes[layer]) for layer, ratio in ratios.items()}
    if method in ("snip", "random-smart"):  # one that sees the data, and one that draws
        assert through_the_library(spec, chain, folder_of_library(chain)).accuracy == result.accuracy


@pytest.mark.real_data
@pytest.mark.parametrize("flag", ["rearrange", "shuffle_unmasked_weights"])
def test_train_ticket_with_a_check(chain: Chain, flag: str) -> None:
    files = f"--model resnet/init.pth.tar --resume resnet/pruned.pth.tar --save_dir {flag} --writerdir curves/{flag}"
    chain.here("train-ticket", f"--dataset cifar10 {RESNET} --lr 0.1 {files} --{flag} 1 {SMALL}")
    spec, result = only_run(chain.folder / flag)
    masks = run_masks(chain.folder / flag, spec)
    original = read(chain.folder / "resnet" / "pruned_masks.pth.tar")["masks"]
    assert kept(masks) == kept(original)
    assert torch.equal(masks["layer1.0.conv1"], original["layer1.0.conv1"]) == (flag != "rearrange")
    require_masks_held(chain.folder / flag, masks, result)


@pytest.mark.real_data
def test_train_ticket_with_hybrid_tickets(chain: Chain, cifar: Dataset) -> None:
    files = "--model resnet/checkpoint.pth.tar --save_dir hybrid --writerdir curves/hybrid"
    chain.here("train-ticket", f"--dataset cifar10 {RESNET} {files} --smart_ratio 1 --hybrid 1 {SMALL}")
    spec, result = only_run(chain.folder / "hybrid")
    network = build_network(spec, cifar)
    network.load_state_dict(read(chain.folder / "resnet" / "checkpoint.pth.tar")["state_dict"])
    expected = allocate(magnitude(network), 0.98, "smart")
    masks = run_masks(chain.folder / "hybrid", spec)
    assert all(torch.equal(masks[layer], mask) for layer, mask in expected.items())
    require_masks_held(chain.folder / "hybrid", masks, result)


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny-ImageNet's layout with one drawn image of each class, as the published scripts look for it."""
    root = tmp_path_factory.mktemp("root")
    source = numpy.random.default_rng(0)
    names = [f"n{number:08}" for number in range(200)]
    for name in names:
        for part in ("train", "val"):
            file = root / "tiny_imagenet" / part / name / f"{name}_0.JPEG"
            file.parent.mkdir(parents=True)
            Image.fromarray(source.integers(0, 256, (64, 64, 3), dtype=numpy.uint8)).save(file)
    return root


@pytest.mark.slow
def test_the_chain_on_tiny_imagenet(tmp_path: Path, tiny_root: Path) -> None:
    """LT_prune.py did not take it there."""
    chain = Chain(tmp_path, tiny_root)
    network = f"--dataset tinyimagenet {RESNET}"
    chain("baseline.py", f"{network} --epochs 1 --save_dir dense")
    chain("LT_prune.py", f"{network} --resume dense/checkpoint.pth.tar --prune_ratio 0.8 --save_dir lt")
    files = "--model dense/init.pth.tar --resume lt/pruned.pth.tar"
    said = chain("train_ticket.py", f"{network} --epochs 1 {files} --save_dir ticket --writerdir curves")
    masks = read(tmp_path / "lt" / "pruned_masks.pth.tar")["masks"]
    spec, result = only_run(tmp_path / "ticket")
    assert (spec.setting.dataset, spec.setting.recipe.milestones) == ("tiny-imagenet", (150, 225))
    require_masks_held(tmp_path / "ticket", masks, result)
    assert said.count("LAYER") == len(masks)
    assert said.endswith(f"Best acc:\n{result.best_accuracy}\n")


def test_wrong_input_ends_a_script_with_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "train_ticket.py", "--resume", "nowhere.pth.tar", "--epochs", "many"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "prunecheck: --epochs: takes a whole number, not 'many': see `python train_ticket.py --help`.\n"
    )
    assert list(tmp_path.iterdir()) == []
