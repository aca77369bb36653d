"""The commands of the code published with arXiv:2009.11094: its flags and its files, on the library."""

from prunecheck.paper.scripts.baseline import baseline
from prunecheck.paper.scripts.flags import BaselineFlags, Flags, PruneFlags, TicketFlags, parse_flags
from prunecheck.paper.scripts.lt_prune import lt_prune
from prunecheck.paper.scripts.train_ticket import train_ticket

__all__ = [
    "BaselineFlags",
    "Flags",
    "PruneFlags",
    "TicketFlags",
    "baseline",
    "lt_prune",
    "parse_flags",
    "train_ticket",
]
