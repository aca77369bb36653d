import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prunecheck.analysis.families import answer_questions
from prunecheck.analysis.recorded import recorded_questions
from prunecheck.errors import InputError
from prunecheck.metrics import Margin
from prunecheck.pruning import find_method
from prunecheck.report.contents import ReportContents, contents_of_conclusions, contents_of_runs
from prunecheck.runs.index import find_runs
from prunecheck.runs.store import RunStore
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.question import Scope
from prunecheck.training import Recipe

Record = Callable[..., None]

RANDOM = "random-smart"
DENSE = {("dense", 0.0, None): [95.0, 95.5, 94.8, 95.2]}
OWN = [90.0, 91.0, 89.5, 90.4]
SNIP = {
    ("snip", 0.9, None): OWN,
    ("snip", 0.9, "rearrange-mask"): [90.2, 90.9, 89.4, 90.6],
    ("snip", 0.9, "random-labels"): [80.0, 81.2, 79.3, 80.5],
    (RANDOM, 0.9, None): [90.1, 90.8, 89.7, 90.3],
}


def read(root: Path, margin: float = 2.0, baseline: str = RANDOM) -> ReportContents:
    return contents_of_runs(find_runs([root]), margin, baseline)


def verdicts(contents: ReportContents) -> dict[tuple[str, str], str]:
    return {
        (answer.question.method, comparison.against): comparison.verdict
        for _, answer in contents.answers()
        for comparison in answer.comparisons
    }


def check_of_snip() -> CheckStudy:
    return CheckStudy(
        method=replace(find_method("magnitude"), name="snip"),  # sees no samples, as the recorded specs say
        dataset="digits",
        places=None,
        train_images=None,
        test_images=None,
        model="resnet8",
        width=4,
        sparsities=(0.9,),
        checks=("rearrange-mask",),
        baseline=find_method(RANDOM),
        seeds=range(4),
        samples_per_class=1,
        scoring_rounds=1,
        recipe=Recipe(epochs=3, milestones=(1, 2)),
        margin=Margin(2.0),
    )


def test_recorded_runs_give_the_same_answer_as_the_study_that_did_them(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP, samples_per_class=0)
    study = check_of_snip()
    store = RunStore(tmp_path)
    results = {run: result for run in study.runs() if (result := store.result(run))}
    (asked,) = answer_questions([study.question], results)
    for folder in tmp_path.glob("*random-labels*"):
        (folder / "result.json").unlink()
    ((_, found),) = read(tmp_path).answers()
    assert (found.checks, found.baselines) == (asked.checks, asked.baselines)
    assert found.found == asked.found
    assert contents_of_conclusions([asked], results, tmp_path).settings[0].answers == (asked,)


def test_every_method_is_a_question_with_what_was_recorded_of_it(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP | {("grasp", 0.95, None): OWN, ("grasp", 0.95, "reinit"): OWN})
    (setting,) = recorded_questions(find_runs([tmp_path]), 2.0).settings
    found = {q.method: (q.sparsities, q.checks, q.seeds, q.baseline) for q in setting.questions}
    assert found == {
        "grasp": ((0.95,), ("reinit",), (0, 1, 2, 3), RANDOM),
        "snip": ((0.9,), ("random-labels", "rearrange-mask"), (0, 1, 2, 3), RANDOM),
        RANDOM: ((0.9,), (), (0, 1, 2, 3), None),
    }
    assert list(found)[-1] == RANDOM


