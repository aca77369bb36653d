"""Sanity checks for pruning methods: which information does a method really use?"""

__version__ = "0.1.0"
