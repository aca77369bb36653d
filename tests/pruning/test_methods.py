import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from prunecheck.data.batches import Batch
from prunecheck.errors import InputError
from prunecheck.pruning import (
    ALLOCATIONS,
    CRITERIA,
    DENSE,
    METHODS,
    Method,
    Training,
    find_method,
    magnitude,
    method_names,
)
from prunecheck.pruning.masks import GLOBAL, GLOBAL_CONVOLUTIONS

SCORE = """
from prunecheck.pruning import prunable_weights

def score(model, batches):
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
"""


@pytest.fixture(autouse=True)
def forgotten(tmp_path: Path) -> Iterator[None]:
    """Forget what a test has imported of its own folder."""
    yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_method.py"
    path.write_text(SCORE)
    return path


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def takes_argument(name: str) -> bool:
    return not isinstance(METHODS.entries[name].item, Method)


@pytest.mark.parametrize("name", method_names())
def test_a_built_in_method_is_found_by_its_name(name: str) -> None:
    method = find_method(f"{name}@1" if name in METHODS.names() and takes_argument(name) else name)
    assert method.name.partition("@")[0] == name
    assert (method.source, method.source_hash) == (None, None)
    assert method.criterion is CRITERIA.get(method.criterion.name)
    assert method.allocation in (GLOBAL, GLOBAL_CONVOLUTIONS, *ALLOCATIONS.names())
    assert find_method(method.argument).name == method.name


def test_all_names_that_are_listed_are_described_and_different() -> None:
    names = method_names()
    assert len(set(names)) == len(names)
    assert {"snip", "grasp", "magnitude", "random", "synflow", "random-smart", "random-uniform", "random-erk"} <= {
        *names
    }
    assert {"lt", "weight-rewinding", "lr-rewinding", "hybrid", "imp"} <= {*METHODS.names()}
    assert all(entry.summary for entry in METHODS)


def recipe_of(text: str) -> tuple[str, str]:
    method = find_method(text)
    return method.criterion.name, method.allocation


def test_methods_are_the_recipes_that_they_are_named_after() -> None:
    recipes = {
        "snip": ("snip", GLOBAL),
        "grasp": ("grasp", GLOBAL),
        "magnitude": ("magnitude", GLOBAL),
        "random": ("random", GLOBAL),
        "random-smart": ("random", "smart"),
        "random-smart-ascend": ("random", "smart-ascend"),
        "snip-uniform": ("snip", "uniform"),
        "iter-snip-erk": ("iter-snip", "erk"),
        "iter-snip@5-erk": ("iter-snip@5", "erk"),
        "synflow@3": ("synflow@3", GLOBAL),
        "magnitude-global-convolutions": ("magnitude", GLOBAL_CONVOLUTIONS),
        "lt": ("magnitude", GLOBAL_CONVOLUTIONS),
        "lr-rewinding": ("magnitude", GLOBAL_CONVOLUTIONS),
        "weight-rewinding@3": ("magnitude", GLOBAL_CONVOLUTIONS),
        "imp@3": ("magnitude", GLOBAL_CONVOLUTIONS),
        "imp@0.2": ("magnitude", GLOBAL_CONVOLUTIONS),
        "hybrid": ("magnitude", "smart"),
    }
    assert {text: recipe_of(text) for text in recipes} == recipes
    assert {text: find_method(text).name for text in recipes} == {text: text for text in recipes}


def test_a_criterion_with_one_threshold_has_its_plain_name() -> None:
    assert find_method("snip-global") == find_method("snip")
    assert find_method("snip-global").name == "snip"


NOW, THEN = Training(), Training(epochs=3)


@pytest.mark.parametrize(
    ("text", "scored", "start"),
    [
        ("snip", None, None),
        ("random-smart", None, None),
        ("lt", NOW, None),
        ("lr-rewinding", NOW, NOW),
        ("hybrid", NOW, NOW),
        ("weight-rewinding@3", NOW, THEN),
        ("imp@1", NOW, None),
        ("imp@2", Training("imp@1", 0.552786), None),  # the square root of 0.2 is left
    ],
)
def test_methods_ask_for_the_weights_that_they_score_and_start_from(
    text: str, scored: Training | None, start: Training | None
) -> None:
    method = find_method(text)
    assert (method.scored(0.8), method.start(0.8)) == (scored, start)
    assert method.trainings(0.8) == tuple(dict.fromkeys(t for t in (scored, start) if t))


def chain(text: str, sparsity: float) -> list[tuple[str, float]]:
    """Return the earlier trainings of tickets in rounds, from the last before the ticket's own to the first."""
    found: list[tuple[str, float]] = []
    while (training := find_method(text).scored(sparsity)) is not None:
        assert training.epochs is None
        found.append((training.method, training.sparsity))
        if training.method == DENSE:
            break
        text, sparsity = training.method, training.sparsity
    return found


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.98])
def test_every_round_of_imp_removes_the_same_share_of_what_is_left(rounds: int, sparsity: float) -> None:
    trainings = chain(f"imp@{rounds}", sparsity)
    assert [method for method, _ in trainings] == [f"imp@{number}" for number in range(rounds - 1, 0, -1)] + [DENSE]
    left = [1 - before for _, before in reversed(trainings)] + [1 - sparsity]
    assert left[0] == 1
    for before, after in pairwise(left):
        # Sparsities are rounded to 6 decimals.
        assert after / before == pytest.approx((1 - sparsity) ** (1 / rounds), abs=2e-6 / (1 - sparsity))


