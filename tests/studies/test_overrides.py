from pathlib import Path
from typing import Any

import pytest

from prunecheck.errors import InputError
from prunecheck.studies.overrides import overridden, read_overrides
from prunecheck.studies.study_file import read_study

STUDY = """
methods = ["snip"]
datasets = ["digits"]
sparsities = [0.9]
seeds = 3
recipes = ["quick"]

[recipe.quick]
epochs = 3

[[include]]
methods = ["grasp"]
seeds = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    return file


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("seeds=10", "seeds", 10),
        ("seeds=auto", "seeds", "auto"),
        ("seeds=0,1,5", "seeds", [0, 1, 5]),
        ("sparsities=0.9,0.98", "sparsities", [0.9, 0.98]),
        ("sparsities=[0.9]", "sparsities", [0.9]),
        ("methods=snip,my.py:score", "methods", ["snip", "my.py:score"]),
        ("baseline=random-erk", "baseline", "random-erk"),
        ("recipe.quick.nesterov=true", "recipe.quick.nesterov", True),
        ("methods=my.py:score?alpha=2", "methods", "my.py:score?alpha=2"),
        (" margin = 0.5 ", "margin", 0.5),
        ('name="a b, c"', "name", "a b, c"),
    ],
)
def test_a_value_is_toml_or_names(text: str, key: str, value: Any) -> None:
    assert read_overrides([text]) == {key: value}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["seeds"], "set takes KEY=VALUE, such as seeds=10, not 'seeds'"),
        (["=3"], "set takes KEY=VALUE"),
        (["seeds="], "set takes KEY=VALUE"),
        (["seeds=1", "seeds=2"], "set gives seeds twice"),
    ],
)
def test_what_is_no_key_with_a_value_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_overrides(texts)


def test_what_is_given_takes_the_place_of_what_stands_there(file: Path) -> None:
    given = read_overrides(["seeds=2", "sparsities=0.5", "recipe.quick.epochs=1", "checks=none", "methods=synflow"])
    study = read_study(file, None, given)
    assert [(q.method.name, q.sparsities, q.checks, len(q.seeds), q.recipe.epochs) for q in study.questions] == [
        ("synflow", (0.5,), (), 2, 1),
        ("grasp", (0.5,), (), 7, 1),  # what an include says of itself stays
    ]
    assert len(read_study(file, None).questions[0].seeds) == 3


def test_what_is_not_there_is_added(file: Path) -> None:
    study = read_study(file, None, read_overrides(["widths=4", "recipe.slow.epochs=9", "recipes=quick,slow"]))
    assert {(q.width, q.recipe.epochs) for q in study.questions} == {(4, 3), (4, 9)}
    study = read_study(file, None, read_overrides(["dataset.digits.widths=5,6"]))
    assert {q.width for q in study.questions} == {5, 6}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nosuch=1", "set nosuch: there is no key named 'nosuch': the nearest of 29 are "),
        ("sead=1", "set sead: there is no key named 'sead'"),
        ("seeds=0", "set seeds: seeds takes"),
        ("recipe.quick.epochs=none", "set recipe.quick.epochs: recipe.quick.epochs takes a whole number"),
        ("methods=snop", "set methods: there is no method"),
        ("seeds.much=1", "set seeds.much: seeds is not a table in this study"),
        ("a b=1", "set takes keys of study files"),
        ("recipe.quik.epochs=1", "set recipe.quik.epochs: no question of this study has the recipe quik: did you mean"),
        ("include.seeds=1", "set include.seeds: include is not a table"),
    ],
)
def test_an_error_names_what_was_given_and_not_a_line(file: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_study(file, None, read_overrides([text]))
    assert str(caught.value).startswith(said)
    assert "line" not in str(caught.value)


def test_the_content_stays_as_it_is() -> None:
    content = {"recipe": {"quick": {"epochs": 3}}}
    changed, places = overridden(content, {"recipe.quick.epochs": 1})
    assert (content["recipe"]["quick"], changed["recipe"]["quick"]) == ({"epochs": 3}, {"epochs": 1})
    assert places == {("recipe", "quick", "epochs"): "recipe.quick.epochs"}