def test_the_family_is_the_question_or_all_questions_of_the_report(tmp_path: Path, record: Record) -> None:
    record(tmp_path / "one", DENSE | SNIP)
    many = {
        (f"magnitude-{name}", 0.9, check): SNIP["snip", 0.9, check]
        for name in ("erk", "uniform")
        for check in (None, "rearrange-mask", "random-labels")
    }
    record(tmp_path / "more", many)
    alone = read(tmp_path / "one")
    both = find_runs([tmp_path / "one", tmp_path / "more"])
    beside, together = (contents_of_runs(both, 2.0, RANDOM, scope) for scope in (Scope.QUESTION, Scope.REPORT))

    def p_of_labels(contents: ReportContents) -> float:
        return min(c.adjusted_p or 0.0 for _, a in contents.answers() for c in a.checks if c.method == "snip")

    assert p_of_labels(beside) == p_of_labels(alone)
    assert p_of_labels(together) == pytest.approx(3 * p_of_labels(alone))  # 9 verdicts instead of 3
    assert {str(answer.family) for _, answer in beside.answers()} == {"the 3 comparisons of this question"}
    assert {(a.family.scope, a.family.size) for _, a in together.answers()} == {(Scope.REPORT, 9)}


def test_runs_of_other_recipes_are_answered_by_themselves(tmp_path: Path, record: Record) -> None:
    other = replace(Recipe(epochs=3, milestones=(1, 2)), learning_rate=0.5)
    record(tmp_path, DENSE | SNIP)
    record(tmp_path, {("snip", 0.9, "rearrange-mask"): [10.0] * 4, ("snip", 0.9, None): [90.0] * 4}, recipe=other)
    contents = read(tmp_path)
    assert [len(setting.runs) for setting in contents.settings] == [20, 8]
    titles = [setting.title for setting in contents.settings]
    assert titles == [
        "digits, resnet8 of width 4, 3 epochs, learning rate 0.1",
        "digits, resnet8 of width 4, 3 epochs, learning rate 0.5",
    ]
    assert any("2 different recipes" in note for note in contents.notes)
    costs = [
        c.difference.mean
        for _, a in contents.answers()
        for c in a.checks
        if c.against == "rearrange-mask" and c.difference
    ]
    assert costs == [pytest.approx(-0.05), pytest.approx(80.0)]


def test_half_finished_runs_are_left_out_and_said(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP | {("snip", 0.98, None): ["unfinished"] * 3})
    contents = read(tmp_path)
    assert any(note.startswith("3 half-finished runs were left out") for note in contents.notes)
    assert [answer.question.sparsities for _, answer in contents.answers()] == [(0.9,)]


def test_a_check_is_compared_over_the_seeds_that_it_has(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP | {("snip", 0.9, "reinit"): [None, 60.0, 58.0, None]})
    contents = read(tmp_path)
    (comparison,) = [c for _, a in contents.answers() for c in a.checks if c.against == "reinit"]
    assert comparison.difference
    assert comparison.difference.n == 2
    assert comparison.difference.mean == pytest.approx((91.0 + 89.5 - 60.0 - 58.0) / 2)
    assert comparison.verdict != "collapsed"
    assert any("reinit (2)" in note for note in contents.notes)
    others = {c.against: c.difference.n for _, a in contents.answers() for c in a.checks if c.difference}
    assert others == {"random-labels": 4, "rearrange-mask": 4, "reinit": 2}


def test_collapsed_tickets_stay_in_the_answer(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP | {("snip", 0.9, "reinit"): ["collapsed", "diverged", "failed", 90.0]})
    (comparison,) = [c for _, a in read(tmp_path).answers() for c in a.checks if c.against == "reinit"]
    assert (comparison.verdict, len(comparison.other.lost)) == ("collapsed", 3)


def test_without_a_dense_network_tickets_are_judged_by_themselves(tmp_path: Path, record: Record) -> None:
    record(tmp_path / "without", SNIP)
    record(tmp_path / "with", DENSE | SNIP)
    without = read(tmp_path / "without")
    assert verdicts(without) == verdicts(read(tmp_path / "with"))
    assert verdicts(without)["snip", "rearrange-mask"] == "does not use it"
    assert any("No dense network" in note for note in without.notes)
    assert without.settings[0].dense() is None


def test_tickets_at_chance_decide_nothing_without_a_dense_network_too(tmp_path: Path, record: Record) -> None:
    record(tmp_path, {key: [10.0, 10.2, 9.9, 10.1] for key in SNIP})
    assert verdicts(read(tmp_path))["snip", "rearrange-mask"] == "undecided"