def test_imp_at_a_rate_removes_that_share_a_round_and_what_is_missing_in_the_last() -> None:
    assert chain("imp@0.2", 0.5) == [("imp@0.2", 0.488), ("imp@0.2", 0.36), ("imp@0.2", 0.2), (DENSE, 0.0)]
    assert chain("imp@0.5", 0.75) == [("imp@0.5", 0.5), (DENSE, 0.0)]
    assert chain("imp@0.2", 0.2) == chain("imp@0.2", 0.1) == [(DENSE, 0.0)]
    assert find_method("imp@.2").name == find_method("imp@0.20").name == "imp@0.2"


def test_levels_of_imp_at_a_rate_are_shared_between_sparsities() -> None:
    low, high = chain("imp@0.2", 0.7), chain("imp@0.2", 0.95)
    assert high[-len(low) :] == low
    # 0.8 ** 13 = 0.055 is left after the last whole round.
    assert len(high) == 1 + 13


@pytest.mark.parametrize("argument", ["0.0000001", "0.000001", "0.0000004", "0.9999999", "0.1234567", "0.00001"])
def test_a_rate_that_cannot_be_told_from_another_is_refused_or_keeps_its_own_name(argument: str) -> None:
    """A name that is rounded is that of other tickets, and a rate that is rounded to nothing never ends."""
    try:
        method = find_method(f"imp@{argument}")
    except InputError:
        return
    assert float(method.name.partition("@")[2]) == float(argument)
    assert find_method(method.name).name == method.name
    assert float(argument) >= 1e-4, "this would take thousands of trainings, or would never end"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("imp@0", "imp is written with @ and the number of rounds, such as imp@5"),
        ("imp@1.5", "imp@0.2, not '1.5'."),
        ("imp@0.0", "not '0.0'."),
        ("imp@-2", "not '-2'."),
        ("imp@1.0", "not '1.0'."),
        ("imp@five", "not 'five'."),
        ("imp@05", "not '05'."),
        ("imp@٣", "not '٣'."),
        ("imp", "imp@0.2."),
        ("imp@", "imp@0.2."),
        ("lt@3", "the method lt takes no argument: leave @3 out."),
        ("lt@", "the method lt takes no argument: leave @ out."),
        ("hybrid@3", "the method hybrid takes no argument"),
        ("weight-rewinding", "is written with @ and the epoch to go back to, such as weight-rewinding@3."),
        ("weight-rewinding@", "such as weight-rewinding@3."),
        ("weight-rewinding@0", "such as weight-rewinding@3, not '0'."),
        ("weight-rewinding@2.5", "not '2.5'."),
        ("snip@3", "the criterion snip takes no argument"),
        ("snip-smrt", "no allocation named 'smrt': did you mean smart"),
        ("random-ratios-of:snpi", "no method named 'snpi': did you mean snip"),
        ("random-ratios-of:", "no method named ''"),
        ("random-ratios-of:imp@0", "imp is written with @"),
        ("lt-smart", "no method named 'lt-smart'"),
        ("", "no method named ''"),
        ("dense", "no method named 'dense'"),
    ],
)
def test_what_is_no_method_is_answered_in_one_sentence(wrong: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        find_method(wrong)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_ratios_of_another_method_come_with_all_that_it_needs() -> None:
    method = find_method("random-ratios-of:weight-rewinding@3")
    assert method.name == method.argument == "random-ratios-of:weight-rewinding@3"
    assert method.criterion is CRITERIA.get("random")
    assert method.ratios_of is not None
    assert method.ratios_of.name == "weight-rewinding@3"
    assert method.trainings(0.8) == (NOW, THEN)
    assert method.scored(0.8) is None
    assert method.start(0.8) is None
    nested = find_method("random-ratios-of:snip-ratios-of:lt")
    assert nested.name == "random-ratios-of:snip-ratios-of:lt"
    assert nested.trainings(0.8) == (NOW,)


def test_methods_say_which_data_have_a_way_into_their_tickets() -> None:
    sees = {
        text: (find_method(text).sees("samples"), find_method(text).sees("training set"), find_method(text).sees_data)
        for text in (
            "snip",
            "magnitude",
            "random-smart",
            "synflow",
            "lt",
            "imp@2",
            "random-ratios-of:snip",
            "random-ratios-of:lt",
            "snip-ratios-of:magnitude",
            "random-ratios-of:magnitude",
        )
    }
    assert sees == {
        "snip": (True, False, True),
        "magnitude": (False, False, False),
        "random-smart": (False, False, False),
        "synflow": (False, False, False),
        "lt": (False, False, True),
        "imp@2": (False, False, True),
        "random-ratios-of:snip": (True, False, True),
        "random-ratios-of:lt": (False, False, True),
        "snip-ratios-of:magnitude": (True, False, True),
        "random-ratios-of:magnitude": (False, False, False),
    }


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("snpi", "snip"), ("Grasp", "grasp"), ("weight-rewindin@3", "weight-rewinding")]
)
def test_an_unknown_method_is_answered_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"no method named '{wrong}': did you mean .*{nearest}"):
        find_method(wrong)


def test_a_function_in_a_file_is_a_method(file: Path, small_network: nn.Module, batch: Batch) -> None:
    method = find_method(f"{file}:score")
    assert (method.name, method.allocation, method.source) == ("my_method.py:score", GLOBAL, file.resolve())
    scores = method.criterion(small_network, [batch], generator(), 0.5)
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
    assert (ratios.source, ratios.source_hash) == (file.resolve(), method.source_hash)
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
