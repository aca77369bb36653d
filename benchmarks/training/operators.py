"""Where the time of a step goes: by operator, or by kernel on a GPU."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.tables import table
from benchmarks.training.contestants import Contestant
from prunecheck.training.sparse import kernels
from prunecheck.training.sparse.kernels import Call, Work

SHOWN = 12
LONGEST_NAME = 44


@dataclass(frozen=True)
class Operator:
    """What one operator takes in a step.

    Attributes:
        milliseconds: by itself, without the operators that it calls.
        share: of the step's time.
        calls: per step.
    """

    name: str
    milliseconds: float
    share: float
    calls: float


def by_operator(contestant: Contestant) -> dict[str, Any]:
    """Return the operators of one turn, most expensive first, and the rest of the step's time.

    The rest is what no operator accounts for: Python, and on a GPU its idle time. Watching makes a step longer, by
    more the more operators it has.
    """
    device = contestant.task.device.type
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    watch = profile(activities=activities)
    with _named_kernels():
        step = contestant.loop().turn(watch)
    operators = _operators(watch, step, contestant.task.batches, on_gpu=device == "cuda")
    rest = 1000 * step - sum(operator.milliseconds for operator in operators)
    return {
        "step_milliseconds": 1000 * step,
        "rest_milliseconds": rest,
        "operators": [asdict(operator) for operator in operators],
    }


@contextmanager
def _named_kernels() -> Iterator[None]:
    """Let each kernel of the sparse convolutions be seen as an operator of its own name."""
    call, in_one = Call.__call__, kernels._in_one

    def one_by_one(calls: Sequence[Call]) -> Work:
        return lambda: [call() for call in calls]

    def named(kernel: Call) -> int:
        with record_function(f"sparse::{kernel._function.__name__}"):
            return call(kernel)

    Call.__call__ = named  # type: ignore[method-assign,assignment]
    kernels._in_one = one_by_one
    try:
        yield
    finally:
        Call.__call__ = call  # type: ignore[method-assign]
        kernels._in_one = in_one


def _operators(watch: profile, step: float, steps: int, on_gpu: bool) -> list[Operator]:
    wanted = "CUDA" if on_gpu else "CPU"
    found = []
    for event in watch.key_averages():
        # On a GPU an annotation's time is that of the kernels below it, which are there too.
        if event.device_type.name != wanted or (on_gpu and event.is_user_annotation):
            continue
        microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        milliseconds = microseconds / 1000 / steps
        found.append(Operator(event.key, milliseconds, milliseconds / 1000 / step, event.count / steps))
    return sorted(found, key=lambda operator: -operator.milliseconds)


def operators_table(name: str, result: dict[str, Any]) -> str:
    """Return the most expensive operators as a table, the others in a line, and the rest."""
    operators = [Operator(**each) for each in result["operators"]]
    others = operators[SHOWN:]
    step = result["step_milliseconds"]
    sums = [("other operators", sum(each.milliseconds for each in others), sum(each.calls for each in others))]
    sums += [("outside operators", result["rest_milliseconds"], 0), ("whole step, watched", step, 0)]
    rows = [(_shortened(each.name), each.milliseconds, each.calls) for each in operators[:SHOWN]] + sums
    cells = [
        (label, f"{milliseconds:.2f}", f"{100 * milliseconds / step:.1f} %", f"{calls:.0f}" if calls else "")
        for label, milliseconds, calls in rows
    ]
    return table((name, "ms a step", "share", "calls"), cells)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."
