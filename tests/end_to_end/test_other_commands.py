import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

Command = Callable[..., Any]


def test_prune_writes_the_ticket_that_it_prints(prunecheck_in_a_fork: Command, tmp_path: Path) -> None:
    options = shlex.split("--model resnet8 --width 4 --sparsity 0.9 --dataset digits -o ticket.safetensors")
    ended = prunecheck_in_a_fork("prune", "snip", *options, cwd=tmp_path)
    assert (ended.code, ended.stderr) == (0, "")
    tensors = load_file(tmp_path / "ticket.safetensors")
    rows = {row[0]: row for line in ended.stdout.splitlines() if (row := line.split())}
    masks = {name: mask for name, mask in tensors.items() if name.startswith("masks/")}
    assert len(masks) == 10
    for name, mask in masks.items():
        assert rows[name.removeprefix("masks/")][1:3] == [f"{int(mask.sum()):,}", f"{mask.numel():,}"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("check snipp", "prunecheck: there is no method named 'snipp': did you mean snip?\n"),
        ("check snip --sparsty 0.9", "prunecheck: there is no option --sparsty: did you mean --sparsity?\n"),
    ],
)
def test_wrong_input_is_one_line_with_code_2(prunecheck: Command, tmp_path: Path, arguments: str, said: str) -> None:
    ended = prunecheck(*arguments.split(), cwd=tmp_path)
    assert (ended.code, ended.stdout, ended.stderr) == (2, "", said)
    assert not list(tmp_path.iterdir())
