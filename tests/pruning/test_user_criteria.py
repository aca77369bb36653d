import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import find_method, magnitude
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


def test_a_function_in_a_file_is_a_method(file: Path, small_network: nn.Module, batch: Batch) -> None:
    method = find_method(f"{file}:score")
    assert (method.name, method.allocation, method.argument) == (
        "my_method.py:score",
        GLOBAL,
        f"{file.resolve()}:score",
    )
    scores = method.criterion(small_network, [batch], generator(), 0.5)
    assert all(torch.equal(scores[layer], score) for layer, score in magnitude(small_network).items())


def test_a_file_is_found_from_the_working_folder_and_remembered_whole(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    assert find_method("my_method.py:score").argument == f"{file.resolve()}:score"
    assert find_method("./my_method.py:score").argument == f"{file.resolve()}:score"


def test_the_hash_changes_with_the_content_and_with_nothing_else(file: Path, tmp_path: Path) -> None:
    first = find_method(f"{file}:score").source_hash
    assert first is not None
    copied = tmp_path / "elsewhere" / file.name
    copied.parent.mkdir()
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
    scores = find_method(f"{file}:score").criterion(small_network, [batch], generator(), 0.5)
    assert bool((scores["0"] == -small_network.get_parameter("0.weight")).all())


def test_a_file_can_import_what_lies_beside_it(file: Path, small_network: nn.Module, batch: Batch) -> None:
    (file.parent / "a_helper_of_my_method.py").write_text(SCORE)
    file.write_text("from a_helper_of_my_method import score\n")
    scores = find_method(f"{file}:score").criterion(small_network, [batch], generator(), 0.5)
    assert set(scores) == set(magnitude(small_network))


def test_a_file_that_extends_the_import_path_keeps_its_entries_and_its_folder_comes_last_and_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path_before = list(sys.path)
    file.write_text("import sys\nsys.path.insert(0, 'their own entry')\n" + SCORE)
    for _ in range(2):
        find_method(f"{file}:score")
    assert sys.path == ["their own entry", *path_before, str(file.parent)]


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


def test_what_cannot_be_called_is_refused(file: Path) -> None:
    file.write_text("score = 3\n")
    with pytest.raises(InputError, match=r"a method is a function or a class, and my_method\.py:score is an int"):
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
    scores = find_method(f"{file}:score").criterion(small_network, [batch], generator(), 0.5)
    expected = magnitude(small_network)
    assert all(torch.equal(scores[name], 3.0 * score) for name, score in expected.items())


def test_a_function_in_a_file_has_the_whole_path_as_its_argument(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    method = find_method("my_method.py:score")
    assert method.argument == f"{file.resolve()}:score"
    ratios = find_method("random-ratios-of:my_method.py:score")
    assert ratios.name == "random-ratios-of:my_method.py:score"
    assert ratios.argument == f"random-ratios-of:{file.resolve()}:score"
    assert ratios.source_hash == method.source_hash
    monkeypatch.chdir("/")
    again = find_method(ratios.argument)
    assert (again.name, again.argument, again.source_hash) == (ratios.name, ratios.argument, ratios.source_hash)


HELPED = "from helper_of_the_hash_test import FACTOR\n" + SCORE


def forget_helper() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "helper_of_the_hash_test"]:
        del sys.modules[name]


@pytest.mark.parametrize("helper", ["helper_of_the_hash_test.py", "helper_of_the_hash_test/__init__.py"])
def test_the_hash_changes_with_a_module_beside_the_file_that_it_imports(file: Path, helper: str) -> None:
    beside = file.parent / helper
    beside.parent.mkdir(exist_ok=True)
    file.write_text(HELPED)
    hashes = []
    for content in ("FACTOR = 1\n", "FACTOR = 10\n", "FACTOR = 1\n"):
        beside.write_text(content)
        forget_helper()
        hashes.append(find_method(f"{file}:score").source_hash)
    assert hashes[0] == hashes[2] != hashes[1]


def test_the_hash_is_the_same_however_often_a_file_with_a_helper_is_loaded(file: Path) -> None:
    (file.parent / "helper_of_the_hash_test.py").write_text("FACTOR = 1\n")
    file.write_text(HELPED)
    assert len({find_method(f"{file}:score").source_hash for _ in range(3)}) == 1


def test_the_hash_does_not_depend_on_other_method_files_beside_it(file: Path) -> None:
    other = file.parent / "another_method.py"
    other.write_text(SCORE + "\n# another\n")
    alone = find_method(f"{file}:score").source_hash
    find_method(f"{other}:score")
    assert find_method(f"{file}:score").source_hash == alone


def test_the_hash_does_not_depend_on_what_else_was_imported_from_the_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = find_method(f"{file}:score").source_hash
    (file.parent / "nothing_to_do_with_it.py").write_text("FACTOR = 1\n")
    monkeypatch.syspath_prepend(str(file.parent))
    __import__("nothing_to_do_with_it")
    assert find_method(f"{file}:score").source_hash == alone


def test_the_hash_is_the_same_before_and_after_a_function_imported_what_it_needs(
    file: Path, small_network: nn.Module, batch: Batch
) -> None:
    """A command looks a method up before it scores, and again when the run begins."""
    (file.parent / "later_helper_of_a_user.py").write_text("FACTOR = 3.0\n")
    file.write_text(SCORE.replace("    return", "    from later_helper_of_a_user import FACTOR\n    return"))
    method = find_method(f"{file}:score")
    method.criterion(small_network, [batch], generator(), 0.5)
    assert find_method(f"{file}:score").source_hash == method.source_hash


def test_what_a_file_prints_while_it_is_loaded_is_no_part_of_an_answer(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("print('loading')\n" + SCORE)
    find_method(f"{file}:score")
    assert capsys.readouterr().out == ""
