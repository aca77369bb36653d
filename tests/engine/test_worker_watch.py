import logging

import pytest

from prunecheck.engine.worker_watch import SECONDS_BETWEEN_LOOKS, SECONDS_WITHOUT_WORKERS, WorkerWatch
from prunecheck.errors import InputError


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def see_for(watch: WorkerWatch, clock: Clock, count: int, seconds: float) -> None:
    """Count workers now and until so many seconds are over, as often as the watch wants."""
    end = clock.seconds + seconds
    watch.see(count)
    while clock.seconds + watch.seconds_to_next_look() <= end:
        clock.seconds += watch.seconds_to_next_look()
        watch.see(count)
    clock.seconds = end


def test_workers_of_this_machine_that_are_all_gone_end_a_study_after_a_stated_time(clock: Clock) -> None:
    watch = WorkerWatch(2, clock)
    assert watch.seconds_to_next_look() == SECONDS_BETWEEN_LOOKS
    see_for(watch, clock, 0, SECONDS_WITHOUT_WORKERS - 1)
    see_for(watch, clock, 2, 10)  # started anew: counted from the beginning the next time
    see_for(watch, clock, 0, SECONDS_WITHOUT_WORKERS - 1)
    clock.seconds += 1
    with pytest.raises(
        InputError, match=rf"^all worker processes have ended, and for {SECONDS_WITHOUT_WORKERS} seconds"
    ):
        watch.see(0)


def test_some_that_are_gone_are_said_once_and_the_study_goes_on(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    watch = WorkerWatch(3, clock)
    with caplog.at_level(logging.WARNING):
        see_for(watch, clock, 2, 10 * SECONDS_WITHOUT_WORKERS)
        assert [record.getMessage() for record in caplog.records] == [
            "prunecheck: 1 of 3 worker processes ended and could not be started anew: the runs go on with the others."
        ]
        see_for(watch, clock, 1, SECONDS_BETWEEN_LOOKS)
        assert "2 of 3" in caplog.records[1].getMessage()
        see_for(watch, clock, 3, SECONDS_WITHOUT_WORKERS)
    assert len(caplog.records) == 2


def test_others_workers_are_waited_for_and_that_is_said_each_time(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    watch = WorkerWatch(0, clock)
    with caplog.at_level(logging.WARNING):
        see_for(watch, clock, 1, 10 * SECONDS_WITHOUT_WORKERS)  # fewer than before are the cluster's business
        assert caplog.records == []
        for times in (1, 2):
            see_for(watch, clock, 0, 10 * SECONDS_WITHOUT_WORKERS)
            assert len(caplog.records) == times
            assert "the scheduler has no worker any more" in caplog.records[-1].getMessage()
            see_for(watch, clock, 4, SECONDS_BETWEEN_LOOKS)
