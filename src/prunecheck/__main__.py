"""``python -m prunecheck``: the command line, where no environment is activated."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the working folder, whose files may have the names of modules; -m puts it before all others

from prunecheck.cli import main

main()
