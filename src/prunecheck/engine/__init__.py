"""Runs executed: one at a time, in processes of this machine, or on a cluster.

Nothing is imported here, so that processes can be begun before torch is imported.
"""
