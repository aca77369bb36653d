"""The Python of README.md does what its comments say."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch

import prunecheck
from prunecheck.pruning import prunable_weights
from tests.docs.conftest import SMALL_SETTING

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block_with(text: str) -> str:
    (block,) = (block for block in BLOCKS if text in block)
    return str(block)


def test_the_small_functions_are_used_as_shown() -> None:
    names: dict[str, Any] = {}
    exec(block_with("scoring_samples("), names)
    weights = prunable_weights(names["model"])
    assert list(names["scores"]) == list(names["masks"]) == list(names["ratios"]) == list(weights)
    kept = sum(int(mask.sum()) for mask in names["masks"].values())
    assert kept == round(0.1 * sum(weight.numel() for weight in weights.values()))
    assert all(mask.dtype == torch.bool for mask in names["masks"].values())
    assert all(0 <= ratio <= 1 for ratio in names["ratios"].values())


def test_a_criterion_of_ones_own_is_given_as_a_file_and_as_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "my_method.py").write_text(block_with("def score("))
    answered = check("my_method.py:score", "--model", "resnet8", "--width", "4", "--checks", "rearrange-mask")
    assert answered["method"] == "my_method.py:score"
    monkeypatch.syspath_prepend(tmp_path)
    answer = prunecheck.check(importlib.import_module("my_method").score, **SMALL_SETTING)
    assert answer.question.method.endswith(":score")
    assert [comparison.against for comparison in answer.comparisons] == ["rearrange-mask"]
    del sys.modules["my_method"]


def test_an_answer_has_what_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    called = prunecheck.check

    def small_check(method: str, seeds: int, workers: int) -> prunecheck.Answer:
        return called(method, workers=1, **SMALL_SETTING)

    monkeypatch.setattr(prunecheck, "check", small_check)
    names: dict[str, Any] = {}
    exec(block_with("answer.report("), names)
    answer = names["answer"]
    assert "rearrange-mask" in capsys.readouterr().out
    frame = answer.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == len(answer.comparisons)
    assert set(answer.verdicts) == {(0.8, "rearrange-mask")}
    assert "<html" in Path("snip.html").read_text(encoding="utf-8")
    assert answer.to_json().startswith("{")
    assert "tabular" in answer.to_latex()
    assert "|" in answer.to_markdown()
