"""A method that looks at a trained network: its largest weights within ERK's ratios, back at initialisation."""

from prunecheck.pruning import CRITERIA, METHODS, Method
from prunecheck.pruning.methods import initial, trained

METHODS.add(
    "lt-erk",
    Method("lt-erk", CRITERIA.get("magnitude"), allocation="erk", scored=trained, start=initial),
    "the largest trained weights within ERK's layerwise ratios, back at initialisation",
)
