from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.runs.index import find_runs
from prunecheck.runs.merge import find_merge, merge_runs
from prunecheck.runs.store import RunStore
from tests.cli.runs import FAILED, SPEC, TRAINED, put

OTHERWISE = replace(TRAINED, accuracy=80.0)


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path, Path]:
    return tmp_path / "a", tmp_path / "b", tmp_path / "c"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def merged_to(*given: Path) -> dict[int, str]:
    *sources, target = given
    with RunStore(target).locked():
        merge_runs(sources, target)
    return {run.spec.seed: run.status for run in find_runs([target]).runs}


def test_what_is_in_any_folder_is_in_the_target_and_the_folders_stay(roots: tuple[Path, Path, Path]) -> None:
    a, b, c = roots
    put(SPEC, TRAINED, a)
    put(replace(SPEC, seed=1), None, a)
    (put(replace(SPEC, seed=2), FAILED, b) / "log").write_text("what it said")
    before = contents(a), contents(b)
    assert merged_to(a, b, c) == {0: "trained", 1: "unfinished", 2: "failed"}
    assert (contents(a), contents(b)) == before
    copied = {name: content for name, content in contents(c).items() if "/" in name}
    assert copied == before[0] | before[1]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_finished_run_comes_before_a_failed_one_and_that_before_one_that_is_not_finished(
    roots: tuple[Path, Path, Path], is_first: bool
) -> None:
    a, b, c = roots if is_first else (roots[1], roots[0], roots[2])
    put(SPEC, TRAINED, a)
    put(SPEC, replace(FAILED, epochs=9), b)
    put(replace(SPEC, seed=1), FAILED, a)
    put(replace(SPEC, seed=1), None, b)
    assert find_merge([roots[0], roots[1]], c).conflicts == ()
    assert merged_to(roots[0], roots[1], c) == {0: "trained", 1: "failed"}


def test_what_is_finished_in_the_target_stays_and_what_is_not_is_replaced(roots: tuple[Path, Path, Path]) -> None:
    a, _, c = roots
    kept = put(SPEC, TRAINED, c)
    (kept / "log").write_text("its own")
    begun = put(replace(SPEC, seed=1), None, c)
    put(SPEC, replace(TRAINED, seconds=9.0), a)
    put(replace(SPEC, seed=1), TRAINED, a)
    assert [run.spec.seed for run in find_merge([a], c).copied] == [1]
    assert merged_to(a, c) == {0: "trained", 1: "trained"}
    assert (kept / "log").read_text() == "its own"
    assert not (begun / "metrics.csv").exists()


def test_a_copy_with_weights_comes_before_the_same_without(roots: tuple[Path, Path, Path]) -> None:
    a, b, c = roots
    put(SPEC, TRAINED, a)
    (put(SPEC, TRAINED, b) / "last.safetensors").write_bytes(b"weights")
    put(SPEC, TRAINED, c)
    merged_to(a, b, c)
    (run,) = find_runs([c]).runs
    assert (run.path / "last.safetensors").read_bytes() == b"weights"


def test_a_run_that_ended_otherwise_is_named_and_the_first_is_kept(roots: tuple[Path, Path, Path]) -> None:
    a, b, c = roots
    put(SPEC, TRAINED, a)
    (put(SPEC, OTHERWISE, b) / "last.safetensors").write_bytes(b"weights")
    (conflict,) = find_merge([a, b], c).conflicts
    assert (conflict.kept.path.parent, conflict.other.path.parent) == (a, b)
    assert "(trained, 91.25 %) is kept" in str(conflict)
    assert str(conflict).endswith(f"{b / SPEC.folder_name} ended otherwise (trained, 80.00 %)")
    merged_to(a, b, c)
    (run,) = find_runs([c]).runs
    assert run.latest_accuracy == 91.25


def test_damaged_runs_links_and_parts_are_not_copied(roots: tuple[Path, Path, Path], tmp_path: Path) -> None:
    a, _, c = roots
    damaged = put(SPEC, TRAINED, a)
    (damaged / "result.json").write_text("{")
    whole = put(replace(SPEC, seed=1), TRAINED, a)
    (whole / ".last.safetensors.1.part").write_bytes(b"half")
    (tmp_path / "secret").write_text("mine")
    (whole / "log").symlink_to(tmp_path / "secret")
    assert [one.path for one in find_merge([a], c).unreadable] == [damaged]
    assert merged_to(a, c) == {1: "trained"}
    assert {Path(name).name for name in contents(c) if "/" in name} == {"spec.json", "result.json"}


def test_a_damaged_run_in_the_target_is_left_for_whoever_looks_at_it(roots: tuple[Path, Path, Path]) -> None:
    a, _, c = roots
    put(SPEC, TRAINED, a)
    damaged = put(SPEC, TRAINED, c)
    (damaged / "result.json").write_text("{")
    found = find_merge([a], c)
    assert ([one.path for one in found.unreadable], found.copied) == ([damaged], ())


def test_wrong_folders_are_refused(roots: tuple[Path, Path, Path], tmp_path: Path) -> None:
    a, b, c = roots
    run = put(SPEC, TRAINED, a)
    for given, said in (
        ([c], "there is no folder"),
        ([run], "is one run: give the folder that holds it"),
        ([b], "there is no folder"),
    ):
        with pytest.raises(InputError, match=said):
            find_merge(given, tmp_path / "target")
    with pytest.raises(InputError, match="there is nothing to merge into"):
        find_merge([a], a)
    b.mkdir()
    (b / "notes").touch()
    with pytest.raises(InputError, match="holds no runs"):
        find_merge([a], b)
    with RunStore(a).locked(), pytest.raises(InputError, match="a prunecheck is at work in"):
        find_merge([a], c)
