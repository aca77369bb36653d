import os
import random
import sys
import warnings
from pathlib import Path

import numpy
import pytest
import torch

from prunecheck.pruning import find_method
from tests.fixtures.forked_commands import run_in_a_fork

CHANGES = {
    "the working directory": ("import os; os.chdir('/')", os.getcwd),
    "the environment": ("import os; os.environ['A_CHANGE'] = '1'", lambda: dict(os.environ)),
    "filters": ("import warnings; warnings.simplefilter('error')", lambda: list(warnings.filters)),
    "dtype": ("import torch; torch.set_default_dtype(torch.float64)", torch.get_default_dtype),
    "device": ("import torch; torch.set_default_device('meta')", lambda: torch.empty(0).device),
    "gradients": ("import torch; torch.set_grad_enabled(False)", torch.is_grad_enabled),
    "threads": ("import torch; torch.set_num_threads(3)", torch.get_num_threads),
    "determinism": (
        "import torch; torch.use_deterministic_algorithms(True)",
        torch.are_deterministic_algorithms_enabled,
    ),
    "cudnn": (
        "import torch; torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark",
        lambda: torch.backends.cudnn.benchmark,
    ),
    "precision": ("import torch; torch.set_float32_matmul_precision('medium')", torch.get_float32_matmul_precision),
    "torch's draws": ("import torch; torch.manual_seed(3)", lambda: torch.get_rng_state().tolist()),
    "numpy's draws": ("import numpy; numpy.random.seed(3)", lambda: str(numpy.random.get_state())),
    "Python's draws": ("import random; random.seed(3)", random.getstate),
    "the hook of exceptions": ("import sys; sys.excepthook = print", lambda: sys.excepthook),
}


@pytest.mark.parametrize("when", ["loaded", "called"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_file_changes_of_the_process_is_put_back(tmp_path: Path, change: str, when: str) -> None:
    line, read = CHANGES[change]
    file = tmp_path / "mine.py"
    body = f"{line}\n    return {{}}" if when == "called" else "return {}"
    file.write_text(("" if when == "called" else f"{line}\n") + f"def score(model, batches):\n    {body}\n")
    before = read()
    find_method(f"{file}:score").criterion.function(None, None)
    assert read() == before


@pytest.mark.parametrize("line", ["os.close(1); os.close(2)", "sys.stdout.close(); sys.stderr.close()"])
def test_what_a_file_closes_can_be_printed_to_again(tmp_path: Path, line: str) -> None:
    (tmp_path / "mine.py").write_text(f"import os, sys\n\ndef score(model, batches):\n    {line}\n    return {{}}\n")

    def call() -> None:
        find_method("mine.py:score").criterion.function(None, None)
        print("printed")
        print("said", file=sys.stderr)

    ended = run_in_a_fork(call, ["python"], tmp_path)
    assert (ended.code, ended.stdout, ended.stderr) == (0, "printed\n", "said\n")


def test_what_a_file_draws_when_it_is_loaded_is_the_same_in_every_process(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        file = tmp_path / f"{name}.py"
        file.write_text(
            "import random, numpy, torch\nDRAWN = random.random(), float(numpy.random.rand()), float(torch.rand(()))\n"
            "def score(model, batches):\n    return DRAWN\n"
        )
        drawn.append(find_method(f"{file}:score").criterion.function(None, None))
    assert drawn[0] == drawn[1]
