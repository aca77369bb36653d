"""Training on the CPU with the kept weights only."""

from prunecheck.training.sparse.build import Unavailable, load_kernels
from prunecheck.training.sparse.network import SparseNetwork

__all__ = ["SparseNetwork", "Unavailable", "load_kernels"]
