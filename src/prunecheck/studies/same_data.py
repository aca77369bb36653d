"""Data sets that are known by their images: under whatever path they lie now, runs of them are not done anew."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from prunecheck.errors import InputError
from prunecheck.runs.index import recorded_specs
from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.study import Study


def as_recorded(study: Study, root: Path) -> Study:
    """Return a study whose data sets have the names under which a root has runs of the same images.

    Where there are none, or some under the name itself, it stays as it is; so do data sets that cannot be read, which
    is said when the study is validated.

    Args:
        study: before it is validated.
        root: where its runs are going to be; it need not exist.
    """
    own = {fingerprint for question in study.questions if (fingerprint := _fingerprint(question))}
    if not own or not root.is_dir():
        return study
    names: dict[str, Counter[str]] = {fingerprint: Counter() for fingerprint in own}
    for spec in recorded_specs(root):
        if spec.setting.dataset_hash in names:
            names[spec.setting.dataset_hash][spec.setting.dataset] += 1
    return replace(study, questions=tuple(_renamed(question, names) for question in study.questions))


def renamed_data(study: Study) -> Iterator[str]:
    """Yield, for each data set that has another name in its runs, a line that says so."""
    for name, recorded in dict.fromkeys((one.data.name, one.recorded_as) for one in study.questions):
        if recorded:
            yield f"{name} holds the data of {recorded}, under whose name their runs stand: none is done anew."


def _fingerprint(question: CheckStudy) -> str | None:
    try:
        return question.data.fingerprint
    except InputError:
        return None


def _renamed(question: CheckStudy, names: dict[str, Counter[str]]) -> CheckStudy:
    found = names.get(_fingerprint(question) or "")
    if not found or question.data.name in found:
        return question
    return replace(question, recorded_as=found.most_common(1)[0][0])
