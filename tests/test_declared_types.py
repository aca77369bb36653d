from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from prunecheck.declared_types import json_of, require_declared


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    name: str


@dataclass(frozen=True)
class Thing:
    text: str
    whole: int
    number: float
    colour: Colour
    maybe: int | None = None
    pair: tuple[int, int] = (0, 0)
    many: tuple[float, ...] = ()
    by_name: dict[str, tuple[int, int]] = field(default_factory=dict)
    inner: Inner | None = None


WHOLE: dict[str, Any] = {"text": "a", "whole": 1, "number": 2, "colour": "red"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"number": 2.5, "maybe": None},
        {"maybe": 3, "pair": [1, 2], "many": [1, 2.5, 3]},
        {"many": [], "by_name": {"conv": [1, 2]}, "inner": {"name": "b"}},
    ],
)
def test_what_is_declared_is_taken(more: dict[str, Any]) -> None:
    require_declared(Thing, WHOLE | more)


@pytest.mark.parametrize(
    "more",
    [
        {"text": 1},
        {"text": None},
        {"whole": 1.5},
        {"whole": True},
        {"whole": "1"},
        {"number": float("nan")},
        {"number": float("inf")},
        {"number": False},
        {"number": 10**400},
        {"number": -(10**400)},
        {"colour": "blue"},
        {"colour": 1},
        {"maybe": "3"},
        {"pair": [1]},
        {"pair": [1, 2, 3]},
        {"pair": [1, "2"]},
        {"many": 2.5},
        {"many": "25"},
        {"many": [10**400]},
        {"by_name": []},
        {"by_name": {"conv": 1}},
        {"inner": "b"},
        {"inner": {"name": 1}},
        {"inner": {}},
        {"surprise": 1},
    ],
)
def test_what_is_not_declared_is_refused_by_its_field(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"field {next(iter(more))}"):
        require_declared(Thing, WHOLE | more)


@pytest.mark.parametrize("name", list(WHOLE))
def test_a_field_without_a_default_may_not_be_missing(name: str) -> None:
    values = {key: value for key, value in WHOLE.items() if key != name}
    with pytest.raises(ValueError, match=f"field {name} is missing"):
        require_declared(Thing, values)
    require_declared(Thing, values, but=(name,))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"{}"', "[" * 100_000, '{"a":' * 100_000])
def test_only_an_object_is_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|not a JSON object|nested"):
        json_of(text)
    assert json_of('{"a": [1]}') == {"a": [1]}
