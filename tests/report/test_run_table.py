"""The table of all runs: what is left of their names in each row."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.report.contents import AnsweredSetting
from prunecheck.report.run_table import run_table
from prunecheck.runs.index import FoundRun
from prunecheck.runs.spec import RunSpec
from tests.cli.runs import SPEC, TRAINED


def names_of(specs: Sequence[RunSpec]) -> tuple[str, list[str]]:
    """Return what stands above the rows, and the names in them."""
    runs = {spec: FoundRun(Path(spec.folder_name), spec, TRAINED, TRAINED.epochs, TRAINED.accuracy) for spec in specs}
    (group,) = run_table([AnsweredSetting("a setting", SPEC.setting, runs, ())]).groups
    return group.title.removesuffix("..."), [str(row[0]) for row in group.rows]


def name(spec: RunSpec) -> str:
    return spec.folder_name.removesuffix(f"-{spec.hash}")


@pytest.mark.parametrize(
    "specs",
    [
        [SPEC],
        [SPEC, replace(SPEC, samples_per_class=7)],
        [SPEC, replace(SPEC, seed=1)],
        [SPEC, replace(SPEC, check="rearrange-mask"), replace(SPEC, method="magnitude")],
    ],
    ids=["one", "the same but for the hash", "two seeds", "others"],
)
def test_what_names_have_in_common_stands_above_the_rows_and_leaves_each_its_own_part(specs: list[RunSpec]) -> None:
    beginning, rows = names_of(specs)
    assert all(rows)
    assert beginning
    assert sorted(beginning + row for row in rows) == sorted(map(name, specs))


def test_names_that_are_the_same_but_for_the_hash_keep_their_last_word() -> None:
    specs = [SPEC, replace(SPEC, samples_per_class=7)]
    assert len({spec.hash for spec in specs}) == 2
    (own,) = set(map(name, specs))
    assert names_of(specs)[1] == [own.rpartition("-")[2]] * 2
