import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.runs.index import FoundRun, find_runs
from prunecheck.studies.selection import Selection, read_selection
from prunecheck.studies.versions import Versions
from tests.cli.runs import COLLAPSED, FAILED, SPEC, TRAINED, put

NO_VERSIONS = Versions({})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[FoundRun, ...]:
    root = tmp_path_factory.mktemp("runs")
    put(SPEC, TRAINED, root)
    put(replace(SPEC, sparsity=0.95, seed=1), TRAINED, root)
    put(replace(SPEC, check="rearrange-mask"), COLLAPSED, root)
    put(replace(SPEC, method="random-smart", seed=2), FAILED, root)
    put(replace(SPEC, method="my.py:score?alpha=1,beta=2", method_hash="a" * 64), None, root)
    put(SPEC.changed(method="dense", sparsity=0.0, recipe=replace(SPEC.setting.recipe, nesterov=True)), TRAINED, root)
    return find_runs([root]).runs


def names(runs: list[FoundRun]) -> list[str]:
    return sorted(f"{run.spec.method} {run.spec.sparsity:g} {run.spec.check} {run.spec.seed}" for run in runs)


ALL = {
    "snip": "snip 0.9 None 0",
    "sparser": "snip 0.95 None 1",
    "rearranged": "snip 0.9 rearrange-mask 0",
    "failed": "random-smart 0.9 None 2",
    "own": "my.py:score?alpha=1,beta=2 0.9 None 0",
    "dense": "dense 0 None 0",
}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("method=snip", ["snip", "sparser", "rearranged"]),
        ("method=snip,dense", ["snip", "sparser", "rearranged", "dense"]),
        ("method!=snip", ["failed", "own", "dense"]),
        ("method=snip sparsity=0.9", ["snip", "rearranged"]),
        ("sparsity=0.90,0.95 check=none seed<2", ["snip", "sparser", "own"]),
        ("sparsity>0.9", ["sparser"]),
        ("sparsity>=0.9 sparsity<0.95 check!=none", ["rearranged"]),
        ("method=random-*,den*", ["failed", "dense"]),
        ("method=my.py:*", ["own"]),
        ("method=my.py:score?alpha=1,beta=2", ["own"]),
        ("'method=my.py:score?alpha=1,beta=2'", ["own"]),
        ("method=my.py:score?alpha=1", []),
        ("status=failed,unfinished", ["failed", "own"]),
        ("status=collapsed", ["rearranged"]),
        ("accuracy>90", ["snip", "sparser", "dense"]),
        ("accuracy=none", ["rearranged", "failed", "own"]),
        ("nesterov=true", ["dense"]),
        ("nesterov=false method=snip check=none", ["snip", "sparser"]),
        ("epochs=4", list(ALL)),
        ("version=latest", list(ALL)),
        ("version=old", []),
    ],
)
def test_what_all_terms_hold_of_is_chosen(runs: tuple[FoundRun, ...], text: str, chosen: list[str]) -> None:
    if not chosen and "alpha" in text:
        with pytest.raises(InputError, match="there is no method among these runs named"):
            read_selection(text).chosen(runs, NO_VERSIONS)
        return
    assert names(read_selection(text).chosen(runs, NO_VERSIONS)) == sorted(ALL[name] for name in chosen)


def test_nothing_that_is_asked_for_chooses_everything(runs: tuple[FoundRun, ...]) -> None:
    assert not read_selection(None)
    assert names(Selection().chosen(runs, NO_VERSIONS)) == sorted(ALL.values())


def test_an_age_is_since_the_folder_was_written_to_last(tmp_path: Path) -> None:
    old, new = put(SPEC, TRAINED, tmp_path), put(replace(SPEC, seed=1), TRAINED, tmp_path)
    for file in old.iterdir():
        os.utime(file, (0, time.time() - 40 * 86_400))
    for file in new.iterdir():
        os.utime(file, (0, time.time() - 3 * 86_400))
    os.utime(new / "spec.json", (0, 0))  # an old beginning is no age
    found = find_runs([tmp_path]).runs

    def chosen(text: str) -> list[int]:
        return [run.spec.seed for run in read_selection(text).chosen(found, NO_VERSIONS)]

    assert chosen("age>30d") == chosen("age>=5.5w") == [0]
    assert chosen("age<30d") == chosen("age<100h") == [1]
    assert sorted(chosen("age>2d")) == sorted(chosen("age>60m")) == [0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "and this is empty"),
        ("method", "and 'method' is not one"),
        ("snip,grasp", "and 'snip,grasp' is not one"),
        ("method=", "has no value: write none for what is missing"),
        ("method=a,,b", "has no value"),
        ("'method=a", "in which a quote is not closed"),
        ("methods=snip", "there is no field of runs named 'methods': did you mean method"),
        ("sparsity=lots", "and sparsity is a number, not 'lots'"),
        ("sparsity>0.9,0.95", "compares with several values: give one"),
        ("method>snip", "and method is not a number, of which method>snip says"),
        ("status=done", "there is no status named 'done'"),
        ("version=new", "there is no version named 'new'"),
        ("nesterov=yes", "there is no nesterov named 'yes'"),
        ("age>30", "an age is written 30d, 12h, 90m or 2w, not '30'"),
        ("age=30d", "and an age is compared: age>30d, not 'age=30d'"),
    ],
)
def test_what_is_no_selection_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_selection(text)
    assert said in str(caught.value)
    assert caught.value.field == "select"


def test_a_name_that_no_run_has_is_refused_with_the_nearest(runs: tuple[FoundRun, ...]) -> None:
    with pytest.raises(InputError, match=r"no method among these runs named 'snp': did you mean snip\?"):
        read_selection("method=snip,snp").chosen(runs, NO_VERSIONS)
    assert read_selection("method!=snp method=dense").chosen(runs, NO_VERSIONS)
    assert read_selection("seed=99 status=diverged").chosen(runs, NO_VERSIONS) == []


def test_what_is_written_is_read_again() -> None:
    text = "method=snip,grasp sparsity>=0.9 check!=none age>30d"
    assert str(read_selection(text)) == text
