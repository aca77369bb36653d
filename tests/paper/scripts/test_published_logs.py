from pathlib import Path

import pytest

from prunecheck.errors import InputError
from prunecheck.paper.scripts.logs import log_text, read_log
from prunecheck.training import EpochMetrics

METRICS = (EpochMetrics(1, 0.1, 2.5, 2.25, 12.5, 10.0), EpochMetrics(2, 0.01, 1 / 3, 2.0, 100 / 3, 50.0))

TEXT = (
    "Learning Rate\tTrain Loss\tValid Loss\tTrain Acc.\tValid Acc.\t\n"
    "0.100000\t2.500000\t2.250000\t12.500000\t10.000000\t\n"
    "0.010000\t0.333333\t2.000000\t33.333333\t50.000000\t\n"
)


def test_a_log_looks_as_published() -> None:
    assert log_text(METRICS) == TEXT


def test_a_log_is_read_up_to_an_epoch(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text(TEXT)
    assert read_log(file, 1) == METRICS[:1]
    assert log_text(read_log(file, 2)) == TEXT


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TEXT, "has 2 epochs and the checkpoint beside it 3"),
        ("", "is not the log of a training"),
        ("a\tb\n1\t2\n", "is not the log of a training"),
        (TEXT.replace("0.333333", "nan"), "is not the log of a training"),
        (TEXT.replace("0.333333\t", ""), "is not the log of a training"),
        (TEXT.replace("0.333333", "x"), "is not the log of a training"),
    ],
)
def test_a_log_that_does_not_belong_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "log.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_log(file, 3)


def test_a_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no .*log.txt"):
        read_log(tmp_path / "log.txt", 1)
