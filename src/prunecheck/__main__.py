"""``python -m prunecheck``: the command line, where no environment is activated."""

from prunecheck.cli import main

main()
