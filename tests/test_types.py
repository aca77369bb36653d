"""What type checkers see of prunecheck in a program that uses it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import prunecheck

ROOT = Path(__file__).parents[1]

SIGNATURES = {
    ("prunecheck.pruning", "snip"): "(model: Module, batches: BatchSource) -> dict[str, Tensor]",
    ("prunecheck.pruning", "grasp"): "(model: Module, batches: BatchSource) -> dict[str, Tensor]",
    ("prunecheck.pruning", "magnitude"): "(model: Module, batches: BatchSource =) -> dict[str, Tensor]",
    ("prunecheck.pruning", "synflow"): (
        "(model: Module, batches: BatchSource, *, sparsity: float, rounds: int =) -> dict[str, Tensor]"
    ),
    ("prunecheck.pruning", "allocate"): (
        "(scores: dict[str, Tensor], sparsity: float, allocation: str | Mapping[str, float] =, "
        "generator: Generator | None =) -> dict[str, Tensor]"
    ),
    ("prunecheck.pruning", "keep_ratios"): "(allocation: str, model: Module, sparsity: float) -> dict[str, float]",
    ("prunecheck.pruning.allocations", "erdos_renyi_kernel"): (
        "(shapes: dict[str, tuple[int, ...]], sparsity: float) -> dict[str, float]"
    ),
    ("prunecheck.pruning", "make_ticket"): (
        "(method: Method, model: Module, data: ScoringData, sparsity: float, generator: Generator, "
        "draw_weights: ((int) -> dict[str, Tensor]) | None =, *, "
        "seed: int =, given: Mapping[Training, dict[str, Tensor]] | None =, "
        "change_scores: ((dict[str, Tensor]) -> dict[str, Tensor]) | None =) -> Ticket"
    ),
    ("prunecheck.checks", "rearrange_mask"): "(ticket: Ticket, generator: Generator) -> Ticket",
    ("prunecheck.checks.data", "random_labels"): (
        "(images: Images, num_classes: int, generator: Generator, *, share: float =) -> Images"
    ),
    ("prunecheck.models.resnet", "resnet"): (
        "(num_classes: int, depth: int, input_channels: int =, width: int =) -> ResNet"
    ),
    ("prunecheck.data.readers.digits", "digits"): "() -> Dataset",
}
"""Public functions, decorated or not, without the modules of their types and without what their defaults are."""

PROGRAM = '''
import torch
from torch import Tensor, nn

from prunecheck.checks import register_check
from prunecheck.data import Dataset, load_dataset, register_dataset
from prunecheck.models import build_model, register_model
from prunecheck.pruning import Ticket, allocate, prunable_weights, register_allocation, register_criterion, snip


@register_criterion("largest", argument="rounds")
def largest(model: nn.Module, batches: list[tuple[Tensor, Tensor]], *, rounds: int = 3) -> dict[str, Tensor]:
    """Absolute value of the weight."""
    return {name: weight.abs() * rounds for name, weight in prunable_weights(model).items()}


@register_allocation("everything")
def everything(shapes: dict[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    """Keep all."""
    return {name: 1.0 for name in shapes}


@register_check("same", changes="ticket", information="nothing")
def same(ticket: Ticket, generator: torch.Generator) -> Ticket:
    """Nothing is changed."""
    return ticket


@register_model("mlp<depth>")
def mlp(num_classes: int, depth: int, input_channels: int = 3) -> nn.Sequential:
    """Layers of one width."""
    return nn.Sequential(*(nn.Linear(num_classes, num_classes) for _ in range(depth)))


@register_dataset("two digits")
def two_digits(share: float = 1.0) -> Dataset:
    """The digits again."""
    return load_dataset("digits")


network = build_model("resnet8", 10)
batches = [(torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64))]
masks = allocate(snip(network, batches), 0.9, "erk")
masks = allocate(largest(network, batches, rounds=5), 0.9)


def number(model: nn.Module, batches: object) -> int:
    return 1


def text(ticket: Ticket, generator: torch.Generator) -> str:
    return ""


snip(network)  # wrong
largest(network, batches, round=5)  # wrong
load_dataset(3)  # wrong
load_dataset("digits", place=None)  # wrong
register_criterion("number")(number)  # wrong
register_allocation("number")(number)  # wrong
register_check("text", changes="ticket", information="all")(text)  # wrong
register_model("text")(text)  # wrong
register_dataset("text")(text)  # wrong
'''

OF_USER = {
    "largest": "(model: Module, batches: list[tuple[Tensor, Tensor]], *, rounds: int =) -> dict[str, Tensor]",
    "everything": "(shapes: dict[str, tuple[int, ...]], sparsity: float) -> dict[str, float]",
    "same": "(ticket: Ticket, generator: Generator) -> Ticket",
    "mlp": "(num_classes: int, depth: int, input_channels: int =) -> Sequential",
    "two_digits": "(share: float =) -> Dataset",
    "load_dataset('digits')": "Dataset",
    "masks": "dict[str, Tensor]",
}


@pytest.fixture
def revealed() -> dict[str, str]:
    """Every expression whose type is asked for, and its type."""
    exported = {name: meant for (_, name), meant in SIGNATURES.items() if name in getattr(prunecheck, "__all__", ())}
    return (
        OF_USER
        | {f"{module}.{name}": meant for (module, name), meant in SIGNATURES.items()}
        | {f"prunecheck.{name}": meant for name, meant in exported.items()}
    )


@pytest.fixture
def program(tmp_path: Path, revealed: dict[str, str]) -> Path:
    modules = sorted({module for module, _ in SIGNATURES})
    asked = [*(f"import {module}" for module in modules), *(f"reveal_type({text})" for text in revealed)]
    file = tmp_path / "program.py"
    file.write_text("\n".join([PROGRAM, *asked]) + "\n")
    return file


def plain(revealed: str) -> str:
    """Write a type in one way, whichever tool has said it."""
    without_modules = re.sub(r"\b(?:\w+\.)+(?=\w)", "", revealed)
    without_defaults = re.sub(r" = ?(?:lambda[^)]*|\(\)|[^,()]*)(?=[,)])", " =", without_modules)
    return without_defaults.replace("def (", "(").replace("=, ", "=, ")


def assert_seen(program: Path, meant: dict[str, str], seen: dict[int, str], errors: set[int]) -> None:
    lines = dict(enumerate(program.read_text().splitlines(), start=1))
    asked = {number: line for number, line in lines.items() if line.startswith("reveal_type(")}
    assert {asked[number][len("reveal_type(") : -1]: plain(text) for number, text in seen.items()} == meant
    assert errors == {number for number, line in lines.items() if line.endswith("# wrong")}


def run(*command: object) -> str:
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr  # there are errors to find
    return done.stdout


@pytest.mark.slow
def test_mypy_sees_the_types_of_public_and_of_decorated_functions(program: Path, revealed: dict[str, str]) -> None:
    # Of the project, so that one cache serves this and the look at the whole: without one it takes a minute.
    said = run(sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", program)
    messages = re.findall(r"^.*program\.py:(\d+): (\w+): (.*)$", said, re.MULTILINE)

    def revelations() -> Iterator[tuple[int, str]]:
        for line, _, message in messages:
            if found := re.fullmatch(r'Revealed type is "(.*)"', message):
                yield int(line), found[1]

    errors = {int(line) for line, kind, _ in messages if kind == "error"}
    assert_seen(program, revealed, dict(revelations()), errors)


def test_pyright_sees_them_too(program: Path, revealed: dict[str, str]) -> None:
    project = program.with_name("pyrightconfig.json")
    project.write_text(json.dumps({"typeCheckingMode": "strict"}))
    said = json.loads(
        run(sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", project)
    )

    def revelations() -> Iterator[tuple[int, str]]:
        for found in said["generalDiagnostics"]:
            if text := re.fullmatch(r'Type of ".*" is "(.*)"', found["message"], re.DOTALL):
                yield found["range"]["start"]["line"] + 1, text[1]

    errors = {
        found["range"]["start"]["line"] + 1 for found in said["generalDiagnostics"] if found["severity"] == "error"
    }
    assert_seen(program, revealed, dict(revelations()), errors)
