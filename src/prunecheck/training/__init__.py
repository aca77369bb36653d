"""Training tickets."""

from prunecheck.training.acceleration import Acceleration
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.metrics import EpochMetrics
from prunecheck.training.recipe import Recipe, step_schedule
from prunecheck.training.record import Record
from prunecheck.training.shared_training import SharedTraining, train

__all__ = ["Acceleration", "Checkpoint", "EpochMetrics", "Recipe", "Record", "SharedTraining", "step_schedule", "train"]
