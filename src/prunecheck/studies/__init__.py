"""Grids of runs: specs, store, execution."""

from prunecheck.studies.check_study import CheckStudy
from prunecheck.studies.execution import Stopped
from prunecheck.studies.executors import EpochDone, Event, RunDone, execute_all
from prunecheck.studies.plan import Plan, plan_study
from prunecheck.studies.results import RunResult
from prunecheck.studies.run_table import load_results
from prunecheck.studies.specs import RunSpec
from prunecheck.studies.store import RunStore, results_csv
from prunecheck.studies.study import Study
from prunecheck.studies.study_file import read_study

__all__ = [
    "CheckStudy",
    "EpochDone",
    "Event",
    "Plan",
    "RunDone",
    "RunResult",
    "RunSpec",
    "RunStore",
    "Stopped",
    "Study",
    "execute_all",
    "load_results",
    "plan_study",
    "read_study",
    "results_csv",
]
