import os
import re
from dataclasses import replace
from pathlib import Path

from prunecheck.api.recorded import load_answers
from prunecheck.metrics import Margin
from prunecheck.runs.index import find_runs
from prunecheck.runs.spec import RunSpec
from prunecheck.studies.question import Question, Scope, template
from prunecheck.studies.question_log import LoggedQuestion, note_questions, read_log
from prunecheck.studies.selection import read_selection
from prunecheck.studies.versions import of_different_versions, versions_of
from tests.cli.runs import SPEC, TRAINED, put

FIRST, SECOND = "a" * 64, "b" * 64

OWN = replace(SPEC, method="my.py:score", method_hash=FIRST)


def put_at(spec: RunSpec, root: Path, seconds: float) -> None:
    os.utime(put(spec, TRAINED, root) / "spec.json", (seconds, seconds))


def question(own: RunSpec, seeds: int = 1) -> Question:
    return Question(
        method=own.method,
        own=template(own),
        baseline=None,
        others=None,
        sparsities=(0.9,),
        checks=("rearrange-mask",),
        reaching=("rearrange-mask",),
        check_hashes=(None,),
        seeds=tuple(range(seeds)),
        margin=Margin(2.0),
    )


def test_of_two_versions_that_is_the_latest_whose_run_was_begun_last(tmp_path: Path) -> None:
    for order in ((1000, 2000), (2000, 1000)):
        root = tmp_path / str(order)
        put_at(OWN, root, order[0])
        put_at(replace(OWN, method_hash=SECOND), root, order[1])
        put_at(replace(OWN, method_hash=SECOND, seed=1), root, 500)
        versions = versions_of(find_runs([root]).runs)
        assert versions.is_old(OWN) == (order[0] < order[1])
        assert versions.is_old(replace(OWN, method_hash=SECOND, seed=7)) == (order[0] > order[1])
        assert versions.old_in(replace(OWN, method_hash=SECOND)) == ([] if order[0] < order[1] else ["my.py:score"])


def test_built_in_code_other_names_and_other_parts_of_data_are_no_versions(tmp_path: Path) -> None:
    put_at(replace(OWN, method_hash=None), tmp_path, 1000)
    put_at(OWN, tmp_path, 2000)
    put_at(replace(OWN, method="other.py:score", method_hash=SECOND), tmp_path, 3000)
    put_at(OWN.changed(dataset_hash=FIRST, train_images=100), tmp_path, 3000)
    put_at(OWN.changed(dataset_hash=SECOND, train_images=50), tmp_path, 4000)
    assert versions_of(find_runs([tmp_path]).runs).latest == {}


def test_networks_data_metrics_and_checks_have_versions_too(tmp_path: Path) -> None:
    for name in ("model_hash", "dataset_hash", "metric_hash", "check_hash"):
        old, new = (SPEC.changed(check="flip", **{name: hash}) for hash in (FIRST, SECOND))
        put_at(old, tmp_path / name, 1000)
        put_at(new, tmp_path / name, 2000)
        versions = versions_of(find_runs([tmp_path / name]).runs)
        assert (versions.is_old(old), versions.is_old(new)) == (True, False)


def test_an_earlier_version_that_is_asked_about_again_is_the_latest(tmp_path: Path) -> None:
    put_at(OWN, tmp_path, 1000)
    put_at(replace(OWN, method_hash=SECOND), tmp_path, 2000)
    found = find_runs([tmp_path]).runs
    assert versions_of(found, [LoggedQuestion(question(OWN), (), asked_at=1500)]).is_old(OWN)
    assert not versions_of(found, [LoggedQuestion(question(OWN), (), asked_at=3000)]).is_old(OWN)


def test_when_a_question_about_own_code_was_asked_last_is_noted(tmp_path: Path) -> None:
    note_questions(tmp_path, [question(OWN)], shown=True)
    text = (tmp_path / "questions.json").read_text()
    (first,) = read_log(tmp_path).entries
    assert first.asked_at > 1e9
    (tmp_path / "questions.json").write_text(text.replace(f'"asked_at": {first.asked_at:.0f}', '"asked_at": 5'))
    note_questions(tmp_path, [question(OWN)], shown=True)
    (again,) = read_log(tmp_path).entries
    assert again.asked_at >= first.asked_at


