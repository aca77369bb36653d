"""Which outputs of a network may depend on its input, whatever the network is made of.

Its operations are recorded once (:mod:`.recording`); what depends on what is then followed through them by
rules (:mod:`.rules`) for any masks (:mod:`.propagation`). What is not known counts as a dependence.
"""

from prunecheck.pruning.dependence.propagation import Propagation, propagate
from prunecheck.pruning.dependence.recording import NotKnown, Recording, record

__all__ = ["NotKnown", "Propagation", "Recording", "propagate", "record"]
