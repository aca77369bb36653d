"""Train a whole network, with the flags of the code published with arXiv:2009.11094."""

import sys

from prunecheck.cli import main

if __name__ == "__main__":
    main(["published", "baseline", *sys.argv[1:]])
