"""Training tickets."""

from prunecheck.training.acceleration import Acceleration
from prunecheck.training.checkpoint import Checkpoint
from prunecheck.training.loop import train
from prunecheck.training.metrics import EpochMetrics
from prunecheck.training.recipe import Recipe, step_schedule
from prunecheck.training.ticket_training import Record

__all__ = ["Acceleration", "Checkpoint", "EpochMetrics", "Recipe", "Record", "step_schedule", "train"]
