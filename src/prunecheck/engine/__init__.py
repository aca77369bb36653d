"""Runs executed: one at a time, in processes of this machine, or on a cluster."""

from prunecheck.engine.events import EpochDone, Event, RunDone
from prunecheck.engine.execution import Stopped
from prunecheck.engine.executors import execute_all

__all__ = ["EpochDone", "Event", "RunDone", "Stopped", "execute_all"]
