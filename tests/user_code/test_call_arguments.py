"""Arguments of users' functions behind their names."""

import functools
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunecheck.errors import InputError
from prunecheck.user_code import find_reference, is_reference
from prunecheck.user_code.call_arguments import read_arguments, without_arguments, written

SIGNS = ["&", "=", "%", "%26", "?", ",", "+", " ", "my.py:g", "ratios-of:", "@", "-0", "true"]

TEXTS = st.lists(
    st.sampled_from(SIGNS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=6
).map("".join)
"""Whatever could be taken for something else, among other texts."""

FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)

WHOLE = st.integers(-(10**18) + 1, 10**18 - 1)


def typed(model, a: int = 1, b: float = 1, c: str = "", d: bool = False, e: int | None = None, **more):  # type: ignore[no-untyped-def]
    pass


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "a": WHOLE,
        "b": FLOATS,
        "c": TEXTS,
        "d": st.booleans(),
        "e": st.none() | WHOLE,
        "f": st.booleans() | st.none() | WHOLE | FLOATS,
    },
).filter(bool)


@given(VALUES, st.randoms(use_true_random=False))
def test_what_is_written_is_read_as_the_same_values_in_whatever_order(
    values: dict[str, Any], rng: random.Random
) -> None:
    text = written(values)
    base, behind = without_arguments(f"some folder/my.py:score?{text}")
    assert base == "some folder/my.py:score"
    assert behind == text
    parts = text.split("&")
    rng.shuffle(parts)
    read = read_arguments("score", typed, "&".join(parts), ["model"])
    assert read == values
    assert [type(read[key]) for key in values] == [type(value) for value in values.values()]
    assert list(read) == sorted(values)
    assert written(read) == text
    assert "," not in text  # which would end a name in a list


@settings(deadline=None)
@given(TEXTS, st.sampled_from(["my.py:f", "a b/my.py:f", "package.module:f", "/what?/my.py:f"]))
def test_the_function_is_found_whatever_its_arguments_are(text: str, name: str) -> None:
    base, behind = without_arguments(f"{name}?c={text}")
    assert (base, behind) == (name, f"c={text}")
    assert without_arguments(name) == (name, None)


def bare(model, whole=1, part=0.5, word="", switch=False, nothing=None, several=(1, 2)):  # type: ignore[no-untyped-def]
    pass


def annotated(model, part: float = 1, either: "Optional[str]" = None, unknown: "Nowhere" = 3):  # type: ignore[no-untyped-def, name-defined] # noqa: F821, UP045
    pass


@pytest.mark.parametrize(
    ("function", "text", "values"),
    [
        (bare, "whole=20", {"whole": 20}),
        (bare, "whole=0.5", {"whole": 0.5}),
        (bare, "part=1", {"part": 1.0}),
        (bare, "part=-0.0", {"part": 0.0}),
        (bare, "part=1e-3", {"part": 0.001}),
        (bare, "word=20", {"word": "20"}),
        (bare, "word=true", {"word": "true"}),
        (bare, "word=", {"word": ""}),
        (bare, "word=a%26b=c,d", {"word": "a&b=c,d"}),
        (bare, "word=a+b%2Cc", {"word": "a+b,c"}),
        (bare, "switch=True", {"switch": True}),
        (bare, "nothing=20&several=x", {"nothing": 20, "several": "x"}),
        (bare, "nothing=none", {"nothing": None}),
        (bare, "nothing=FALSE", {"nothing": False}),
        (bare, "nothing=.5", {"nothing": 0.5}),
        (bare, "nothing=1_000", {"nothing": "1_000"}),
        (annotated, "part=1", {"part": 1.0}),
        (annotated, "either=20", {"either": "20"}),
        (annotated, "either=none", {"either": None}),
        (annotated, "unknown=4", {"unknown": 4}),
    ],
)
def test_values_have_the_types_that_the_signature_asks_for(
    function: Callable[..., Any], text: str, values: dict[str, Any]
) -> None:
    read = read_arguments("f", function, text, ["model"])
    assert read == values
    assert [type(value) for value in read.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"'' in my.py:f\? is not NAME=VALUE: write arguments as \?depth=20&width=32"),
        ("whole", "'whole' in my.py:f"),
        ("whole=1&", "'' in my.py:f"),
        ("1=2", "'1=2' in my.py:f"),
        ("whole=1&whole=2", "gives whole twice: give it once"),
        ("hole=1", r"my.py:f has no argument hole: its arguments are whole, part, word, switch, nothing, several\."),
        ("model=1", "model is given to my.py:f by prunecheck: leave it out"),
        ("whole=many", "the argument whole of my.py:f is a whole number or a number, not 'many'"),
        ("part=much", "the argument part of my.py:f is a number, not 'much'"),
        ("part=nan", "the argument part of my.py:f is a number, not 'nan'"),
        ("part=1e999", "the argument part of my.py:f is a number, not '1e999'"),
        ("switch=2", "the argument switch of my.py:f is true or false, not '2'"),
        ("nothing=12345678901234567890", "the argument nothing of my.py:f is a number in range"),
    ],
)
def test_a_wrong_argument_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_arguments("my.py:f", bare, text, ["model"])


def test_a_function_without_arguments_says_so() -> None:
    with pytest.raises(InputError, match="f has no argument x: it has none"):
        read_arguments("f", lambda model: None, "x=1", ["model"])


SCORE = "def score(model, batches, alpha=0.5, name='x'):\n    return alpha, name\n"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "own_arguments.py").write_text(SCORE)
    yield tmp_path / "own_arguments.py"
    sys.modules.pop("own_arguments", None)


def test_a_reference_with_arguments_is_found_from_anywhere_under_one_name(file: Path) -> None:
    found = find_reference("method", f"{file}:score?name=a%2Cb&alpha=2")
    assert found.name == "own_arguments.py:score?alpha=2.0&name=a%2Cb"
    assert found.argument == f"{file.resolve()}:score?alpha=2.0&name=a%2Cb"
    assert found.value(None, None) == (2.0, "a,b")
    again = find_reference("method", found.argument)
    assert (again.name, again.argument, again.code.hash) == (found.name, found.argument, found.code.hash)
    plain = find_reference("method", f"{file}:score")
    assert plain.name != found.name
    assert plain.code.hash == found.code.hash


def test_a_partial_in_python_is_what_its_text_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(file.parent)
    import own_arguments  # type: ignore[import-not-found]

    by_text = find_reference("method", f"{file}:score?alpha=2.0")
    as_object = find_reference("method", functools.partial(own_arguments.score, alpha=2.0))
    assert (as_object.name, as_object.argument) == (by_text.name, by_text.argument)
    assert as_object.value(None, None) == (2.0, "x")
    # An integer where the text would be read as a float is another value, and a list has no text.
    for other in (functools.partial(own_arguments.score, alpha=2), functools.partial(own_arguments.score, name=[1])):
        assert find_reference("method", other).argument is None


@settings(max_examples=30, deadline=None)
@given(TEXTS)
def test_any_text_in_an_argument_leaves_a_method_s_kind_alone(text: str) -> None:
    assert is_reference(f"my.py:score?name={text}")


def test_an_object_that_is_not_called_takes_no_arguments(file: Path) -> None:
    file.write_text("score = {}\n")
    with pytest.raises(InputError, match=r"own_arguments.py:score is an object that is not called: leave \?alpha=1"):
        find_reference("method", f"{file}:score?alpha=1", may_be=(dict,))
