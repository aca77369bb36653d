"""Sanity checks for pruning methods, which say what information a method really uses."""

__version__ = "0.1.0"
