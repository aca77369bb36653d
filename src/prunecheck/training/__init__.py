"""Training tickets."""

from prunecheck.training.acceleration import Acceleration
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.loop import Record, SharedTraining, train
from prunecheck.training.metrics import EpochMetrics
from prunecheck.training.recipe import Recipe, step_schedule

__all__ = ["Acceleration", "Checkpoint", "EpochMetrics", "Recipe", "Record", "SharedTraining", "step_schedule", "train"]
