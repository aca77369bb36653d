"""How a metric is found, what a user's own has to say of itself, and what it may return."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from prunecheck.errors import InputError
from prunecheck.metrics import METRICS, find_metric, metric, register_metric

LOGITS, LABELS = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])

FILE = """
import prunecheck

@prunecheck.metric(unit="nats", higher_is_better=False)
def score(logits, labels):
    return 1.5

def silent(logits, labels):
    return 1.5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "score.py"
    path.write_text(FILE)
    return path


def returning(value: Any, unit: Any = "nats", higher_is_better: Any = False) -> Callable[[Tensor, Tensor], Any]:
    @metric(unit=unit, higher_is_better=higher_is_better)
    def mine(logits: Tensor, labels: Tensor) -> Any:
        return value

    return mine


def test_a_file_s_function_has_the_unit_and_direction_that_it_says(file: Path) -> None:
    found = find_metric(f"{file}:score")
    assert (found.name, found.quantity.unit, found.quantity.higher_is_better) == ("score.py:score", "nats", False)
    assert found.code
    assert str(found.given) == f"{file}:score"
    assert found.value(LOGITS, LABELS) == 1.5


def test_a_function_that_says_nothing_is_refused_with_what_to_write(file: Path) -> None:
    with pytest.raises(InputError, match=r'score\.py:silent does not say .* @prunecheck\.metric\(unit="nats", high'):
        find_metric(f"{file}:silent")


def test_another_unit_is_another_metric(file: Path) -> None:
    before = find_metric(f"{file}:score").code
    assert before
    hash_before = before.hash
    file.write_text(FILE.replace("nats", "bits"))
    after = find_metric(f"{file}:score")
    assert after.quantity.unit == "bits"
    assert after.code
    assert after.code.hash != hash_before


def test_a_function_is_found_by_itself_and_keeps_its_name() -> None:
    found = find_metric(returning(3))
    assert found.name.endswith(":returning.mine")
    assert found.value(LOGITS, LABELS) == 3


def test_a_registered_function_is_found_by_its_name_and_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METRICS, "entries", dict(METRICS.entries))

    @register_metric("hits", unit="", higher_is_better=True)
    def hits(logits: Tensor, labels: Tensor) -> Tensor:
        """Images that are right."""
        return (logits.argmax(dim=1) == labels).sum()

    assert find_metric("hits").value(LOGITS, LABELS) == 2
    assert find_metric(hits).name == "hits"
    assert METRICS.entries["hits"].summary == "Images that are right"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean cross-entropy"):
        find_metric("crossentropy")


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"unit": 3}, "the unit of a metric is a short text, .* not 3"),
        ({"unit": "a\nb"}, "the unit of a metric"),
        ({"unit": "x" * 21}, "the unit of a metric"),
        ({"higher_is_better": "yes"}, "whether higher is better takes True or False, not 'yes'"),
    ],
)
def test_a_wrong_declaration_is_refused(declared: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        returning(1.0, **declared)


@pytest.mark.parametrize(
    "value", [2, 2.0, numpy.float32(2), numpy.array([2.0]), torch.tensor(2), torch.tensor([[2.0]])]
)
def test_one_number_of_any_kind_is_taken(value: Any) -> None:
    found = find_metric(returning(value)).value(LOGITS, LABELS)
    assert type(found) is float
    assert found == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.tensor([1.0, 2.0]), r"returned a tensor of shape \(2,\): have it return one number"),
        (torch.empty(0), r"returned a tensor of shape \(0,\)"),
        (numpy.ones((2, 2)), r"returned an array of shape \(2, 2\)"),
        (torch.tensor(1j), "returned a tensor of complex numbers"),
        (None, r"returned nothing \(None\): have it return one number"),
        (True, "returned a value of type bool"),
        ("0.5", "returned a value of type str"),
        ((1.0, 2.0), "returned a value of type tuple"),
        (float("nan"), "returned nan: have it return a finite number"),
        (torch.tensor(float("-inf")), "returned -inf: have it return a finite number"),
        (-1e101, r"returned -1e\+101: have it return one of at most 1e\+100 in size"),
    ],
)
def test_anything_else_is_refused(value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_metric(returning(value)).value(LOGITS, LABELS)


def test_a_metric_that_fails_is_named_with_what_it_was_given() -> None:
    @metric(unit="nats", higher_is_better=False)
    def mine(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels)

    with pytest.raises(
        InputError, match=r"mine fails on logits of shape \(4, 3\) and type float32 and labels of .* int64"
    ):
        find_metric(mine).value(LOGITS, LABELS)
