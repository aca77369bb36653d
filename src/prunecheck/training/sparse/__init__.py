"""Training on the CPU with the kept weights only."""

from prunecheck.training.sparse.choice import require_kernels, sparse_network
from prunecheck.training.sparse.network import SparseNetwork

__all__ = ["SparseNetwork", "require_kernels", "sparse_network"]
