import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import ALLOCATIONS, CRITERIA, METHODS, find_method, magnitude
from prunecheck.pruning.masks import GLOBAL

SCORE = """
from prunecheck.pruning import prunable_weights

def score(model, batches):
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_method.py"
    path.write_text(SCORE)
    return path


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_built_in_method_is_found_by_its_name(name: str) -> None:
    method = find_method(name)
    assert method.name == name
    assert (method.source, method.source_hash) == (None, None)
    assert method.criterion is CRITERIA.get(method.criterion.name)
    assert method.allocation in (GLOBAL, *ALLOCATIONS.names())


def test_the_built_in_methods_are_the_recipes_that_they_are_named_after() -> None:
    recipes = {entry.name: (entry.item.criterion.name, entry.item.allocation) for entry in METHODS}
    assert (
        recipes.items()
        >= {
            "snip": ("snip", "global"),
            "grasp": ("grasp", "global"),
            "magnitude": ("magnitude", "global"),
            "random-smart": ("random", "smart"),
            "random-uniform": ("random", "uniform"),
        }.items()
    )
    assert all(entry.summary for entry in METHODS)


@pytest.mark.parametrize(("wrong", "nearest"), [("snpi", "snip"), ("Grasp", "grasp"), ("random-smrt", "random-smart")])
def test_an_unknown_method_is_answered_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"no method named '{wrong}': did you mean {nearest}"):
        find_method(wrong)


def test_a_function_in_a_file_is_a_method(file: Path, small_network: nn.Module, batch: Batch) -> None:
    method = find_method(f"{file}:score")
    assert (method.name, method.allocation, method.source) == ("my_method.py:score", GLOBAL, file.resolve())
    scores = method.criterion(small_network, [batch], generator())
    assert all(torch.equal(scores[layer], score) for layer, score in magnitude(small_network).items())


def test_a_file_is_found_from_the_working_folder_and_remembered_whole(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    assert find_method("my_method.py:score").source == file.resolve()
    assert find_method("./my_method.py:score").source == file.resolve()


def test_the_hash_changes_with_the_content_and_with_nothing_else(file: Path, tmp_path: Path) -> None:
    first = find_method(f"{file}:score").source_hash
    assert first is not None
    copied = tmp_path / "copy.py"
    copied.write_text(SCORE)
    assert find_method(f"{copied}:score").source_hash == first
    file.write_text(SCORE + "\n# another version\n")
    assert find_method(f"{file}:score").source_hash not in (first, None)


def test_a_file_that_has_changed_is_run_anew(file: Path, small_network: nn.Module, batch: Batch) -> None:
    # In the same second and as long as before: Python's cache of compiled files cannot tell the two apart.
    status = file.stat()
    find_method(f"{file}:score")
    file.write_text(SCORE.replace(".abs()", ".neg()"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    scores = find_method(f"{file}:score").criterion(small_network, [batch], generator())
    assert bool((scores["0"] == -small_network.get_parameter("0.weight")).all())


def test_a_file_can_import_what_lies_beside_it(file: Path, small_network: nn.Module, batch: Batch) -> None:
    name = "a_helper_of_my_method"
    (file.parent / f"{name}.py").write_text(SCORE)
    file.write_text(f"from {name} import score\n")
    try:
        scores = find_method(f"{file}:score").criterion(small_network, [batch], generator())
    finally:
        sys.modules.pop(name, None)
    assert set(scores) == set(magnitude(small_network))


def test_a_file_that_extends_the_import_path_keeps_its_entries_and_its_folder_comes_last_and_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path_before = list(sys.path)
    file.write_text("import sys\nsys.path.insert(0, 'their own entry')\n" + SCORE)
    for _ in range(2):
        find_method(f"{file}:score")
    assert sys.path == ["their own entry", "their own entry", *path_before, str(file.parent)]


def test_a_file_can_define_dataclasses_with_postponed_annotations(file: Path) -> None:
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Options:\n    power: int = 1\n" + SCORE
    )
    assert find_method(f"{file}:score").name == "my_method.py:score"


def test_a_file_named_like_a_module_takes_its_place_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "json.py"
    path.write_text(SCORE)
    find_method(f"{path}:score")
    import json

    assert hasattr(json, "loads")
    assert sys.modules["json"] is json


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file .*nowhere\.py: give the path"):
        find_method(f"{tmp_path / 'nowhere.py'}:score")


@pytest.mark.parametrize("colon", ["", ":"])
def test_a_file_without_a_function_is_told_how_to_name_one(file: Path, colon: str) -> None:
    with pytest.raises(InputError) as refused:
        find_method(f"{file}{colon}")
    assert str(refused.value).endswith(f"write it as {file}:FUNCTION.")


def test_a_function_that_is_not_defined_is_answered_with_the_nearest(file: Path) -> None:
    with pytest.raises(InputError, match=r"does not define a function scores: it defines score\."):
        find_method(f"{file}:scores")


def test_a_file_without_functions_says_so(file: Path) -> None:
    file.write_text("score = 3\n")
    with pytest.raises(InputError, match="it defines no function at all"):
        find_method(f"{file}:score")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("def score(:\n", "SyntaxError"),
        ("import no_such_module_anywhere\n", "no_such_module_anywhere"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(3)\n", "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_run_says_why(file: Path, content: str, reason: str) -> None:
    file.write_text(content + SCORE)
    with pytest.raises(InputError, match=rf"my_method\.py cannot be run .*{reason}"):
        find_method(f"{file}:score")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "method.txt"
    path.write_text(SCORE)
    with pytest.raises(InputError, match=r"not a Python file: give one whose name ends in \.py"):
        find_method(f"{path}:score")


def test_a_function_can_import_what_lies_beside_its_file_when_it_is_called(
    file: Path, small_network: nn.Module, batch: Batch
) -> None:
    (file.parent / "late_helper_of_a_user.py").write_text("FACTOR = 3.0\n")
    file.write_text(
        "def score(model, batches):\n"
        "    from late_helper_of_a_user import FACTOR\n"
        "    from prunecheck.pruning import magnitude\n"
        "    return {name: FACTOR * score for name, score in magnitude(model).items()}\n"
    )
    scores = find_method(f"{file}:score").criterion(small_network, [batch], generator())
    expected = magnitude(small_network)
    assert all(torch.equal(scores[name], 3.0 * score) for name, score in expected.items())
