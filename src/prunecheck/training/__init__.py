"""Training tickets."""

from prunecheck.training.acceleration import Acceleration
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.loop import SharedTraining, train
from prunecheck.training.metrics import EpochMetrics
from prunecheck.training.recipe import Recipe, step_schedule
from prunecheck.training.record import Record

__all__ = ["Acceleration", "Checkpoint", "EpochMetrics", "Recipe", "Record", "SharedTraining", "step_schedule", "train"]
