"""A method that looks at a trained network: its largest weights within ERK's ratios, back at initialisation."""

from prunecheck.pruning import CRITERIA, METHODS, Method
from prunecheck.pruning.trainings import initial, trained

LT_ERK = Method("lt-erk", CRITERIA.get("magnitude"), allocation="erk", scored=trained, start=initial)

METHODS.add("lt-erk", LT_ERK, "the largest trained weights within ERK's layerwise ratios, back at initialisation")
