"""Readers of data sets, one for each form that they lie in on disk."""
