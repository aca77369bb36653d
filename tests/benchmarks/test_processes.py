from functools import partial
from pathlib import Path

import pytest

from benchmarks.processes import Crew, crews, together, work_together
from tests.benchmarks import jobs


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(1, 1), (2, 1), (1, 2)]),
        (6, [(1, 1), (2, 1), (4, 1), (6, 1), (1, 6)]),
        (8, [(1, 1), (2, 1), (4, 1), (8, 1), (1, 8)]),
    ],
)
def test_crews_fill_the_cores_with_processes_or_with_threads(cores: int, expected: list[tuple[int, int]]) -> None:
    assert crews(cores) == [Crew(processes, threads) for processes, threads in expected]


def test_throughputs_are_summed() -> None:
    """One does 2 a second and the other 4: together 6."""
    assert together([0.5, 0.25]) == pytest.approx(1 / 6)


def test_each_crew_takes_its_turn_with_its_threads() -> None:
    compared = [Crew(1, 1), Crew(2, 1), Crew(1, 2)]

    assert work_together(jobs.say_threads, compared, repeats=2) == {
        "1 process of 1 thread": [1, 1],
        "2 processes of 1 thread": [0.5, 0.5],
        "1 process of 2 threads": [2, 2],
    }


def test_a_turn_begins_when_all_of_the_crew_are_ready(tmp_path: Path) -> None:
    """Of three processes, for those of two threads are others."""
    seconds = work_together(partial(jobs.count_ready, tmp_path), [Crew(2, 1), Crew(1, 2)], repeats=2)

    assert seconds["2 processes of 1 thread"] == [together([3, 3])] * 2
    assert len(list(tmp_path.glob("ready-0-*"))) == 3


def test_a_process_that_ends_early_ends_the_whole() -> None:
    with pytest.raises(RuntimeError, match="ended early"):
        work_together(jobs.end_early, [Crew(1, 1)], repeats=1)
