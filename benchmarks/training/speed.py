"""Rounds in which contestants take turns, and one row of figures for each."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.tables import table, three_digits
from benchmarks.timing import alternate, ratios, spread
from benchmarks.training.contestants import Contestant
from benchmarks.training.task import IMAGES_OF_A_TRAINING

Row = dict[str, Any]


def compete(contestants: Sequence[Contestant], repeats: int, progress: str) -> list[Row]:
    """Let each contestant take its turn in every round; return a row for each, in order."""
    loops = {contestant.name: contestant.loop() for contestant in contestants}
    seconds = alternate({name: loop.turn for name, loop in loops.items()}, repeats, progress)
    return [
        {
            **row(contestant.name, seconds[contestant.name], contestant.task.batch_size),
            **ratio_to(contestant.compared_with, seconds[contestant.compared_with], seconds[contestant.name]),
            **contestant.described(),
            "used": list(loops[contestant.name].used),
        }
        for contestant in contestants
    ]


def row(name: str, seconds_per_step: Sequence[float], batch_size: int) -> Row:
    """Return the figures that follow from the seconds of a step."""
    images_per_second = batch_size / spread(seconds_per_step).median
    return {
        "name": name,
        "seconds_per_step": list(seconds_per_step),
        "step": asdict(spread(seconds_per_step)),
        "images_per_second": images_per_second,
        "tickets_per_hour": 3600 * images_per_second / IMAGES_OF_A_TRAINING,
    }


def ratio_to(name: str, reference: Sequence[float], seconds: Sequence[float]) -> Row:
    """Return how many times as fast as the reference, round by round."""
    return {"compared_with": name, "ratio": asdict(ratios(reference, seconds))}


def rows_table(first: str, rows: Sequence[Row]) -> str:
    """Return rows as a table.

    Args:
        first: the heading of the names.
        rows: see :func:`row` and :func:`ratio_to`.
    """
    headings = (first, "step ms", "min - max", "images/s", "tickets/h", "speed-up")
    return table(headings, [_cells(row) for row in rows])


def _cells(row: Row) -> tuple[str, ...]:
    step = row["step"]
    return (
        row["name"],
        three_digits(1000 * step["median"]),
        f"{three_digits(1000 * step['minimum'])} - {three_digits(1000 * step['maximum'])}",
        three_digits(row["images_per_second"]),
        three_digits(row["tickets_per_hour"]),
        f"{row['ratio']['median']:.2f}",
    )
