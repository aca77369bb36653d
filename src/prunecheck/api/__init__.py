"""What :mod:`prunecheck` offers to Python, and what its commands call.

Its names are reached as ``prunecheck.check``, ``prunecheck.Answer``, ...; nothing is imported here, so that they cost
nothing before they are used.
"""