def test_runs_that_are_a_step_to_others_are_not_compared(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | {("imp@2", 0.9, None): OWN, ("imp@2", 0.9, "rearrange-mask"): OWN})
    record(tmp_path, {("imp@1", 0.683772, None): OWN})
    record(tmp_path, {("dense", 0.0, "random-labels"): OWN}, trained_on="random-labels")
    contents = read(tmp_path)
    assert [answer.question.method for answer in contents.settings[0].answers] == ["imp@2"]
    assert len(contents.settings[0].dense_runs) == 4
    assert any(note.startswith("8 runs were only a step") for note in contents.notes)


def test_versions_of_a_users_method_are_methods_of_their_own(tmp_path: Path, record: Record) -> None:
    for digit in "ab":
        record(tmp_path, {("mine", 0.9, None): OWN, ("mine", 0.9, "reinit"): OWN}, method_hash=digit * 64)
    names = [answer.question.method for _, answer in read(tmp_path).answers()]
    assert names == ["mine (file aaaaaaaa)", "mine (file bbbbbbbb)"]


def test_a_check_that_is_not_known_here_is_left_out_and_said(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP | {("snip", 0.9, "from-a-package"): OWN})
    contents = read(tmp_path)
    assert "Left out runs under checks that are not known here: from-a-package." in contents.notes
    assert ("snip", "from-a-package") not in verdicts(contents)


def test_one_seed_has_no_interval_and_that_is_said(tmp_path: Path, record: Record) -> None:
    record(tmp_path, {key: values[:1] for key, values in (DENSE | SNIP).items()})
    contents = read(tmp_path)
    assert set(verdicts(contents).values()) == {"undecided"}
    assert any("one seed only" in note for note in contents.notes)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), 100.0])
def test_a_margin_that_is_none_is_refused(tmp_path: Path, record: Record, margin: float) -> None:
    record(tmp_path, SNIP)
    with pytest.raises(InputError, match="margin"):
        read(tmp_path, margin)


def test_nothing_finished_is_refused(tmp_path: Path, record: Record) -> None:
    record(tmp_path, {("snip", 0.9, None): ["unfinished"] * 2})
    with pytest.raises(InputError, match="all 2 runs are half-finished"):
        read(tmp_path)


def test_a_baseline_that_was_not_run_is_refused_unless_it_is_the_usual_one(tmp_path: Path, record: Record) -> None:
    record(tmp_path, {key: values for key, values in SNIP.items() if key[0] == "snip"})
    assert all(answer.baselines == () for _, answer in read(tmp_path).answers())
    with pytest.raises(InputError, match=r"random-erk.*snip"):
        read(tmp_path, baseline="random-erk")


def test_a_run_that_was_never_begun_is_missing_from_the_report_of_its_check(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP)
    study, store = check_of_snip(), RunStore(tmp_path)
    shutil.rmtree(next(tmp_path.glob("*rearrange-mask-seed2*")))
    results = {run: result for run in study.runs() if (result := store.result(run))}
    contents = contents_of_conclusions(answer_questions([study.question], results), results, tmp_path)
    assert len(contents.settings[0].runs) == len(study.runs()) - 1 == 15
    assert any("1 of the runs that were asked for are not here" in note for note in contents.notes)
    assert [c.difference.n for _, a in contents.answers() for c in a.checks if c.difference] == [3]


def test_folders_that_cannot_be_read_are_counted_and_the_first_are_named(tmp_path: Path, record: Record) -> None:
    record(tmp_path, DENSE | SNIP | {("snip", 0.98, None): [80.0] * 5})
    broken = sorted(tmp_path.glob("*snip-0.98-*"))
    for folder in broken:
        (folder / "result.json").write_text("{}")
    (note,) = [note for note in read(tmp_path).notes if "cannot be read" in note]
    assert note.startswith(f"5 folders were left out, for what cannot be read: {broken[0].name}, ")
    assert f"{broken[2].name} and 2 more (the first: " in note
    assert broken[3].name not in note
