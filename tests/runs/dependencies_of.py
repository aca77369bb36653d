"""The runs that a run of a built-in method needs."""

from prunecheck.runs.dependencies import dependencies_of, planned_runs
from prunecheck.runs.dependencies import method_of_dependency as method_of
from prunecheck.runs.spec import RunSpec


def needs_of(spec: RunSpec) -> list[RunSpec]:
    return [*dict.fromkeys(dependencies_of(spec, method_of(spec)).values())]


def with_needed(*wanted: RunSpec) -> list[RunSpec]:
    """Return runs and what they need, each after what it needs itself."""
    return [planned.spec for planned in planned_runs((run, method_of(run)) for run in wanted)]


def chain_of(run: RunSpec) -> list[RunSpec]:
    """Return the runs of a ticket in rounds, from the dense one to the ticket's own."""
    runs = with_needed(run)
    assert [needs_of(spec) for spec in runs] == [[], *([spec] for spec in runs[:-1])]
    return runs
