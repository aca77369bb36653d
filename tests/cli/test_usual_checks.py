"""What is asked where no check is named, in each front end."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prunecheck

Call = Callable[..., Any]

SMALL = shlex.split(
    "--seeds 1 --epochs 1 --train-images 100 --batch-size 10 --test-images 50 --sparsity 0.5 --width 2 --baseline none "
    "--workers 1 --no-sparse-convolutions"
)


def test_gradual_pruning_is_asked_what_fits_it_and_told_the_rest(call: Call) -> None:
    ended = call("check", "gmp", *SMALL, "--json")
    assert ended.code == 0
    assert [verdict["check"] for verdict in json.loads(ended.stdout)["verdicts"]] == ["corrupted-data"]
    assert "rearrange-mask is left out of the usual checks of gmp: gmp starts with all weights" in ended.stderr


def test_a_study_file_asks_each_method_what_fits_it(call: Call) -> None:
    Path("study.toml").write_text('methods = ["gmp", "snip"]\ndatasets = ["digits"]\n')
    gmp, snip = prunecheck.read_study(Path("study.toml"), None).questions
    assert (gmp.checks, snip.checks) == (("corrupted-data",), ("corrupted-data", "rearrange-mask"))
    assert gmp.left_out
    assert not snip.left_out
