"""Runs on disk: what a run is, what it ended with, and what can be done with finished ones."""

from prunecheck.runs.result import RunResult
from prunecheck.runs.spec import RunSpec
from prunecheck.runs.store import RunStore, results_csv

__all__ = ["RunResult", "RunSpec", "RunStore", "results_csv"]
