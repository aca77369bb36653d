"""A constraint is stated once, and each front end that took a wrong value says so in its own words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunecheck.errors import InputError
from prunecheck.studies.study_file import read_study
from prunecheck.studies.suggestions import study_with_suggestions

STUDY = 'methods = ["snip"]\ndatasets = ["digits"]\n'

USUAL: dict[str, Any] = {
    "dataset": "digits",
    "places": None,
    "train_images": None,
    "test_images": None,
    "model": None,
    "width": None,
    "sparsities": (0.9,),
    "checks": (),
    "baseline": None,
    "seeds": (0,),
    "epochs": None,
    "batch_size": None,
    "learning_rate": None,
    "samples_per_class": 10,
    "scoring_rounds": 1,
    "margin": 2.0,
}


def in_python(**given: Any) -> str:
    with pytest.raises(InputError) as caught:
        study_with_suggestions("snip", **(USUAL | given))
    return str(caught.value)


@pytest.fixture
def in_toml(tmp_path: Path) -> Callable[[str], str]:
    def wrong(text: str) -> str:
        file = tmp_path / "study.toml"
        file.write_text(STUDY + text)
        with pytest.raises(InputError) as caught:
            read_study(file, None)
        return str(caught.value)

    return wrong


@pytest.mark.parametrize(
    ("python", "toml", "option", "words"),
    [
        ({"margin": 100}, ("margin = 100", "margin", 3), ("--margin", "100"), "takes points of accuracy, more than 0"),
        (
            {"samples_per_class": 0},
            ("samples_per_class = 0", "samples_per_class", 3),
            ("--samples-per-class", "0"),
            "takes a whole number, at least 1, not 0.",
        ),
        (
            {"batch_size": 1},
            ('recipes = ["a"]\n[recipe.a]\nbatch_size = 1', "recipe.a.batch_size", 5),
            ("--batch-size", "1"),
            "takes a whole number, at least 2 for batch norm, not 1.",
        ),
        (
            {"sparsities": (0.9, 1)},
            ("seeds = 1\nsparsities = [0.9, 1]", "sparsities", 4),
            ("--sparsity", "0.9,1"),
            "takes numbers, at least 0 and less than 1, not 1.",
        ),
        (
            {"sparsities": (0.5, 0.5)},
            ("sparsities = [0.5, 0.50]", "sparsities", 3),
            ("--sparsity", "0.5,0.50"),
            "takes numbers, at least 0 and less than 1, and 0.5 is given twice.",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_each_front_end_spells_the_field(
    in_toml: Callable[[str], str],
    refused: Callable[..., str],
    python: dict[str, Any],
    toml: tuple[str, str, int],
    option: tuple[str, str],
    words: str,
) -> None:
    (field,) = python
    assert in_python(**python).startswith(f"{field.replace('sparsities', 'sparsity')} {words}")
    text, key, line = toml
    assert f"study.toml, line {line}: {key} {words}" in in_toml(text)
    assert refused("check", "snip", *option).startswith(f"{option[0]} {words}")


def test_what_a_part_of_a_set_cannot_give_is_said_by_each_front_end(
    in_toml: Callable[[str], str], refused: Callable[..., str]
) -> None:
    words = "takes a multiple of 10, not 15."
    with pytest.raises(InputError) as caught:
        _ = study_with_suggestions("snip", **(USUAL | {"test_images": 15})).data
    assert (caught.value.field, str(caught.value).endswith(f"test_images {words}")) == ("test_images", True)
    said = in_toml("seeds = 1\n[dataset.digits]\ntest_images = 15")
    assert "study.toml, line 5: dataset.digits.test_images: " in said
    assert said.endswith(f"test_images {words}")
    assert refused("check", "snip", "--test-images", "15").endswith(f"--test-images {words}")


def test_fields_that_a_study_file_did_not_take_are_the_commands(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "study.toml").write_text(STUDY.replace("digits", "cifar10"))
    said = refused("run", "study.toml")
    assert "study.toml, line 2: datasets: cifar10 is not on this machine" in said
    assert said.endswith("below --data-root.")


def test_published_scripts_spell_their_own_flags(refused: Callable[..., str]) -> None:
    said = refused("published", "baseline", "--data_root", "nowhere")
    assert said.startswith("--data_root takes a folder")