def test_a_report_has_the_latest_version_and_says_so_unless_more_is_asked_for(tmp_path: Path) -> None:
    new = replace(OWN, method_hash=SECOND)
    for spec, seconds in ((OWN, 1000), (new, 2000)):
        for check in (None, "rearrange-mask"):
            put_at(replace(spec, check=check), tmp_path, seconds)
    note_questions(tmp_path, [question(OWN)], shown=True)  # a question about an old version is old, too
    log = tmp_path / "questions.json"
    log.write_text(
        log.read_text().replace(f'"asked_at": {read_log(tmp_path).entries[0].asked_at:.0f}', '"asked_at": 5')
    )

    def hashes(select: str | None) -> list[str | None]:
        return [answer.question.own.method_hash for answer in load_answers(tmp_path, select=select)]

    assert hashes(None) == hashes("version=latest") == [SECOND]
    assert hashes("version=old") == [FIRST]
    assert sorted(map(str, hashes("version=latest,old"))) == [FIRST, SECOND]
    said = "2 runs were left out because what they were done with has a later version now: my.py:score"
    assert load_answers(tmp_path).notes[0].startswith(said)
    assert not any("later version" in note for note in load_answers(tmp_path, select="version=latest,old").notes)
    old = read_selection("version=old").chosen(find_runs([tmp_path]).runs, versions_of(find_runs([tmp_path]).runs))
    assert {run.spec.method_hash for run in old} == {FIRST}


def put_pairs(own: RunSpec, root: Path, seconds: float = 1000) -> None:
    """Put runs of a method and of a check, of which the check costs something in four pairs."""
    for seed, cost in enumerate([0.25, 0.5, 0.75, 0.5]):
        for check, accuracy in ((None, 90.0), ("rearrange-mask", 90.0 - cost)):
            path = put(replace(own, check=check, seed=seed), replace(TRAINED, accuracy=accuracy), root)
            os.utime(path / "spec.json", (seconds, seconds))


def family_of(root: Path, method: str, select: str | None = None) -> tuple[int, int, float | None]:
    """Return how many comparisons and questions a method's verdict is adjusted with, and its p value."""
    (answer,) = (answer for answer in load_answers(root, select=select) if answer.question.method == method)
    return answer.family.size, answer.family.questions, answer.comparisons[0].adjusted_p


def test_a_family_stays_what_it_is_when_one_of_its_methods_has_a_later_version(tmp_path: Path) -> None:
    for own in (OWN, SPEC):
        put_pairs(own, tmp_path)
    note_questions(tmp_path, [question(OWN, 4), question(SPEC, 4)], shown=True, family=Scope.REPORT)
    before = family_of(tmp_path, "snip")
    assert before[:2] == (2, 2)
    log = tmp_path / "questions.json"
    log.write_text(re.sub(r'"asked_at": \d+', '"asked_at": 5', log.read_text()))
    put_pairs(replace(OWN, method_hash=SECOND), tmp_path, 2000)
    assert {answer.question.own.method_hash for answer in load_answers(tmp_path)} == {None, SECOND}
    assert family_of(tmp_path, "snip") == before
    answers = load_answers(tmp_path, margin=1.0)  # chosen afterwards for all of the family
    (other,) = (answer for answer in answers if answer.question.method == "snip")
    assert other.family.size == 2


def test_what_was_asked_within_two_families_is_shown_once_within_the_larger(tmp_path: Path) -> None:
    other = replace(SPEC, method="magnitude")
    for own in (OWN, SPEC, other):
        put_pairs(own, tmp_path)
    asked = [question(own, 4) for own in (SPEC, other, OWN)]
    note_questions(tmp_path, asked, shown=True, family=Scope.REPORT)
    for_all = family_of(tmp_path, "snip")
    note_questions(tmp_path, asked[:2], shown=True, family=Scope.REPORT)
    assert family_of(tmp_path, "snip") == for_all
    assert len(load_answers(tmp_path)) == 3
    assert any(note.startswith("magnitude, snip: asked about more than once") for note in load_answers(tmp_path).notes)


def test_other_arguments_of_one_function_done_with_other_code_are_said(tmp_path: Path) -> None:
    with_argument = replace(OWN, method="my.py:score?alpha=2")
    put(OWN, TRAINED, tmp_path)
    put(with_argument, TRAINED, tmp_path)
    assert of_different_versions(find_runs([tmp_path]).runs) == []
    put(replace(with_argument, method="my.py:score?alpha=3", method_hash=SECOND), TRAINED, tmp_path)
    names = ["my.py:score", "my.py:score?alpha=2", "my.py:score?alpha=3"]
    assert of_different_versions(find_runs([tmp_path]).runs) == [names]
    said = f"{', '.join(names)}: done with different versions of one code, or of what it reads"
    assert any(note.startswith(said) for note in load_answers(tmp_path).notes)
