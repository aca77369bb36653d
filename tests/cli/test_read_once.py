import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from prunecheck.analysis import families
from prunecheck.api import study_runs
from tests.cli.conftest import Call

CHECK = (
    *("check", "snip", "--model", "resnet8", "--width", "2", "--train-images", "100", "--test-images", "50"),
    *("--sparsity", "0.8", "--checks", "reinit", "--seeds", "2", "--epochs", "1", "--workers", "1", "--quiet"),
)

_opened: list[Counter[str]] = []


def _count(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened and isinstance(arguments[0], str):
        _opened[-1][arguments[0]] += 1


@pytest.fixture
def opened() -> Iterator[Counter[str]]:
    """How often each file is opened, by whatever means."""
    sys.addaudithook(_count)  # which stays
    _opened.append(Counter())
    yield _opened[-1]
    _opened.pop()


def test_a_repeated_check_and_a_report_open_each_result_once_and_it_answers_once(
    call: Call, opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = call(*CHECK)
    assert first.code == 0, first.stderr
    results = sorted(map(str, Path("runs").glob("*/result.json")))
    assert len(results) == 2 * 4  # dense, snip, its check, the baseline
    written = Path("runs/results.csv").read_text()
    answered, really_answer = [], families.answer_questions

    def answer_questions(*arguments: object) -> object:
        answered.append(arguments)
        return really_answer(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(study_runs, "answer_questions", answer_questions)
    opened.clear()
    again = call(*CHECK)
    assert (again.code, again.stdout) == (0, first.stdout)
    for name in ("result.json", "spec.json"):
        counts = {file: count for file, count in opened.items() if file.endswith(name)}
        assert counts == {str(Path(file).with_name(name)): 1 for file in results}
    assert len(answered) == 1
    assert Path("runs/results.csv").read_text() == written
    opened.clear()
    assert call("report", "runs").code == 0
    for name in ("result.json", "spec.json", "metrics.csv"):
        counts = {Path(file).parent.name: count for file, count in opened.items() if file.endswith(name)}
        assert counts == {Path(file).parent.name: 1 for file in results}
