"""Grids of runs: specs, store, execution."""

from prunecheck.studies.check_study import BASELINE, CheckStudy
from prunecheck.studies.executors import EpochDone, Event, RunDone, execute_all
from prunecheck.studies.results import RunResult
from prunecheck.studies.specs import DENSE, RunSpec
from prunecheck.studies.store import RunStore, results_csv

__all__ = [
    "BASELINE",
    "DENSE",
    "CheckStudy",
    "EpochDone",
    "Event",
    "RunDone",
    "RunResult",
    "RunSpec",
    "RunStore",
    "execute_all",
    "results_csv",
]
