"""The command line. The only package that reads it, or the environment."""

from prunecheck.cli.main import main

__all__ = ["main"]
